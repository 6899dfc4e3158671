"""What a provider is told to stream: an answer of words and calls, in the form of each API."""

from __future__ import annotations

import json
from typing import Any

from tests.adapters.replay import framed

ALL = ("openai.chat", "openai.responses", "anthropic.messages")

Call = tuple[str, str, dict[str, Any]]
"""A call: id, name, arguments."""


def streamed(api: str, text: str = "", *calls: Call) -> bytes:
    """An answer as the body of a response."""
    return framed(
        {"openai.chat": _chat, "openai.responses": _responses, "anthropic.messages": _messages}[api](text, calls)
    )


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [half for half in (text[:middle], text[middle:]) if half]


def _chat(text: str, calls: tuple[Call, ...]) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"content": half} for half in _halves(text)]
    for number, (ident, name, args) in enumerate(calls):
        function = {"name": name, "arguments": ""}
        deltas.append({"tool_calls": [{"index": number, "id": ident, "type": "function", "function": function}]})
        deltas += [
            {"tool_calls": [{"index": number, "function": {"arguments": half}}]} for half in _halves(json.dumps(args))
        ]
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt"}
    chunks = [frame | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append(
        frame | {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}]},
    )
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    return [*chunks, frame | {"choices": [], "usage": usage}]


def _responses(text: str, calls: tuple[Call, ...]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    if text:
        item = {"id": "m", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        at = {"output_index": 0, "item_id": "m"}
        events.append({"type": "response.output_item.added", "output_index": 0, "item": item})
        events += [
            {"type": "response.output_text.delta", **at, "content_index": 0, "delta": half, "logprobs": []}
            for half in _halves(text)
        ]
        part = {"type": "output_text", "text": text, "annotations": []}
        done = item | {"status": "completed", "content": [part]}
        events.append({"type": "response.output_item.done", "output_index": 0, "item": done})
    for number, (ident, name, args) in enumerate(calls, 1):
        call = {"id": f"fc{ident}", "type": "function_call", "call_id": ident, "name": name, "arguments": ""}
        at = {"output_index": number, "item_id": f"fc{ident}"}
        events.append({"type": "response.output_item.added", "output_index": number, "item": call})
        events += [
            {"type": "response.function_call_arguments.delta", **at, "delta": half}
            for half in _halves(json.dumps(args))
        ]
        done = call | {"arguments": json.dumps(args), "status": "completed"}
        events.append({"type": "response.output_item.done", "output_index": number, "item": done})
    usage = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
    over = {"id": "r", "object": "response", "model": "gpt", "status": "completed", "output": [], "usage": usage}
    events.append({"type": "response.completed", "response": over})
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


def _messages(text: str, calls: tuple[Call, ...]) -> list[dict[str, Any]]:
    usage = {"input_tokens": 7, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "claude", "usage": usage}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message}]
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if text:
        blocks.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": half} for half in _halves(text)]))
    for ident, name, args in calls:
        deltas = [{"type": "input_json_delta", "partial_json": half} for half in _halves(json.dumps(args))]
        blocks.append(({"type": "tool_use", "id": ident, "name": name, "input": {}}, deltas))
    for number, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": number, "content_block": block})
        events += [{"type": "content_block_delta", "index": number, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": number})
    why = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    events.append({"type": "message_delta", "delta": why, "usage": {"output_tokens": 5}})
    return [*events, {"type": "message_stop"}]


def conversation_of(api: str, request: dict[str, Any]) -> list[tuple[str, Any]]:
    """What a request tells the model, in one form for all APIs: ``(user | assistant | call | result, what)``."""
    conversation: list[tuple[str, Any]] = []
    for message in request["input" if api == "openai.responses" else "messages"]:
        kind, role, content = message.get("type"), message.get("role"), message.get("content")
        if kind == "function_call":
            conversation.append(("call", (message["name"], json.loads(message["arguments"]))))
        elif kind == "function_call_output" or role == "tool":
            conversation.append(("result", message["output"] if kind else content))
        else:
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
            for part in parts:
                if part["type"] == "tool_use":
                    conversation.append(("call", (part["name"], part["input"])))
                elif part["type"] == "tool_result":
                    conversation.append(("result", part["content"]))
                else:
                    conversation.append((role, part.get("text", part)))
        for call in message.get("tool_calls") or []:
            conversation.append(("call", (call["function"]["name"], json.loads(call["function"]["arguments"]))))
    return conversation
