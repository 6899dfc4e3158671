"""Tools of one node that ask people: each is answered for itself, acts once or not at all, and stands as what it came to.

Plain LangGraph, driven by the same decisions, says what the graph has to come to.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypedDict

import pytest

pytest.importorskip("langgraph", reason="LangGraph is not installed")

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from holdfast.agents.adapters import langgraph
from tests.adapters.langgraph_desk import Calls, Desk, decide, expected, hired, plainly, serving, shows
from tests.adapters.langgraph_scripts import Talk
from tests.adapters.workshop import Workshop, answers, ended, items, open_workshop, seen

pytestmark = [pytest.mark.anyio, pytest.mark.process]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def shop(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Workshop]:
    async with open_workshop(tmp_path, lease_s=30) as shop:  # nobody is lost here, however busy the machine is
        yield shop


TWO: Calls = [("ask", {"key": "refund"}), ("ask", {"key": "close"})]


@pytest.mark.parametrize("wait", [True, False])
async def test_of_two_that_ask_only_the_approved_one_acts(shop: Workshop, wait: bool) -> None:
    """Either of them, decided in either order, in one node or in a node each."""
    ways = list(itertools.product((0, 1), (False, True), (False, True)))
    desks = [Desk(TWO, each=each) for _, _, each in ways]

    async def one(session: Any, run: str, desk: Desk, first: int, last: bool) -> None:
        view = await seen(session, lambda v: len(items(v, "approval", status="pending")) == 2)
        assert desk.acted == []
        for approval in sorted(items(view, "approval"), key=lambda a: a["args"]["key"], reverse=last):
            yes = approval["args"]["key"] == ("refund", "close")[first]
            await (session.approve if yes else session.deny)(approval["id"], hash=approval["hash"])
        view = await ended(session, run)
        assert view.runs[run]["status"] == "completed", view.runs[run]
        assert desk.acted == [("refund", "close")[first]]
        assert answers(view, run) == [("did refund; no close", "no refund; did close")[first]]
        shows(view, desk)

    hires = await hired(shop, *((desk, {"wait": wait}) for desk in desks))
    await asyncio.gather(
        *(one(*at, desk, first, last) for at, desk, (first, last, _) in zip(hires, desks, ways, strict=True))
    )


BESIDE = {
    "a slow tool": [("ask", {"key": "a"}), ("slow", {"key": "b"})],
    "a slow tool before it": [("slow", {"key": "b"}), ("ask", {"key": "a"})],
    "a tool that returns a command": [("commands", {"key": "b"}), ("ask", {"key": "a"}), ("commands", {"key": "c"})],
    "a tool that asks twice": [("ask_twice", {"key": "a"}), ("ask", {"key": "b"})],
    "a tool in a thread": [("ask_in_thread", {"key": "a"}), ("ask_in_thread", {"key": "b"}), ("quick", {"key": "c"})],
    "every kind": [
        ("quick", {"key": "a"}), ("ask", {"key": "b"}), ("slow", {"key": "c"}), ("ask_twice", {"key": "d"}),
        ("commands", {"key": "e"}), ("ask_in_thread", {"key": "f"}), ("broken", {"key": "g"}),
    ],
}  # fmt: skip


BY_CHANCE = {
    "a tool in a thread",
    "every kind",
}  # plain LangGraph answers by the order in which its tools happen to ask


@pytest.mark.parametrize("what", BESIDE)
async def test_a_tool_that_asks_beside_another(shop: Workshop, what: str) -> None:
    ways = list(itertools.product((True, False), (True, False)))
    desks = [Desk(BESIDE[what]) for _ in ways]

    async def one(session: Any, run: str, desk: Desk, yes: bool) -> None:
        decisions = {(key, n): yes for key in "abcdefg" for n in (1, 2)}
        view = await decide(session, run, decisions, random.Random(1))
        assert view.runs[run]["status"] == "completed", view.runs[run]
        result, acted = expected([BESIDE[what]], decisions)
        assert answers(view, run) == [result]
        assert sorted(desk.acted) == sorted(acted), "each acts once"
        shows(view, desk)
        if what not in BY_CHANCE:
            plain = Desk(BESIDE[what])
            assert await plainly(plain, decisions) == result
            assert sorted(set(plain.acted)) == sorted(acted)

    hires = await hired(shop, *((desk, {"wait": wait}) for desk, (wait, _) in zip(desks, ways, strict=True)))
    await asyncio.gather(*(one(*at, desk, yes) for at, desk, (_, yes) in zip(hires, desks, ways, strict=True)))


async def test_many_rounds_of_any_tools_come_to_what_was_decided(shop: Workshop) -> None:
    names = ["ask", "ask", "ask_in_thread", "ask_twice", "slow", "quick", "commands", "broken"]
    plans: list[tuple[random.Random, list[Calls], Desk, dict[str, Any]]] = []
    for seed in range(20):
        dice, keys = random.Random(seed), (f"k{n}" for n in itertools.count())
        rounds: list[Calls] = []
        for _ in range(dice.randint(1, 3)):
            rounds.append([(dice.choice(names), {"key": next(keys)}) for _ in range(dice.randint(1, 5))])
        plans.append((dice, rounds, Desk(*rounds, each=dice.random() < 0.3), {"wait": dice.random() < 0.5}))

    async def one(session: Any, run: str, dice: random.Random, rounds: list[Calls], desk: Desk) -> None:
        decisions = {(f"k{n}", m): dice.random() < 0.5 for n in range(40) for m in (1, 2)}
        view = await decide(session, run, decisions, dice)
        assert view.runs[run]["status"] == "completed", (rounds, view.runs[run])
        result, acted = expected(rounds, decisions)
        assert answers(view, run) == [result], rounds
        assert sorted(desk.acted) == sorted(acted), rounds
        shows(view, desk)

    hires = await hired(shop, *((desk, options) for _, _, desk, options in plans))
    await asyncio.gather(
        *(one(*at, dice, rounds, desk) for at, (dice, rounds, desk, _) in zip(hires, plans, strict=True))
    )


# --- other forms
async def test_a_node_that_asks_twice_is_answered_twice(shop: Workshop) -> None:
    responses: list[Any] = []

    def think(state: Talk) -> Any:
        responses[:] = [interrupt({"action": "pay", "amount": 5}) for _ in range(2)]
        return {"messages": [AIMessage(str(responses))]}

    graph = StateGraph(Talk).add_node("think", think).add_edge(START, "think").compile()
    await shop.worker(writer=serving(graph))
    session = await shop.session()
    run = await session.send("go")
    for decide_ in (session.approve, session.deny):
        view = await seen(session, lambda v: items(v, "approval", status="pending"))
        await decide_(items(view, "approval", status="pending")[0]["id"])
    assert answers(await ended(session, run.id), run.id) == ["[True, False]"]


class Inner(TypedDict):
    key: str
    said: Any


@pytest.mark.parametrize("wait", [True, False])
async def test_agents_as_tools_that_ask_side_by_side(shop: Workshop, wait: bool) -> None:
    """Each tool runs a graph of its own, which asks: they must not take each other's state or answer."""
    acted: list[str] = []

    def decide_(state: Inner) -> Any:
        return {"said": interrupt({"tool": "inner", "key": state["key"]})}

    def act(state: Inner) -> Any:
        if state["said"] is not False:
            acted.append(state["key"])
        return {"said": f"{state['key']} {state['said']}"}

    inner_graph = StateGraph(Inner).add_node("decide", decide_).add_node("act", act)
    inner = inner_graph.add_edge(START, "decide").add_edge("decide", "act").compile()

    @tool
    async def agent(key: str) -> str:
        """Runs a graph."""
        return str((await inner.ainvoke({"key": key}))["said"])

    desk = Desk([("agent", {"key": "a"}), ("quick", {"key": "q"}), ("agent", {"key": "b"}), ("agent", {"key": "c"})])
    quick = next(t for t in desk.tools() if t.name == "quick")
    desk.tools = lambda: [agent, quick]  # type: ignore[method-assign]
    await shop.worker(writer=serving(desk.graph(), wait=wait))
    run = await (await shop.session()).send("go")
    decisions = {("a", 1): True, ("b", 1): False, ("c", 1): True}
    view = await decide((await shop.person("user:bob")).session("s1"), run.id, decisions, random.Random(3))
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert answers(view, run.id) == ["a True; did q; b False; c True"]
    assert (sorted(acted), desk.acted) == (["a", "c"], ["q"])


async def test_one_that_fails_beside_one_that_asks_fails_the_run(shop: Workshop) -> None:
    desk = Desk([("ask", {"key": "a"}), ("fails", {"key": "b"}), ("slow", {"key": "c"})])

    @tool
    async def fails(key: str) -> str:
        """Fails."""
        raise RuntimeError(f"no {key}")

    tools = [*desk.tools(), fails]
    desk.tools = lambda: tools  # type: ignore[method-assign]
    await shop.worker(writer=serving(desk.graph()))
    session = await shop.session()
    run = await session.send("go", attempts=1)
    view = await ended(session, run.id)
    assert view.runs[run.id]["error"]["message"] == "RuntimeError: no b", view.runs[run.id]
    assert desk.acted == ["c"]
    results = {c["name"]: (c["status"], c.get("result")) for c in items(view, "tool")}
    assert results["slow"] == ("done", "did c")


async def test_a_loop_that_gets_nowhere_fails(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt whose answer never arrives: whatever the cause, the run ends."""
    monkeypatch.setattr(langgraph._GraphRun, "_resolve", lambda self, interrupts: asyncio.sleep(0))

    def think(state: Talk) -> Any:
        return {"messages": [AIMessage(str(interrupt("well?")))]}

    graph = StateGraph(Talk).add_node("think", think).add_edge(START, "think").compile()
    await shop.worker(writer=serving(graph))
    session = await shop.session()
    run = await session.send("go", attempts=1)
    view = await ended(session, run.id)
    assert view.runs[run.id]["error"]["code"] == "agent.stalled", view.runs[run.id]
