"""The conversation of a session as LangChain's messages."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from holdfast.agents.adapters.framework import Turn
from holdfast.protocol.codec import parse


def conversation(turns: list[Turn]) -> list[BaseMessage]:
    """The conversation so far, calls with their results."""
    messages: list[BaseMessage] = []
    for turn in turns:
        if turn.kind == "user":
            messages.append(HumanMessage(turn.text))
        elif turn.kind == "assistant":
            messages.append(AIMessage(turn.text))
        else:
            call = {"name": turn.name, "args": _args(turn.args), "id": turn.id, "type": "tool_call"}
            last = messages[-1] if messages else None
            if not (isinstance(last, ToolMessage) or (isinstance(last, AIMessage) and not last.tool_calls)):
                last = AIMessage("")
                messages.append(last)
            index = next(i for i in range(len(messages) - 1, -1, -1) if isinstance(messages[i], AIMessage))
            message = messages[index]
            assert isinstance(message, AIMessage)
            messages[index] = AIMessage(message.content, tool_calls=[*message.tool_calls, call])
            messages.append(ToolMessage(turn.text, name=turn.name, tool_call_id=turn.id))
    return messages


def _args(text: str) -> dict[str, Any]:
    try:
        value = parse(text)
    except ValueError:  # as a model may write it
        value = text
    return value if isinstance(value, dict) else {"value": value}
