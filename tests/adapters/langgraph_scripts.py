"""A scripted chat model and the usual loop, for the tests of LangGraph graphs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import START, StateGraph, add_messages
from langgraph.prebuilt import ToolNode, tools_condition

Say = Callable[[list[BaseMessage]], "str | dict[str, Any]"]


class Model(BaseChatModel):
    """Streams what a function says of the conversation: text word by word, or a tool call in pieces."""

    say: Any
    hold: Any = None
    holding: Any = None
    requests: int = 0

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(str(self.say(messages))))])

    async def _astream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        self.requests += 1
        answer = self.say(messages)
        pieces: list[AIMessageChunk] = []
        if isinstance(answer, dict):
            args_ = answer["args"]
            for number, text in enumerate((args_[:4], args_[4:])):
                first = {"name": answer["name"], "id": answer["id"]} if number == 0 else {"name": None, "id": None}
                pieces.append(AIMessageChunk("", tool_call_chunks=[{**first, "args": text, "index": 0}]))  # type: ignore[list-item]
        else:
            pieces = [AIMessageChunk(word) for word in answer.split("|")]
        for number, piece in enumerate(pieces):
            if number == 1 and self.hold is not None and not isinstance(answer, dict):
                self.holding.set()
                await self.hold.wait()
            yield ChatGenerationChunk(message=piece)
        used = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
        yield ChatGenerationChunk(message=AIMessageChunk("", usage_metadata=used))  # type: ignore[arg-type]


class Talk(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def talking(model: Model, *tools: Any, checkpointer: Any = None) -> Any:
    """A model and its tools, in the usual loop."""

    async def think(state: Talk) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(Talk).add_node("think", think).add_node("tools", ToolNode(list(tools)))
    graph.add_edge(START, "think").add_conditional_edges("think", tools_condition).add_edge("tools", "think")
    return graph.compile(checkpointer=checkpointer)


def last_result(messages: list[BaseMessage]) -> str | None:
    found = [m.text for m in messages if isinstance(m, ToolMessage)]
    return found[-1] if found else None


def uses(name: str, args: str) -> Say:
    """Calls a tool once, then tells what came of it."""

    def say(messages: list[BaseMessage]) -> str | dict[str, Any]:
        result = last_result(messages)
        return {"name": name, "args": args, "id": "c1"} if result is None else f"It came to |{result}"

    return say
