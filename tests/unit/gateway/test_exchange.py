"""One call over several upstreams and a meter that may refuse: who is asked, how often, and what is on record."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.errors import Refused, Unavailable
from holdfast.gateway.port import Hold, Opening
from holdfast.gateway.settings import Upstream
from holdfast.gateway.upstreams import Upstreams
from holdfast.protocol import limits
from tests.fake_upstream.process import FakeUpstream

from .bills import billed_exactly, costs_nothing
from .conftest import served, upstreams_of
from .scripted import EVENTS, scripted

pytestmark = pytest.mark.anyio

BODY: Any = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(autouse=True)
def _anew(fake: FakeUpstream) -> None:
    fake.reset()
    fake.always(tokens=5, input=40)


def named(fake: FakeUpstream, name: str, knobs: str = "", **more: Any) -> dict[str, Any]:
    return {**upstreams_of(fake, knobs, retries=0)[0], "name": name, **more}


async def test_nothing_is_asked_that_cannot_be_put_on_record(fake: FakeUpstream) -> None:
    async with served(named(fake, "a"), named(fake, "b")) as site, site.http() as http:
        site.meter.error = Unavailable("store.unavailable")
        answer = await http.post("/v1/chat/completions", json=BODY)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store.unavailable")
        assert answer.headers["retry-after"] == "1" and site.meter.asked == 1
    assert fake.stats().started == 0


async def test_an_upstream_whose_model_has_no_price_is_passed_over(
    fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(named(fake, "dear"), named(fake, "b")) as site, site.http() as http:
        real = site.meter.open

        async def open_priced(opening: Opening) -> Hold:
            if opening.upstream == "dear":
                raise Refused("price.missing", "model 'gpt-5' has no price there")
            return await real(opening)

        monkeypatch.setattr(site.meter, "open", open_priced)
        answer = await http.post("/v1/chat/completions", json=BODY)
        assert answer.status_code == 200 and answer.headers["x-holdfast-upstream"] == "b"
        [one] = await site.meter.all_settled(1)
        billed_exactly(one, fake.stats(ended=1).requests[0])
        assert site.meter.opened[0].number == 1


async def test_a_refusal_of_the_only_one_that_could_is_told_before_that_of_a_price(
    fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(named(fake, "busy", "status=429"), named(fake, "dear")) as site, site.http() as http:
        real = site.meter.open

        async def open_priced(opening: Opening) -> Hold:
            if opening.upstream == "dear":
                raise Refused("price.missing")
            return await real(opening)

        monkeypatch.setattr(site.meter, "open", open_priced)
        answer = await http.post("/v1/chat/completions", json=BODY)
        assert answer.status_code == 429 and "fake upstream fails with 429" in answer.text


async def test_a_call_has_only_so_many_attempts(fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RETRY_FIRST_S", 0.0)
    many = [named(fake, f"u{number}", "status=500", retries=3) for number in range(5)]
    async with served(*many) as site, site.http() as http:
        answer = await http.post("/v1/chat/completions", json=BODY)
        assert answer.status_code == 500 and "fails with 500" in answer.text, "the provider's own words"
        settled = await site.meter.all_settled(limits.CALL_ATTEMPTS)
        assert [one.id.rsplit(".", 1)[1] for one in settled] == ["1", "2", "3", "4", "5", "6"]
        for one in settled:
            costs_nothing(one)
    assert fake.stats().started == limits.CALL_ATTEMPTS


async def test_an_upstream_that_is_full_is_passed_over(fake: FakeUpstream) -> None:
    async with scripted([EVENTS, b"data: [DONE]\n\n"]) as slow:
        slow.go_on = asyncio.Semaphore(1)
        first = slow.upstream() | {"streams": 1}
        async with served(first, named(fake, "b")) as site, site.http() as http:
            holding = asyncio.ensure_future(http.post("/v1/chat/completions", json=BODY))
            while not slow.heads:
                await asyncio.sleep(0)
            answer = await http.post("/v1/chat/completions", json=BODY)
            assert answer.headers["x-holdfast-upstream"] == "b"
            slow.go_on.release()
            await holding
            assert all(state.capacity.in_use == 0 for state in site.gateway.upstreams.states)


async def test_models_that_nobody_has_say_where_they_are(fake: FakeUpstream) -> None:
    async with served(*upstreams_of(fake)) as site, site.http() as http:
        answer = await http.post("/v1/chat/completions", json=BODY | {"model": "claude-x"})
        assert answer.status_code == 404 and "speak anthropic" in answer.json()["error"]["message"]
        answer = await http.post("/v1/messages", json=BODY | {"model": "nobody"})
        assert answer.json()["error"]["details"]["error_code"] == "model.unknown" and not site.meter.opened


async def test_a_key_may_ask_what_its_patterns_say(fake: FakeUpstream) -> None:
    async with served(named(fake, "a", models=["gpt-5", "gpt-4o", "ours=gpt-4o"])) as site, site.http() as http:
        key, caller = next(iter(site.keys.callers.items()))
        site.keys.callers[key] = type(caller)(key=caller.key, models=("gpt-4*", "ours"))
        refused = await http.post("/v1/chat/completions", json=BODY)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "key.denied")
        listed = (await http.get("/v1/models")).json()["data"]
        assert [model["id"] for model in listed] == ["gpt-4o", "ours"]
        assert (await http.post("/v1/chat/completions", json=BODY | {"model": "ours"})).status_code == 200
        assert (site.meter.opened[0].call.model, site.meter.opened[0].model) == ("ours", "gpt-4o")


async def test_when_the_gateway_stops_what_was_cut_is_on_record(fake: FakeUpstream) -> None:
    fake.always(tokens=400, gap=5, input=40)
    async with served(*upstreams_of(fake)) as site, site.http() as http:
        request = http.build_request("POST", "/v1/chat/completions", json=BODY | {"stream": True})
        answer = await http.send(request, stream=True)
        await anext(answer.aiter_text())
        for task in asyncio.all_tasks():
            if "Gateway" in repr(task.get_coro()) or "run_asgi" in repr(task.get_coro()):
                task.cancel()
        [one] = await site.meter.all_settled(1)
        await answer.aclose()
    assert (one.outcome, one.reason) == ("cut", "server.restarting") and one.estimated is not None


def test_an_upstream_that_fails_rests_and_is_asked_last_and_comes_back() -> None:
    now = 0.0
    both = [Upstream(name=name, url="http://x", models=("*",)) for name in ("a", "b")]
    upstreams = Upstreams(both, lambda: now)
    first = upstreams.states[0]

    def order() -> list[str]:
        return [state.upstream.name for state, _ in upstreams.serving("openai", "m")]

    for _ in range(limits.UPSTREAM_FAILURES):
        assert order() == ["a", "b"]
        first.failed()
    assert order() == ["b", "a"], "still there, in case the other fails"
    now = limits.UPSTREAM_REST_S
    assert order() == ["a", "b"]
    first.failed()
    assert order() == ["b", "a"]
    now += limits.UPSTREAM_REST_S
    assert order() == ["b", "a"], "it rests longer each time"
    first.answered()
    assert order() == ["a", "b"] and first.failures == 0
