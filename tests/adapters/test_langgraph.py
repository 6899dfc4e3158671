"""LangGraph graphs in sessions: what they say and do, interrupts, lost workers, stops, steers, subgraphs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest

pytest.importorskip("langgraph", reason="LangGraph is not installed")

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import interrupt

from holdfast.agents.adapters import langgraph
from holdfast.agents.run import RunContext
from tests.adapters.langgraph_scripts import Model, Talk, last_result, talking, uses
from tests.adapters.workshop import Workshop, answers, ended, items, logged, open_workshop, seen

pytestmark = [pytest.mark.anyio, pytest.mark.process]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def shop(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Workshop]:
    async with open_workshop(tmp_path) as shop:
        yield shop


def serving(graph: Any, **options: Any) -> Any:
    async def writer(run: RunContext) -> None:
        await langgraph.run(run, graph, **options)

    return writer


async def test_text_tool_calls_steps_and_usage(shop: Workshop) -> None:
    @tool
    def price(of: str) -> str:
        """What it costs."""
        return f"{of} 250"

    await shop.worker(writer=serving(talking(Model(say=uses("price", '{"of": "tea"}')), price)))
    session = await shop.session()
    run = await session.send("What is tea?")
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert answers(view, run.id) == ["It came to tea 250"]
    (call,) = items(view, "tool")
    assert (call["name"], call["args"], call["result"], call["status"]) == ("price", '{"of": "tea"}', "tea 250", "done")
    assert [i["name"] for i in items(view, "step", status="complete")] == ["think", "tools", "think"]
    operator = (await shop.person("user:operator", "read", "admin")).session("s1")
    assert [u["output_tokens"] for u in await logged(operator, "usage.recorded")] == [3, 3]


async def test_the_conversation_before_is_told_with_its_tool_calls(shop: Workshop) -> None:
    requests: list[list[BaseMessage]] = []

    def say(messages: list[BaseMessage]) -> str | dict[str, Any]:
        requests.append(messages)
        return uses("price", '{"of": "tea"}')(messages)

    @tool
    def price(of: str) -> str:
        """What it costs."""
        return "250"

    await shop.worker(writer=serving(talking(Model(say=say), price)))
    session = await shop.session()
    for words in "What is tea?", "And again?":
        await ended(session, (await session.send(words)).id)
    types = [(m.type, m.text) for m in requests[-1]]
    assert types == [
        ("human", "What is tea?"), ("ai", ""), ("tool", "250"), ("ai", "It came to 250"), ("human", "And again?")
    ]  # fmt: skip
    assert requests[-1][1].tool_calls[0]["args"] == {"of": "tea"}  # type: ignore[attr-defined]


class Letter(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    answer: Any


def asking(acted: list[Any], drafts: list[str]) -> Any:
    """A graph that drafts, asks people, and acts."""

    def draft(state: Letter) -> Any:
        drafts.append("drafted")
        return {"messages": [AIMessage("I have a draft.")]}

    def ask(state: Letter) -> Any:
        return {"answer": interrupt({"tool": "send_mail", "to": "bob@example.com"})}

    def act(state: Letter) -> Any:
        acted.append(state["answer"])
        return {"messages": [AIMessage("Sent." if state["answer"] else "Not sent.")]}

    graph = StateGraph(Letter).add_node("draft", draft).add_node("ask", ask).add_node("act", act)
    graph.add_edge(START, "draft").add_edge("draft", "ask").add_edge("ask", "act").add_edge("act", END)
    return graph.compile(checkpointer=InMemorySaver())


async def test_an_interrupt_is_approved_from_another_device_after_the_worker_is_gone(shop: Workshop) -> None:
    acted: list[Any] = []
    drafts: list[str] = []
    worker = await shop.worker(writer=serving(asking(acted, drafts)))
    session = await shop.session()
    run = await session.send("Mail Bob")
    view = await seen(session, lambda view: view.runs[run.id]["status"] == "waiting")
    await worker.leave()
    (approval,) = items(view, "approval")
    assert (approval["tool"], approval["args"]["to"]) == ("send_mail", "bob@example.com")
    assert answers(view, run.id) == ["I have a draft."]
    phone = (await shop.person("user:bob")).session("s1")
    await phone.approve(approval["id"], hash=approval["hash"])
    await shop.worker(writer=serving(asking(acted, drafts)))
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert answers(view, run.id) == ["I have a draft.", "Sent."]
    assert (acted, drafts) == ([True], ["drafted"])


async def test_a_denial_and_a_note_reach_the_graph(shop: Workshop) -> None:
    acted: list[Any] = []
    await shop.worker(writer=serving(asking(acted, []), wait=False))
    session = await shop.session()
    for decide in "deny", "approve":
        run = await session.send("Mail Bob")
        view = await seen(session, lambda view: items(view, "approval", status="pending"))
        (approval,) = items(view, "approval", status="pending")
        await getattr(session, decide)(approval["id"], note="at six")
        await ended(session, run.id)
    assert acted == [False, "at six"]


async def test_an_interrupt_inside_a_tool(shop: Workshop) -> None:
    called: list[str] = []

    @tool
    def book(room: str) -> str:
        """Book it."""
        called.append("asked")
        return f"booked {room}" if interrupt({"action": "book", "room": room}) else "not booked"

    model = Model(say=uses("book", '{"room": "7"}'))
    worker = await shop.worker(writer=serving(talking(model, book)))
    session = await shop.session()
    run = await session.send("Book 7")
    view = await seen(session, lambda view: view.runs[run.id]["status"] == "waiting")
    await worker.leave()
    await session.approve(items(view, "approval")[0]["id"])
    await shop.worker(writer=serving(talking(Model(say=uses("book", '{"room": "7"}')), book)))
    view = await ended(session, run.id)
    assert answers(view, run.id) == ["It came to booked 7"], view.runs[run.id]
    assert model.requests == 1
    assert items(view, "tool")[-1]["result"] == "booked 7"


async def test_a_lost_attempt_goes_on_after_its_last_step(shop: Workshop) -> None:
    called: list[str] = []

    @tool
    def charge(order: int) -> str:
        """Take the money."""
        called.append(str(order))
        return "charged"

    holding = asyncio.Event()
    first = Model(say=uses("charge", '{"order": 7}'), hold=asyncio.Event(), holding=holding)
    second = Model(say=uses("charge", '{"order": 7}'))
    worker = await shop.worker(writer=serving(talking(first, charge)))
    session = await shop.session()
    run = await session.send("Charge")
    await holding.wait()
    await worker.leave()
    await shop.worker(writer=serving(talking(second, charge)))
    view = await ended(session, run.id)
    assert view.runs[run.id]["losses"] and view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert called == ["7"]
    assert answers(view, run.id) == ["It came to charged"]
    assert (await run.text()).endswith("It came to charged")
    assert (first.requests, second.requests) == (2, 1)


@pytest.mark.parametrize("again", [True, False])
async def test_a_worker_lost_among_several_tools(shop: Workshop, again: bool) -> None:
    """One tool had returned, the other had not: the first is not called again, the second only if it may be."""
    called: list[str] = []
    inside = asyncio.Event()

    @tool
    async def quick() -> str:
        """Return."""
        called.append("quick")
        return "done"

    @tool
    async def slow() -> str:
        """Take long, the first time."""
        called.append("slow")
        if called.count("slow") == 1:
            inside.set()
            await asyncio.Event().wait()
        return "done at last"

    def think(state: Talk) -> Any:
        if last_result(state["messages"]):
            return {"messages": [AIMessage("Both are done.")]}
        calls = [{"name": name, "args": {}, "id": name, "type": "tool_call"} for name in ("quick", "slow")]
        return {"messages": [AIMessage("", tool_calls=calls)]}

    def graph() -> Any:
        built = StateGraph(Talk).add_node("think", think).add_node("tools", ToolNode([quick, slow]))
        built.add_edge(START, "think").add_conditional_edges("think", tools_condition).add_edge("tools", "think")
        return built.compile()

    options = {"idempotent": ("slow",)} if again else {}
    worker = await shop.worker(writer=serving(graph(), **options))
    session = await shop.session()
    run = await session.send("Both")
    await inside.wait()
    await seen(session, lambda view: items(view, "tool", name="quick", status="done"))
    await worker.leave()
    await shop.worker(writer=serving(graph(), **options))
    view = await ended(session, run.id)
    assert called.count("quick") == 1
    if again:
        assert (called.count("slow"), answers(view, run.id)) == (2, ["Both are done."])
    else:
        assert called.count("slow") == 1
        assert view.runs[run.id]["error"]["code"] == "tool.outcome_unknown", view.runs[run.id]


async def test_stop_cancels_the_graph(shop: Workshop) -> None:
    cancelled = asyncio.Event()

    async def think(state: Talk) -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    graph = StateGraph(Talk).add_node("think", think).add_edge(START, "think").compile()
    await shop.worker(writer=serving(graph))
    session = await shop.session()
    run = await session.send("Think")
    await seen(session, lambda view: items(view, "step", name="think"))
    await run.cancel()
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "cancelled"
    async with asyncio.timeout(10):
        await cancelled.wait()


@pytest.mark.parametrize("late", [False, True])
async def test_steering_comes_between_two_steps(shop: Workshop, late: bool) -> None:
    session = await shop.session()

    async def steer() -> None:
        await session.run(run.id).steer("In euros, please")
        await seen(session, lambda view: items(view, "steer"))
        await asyncio.sleep(0.05)

    @tool
    async def price() -> str:
        """What it costs."""
        if not late:
            await steer()
        return "250"

    async def think(state: Talk) -> Any:
        messages = state["messages"]
        if last_result(messages) is None:
            call = {"name": "price", "args": {}, "id": "c1", "type": "tool_call"}
            return {"messages": [AIMessage("", tool_calls=[call])]}
        people = [m.text for m in messages if m.type == "human"]
        if late and len(people) == 1:
            await steer()
        return {"messages": [AIMessage(" + ".join(people))]}

    graph = StateGraph(Talk).add_node("think", think).add_node("tools", ToolNode([price]))
    graph.add_edge(START, "think").add_conditional_edges("think", tools_condition).add_edge("tools", "think")
    await shop.worker(writer=serving(graph.compile()))
    run = await session.send("How much?")
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert answers(view, run.id)[-1] == "How much? + In euros, please"
    assert [i["status"] for i in items(view, "steer")] == ["delivered"]


async def test_subgraphs_speak_for_themselves_and_a_second_reader_sees_the_same(shop: Workshop) -> None:
    go, holding = asyncio.Event(), asyncio.Event()
    scout = Model(say=lambda messages: "tides |rise")
    author = Model(say=lambda messages: "They |say: " + messages[-1].text, hold=go, holding=holding)

    async def look(state: Talk) -> Any:
        return {"messages": [await scout.ainvoke(state["messages"])]}

    async def write(state: Talk) -> Any:
        return {"messages": [await author.ainvoke(state["messages"])]}

    below = StateGraph(Talk).add_node("look", look).add_edge(START, "look").compile()
    graph = StateGraph(Talk).add_node("scout", below).add_node("write", write)
    graph.add_edge(START, "scout").add_edge("scout", "write")
    await shop.worker(editor=serving(graph.compile()))
    session = await shop.session("editor")
    run = await session.send("What is out there?")
    await holding.wait()
    await seen(session, lambda view: "They " in str(view.export()["items"]))
    other = (await shop.person("user:bob")).session("s1")
    async with other.live() as live:
        assert [i["status"] for i in items(live.view, "message")] == ["complete", "complete", "open"]
        go.set()
        mine = await ended(session, run.id)
        theirs = await live.until(lambda view: view.runs[run.id]["status"] == "completed")
        assert theirs.export() == mine.export()
    texts = [(i["actor"], i["text"]) for i in items(mine, "message")][1:]
    assert texts == [("agent:editor/scout", "tides rise"), ("agent:editor", "They say: tides rise")]
    (child,) = [r for r in mine.runs.values() if r.get("parent") == run.id]
    assert (child["agent"], child["status"]) == ("editor/scout", "completed")


async def test_an_error_in_a_node_is_the_runs_error(shop: Workshop) -> None:
    def think(state: Talk) -> Any:
        raise RuntimeError("no such model")

    graph = StateGraph(Talk).add_node("think", think).add_edge(START, "think").compile()
    await shop.worker(writer=serving(graph))
    session = await shop.session()
    run = await session.send("Think", attempts=1)
    view = await ended(session, run.id)
    assert view.runs[run.id]["error"]["message"] == "RuntimeError: no such model"
