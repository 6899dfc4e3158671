"""A call that names a route: the rules, the choice by outcome, the session's model, shadows and fall-back, with real parts."""

from __future__ import annotations

from typing import Any

import openai
import pytest
import yaml  # type: ignore[import-untyped]

from holdfast.engines.port import Key
from holdfast.gateway.port import Caller, ModelCall, RequestFacts
from holdfast.gateway.sessions import LocalSessions
from holdfast.gateway.settings import Upstream
from holdfast.gateway.upstreams import UpstreamState
from holdfast.governance.outcomes.service import OutcomeRequest
from holdfast.governance.routing.experiment import ExperimentRequest
from holdfast.protocol.frames import decode_frame
from holdfast.testing import FakeClock
from tests.fake_upstream.process import FakeUpstream
from tests.unit.governance.app.conftest import Serve, Served, upstream

pytestmark = pytest.mark.anyio

WIDE = {"window": 1_000_000, "tools": True, "images": True}
DOCUMENT: dict[str, Any] = {
    "models": {"gpt-5-mini": WIDE, "gpt-5": WIDE, "gpt-5-nano": {"window": 50}},
    "upstreams": {"openai": {"regions": ["us"], "terms": ["no-training"]}},
    "routes": [
        {"name": "answer", "workflow": "refunds", "task": "answer", "floor": 0.8, "incumbent": "gpt-5",
         "candidates": ["gpt-5-nano", "gpt-5-mini", "gpt-5"]}
    ],
}  # fmt: skip


async def set_document(served: Served, **more: Any) -> None:
    text = yaml.safe_dump({**DOCUMENT, **more})
    await served.governance.routing.set_document(yaml.safe_load(text), by="user:ann", tenant="default")


async def ask(served: Served, model: str = "route/answer", session: str = "", **more: Any) -> tuple[str, str]:
    """The model that the provider says answered, and the id of the call."""
    headers = {"x-holdfast-session": session} if session else {}
    async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client:
        answer = await client.chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": "hello"}], extra_headers=headers, **more
        )
        await served.governance.gateway.settled()
        return answer.parse().model, answer.headers["x-holdfast-call"]


async def judged(served: Served, model: str, accepted: int, rejected: int = 0) -> None:
    """Work of a model with outcomes."""
    for number in range(accepted + rejected):
        _, call = await ask(served, model)
        verdict = "accepted" if number < accepted else "rejected"
        await served.governance.outcomes.record(
            OutcomeRequest(outcome=verdict, call=call), by="user:ann", tenant="default"
        )
    await served.governance.routing.refresh()


async def decisions(served: Served, **filters: Any) -> list[Any]:
    return list(await served.governance.routing.decisions("default", 100, filters))


async def test_nothing_changes_while_nobody_has_set_anything(serve: Serve, fake: FakeUpstream) -> None:
    async with serve(upstream(fake)) as served:
        assert (await ask(served, "gpt-5-mini"))[0] == "gpt-5-mini"
        assert await decisions(served) == []
        with pytest.raises(openai.NotFoundError) as caught:
            await ask(served, "route/answer")
        assert caught.value.code == "model.unknown"


async def test_the_incumbent_answers_until_a_cheaper_model_is_shown_to_clear_the_floor(
    serve: Serve, fake: FakeUpstream
) -> None:
    async with serve(upstream(fake)) as served:
        await set_document(served)
        assert (await ask(served))[0] == "gpt-5"
        await judged(served, "gpt-5-mini", 14)
        bound = 0.05 ** (1 / 14)
        assert bound > 0.8
        model, call = await ask(served)
        assert model == "gpt-5-mini"
        (one,) = await decisions(served, call=call)
        assert (one.kind, one.route, one.asked, one.propensity) == ("choice", "answer", "route/answer", 1.0)
        assert f"{bound:.3f}" in one.reason and "14 of 14" in one.reason
        assert one.served == "gpt-5-mini" and not one.other
        assert (await ask(served, "auto"))[0] == "gpt-5-mini"
        await judged(served, "gpt-5-mini", 0, 1)
        assert (await ask(served))[0] == "gpt-5", "one rejection and the bound is below the floor again"


async def test_what_a_model_does_not_take_goes_elsewhere_and_unknown_is_no(serve: Serve, fake: FakeUpstream) -> None:
    async with serve(upstream(fake)) as served:
        await set_document(served, models={"gpt-5": {"window": 1_000_000}})
        _, call = await ask(served)
        (one,) = await decisions(served, call=call)
        assert (one.model, one.kind) == ("gpt-5", "rule"), "of the others no window is known"
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        with pytest.raises(openai.PermissionDeniedError) as caught:
            await ask(served, tools=[tool])
        assert caught.value.code == "routing.refused" and "tools" in str(caught.value)


async def test_a_rule_refuses_by_name_also_what_is_named_outright(serve: Serve, fake: FakeUpstream) -> None:
    rules = [{"name": "personal-data-in-the-eu", "when": {"data": "personal"}, "regions": ["eu"]}]
    async with serve(upstream(fake)) as served:
        await set_document(served, rules=rules)
        before = len(fake.stats().requests)
        for model in ("route/answer", "gpt-5"):
            with pytest.raises(openai.PermissionDeniedError) as caught:
                await ask(served, model)
            assert caught.value.code == "routing.refused"
            assert "personal-data-in-the-eu" in str(caught.value), "the call has no class of data: it could be that one"
        assert len(fake.stats().requests) == before, "nobody was asked"
        assert all(one.refused for one in await decisions(served))


async def test_of_several_upstreams_only_those_are_asked_that_the_rules_leave(serve: Serve, fake: FakeUpstream) -> None:
    abroad = upstream(fake) | {"name": "abroad"}
    rules = [{"name": "no-training", "terms": ["no-training"]}]
    async with serve(abroad, upstream(fake)) as served:
        await set_document(served, rules=rules)
        await ask(served)
        (row,) = await served.rows(1)
        assert row.upstream == "openai"


async def test_a_session_keeps_its_model(serve: Serve, fake: FakeUpstream) -> None:
    async with serve(upstream(fake)) as served:
        if served.governance.gateway._runs is None:
            pytest.skip("no sessions beside a gateway alone")
        await set_document(served)
        (key,) = served.governance.keys.rows()
        session = f"{key.id}.s1"
        assert (await ask(served, session=session))[0] == "gpt-5"
        await judged(served, "gpt-5-mini", 14)
        _, call = await ask(served, session=session)
        (one,) = await decisions(served, call=call)
        assert (one.model, one.kind) == ("gpt-5", "sticky")
        assert (await ask(served, session=f"{key.id}.s2"))[0] == "gpt-5-mini"


async def test_a_route_that_fails_everywhere_is_answered_by_the_incumbent(serve: Serve, fake: FakeUpstream) -> None:
    broken = upstream(fake, "status=503", retries=0, models=["gpt-5-mini"]) | {"name": "broken"}
    whole = upstream(fake, models=["gpt-5"])
    async with serve(upstream(fake)) as served:
        await set_document(served)
        await judged(served, "gpt-5-mini", 14)
        served.governance.gateway.upstreams.states = served_states(served, broken, whole)
        model, call = await ask(served)
        assert model == "gpt-5"
        (one,) = await decisions(served, call=call)
        assert (one.model, one.fell_back, one.served) == ("gpt-5-mini", True, "gpt-5")
        with pytest.raises(openai.APIStatusError):
            await ask(served, "gpt-5-mini")


def served_states(served: Served, *upstreams: dict[str, Any]) -> list[UpstreamState]:
    return [UpstreamState(Upstream(**one), served.governance.clock.elapsed) for one in upstreams]


async def test_another_model_than_asked_is_told(serve: Serve, fake: FakeUpstream) -> None:
    async with serve(upstream(fake, "served=gpt-4o")) as served:
        await set_document(served)
        _, call = await ask(served)
        (one,) = await decisions(served, call=call)
        assert (one.model, one.served, one.other) == ("gpt-5", "gpt-4o", True)


async def test_a_shadow_costs_on_a_line_of_its_own_and_the_cheap_model_then_answers_a_share(
    serve: Serve, fake: FakeUpstream
) -> None:
    async with serve(upstream(fake)) as served:
        routing = served.governance.routing
        await set_document(served)
        request = ExperimentRequest(
            name="try-mini", route="answer", cheap="gpt-5-mini", shadow_share=1.0, shadows=30, share=0.5, floor=0.8
        )
        await routing.begin(request, by="user:ann", tenant="default")
        for _ in range(30):
            assert (await ask(served))[0] == "gpt-5", "nobody is given the shadow's answer"
        rows = await served.rows(60)
        line = [row for row in rows if row.task == "experiment:try-mini"]
        assert len(line) == 30 and {row.asked for row in line} == {"gpt-5-mini"}
        await routing.beat()
        one = await routing.experiment("try-mini", "default")
        assert (one.state, one.answered, one.same, one.compared) == ("share", 30, 30, 30)
        models = [(await ask(served))[0] for _ in range(40)]
        assert {"gpt-5", "gpt-5-mini"} == set(models)
        drawn = await decisions(served, experiment="try-mini", kind="experiment")
        assert {one.propensity for one in drawn} == {0.5} and len(drawn) == 40


async def test_an_experiment_keeps_what_clears_the_floor_and_returns_what_misses_it(
    serve: Serve, fake: FakeUpstream, clock: FakeClock
) -> None:
    async with serve(upstream(fake)) as served:
        routing = served.governance.routing
        await set_document(served)
        for name, verdicts, state, model in (
            ("miss", (0, 12), "returned", "gpt-5"),
            ("keep", (90, 0), "kept", "gpt-5-mini"),
        ):
            request = ExperimentRequest(name=name, route="answer", cheap="gpt-5-mini", shadow_share=1.0, shadows=29)
            one = await routing.begin(request, by="user:ann", tenant="default")
            clock.advance(60)
            assert await routing._move(one, "share", "the test", "user:ann")
            await judged(served, "gpt-5-mini", *verdicts)
            await routing.beat()
            assert (await routing.experiment(name, "default")).state == state
            assert [step.after for step in await routing.steps(one.id)] == ["shadow", "share", state]
            if state == "kept":
                assert (await ask(served))[0] == model


async def test_decisions_are_events_of_their_session(serve: Serve, fake: FakeUpstream) -> None:
    async with serve(upstream(fake, "served=gpt-4o")) as served:
        gateway = served.governance.gateway
        if gateway._runs is None:
            pytest.skip("no sessions beside a gateway alone")
        await set_document(served)
        (key,) = served.governance.keys.rows()
        session = f"{key.id}.s1"
        _, call = await ask(served, session=session)
        assert isinstance(gateway._sessions, LocalSessions)
        frames = await gateway._sessions._hub.engine.read(Key("default", session), 0, max_bytes=1 << 20)
        events = [event for frame in frames for event in decode_frame(frame.payload).events]
        decided = next(event for event in events if event.type == "route.decided")
        assert decided.actor == "policy:routing" and decided.data["call"] == call and decided.data["reason"]
        other = next(event for event in events if event.type == "route.served")
        assert other.data["served"] == ["gpt-4o"] and other.data["other"] is True


async def test_a_request_is_not_read_where_nobody_has_set_a_rule(serve: Serve, fake: FakeUpstream) -> None:
    async with serve(upstream(fake)) as served:
        call = ModelCall("c1", Caller("k1"), "openai.chat", "gpt-5-mini", 0)

        def read() -> RequestFacts:
            raise AssertionError("it is as large as what was sent, and says nothing here")

        router = served.governance.gateway._router
        assert router is not None and router.route(call, read).model == "gpt-5-mini"
