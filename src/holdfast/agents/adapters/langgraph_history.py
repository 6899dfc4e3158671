"""The conversation of a session as LangChain's messages."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from holdfast.agents.adapters.framework import Turn
from holdfast.protocol.codec import parse


def conversation(told: list[Turn]) -> list[BaseMessage]:
    """What was said before, calls with what they returned."""
    out: list[BaseMessage] = []
    for turn in told:
        if turn.kind == "user":
            out.append(HumanMessage(turn.text))
        elif turn.kind == "assistant":
            out.append(AIMessage(turn.text))
        else:
            call = {"name": turn.name, "args": _args(turn.args), "id": turn.id, "type": "tool_call"}
            last = out[-1] if out else None
            if not (isinstance(last, ToolMessage) or (isinstance(last, AIMessage) and not last.tool_calls)):
                last = AIMessage("")
                out.append(last)
            place = next(i for i in range(len(out) - 1, -1, -1) if isinstance(out[i], AIMessage))
            asking = out[place]
            assert isinstance(asking, AIMessage)
            out[place] = AIMessage(asking.content, tool_calls=[*asking.tool_calls, call])
            out.append(ToolMessage(turn.text, name=turn.name, tool_call_id=turn.id))
    return out


def _args(text: str) -> dict[str, Any]:
    try:
        value = parse(text)
    except ValueError:  # as a model may write it
        value = text
    return value if isinstance(value, dict) else {"value": value}
