"""LangChain's human-in-the-loop forms: one interrupt, several requests, an approval for each, and decisions in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langgraph", reason="LangGraph is not installed")

from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt

from holdfast.agents.adapters import langgraph
from holdfast.agents.adapters.langgraph_interrupts import questions, resume_value
from holdfast.agents.approvals import Approval
from holdfast.agents.run import RunContext
from tests.adapters.langgraph_scripts import Model, Talk, talking
from tests.adapters.workshop import Workshop, answers, ended, items, logged, open_workshop, seen

pytestmark = [pytest.mark.anyio, pytest.mark.process]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def shop(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Workshop]:
    async with open_workshop(tmp_path, lease_s=30) as shop:  # nobody is lost here, however busy the machine is
        yield shop


def serving(graph: Any, **options: Any) -> Any:
    async def writer(run: RunContext) -> None:
        await langgraph.run(run, graph, **options)

    return writer


def hitl(*names: str) -> dict[str, Any]:
    """What ``HumanInTheLoopMiddleware`` interrupts with."""
    requests = [{"name": name, "args": {"n": n}, "description": f"call {name}"} for n, name in enumerate(names)]
    configs = [{"action_name": name, "allowed_decisions": ["approve", "edit", "reject"]} for name in names]
    return {"action_requests": requests, "review_configs": configs}


def asking(value: Any) -> Any:
    """A graph that interrupts with a value and says what it was answered."""

    def ask(state: Talk) -> Any:
        return {"messages": [AIMessage(str(interrupt(value)))]}

    return StateGraph(Talk).add_node("ask", ask).add_edge(START, "ask").compile()


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
async def test_each_request_is_an_approval_and_the_decisions_come_in_order(
    shop: Workshop, wait: bool, order: tuple[int, ...]
) -> None:
    await shop.worker(writer=serving(asking(hitl("mail", "pay", "mail")), wait=wait))
    session = await shop.session()
    run = await session.send("go")
    view = await seen(session, lambda v: len(items(v, "approval", status="pending")) == 3)
    approvals = sorted(items(view, "approval"), key=lambda a: a["args"]["n"])
    assert [(a["tool"], a["args"]) for a in approvals] == [("mail", {"n": 0}), ("pay", {"n": 1}), ("mail", {"n": 2})]
    for number in order:
        if number == 1:
            await session.deny(approvals[number]["id"], note="too much", hash=approvals[number]["hash"])
        else:
            await session.approve(approvals[number]["id"], hash=approvals[number]["hash"])
    view = await ended(session, run.id)
    decisions = [{"type": "approve"}, {"type": "reject", "message": "too much"}, {"type": "approve"}]
    assert answers(view, run.id) == [str({"decisions": decisions})], view.runs[run.id]


async def test_a_graph_of_its_own_says_how_each_is_answered(shop: Workshop) -> None:
    def answer(request: Any, approval: Approval) -> Any:
        return {"type": "respond", "message": f"{request['name']} {bool(approval)}"}

    await shop.worker(writer=serving(asking(hitl("mail", "pay")), answer=answer))
    session = await shop.session()
    run = await session.send("go")
    view = await seen(session, lambda v: len(items(v, "approval", status="pending")) == 2)
    for approval in items(view, "approval"):
        await (session.approve if approval["tool"] == "mail" else session.deny)(approval["id"])
    expected = [{"type": "respond", "message": "mail True"}, {"type": "respond", "message": "pay False"}]
    assert answers(await ended(session, run.id), run.id) == [str({"decisions": expected})]


@pytest.mark.parametrize("wait", [True, False])
async def test_a_wrapper_of_tools_asks_for_each_call(shop: Workshop, wait: bool) -> None:
    """``HumanInTheLoopMiddleware`` in its mode "per call": it interrupts around each tool, outside of it."""
    acted: list[int] = []

    @tool
    def pay(n: int) -> str:
        """Pay."""
        acted.append(n)
        return f"paid {n}"

    async def gate(request: Any, execute: Any) -> Any:
        call = request.tool_call
        about = {"type": "tool_approval", "tool_call_id": call["id"], "name": call["name"], "args": call["args"]}
        decision = interrupt({**about, "description": "pay"})
        if decision["type"] == "approve":
            return await execute(request)
        return ToolMessage(f"rejected: {decision.get('message')}", tool_call_id=call["id"], status="error")

    def think(state: Talk) -> Any:
        results = [m.text for m in state["messages"] if isinstance(m, ToolMessage)]
        if results:
            return {"messages": [AIMessage("; ".join(results))]}
        calls = [{"name": "pay", "args": {"n": n}, "id": f"c{n}", "type": "tool_call"} for n in range(3)]
        return {"messages": [AIMessage("", tool_calls=calls)]}

    def after(state: Talk) -> str:
        last = state["messages"][-1]
        return "tools" if isinstance(last, AIMessage) and last.tool_calls else "__end__"

    graph = StateGraph(Talk).add_node("think", think).add_node("tools", ToolNode([pay], awrap_tool_call=gate))
    graph.add_edge(START, "think").add_conditional_edges("think", after).add_edge("tools", "think")
    await shop.worker(writer=serving(graph.compile(), wait=wait))
    session = await shop.session()
    run = await session.send("go")
    view = await seen(session, lambda v: len(items(v, "approval", status="pending")) == 3)
    for approval in reversed(items(view, "approval")):
        assert approval["tool"] == "pay"
        yes = approval["args"]["n"] == 1
        await (session.approve if yes else session.deny)(approval["id"], note="" if yes else "no")
    view = await ended(session, run.id)
    assert answers(view, run.id) == ["rejected: no; paid 1; rejected: no"], view.runs[run.id]
    assert acted == [1]
    states = {
        c["id"].rpartition(".")[2]: (c["status"], c.get("result"), bool(c.get("error"))) for c in items(view, "tool")
    }
    assert states == {"c0": ("done", "", True), "c1": ("done", "paid 1", False), "c2": ("done", "", True)}


def approval(yes: bool, note: str = "") -> Approval:
    return Approval("a", yes, {}, "user:ann", note)


def test_the_form_of_an_inbox_is_a_list_of_requests_and_of_answers() -> None:
    value = [{"action_request": {"action": name, "args": {"n": 1}}, "config": {}} for name in ("mail", "pay", "call")]
    assert [(q.id, q.tool, q.args) for q in questions("i", value)] == [
        ("i.1", "mail", {"n": 1}), ("i.2", "pay", {"n": 1}), ("i.3", "call", {"n": 1})
    ]  # fmt: skip
    assert resume_value(value, [approval(True), approval(False), approval(False, "later")], None) == [
        {"type": "accept", "args": None}, {"type": "ignore", "args": None}, {"type": "response", "args": "later"}
    ]  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        "well?", None, 5, b"\xff", [], {}, {"action_requests": []}, {"action_requests": "x"}, {"action_requests": [1]},
        [{"action_request": 1}], {"tool": "mail", "to": "bob"}, {"action": "mail"}, object(), {"type": "tool_approval"},
    ],
)  # fmt: skip
def test_a_value_of_any_other_form_is_one_approval(value: Any) -> None:
    (question,) = questions("i", value)
    assert question.id == "i" and isinstance(question.args, dict) and question.tool
    assert resume_value(value, [approval(False, "no")], None) in (False, {"type": "reject", "message": "no"})


async def test_what_a_model_does_at_its_provider_is_shown_and_what_is_not_known_is_counted(shop: Workshop) -> None:
    class Searching(Model):
        async def _astream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            from langchain_core.outputs import ChatGenerationChunk

            blocks: list[Any] = [
                {"type": "text", "text": "I look. "},
                {"type": "server_tool_call_chunk", "id": "s1", "name": "web_search", "args": '{"q": ', "index": 1},
                {"type": "server_tool_call_chunk", "args": '"tide"}', "index": 1},
                {"type": "server_tool_result", "tool_call_id": "s1", "status": "success", "output": ["a"], "index": 2},
                {"type": "text", "text": "At six.", "annotations": [{"type": "citation", "url": "https://a.example"}]},
                {"type": "non_standard", "value": {"scent": "sea"}},
            ]
            for block in blocks:
                yield ChatGenerationChunk(message=AIMessageChunk(content=[block]))

    await shop.worker(writer=serving(talking(Searching(say=None))))
    session = await shop.session()
    run = await session.send("go")
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert answers(view, run.id) == ["I look. ", "At six."]
    (call,) = items(view, "tool")
    assert (call["name"], call["args"], call["result"], call["status"]) == (
        "web_search",
        '{"q": "tide"}',
        '["a"]',
        "done",
    )
    assert [s["uri"] for s in items(view, "message")[-1]["sources"]] == ["https://a.example"]
    operator = (await shop.person("user:operator", "read", "admin")).session("s1")
    assert [u["events"] for u in await logged(operator, "upstream.unknown")] == [{"content.non_standard": 1}]
