"""Approvals inside agents that are used as tools (OpenAI Agents SDK): asked once, done once or not at all, and it goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("agents", reason="the OpenAI Agents SDK is not installed")

from agents import Agent, ModelResponse, Usage, function_tool

from holdfast.agents.adapters import openai_agents
from holdfast.protocol.fold import View
from tests.adapters.test_openai_agents import Scripted, outputs, serving
from tests.adapters.workshop import Workshop, answers, ended, items, open_workshop, seen

pytestmark = [pytest.mark.anyio, pytest.mark.process]

Calls = list[tuple[str, str, str]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def shop(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Workshop]:
    async with open_workshop(tmp_path) as shop:
        yield shop


class Whole(Scripted):
    """Also answers without a stream, as the SDK asks for an agent used as a tool that nobody listens to."""

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        items = kwargs["input"] if "input" in kwargs else args[1]
        events = [event async for event in self.stream_response(None, items)]
        return ModelResponse(output=events[-1].response.output, usage=Usage(), response_id=None)


def turns(*rounds: Calls) -> Scripted:
    """Asks for these calls, one list after the other, and then tells what they came to."""
    ids = [{call for call, _, _ in calls} for calls in rounds]

    def say(given: list[Any]) -> Any:
        done = {i["call_id"] for i in given if i.get("type") == "function_call_output"}
        for number, calls in enumerate(rounds):
            if not ids[number] <= done:
                return calls
        return " & ".join(outputs(given))

    return Whole(say)


class Desk:
    """An agent that pays when people allow it, and agents that use it."""

    def __init__(self, speaks: bool = True) -> None:
        self.acted: list[str] = []
        self.hang: asyncio.Event | None = None
        self.on_stream = openai_agents.speak if speaks else None

    def clerk(self, *rounds: Calls, name: str = "clerk") -> Agent[Any]:
        desk = self

        @function_tool(needs_approval=True)
        async def pay(order: str) -> str:
            desk.acted.append(order)
            if desk.hang is not None:
                desk.hang.set()
                await asyncio.Event().wait()
            return f"paid {order}"

        @function_tool
        def look(order: str) -> str:
            desk.acted.append(f"look {order}")
            return f"saw {order}"

        return Agent(name=name, model=turns(*rounds), tools=[pay, look])

    def above(self, inner: Agent[Any], *rounds: Calls, name: str = "boss") -> Agent[Any]:
        return Agent(name=name, model=turns(*rounds), tools=[inner.as_tool("ask", "Ask.", on_stream=self.on_stream)])


PAY: Calls = [("n1", "pay", '{"order": "O1"}')]
ASK: Calls = [("c1", "ask", '{"input": "pay"}')]
DENIED = "Tool execution was not approved."


async def decided(shop: Workshop, run: str, *yes: bool) -> View:
    """Decide what is asked, one question after the other, until the run is over."""
    session = (await shop.person("user:bob")).session("s1")
    for number, allowed in enumerate(yes, 1):

        def asked(view: View, number: int = number) -> bool:
            return len(items(view, "approval")) >= number or view.runs[run]["status"] in ("failed", "completed")

        view = await seen(session, asked)
        pending = items(view, "approval", status="pending")
        assert pending, view.runs[run]
        await (session.approve if allowed else session.deny)(pending[0]["id"], hash=pending[0]["hash"])
    return await ended(session, run)


@pytest.mark.parametrize("speaks", [True, False], ids=["speaks", "silent"])
@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("yes", [True, False], ids=["approved", "denied"])
async def test_it_is_asked_once_and_done_once_or_not_at_all(
    shop: Workshop, wait: bool, yes: bool, speaks: bool
) -> None:
    desk = Desk(speaks)
    await shop.worker(writer=serving(desk.above(desk.clerk(PAY), ASK), wait=wait))
    run = await (await shop.session()).send("go")
    view = await decided(shop, run.id, yes)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert desk.acted == (["O1"] if yes else [])
    (approval,) = items(view, "approval")
    assert (approval["tool"], approval["args"]) == ("pay", {"order": "O1"})
    expected = "paid O1" if yes else DENIED
    assert (await run.text()).endswith(expected) and answers(view, run.id) == [expected]
    calls = {call["name"]: (call["status"], call["result"], json.loads(call["args"])) for call in items(view, "tool")}
    assert calls["ask"] == ("done", expected, {"input": "pay"})
    if speaks:
        assert calls["pay"] == ("done", expected, {"order": "O1"})
    assert len(items(view, "tool")) == (2 if speaks else 1)
    assert [m["text"] for m in items(view, "message", actor="agent:writer/clerk")] == [expected]


@pytest.mark.parametrize("wait", [True, False])
async def test_one_that_asks_again_and_again(shop: Workshop, wait: bool) -> None:
    """Of three questions inside one call the second is denied; what needs nobody is done once."""
    rounds: list[Calls] = [
        [("n1", "pay", '{"order": "O1"}'), ("n2", "look", '{"order": "O1"}')],
        [("n3", "pay", '{"order": "O2"}')],
        [("n4", "pay", '{"order": "O3"}')],
    ]
    desk = Desk()
    await shop.worker(writer=serving(desk.above(desk.clerk(*rounds), ASK), wait=wait))
    run = await (await shop.session()).send("go")
    view = await decided(shop, run.id, True, False, True)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert sorted(desk.acted) == ["O1", "O3", "look O1"]
    assert [a["args"]["order"] for a in items(view, "approval")] == ["O1", "O2", "O3"]
    assert {call["status"] for call in items(view, "tool")} == {"done"}


@pytest.mark.parametrize("wait", [True, False])
async def test_the_same_id_inside_two_calls_is_two_questions(shop: Workshop, wait: bool) -> None:
    """A model's ids are of its agent: what was allowed inside one call is not allowed inside the next."""
    again: Calls = [("c2", "ask", '{"input": "pay"}')]
    desk = Desk()
    await shop.worker(writer=serving(desk.above(desk.clerk(PAY), ASK, again), wait=wait))
    run = await (await shop.session()).send("go")
    view = await decided(shop, run.id, True, False)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert desk.acted == ["O1"]
    assert [a["status"] for a in items(view, "approval")] == ["approved", "denied"]
    assert answers(view, run.id) == [f"paid O1 & {DENIED}"]


@pytest.mark.parametrize("wait", [True, False])
async def test_an_agent_that_uses_an_agent_that_uses_one(shop: Workshop, wait: bool) -> None:
    desk = Desk()
    middle = desk.above(desk.clerk(PAY), [("m1", "ask", '{"input": "pay"}')], name="middle")
    await shop.worker(writer=serving(desk.above(middle, ASK), wait=wait))
    run = await (await shop.session()).send("go")
    view = await decided(shop, run.id, True)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert (desk.acted, answers(view, run.id)) == (["O1"], ["paid O1"])
    assert len(items(view, "approval")) == 1


@pytest.mark.parametrize("wait", [True, False])
async def test_agents_side_by_side(shop: Workshop, wait: bool) -> None:
    desk = Desk()
    one, two = (desk.clerk([(f"n{n}", "pay", f'{{"order": "O{n}"}}')], name=f"clerk{n}") for n in (1, 2))
    both: Calls = [("c1", "one", '{"input": "pay"}'), ("c2", "two", '{"input": "pay"}')]
    tools = [agent.as_tool(name, "Ask.", on_stream=openai_agents.speak) for agent, name in ((one, "one"), (two, "two"))]
    await shop.worker(writer=serving(Agent(name="boss", model=turns(both), tools=list(tools)), wait=wait))
    session = await shop.session()
    run = await session.send("go")
    view = await seen(session, lambda v: len(items(v, "approval", status="pending")) == 2)
    for approval in reversed(items(view, "approval")):
        await (session.approve if approval["args"]["order"] == "O2" else session.deny)(approval["id"])
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert (desk.acted, answers(view, run.id)) == (["O2"], [f"{DENIED} & paid O2"])


@pytest.mark.parametrize("wait", [True, False])
async def test_the_worker_is_lost_while_people_think(shop: Workshop, wait: bool) -> None:
    desk = Desk()
    rounds: list[Calls] = [[*PAY, ("n2", "look", '{"order": "O1"}')]]
    worker = await shop.worker(writer=serving(desk.above(desk.clerk(*rounds), ASK), wait=wait))
    session = await shop.session()
    run = await session.send("go")
    view = await seen(session, lambda v: items(v, "approval", status="pending"))
    await worker.leave()
    await session.approve(items(view, "approval")[0]["id"])
    await shop.worker(writer=serving(desk.above(desk.clerk(*rounds), ASK), wait=wait))
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert sorted(desk.acted) == ["O1", "look O1"]
    assert len(items(view, "approval")) == 1


@pytest.mark.parametrize("wait", [True, False])
async def test_a_worker_lost_after_the_decision_does_not_act_again(shop: Workshop, wait: bool) -> None:
    desk = Desk()
    desk.hang = asyncio.Event()
    worker = await shop.worker(writer=serving(desk.above(desk.clerk(PAY), ASK), wait=wait))
    session = await shop.session()
    run = await session.send("go")
    view = await seen(session, lambda v: items(v, "approval", status="pending"))
    await session.approve(items(view, "approval")[0]["id"])
    await desk.hang.wait()
    await worker.leave()
    await shop.worker(writer=serving(desk.above(desk.clerk(PAY), ASK), wait=wait))
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "failed", view.runs[run.id]
    assert "outcome_unknown" in str(view.runs[run.id]["error"]) or "earlier attempt" in str(view.runs[run.id]["error"])
    assert desk.acted == ["O1"]


async def test_a_loop_that_gets_nowhere_fails(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision that the SDK never hears of: whatever the cause, the run ends, and soon."""
    monkeypatch.setattr(openai_agents._AgentRun, "_resolve", lambda *_: asyncio.sleep(0))
    desk = Desk()
    await shop.worker(writer=serving(desk.above(desk.clerk(PAY), ASK)))
    session = await shop.session()
    run = await session.send("go", attempts=1)
    view = await ended(session, run.id)
    assert view.runs[run.id]["error"]["code"] == "agent.stalled", view.runs[run.id]
    assert desk.acted == []
