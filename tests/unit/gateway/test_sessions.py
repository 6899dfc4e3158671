"""Calls that are runs in a session, and agents in place of models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from msgspec import structs

import holdfast
from holdfast.gateway.sessions import LocalSessions
from holdfast.protocol import wire
from holdfast.protocol.events import RUN_ENDED, USAGE_RECORDED, Event
from tests.fake_upstream.process import FakeUpstream
from tests.unit.gateway.conftest import KEY, Site, served, upstreams_of
from tests.unit.gateway.holds import FIELDS, ScriptedHold

pytestmark = pytest.mark.anyio

ASK = {"model": "gpt-5", "messages": [{"role": "user", "content": "Where is my parcel?"}], "stream": True}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    """One of this file's own: others leave theirs with knobs."""
    with FakeUpstream() as upstream:
        yield upstream


@asynccontextmanager
async def with_sessions(
    fake: FakeUpstream, knobs: str = "", **upstream: Any
) -> AsyncIterator[tuple[Site, holdfast.EmbeddedHub]]:
    """A gateway and the hub whose sessions its calls may name."""
    hub = holdfast.EmbeddedHub("memory:")

    @hub.agent("librarian")
    async def librarian(run: holdfast.RunContext) -> None:
        async with run.message() as out:
            await out.write(f"You said {run.input.text!r}, ")
            await out.write(f"and this is number {len(run.history)}.")

    @hub.agent("broken")
    async def broken(run: holdfast.RunContext) -> None:
        await run.say("so far")
        raise ValueError("no shelf")

    async with hub, served(*upstreams_of(fake, knobs, **upstream), sessions=LocalSessions(hub.hub)) as site:
        caller = site.keys.callers[KEY]
        site.keys.callers[KEY] = structs.replace(
            caller, sessions="desk-*", agents=frozenset({"librarian", "broken"}), actor="user:ann"
        )
        yield site, hub


async def test_a_call_that_names_a_session_is_a_run_in_it(fake: FakeUpstream) -> None:
    async with with_sessions(fake) as (site, hub), site.http() as http:
        answer = await http.post("/v1/chat/completions", json=ASK, headers={"x-holdfast-session": "desk-1"})
        assert answer.status_code == 200
        assert answer.text.endswith("data: [DONE]\n\n")
        said = "".join(
            choice["delta"].get("content") or ""
            for line in answer.text.splitlines()
            if line.startswith("data: {")
            for choice in json.loads(line[6:])["choices"]
        )
        view = await (await hub.session("desk-1").client()).state()
        texts = [(item["kind"], item.get("role"), item.get("text")) for item in view.items if item["kind"] == "message"]
        assert texts == [("message", "user", "Where is my parcel?"), ("message", "assistant", said)]
        (run,) = view.runs.values()
        assert run["status"] == "completed"
        (opening,) = site.meter.opened
        assert (opening.call.session, opening.call.run) == ("desk-1", run["id"])
        assert (await site.meter.all_settled(1))[0].outcome == "served"


async def test_the_run_survives_its_caller_and_is_billed_as_its_provider_says(fake: FakeUpstream) -> None:
    async with with_sessions(fake, "gap=20") as (site, hub), site.http() as http:
        headers = {"x-holdfast-session": "desk-2"}
        async with http.stream("POST", "/v1/chat/completions", json=ASK, headers=headers) as answer:
            async for _ in answer.aiter_raw():
                break
        (served_one,) = await site.meter.all_settled(1)
        assert served_one.outcome == "served"
        assert served_one.billed[0].total_output == 20
        view = await (await hub.session("desk-2").client()).state()
        (run,) = view.runs.values()
        assert run["status"] == "completed"
        assert view.items[-1]["text"].endswith("home the quick brown fox jumps over"), "it was said to its end"


async def test_a_run_is_stopped_from_anywhere_and_its_caller_hears_why(fake: FakeUpstream) -> None:
    async with with_sessions(fake, "hang=5") as (site, hub):
        client = openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=KEY, max_retries=0)
        stream = await client.chat.completions.create(
            model="gpt-5", messages=[{"role": "user", "content": "hi"}], stream=True,
            extra_headers={"x-holdfast-session": "desk-3"},
        )  # fmt: skip
        words = 0
        with pytest.raises(openai.APIError) as caught:
            async for chunk in stream:
                words += bool(chunk.choices and chunk.choices[0].delta.content)
                if words == 3:
                    words += 1
                    session = await hub.session("desk-3").client()
                    (run,) = (await session.state()).runs
                    await session.cancel(run)
        assert caught.value.code == "call.stopped"
        await client.close()
        (served_one,) = await site.meter.all_settled(1)
        assert (served_one.outcome, served_one.reason) == ("cut", "run.cancelled")
        assert served_one.estimated is not None and served_one.estimated.total_output >= 3


async def test_an_agent_is_a_model_for_a_client_of_chat_completions(fake: FakeUpstream) -> None:
    async with with_sessions(fake) as (site, hub):
        client = openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=KEY, max_retries=0)
        assert [model.id async for model in client.models.list()] == ["agent/broken", "agent/librarian"]
        headers = {"x-openwebui-chat-id": "6f0c"}
        messages: list[Any] = [{"role": "user", "content": "one"}]
        first = await client.chat.completions.create(model="agent/librarian", messages=messages, extra_headers=headers)
        assert first.choices[0].message.content == "You said 'one', and this is number 1."
        messages += [{"role": "assistant", "content": "x"}, {"role": "user", "content": "two"}]
        stream = await client.chat.completions.create(
            model="agent/librarian", messages=messages, stream=True, extra_headers=headers
        )
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
        assert text == "You said 'two', and this is number 3."
        assert not site.meter.opened, "what an agent asks of models is metered where it asks"
        state = await (await hub.session("k1.6f0c").client()).state()
        assert [item["text"] for item in state.items if item.get("role") == "user"] == ["one", "two"]
        await client.close()


async def test_a_key_for_all_agents_lists_those_that_somebody_serves_now(fake: FakeUpstream) -> None:
    async with with_sessions(fake) as (site, _), site.http() as http:
        site.keys.callers[KEY] = structs.replace(site.keys.callers[KEY], agents=frozenset({"*", "poet"}))
        names = [row["id"] for row in (await http.get("/v1/models")).json()["data"]]
        assert names == ["agent/broken", "agent/librarian", "agent/poet"]


async def test_instructions_at_the_end_are_nothing_that_a_person_said(fake: FakeUpstream) -> None:
    async with with_sessions(fake) as (site, _), site.http() as http:
        messages = [{"role": "user", "content": "one"}, {"role": "system", "content": "Be brief."}]
        answer = await http.post("/v1/chat/completions", json={"model": "agent/librarian", "messages": messages})
        assert answer.json()["choices"][0]["message"]["content"] == "You said 'one', and this is number 1."
        messages = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
        answer = await http.post("/v1/chat/completions", json={"model": "agent/librarian", "messages": messages})
        assert answer.json()["error"]["code"] == "input.malformed"


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        ("Generate a concise, 3-5 word title", "title"),
        ("Generate 1-3 broad tags", "tags"),
        ("Suggest 3-5 relevant follow-up questions", "follow_ups"),
    ],
)
async def test_what_a_chat_application_asks_for_itself_runs_no_agent(fake: FakeUpstream, asked: str, key: str) -> None:
    async with with_sessions(fake) as (site, hub), site.http() as http:
        words = (
            f"### Task:\n{asked} of the chat.\n<chat_history>\nUSER: Where is it?\nASSISTANT: There.\n</chat_history>"
        )
        body = {"model": "agent/librarian", "messages": [{"role": "user", "content": words}]}
        answer = await http.post("/v1/chat/completions", json=body, headers={"x-openwebui-chat-id": "6f0d"})
        told = json.loads(answer.json()["choices"][0]["message"]["content"])
        assert told == {key: "Where is it?" if key == "title" else []}
        with pytest.raises(holdfast.Refused):
            await (await hub.session("k1.6f0d").client()).state()


async def test_an_agent_that_fails_ends_the_stream_with_its_error(fake: FakeUpstream) -> None:
    async with with_sessions(fake) as (site, _):
        client = openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=KEY, max_retries=0)
        stream = await client.chat.completions.create(
            model="agent/broken", messages=[{"role": "user", "content": "x"}], stream=True
        )
        with pytest.raises(openai.APIError) as caught:
            async for _ in stream:
                pass
        assert caught.value.code == "agent.failed"
        with pytest.raises(openai.APIStatusError):
            await client.chat.completions.create(model="agent/broken", messages=[{"role": "user", "content": "x"}])
        await client.close()


@pytest.mark.parametrize(
    ("model", "headers", "code"),
    [
        ("agent/clerk", {}, "key.denied"),
        ("agent/librarian", {"x-holdfast-session": "other"}, "key.denied"),
        ("gpt-5", {"x-holdfast-session": "other"}, "key.denied"),
        ("gpt-5", {"x-holdfast-session": "no id"}, "input.session_id"),
    ],
)
async def test_a_key_reaches_its_own_sessions_and_agents_only(
    fake: FakeUpstream, model: str, headers: dict[str, str], code: str
) -> None:
    async with with_sessions(fake) as (site, _), site.http() as http:
        answer = await http.post("/v1/chat/completions", json={**ASK, "model": model}, headers=headers)
        assert answer.json()["error"]["code"] == code
        assert not site.meter.opened


# --- budgets
SPENT = {"code": "budget.exceeded", "text": "the budget has no money left", **FIELDS}


def bounded(site: Site, **more: Any) -> ScriptedHold:
    """The money of the next calls ends after 60 tokens."""
    hold = ScriptedHold(20, tranche=20, cap=60, **more)
    site.meter.hold = lambda _: hold
    return hold


def shown(view: Any) -> list[dict[str, Any]]:
    """What everybody who watches sees of budgets."""
    return [item["content"] for item in view.items if item["kind"] == "activity" and item["name"] == "budget"]


def answers(view: Any) -> list[tuple[str, str]]:
    """What was answered, and whether it is closed."""
    return [(i["text"], i["status"]) for i in view.items if i["kind"] == "message" and i["role"] == "assistant"]


async def usages(hub: holdfast.EmbeddedHub, session: str) -> list[dict[str, Any]]:
    """What the session has on record of its use, once a run of it has ended."""
    client = await hub.session(session).client()
    life = (await client.create())["incarnation"]
    found = []
    async for event in client.events(wire.Cursor(life, 0)):
        if isinstance(event, Event) and event.type == USAGE_RECORDED:
            found.append(event.data)
        if isinstance(event, Event) and event.type == RUN_ENDED:
            break
    return found


def long_answers(fake: FakeUpstream) -> None:
    fake.reset()
    fake.always(tokens=400, input=30)


async def ended_view(hub: holdfast.EmbeddedHub, session: str) -> Any:
    """The session once its runs have ended."""
    async with asyncio.timeout(20), (await hub.session(session).client()).live() as live:
        return await live.until(lambda view: bool(view.runs) and all("ended_ts" in run for run in view.runs.values()))


async def asked(site: Site, session: str, **more: Any) -> tuple[str, openai.APIError | None]:
    """What a caller reads to its end, and with which error."""
    client = openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=KEY, max_retries=2)
    said, error = "", None
    try:
        stream = await client.chat.completions.create(
            model="gpt-5", messages=[{"role": "user", "content": "hi"}], stream=True,
            extra_headers={"x-holdfast-session": session}, **more,
        )  # fmt: skip
        async for chunk in stream:
            said += "".join(choice.delta.content or "" for choice in chunk.choices)
    except openai.APIError as raised:
        error = raised
    await client.close()
    return said, error


@pytest.mark.parametrize("on_brake", ["cut", "drain"])
async def test_a_run_that_a_budget_brakes_is_cancelled_and_everybody_sees_whose_it_is(
    fake: FakeUpstream, on_brake: str
) -> None:
    long_answers(fake)
    async with with_sessions(fake, on_brake=on_brake) as (site, hub):
        bounded(site)
        said, error = await asked(site, "desk-1")
        assert error is not None and error.code == "budget_exceeded"
        view = await ended_view(hub, "desk-1")
        (run,) = view.runs.values()
        reason = SPENT["text"]
        assert (run["status"], run["cancel"]["by"], run["cancel"]["reason"]) == ("cancelled", "policy:budget", reason)
        assert shown(view) == [{"stage": "ended", "policy": "error", **SPENT}]
        assert (answers(view), "error" in run) == ([(said, "complete")], False), "what was said stays"
        (served_one,) = await site.meter.all_settled(1)
        assert (served_one.outcome, served_one.reason) == (
            {"cut": "cut", "drain": "drained"}[on_brake],
            "budget.exceeded",
        )
        used = await usages(hub, "desk-1")
        assert len(used) == 1 and used[0]["call"] == site.meter.opened[0].call.id, "what was used is on record, once"


async def test_a_run_that_a_budget_cuts_short_completes_and_says_why(fake: FakeUpstream) -> None:
    long_answers(fake)
    async with with_sessions(fake) as (site, hub):
        bounded(site, on_brake="truncate")
        said, error = await asked(site, "desk-2")
        assert said and error is None
        view = await ended_view(hub, "desk-2")
        (run,) = view.runs.values()
        assert (run["status"], "cancel" in run) == ("completed", False)
        assert shown(view) == [{"stage": "ended", "policy": "truncate", **SPENT}]


async def test_a_run_waits_while_a_person_is_asked_and_goes_on_when_more_is_given(fake: FakeUpstream) -> None:
    long_answers(fake)
    async with with_sessions(fake) as (site, hub):
        hold = bounded(site, on_brake="ask")
        asking = asyncio.create_task(asked(site, "desk-3"))
        await hold.asked.wait()
        async with asyncio.timeout(20), (await hub.session("desk-3").client()).live() as live:
            view = await live.until(lambda view: bool(shown(view)))
            assert [run["status"] for run in view.runs.values()] == ["running"]
            assert shown(view) == [{"stage": "asked", "policy": "ask", **SPENT}]
        hold.answer.set_result(True)
        said, error = await asking
        assert error is None
        view = await ended_view(hub, "desk-3")
        assert [run["status"] for run in view.runs.values()] == ["completed"]
        assert shown(view) == [{"stage": "resumed", "policy": "ask", **SPENT}], "one, replaced"
        assert answers(view) == [(said, "complete")]


async def test_a_person_who_says_no_ends_the_run_and_its_panel_says_so(fake: FakeUpstream) -> None:
    long_answers(fake)
    async with with_sessions(fake) as (site, hub):
        hold = bounded(site, on_brake="ask")
        hold.answer.set_result(False)
        _, error = await asked(site, "desk-4")
        assert error is not None and error.code == "budget_exceeded"
        view = await ended_view(hub, "desk-4")
        assert [run["status"] for run in view.runs.values()] == ["cancelled"]
        assert [told["stage"] for told in shown(view)] == ["ended"]


async def test_a_second_brake_after_more_was_given_is_shown_where_it_was(fake: FakeUpstream) -> None:
    long_answers(fake)
    async with with_sessions(fake) as (site, hub):
        hold = bounded(site, on_brake="ask")
        hold.raised = 40
        asking = asyncio.create_task(asked(site, "desk-5"))
        await hold.asked.wait()
        hold.asked.clear()
        first, hold.answer = hold.answer, asyncio.get_running_loop().create_future()
        first.set_result(True)
        await hold.asked.wait()
        hold.answer.set_result(False)
        await asking
        view = await ended_view(hub, "desk-5")
        assert [told["stage"] for told in shown(view)] == ["resumed", "ended"]


async def test_a_call_that_gets_no_money_before_it_begins_is_refused_and_its_session_sees_why(
    fake: FakeUpstream,
) -> None:
    async with with_sessions(fake) as (site, hub), site.http() as http:
        site.meter.error = holdfast.Refused("budget.exceeded", SPENT["text"], **FIELDS)
        answer = await http.post("/v1/chat/completions", json=ASK, headers={"x-holdfast-session": "desk-6"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (402, "budget_exceeded")
        view = await ended_view(hub, "desk-6")
        (run,) = view.runs.values()
        assert (run["status"], run["cancel"]["by"]) == ("cancelled", "policy:budget")
        assert shown(view) == [{"stage": "ended", "policy": "error", **SPENT}]


async def test_a_caller_who_does_not_stream_is_refused_and_the_run_shows_what_was_said(fake: FakeUpstream) -> None:
    long_answers(fake)
    async with with_sessions(fake) as (site, hub), site.http() as http:
        bounded(site)
        body = {**ASK, "stream": False}
        answer = await http.post("/v1/chat/completions", json=body, headers={"x-holdfast-session": "desk-7"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (402, "budget_exceeded")
        view = await ended_view(hub, "desk-7")
        assert [run["status"] for run in view.runs.values()] == ["cancelled"]
        assert answers(view)[0][0], "people see what was said"
