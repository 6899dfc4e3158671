"""A LangGraph graph that asks people before it acts. It waits without a process, and is approved from any device.

Run it with ``HOLDFAST_TOKEN`` of a token that acts for ``letters``, then decide with ``holdfast approve SESSION ID``.
"""

import asyncio
import os
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.types import interrupt

import holdfast
from holdfast.agents.adapters import langgraph


class Letter(TypedDict):
    """The graph's state."""

    messages: Annotated[list[AnyMessage], add_messages]
    approved: bool


async def draft(state: Letter) -> dict[str, Any]:
    """Write a draft. A scripted model stands in for a real one, so that the example needs no key."""
    model = GenericFakeChatModel(messages=iter([AIMessage(f"Dear Ann, {state['messages'][-1].text} Yours, Bob")]))
    return {"messages": [await model.ainvoke(state["messages"])]}


async def ask(state: Letter) -> dict[str, Any]:
    """Ask people. The graph stops here, and so may the process."""
    return {
        "approved": bool(interrupt({"tool": "send_mail", "to": "ann@example.com", "text": state["messages"][-1].text}))
    }


async def send(state: Letter) -> dict[str, Any]:
    """Act, or not."""
    if not state["approved"]:
        return {"messages": [AIMessage("Not sent.")]}
    print("sent to ann@example.com", flush=True)
    return {"messages": [AIMessage("Sent.")]}


GRAPH = (
    StateGraph(Letter)
    .add_node("draft", draft)
    .add_node("ask", ask)
    .add_node("send", send)
    .add_edge(START, "draft")
    .add_edge("draft", "ask")
    .add_edge("ask", "send")
    .add_edge("send", END)
    .compile()
)


async def letters(run: holdfast.RunContext) -> None:
    """The agent: the graph, made durable."""
    await langgraph.run(run, GRAPH)


async def main() -> None:
    """Serve until told to stop."""
    url = os.environ.get("HOLDFAST_URL", "http://127.0.0.1:7417")
    async with holdfast.connect(url, token=os.environ["HOLDFAST_TOKEN"]) as hf:
        hf.agent("letters")(letters)
        print("serving letters", flush=True)
        await hf.serve(signals=True)


if __name__ == "__main__":
    asyncio.run(main())
