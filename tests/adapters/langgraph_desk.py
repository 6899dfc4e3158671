"""Tools that ask people, the graphs that have them, and who decides: for the tests of LangGraph."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Annotated, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, Send, interrupt

from holdfast.agents.adapters import langgraph
from holdfast.agents.run import RunContext
from holdfast.client.session import Session
from holdfast.protocol.fold import View
from tests.adapters.langgraph_scripts import Talk
from tests.adapters.workshop import Workshop, items, seen

Calls = list[tuple[str, dict[str, Any]]]
"""What the model asks for in one message: names and arguments."""


class Desk:
    """Tools that write down what they did, and the graph that has them.

    Attributes:
        acted: what was done, with its argument.
        gate: ``slow`` waits for it.
    """

    def __init__(self, *rounds: Calls, each: bool = False) -> None:
        self.acted: list[str] = []
        self.rounds, self.each = rounds, each
        self.gate: asyncio.Event | None = None
        self.inside = asyncio.Event()

    def act(self, what: str) -> str:
        self.acted.append(what)
        return f"did {what}"

    def tools(self) -> list[Any]:
        desk = self

        @tool
        async def ask(key: str) -> str:
            """Asks once."""
            return desk.act(key) if interrupt({"tool": "ask", "key": key}) is not False else f"no {key}"

        @tool
        def ask_in_thread(key: str) -> str:
            """Asks once, in a thread."""
            return desk.act(key) if interrupt({"tool": "ask_in_thread", "key": key}) is not False else f"no {key}"

        @tool
        async def ask_twice(key: str) -> str:
            """Asks, and asks the same again."""
            answers = [interrupt({"tool": "ask_twice", "key": key}) is not False for _ in range(2)]
            return desk.act(key) if all(answers) else f"{answers} {key}"

        @tool
        async def slow(key: str) -> str:
            """Takes a while."""
            desk.inside.set()
            await (desk.gate.wait() if desk.gate else asyncio.sleep(0.05))
            return desk.act(key)

        @tool
        async def quick(key: str) -> str:
            """Does it."""
            return desk.act(key)

        @tool
        async def broken(key: str) -> str:
            """Is told a failure."""
            return f"Error: {desk.act(key)}"

        @tool
        async def commands(key: str, call: Annotated[str, InjectedToolCallId]) -> Command[Any]:
            """Changes the graph's state."""
            message = ToolMessage(desk.act(key), tool_call_id=call, artifact={"key": key})
            return Command(update={"messages": [message], "noted": [key]})

        return [ask, ask_in_thread, ask_twice, slow, quick, broken, commands]

    def graph(self, checkpointer: Any = None) -> Any:
        def think(state: Noted) -> Any:
            number = sum(isinstance(m, AIMessage) for m in state["messages"])
            if number < len(self.rounds):
                calls = [
                    {"name": name, "args": args, "id": f"c{number}.{place}", "type": "tool_call"}
                    for place, (name, args) in enumerate(self.rounds[number])
                ]
                return {"messages": [AIMessage("", tool_calls=calls)]}
            return {
                "messages": [AIMessage("; ".join([*tool_results(state["messages"]), *sorted(state.get("noted", []))]))]
            }

        def one_by_one(state: Noted) -> Any:
            last = state["messages"][-1]
            calls = last.tool_calls if isinstance(last, AIMessage) else []
            return [Send("tools", [call]) for call in calls] or "__end__"

        graph = StateGraph(Noted).add_node("think", think).add_node("tools", ToolNode(self.tools()))
        graph.add_edge(START, "think").add_edge("tools", "think")
        graph.add_conditional_edges("think", one_by_one if self.each else tools_condition)
        return graph.compile(checkpointer=checkpointer)


def more(before: list[str] | None, after: list[str]) -> list[str]:
    return [*(before or []), *after]


class Noted(Talk):
    noted: Annotated[list[str], more]


def tool_results(messages: list[BaseMessage]) -> list[str]:
    """What the tools returned, in the order of the calls."""
    found = {m.tool_call_id: m.text for m in messages if isinstance(m, ToolMessage)}
    return [found[key] for key in sorted(found)]


def serving(graph: Any, **options: Any) -> Any:
    async def writer(run: RunContext) -> None:
        await langgraph.run(run, graph, **options)

    return writer


async def plainly(desk: Desk, yes: dict[tuple[str, int], bool]) -> str:
    """What the graph says in plain LangGraph, when people decide so about the n-th question of each key."""
    graph, config = desk.graph(InMemorySaver()), {"configurable": {"thread_id": "1"}}
    counts: Counter[str] = Counter()
    graph_input: Any = {"messages": [HumanMessage("go")]}
    for _ in range(60):
        await graph.ainvoke(graph_input, config)
        state = await graph.aget_state(config)
        if not state.interrupts:
            return str(state.values["messages"][-1].text)
        resume = {}
        for one in state.interrupts:
            key = one.value["key"]
            counts[key] += 1
            resume[one.id] = yes[key, counts[key]]
        graph_input = Command(resume=resume)
    raise AssertionError("plain LangGraph does not end")


async def decide(session: Session, run: str, yes: dict[tuple[str, int], bool], dice: random.Random) -> View:
    """Decide as it is written, in any order, until the run is over."""
    counts: Counter[str] = Counter()
    decided: set[str] = set()

    def pending(view: View) -> list[Any]:
        return [a for a in items(view, "approval", status="pending") if a["id"] not in decided]

    while True:
        view = await seen(session, lambda v: pending(v) or v.runs[run]["status"] in ("completed", "failed"))
        if not (left := pending(view)):
            return view
        dice.shuffle(left)
        for approval in left:
            key = approval["args"]["key"]
            counts[key] += 1
            decided.add(approval["id"])
            await (session.approve if yes[key, counts[key]] else session.deny)(approval["id"], hash=approval["hash"])


def shows(view: View, desk: Desk) -> None:
    """Every call stands once, with what it came to."""
    calls = items(view, "tool")
    assert Counter(c["id"] for c in calls) == Counter(
        f"{calls[0]['run']}.c{n}.{place}" for n, calls_ in enumerate(desk.rounds) for place in range(len(calls_))
    )
    for call in calls:
        assert call["status"] == "done" and "error" not in call, call
        key = call["args"].partition('"key":"')[2].rstrip('"}')
        assert (f"did {key}" in call["result"]) == (key in desk.acted), call


def expected(rounds: list[Calls], yes: dict[tuple[str, int], bool]) -> tuple[str, list[str]]:
    """What the graph says, and what is done: every tool by itself."""
    results, noted, acted = list[str](), list[str](), list[str]()
    for name, key in ((name, args["key"]) for calls in rounds for name, args in calls):
        decided = [yes[key, n] for n in range(1, {"ask_twice": 3, "ask": 2, "ask_in_thread": 2}.get(name, 1))]
        acted += [key] if all(decided) else []
        denied = f"{decided} {key}" if name == "ask_twice" else f"no {key}"
        done = f"Error: did {key}" if name == "broken" else f"did {key}"
        results.append(done if all(decided) else denied)
        noted += [key] if name == "commands" else []
    return "; ".join([*results, *sorted(noted)]), acted


async def hired(shop: Workshop, *desks: tuple[Desk, dict[str, Any]]) -> list[tuple[Session, str]]:
    """Every desk at work, with these options, in a session of its own: the sessions, as a person has them, and the runs."""
    graphs = [(desk.graph(), options) for desk, options in desks]

    async def writer(run: RunContext) -> None:
        graph, options = graphs[int(run.input.text)]
        await langgraph.run(run, graph, **options)

    await shop.worker(writer=writer)
    person, begun = await shop.person("user:bob"), []
    for number in range(len(desks)):
        session = await person.create(f"desk{number}", agent="writer")
        begun.append((session, (await session.send(str(number))).id))
    return begun
