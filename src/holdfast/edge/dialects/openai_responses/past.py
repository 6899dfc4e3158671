"""The conversation so far, as a client that keeps it itself sends it with every request.

A session that has the conversation knows better. One that is made for the request knows nothing: there it is appended
before the new message, in the client's name, so that the agent has it as its memory, and other surfaces show it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.protocol import events as e
from holdfast.protocol import limits
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Draft

InputItem = dict[str, Any]


def past_drafts(items: list[InputItem], later: set[str]) -> list[Draft]:
    """The events of a conversation's messages and finished calls. What has no text (reasoning, decisions, lists of
    tools) is left out, and so are instructions, which the agent finds in the request.

    Args:
        later: ids of the calls whose results are new.
    """
    results = {str(i.get("call_id")): i.get("output") for i in items if i.get("type") == "function_call_output"}
    drafts: list[Draft] = []
    for number, item in enumerate(items, 1):
        kind = item.get("type", "message")
        if kind == "message" and item.get("role") in ("user", "assistant"):
            drafts += _message_drafts(f"past.{number}", str(item["role"]), text_of(item.get("content")))
        elif kind == "function_call" and item.get("call_id") in results and item.get("call_id") not in later:
            call = str(item["call_id"])
            drafts += _call_drafts(call, item, {"content": _text(results[call])})
        elif kind == "mcp_call":
            failed = {"error": {"code": "tool.failed", "message": _text(item["error"])}} if item.get("error") else {}
            drafts += _call_drafts(
                str(item.get("id") or f"past.{number}"), item, {"content": _text(item.get("output")), **failed}
            )
    return drafts


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or parts of which some have text."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") or part.get("refusal") for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _message_drafts(ident: str, role: str, text: str) -> Iterator[Draft]:
    if not text:
        return
    fields = {"messageId": ident}
    yield Draft(e.TEXT_START, {**fields, "role": role})
    for at in range(0, len(text), limits.DELTA_CHARS):
        yield Draft(e.TEXT_CONTENT, {**fields, "delta": text[at : at + limits.DELTA_CHARS]})
    yield Draft(e.TEXT_END, fields)


def _call_drafts(ident: str, item: InputItem, result: dict[str, Any]) -> Iterator[Draft]:
    fields = {"toolCallId": ident}
    yield Draft(e.TOOL_START, {**fields, "toolCallName": _text(item.get("name"))})
    yield Draft(e.TOOL_ARGS, {**fields, "delta": _text(item.get("arguments"))})
    yield Draft(e.TOOL_END, fields)
    yield Draft(e.TOOL_RESULT, {**fields, **result})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else encode(value).decode()
