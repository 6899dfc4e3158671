"""Anthropic's Messages.

In an agent: ``await anthropic_messages.converse(run, client, model="claude-sonnet-4-5", max_tokens=8_000, tools=[…])``, or
``relay`` for one stream.

Events as documented at https://docs.anthropic.com/en/docs/build-with-claude/streaming.
"""

from __future__ import annotations

import json
from typing import Any

from holdfast.agents.adapters.answer import Answer, ProviderStream, RunWriter, open_stream, provider_error
from holdfast.agents.adapters.conversation import CallResult, Conversation, FileContent, PastMessage, Rules, ToolSpecs
from holdfast.agents.adapters.functions import Function
from holdfast.agents.run import RunContext
from holdfast.protocol.codec import parse

_DELTA_FIELDS = {
    "text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature", "compaction_delta": "content",
}  # fmt: skip
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_SHOWN = frozenset({"compaction", "container_upload"})  # blocks that are shown whole, by their names
_IGNORED = frozenset({"redacted_thinking", "mcp_tool_listing", "ping"})


async def relay(run: RunContext, stream: ProviderStream) -> Answer:
    """Write a stream of message events into the run as it comes: text, thinking, tool calls, sources, usage.

    Tools that Anthropic runs itself (web search, code execution, MCP …) are shown with what they were given and gave. The
    blocks of text that follow each other are one message, with the sources of all of them.

    Args:
        stream: what ``client.messages.create(stream=True)`` gives, awaited or not, or any async iterable of such events,
            as objects or dicts. It is closed when this ends.

    Raises:
        ProviderFailed: the provider refused, failed or broke off.
    """
    return await _read(RunWriter(run, _Requests.name), stream)


async def _read(writer: RunWriter, stream: ProviderStream) -> Answer:
    reader = _EventReader(writer)
    try:
        async with open_stream(stream) as events:
            async for event in events:
                await reader.event(event)
    finally:
        await writer.record()
    return await writer.complete()


async def converse(
    run: RunContext,
    client: Any,
    *,
    model: str,
    max_tokens: int,
    tools: ToolSpecs = (),
    prompt: str | None = None,
    rules: Rules | None = None,
    **options: Any,
) -> Answer:
    """Answer the run's input: ask the model, make the tool calls it asks for, and so on until it has answered.

    The conversation comes from the session. A later attempt goes on where a lost one was: what the model said is kept,
    and no tool is called twice. Steers come before the next request.

    Args:
        client: an ``anthropic.AsyncAnthropic``, or what looks like one.
        tools: Python functions; ``functions.Function`` where the schema is to be another; as dicts, tools that
            Anthropic runs itself.
        prompt: what to answer instead of the run's input and its attachments.
        rules: which tools people are asked about, which may run twice, and how often the model may be asked.
        options: of ``client.messages.create``: ``system``, ``thinking``, ``tool_choice`` …

    Raises:
        ProviderFailed: the provider refused, failed or broke off.
        ToolOutcomeUnknown: an attempt was lost inside a tool that is not ``idempotent``.
        Refused: ``config.invalid``, ``rules`` name a tool that is not there; ``agent.failed``, the model was asked
            ``rules.requests`` times.
    """
    provider = _Requests(client, model, max_tokens, options)
    return await Conversation(run, provider, tools, rules or Rules(), prompt).converse()


class _Requests:
    name, text_part = "anthropic_messages", "text"

    def __init__(self, client: Any, model: str, max_tokens: int, options: dict[str, Any]) -> None:
        self._client = client
        self._options = {"model": model, "max_tokens": max_tokens, **options, "stream": True}

    def history(self, past: list[PastMessage]) -> list[Any]:
        messages: list[Any] = []
        for piece in past:
            blocks: list[dict[str, Any]] = [{"type": "text", "text": piece.text}] if piece.text else []
            blocks += [
                {"type": "tool_use", "id": turn.id, "name": turn.name, "input": _parse_object(turn.args)}
                for turn in piece.calls
            ]
            messages.append({"role": piece.role, "content": blocks})
            if piece.calls:
                messages.append({"role": "user", "content": [_tool_result(turn.id, turn.text) for turn in piece.calls]})
        if messages and messages[0]["role"] == "assistant":  # which the API takes only after a user's
            messages.insert(0, {"role": "user", "content": "…"})
        return messages

    def file_part(self, file: FileContent) -> dict[str, Any]:
        kind = "image" if file.media_type.startswith("image/") else "document"
        source = {"type": "base64", "media_type": file.media_type, "data": file.base64}
        return {"type": kind, "source": source}

    def tool_schema(self, function: Function) -> dict[str, Any]:
        return {"name": function.name, "description": function.description, "input_schema": function.parameters}

    def request(self, messages: list[Any], tools: list[dict[str, Any]]) -> ProviderStream:
        tool_options = {"tools": tools} if tools else {}
        stream: ProviderStream = self._client.messages.create(messages=messages, **tool_options, **self._options)
        return stream

    async def read(self, writer: RunWriter, stream: ProviderStream) -> Answer:
        return await _read(writer, stream)

    def answer_messages(self, answer: Answer) -> list[Any]:
        blocks = [block for block in answer.content if block["type"] != "text" or block.get("text")]
        return [{"role": "assistant", "content": blocks}] if blocks else []

    def result_messages(self, results: list[CallResult]) -> list[Any]:
        return [
            {
                "role": "user",
                "content": [_tool_result(result.call.upstream, result.text, result.failed) for result in results],
            }
        ]


def _tool_result(ident: str, text: str, failed: bool = False) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": ident, "content": text, **({"is_error": True} if failed else {})}


def _parse_object(args: str) -> dict[str, Any]:
    try:
        value = parse(args)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}


class _EventReader:
    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer
        self._number = 0  # of the message in the stream
        self._blocks: dict[Any, dict[str, Any]] = {}
        self._inputs: dict[Any, str] = {}
        self._stop_reason = ""

    async def event(self, event: dict[str, Any]) -> None:
        kind, key = event.get("type"), (self._number, event.get("index"))
        if kind == "message_start":
            self._number += 1
            self._writer.answer.model = event["message"].get("model") or ""
            self._set_usage(event["message"].get("usage") or {})
        elif kind == "content_block_start":
            await self._start_block(key, event["content_block"])
        elif kind == "content_block_delta":
            await self._append_delta(key, event["delta"])
        elif kind == "content_block_stop":
            await self._end_block(key)
        elif kind == "message_delta":
            self._stop_reason = event["delta"].get("stop_reason") or self._stop_reason
            self._set_usage(event.get("usage") or {})
        elif kind == "message_stop":
            self._writer.answer.finish = self._stop_reason or "end_turn"
        elif kind == "error":
            raise provider_error(event)
        elif kind not in _IGNORED:
            self._writer.unknown.count(kind)

    def _set_usage(self, usage: dict[str, Any]) -> None:
        self._writer.set_usage(
            input_tokens=usage.get("input_tokens"),
            output_tokens=usage.get("output_tokens"),
            cache_read_tokens=usage.get("cache_read_input_tokens"),
            cache_write_tokens=usage.get("cache_creation_input_tokens"),
        )

    async def _start_block(self, key: Any, block: dict[str, Any]) -> None:
        kind, writer = block["type"], self._writer
        self._blocks[key] = block = dict(block)
        writer.answer.content.append(block)
        if kind == "text":
            await writer.write_text(key, block.get("text") or "")
            for citation in block.get("citations") or []:
                await self._cite(key, citation)
        elif kind == "thinking":
            writer.texts.break_message()
            await writer.write_reasoning(key, block.get("thinking") or "")
        elif kind in _CALLS:
            start = writer.start_call if kind == "tool_use" else writer.start_provider_call
            await start(key if kind == "tool_use" else block["id"], block["id"], block["name"])
            if block.get("input"):
                await self._append_input(key, json.dumps(block["input"], ensure_ascii=False))
        elif "tool_use_id" in block:
            content = block.get("content")
            code = content.get("error_code") if isinstance(content, dict) else None
            error = str(code or "") or ("it failed" if block.get("is_error") else "")
            await writer.record_result(block["tool_use_id"], content, error)
        elif kind not in _SHOWN and kind not in _IGNORED:
            writer.unknown.count(f"content_block.{kind}")

    async def _append_input(self, key: Any, text: str) -> None:
        block = self._blocks[key]
        self._inputs[key] = self._inputs.get(key, "") + text
        await self._writer.append_args(key if block["type"] == "tool_use" else block["id"], text)

    async def _append_delta(self, key: Any, delta: dict[str, Any]) -> None:
        writer, kind, block = self._writer, delta["type"], self._blocks.get(key)
        if block is None:
            writer.unknown.count(f"content_block_delta.{kind} of no block")
            return
        if kind in _DELTA_FIELDS:
            field = _DELTA_FIELDS[kind]
            block[field] = (block.get(field) or "") + (delta.get(field) or "")
        if kind == "text_delta":
            await writer.write_text(key, delta["text"])
        elif kind == "thinking_delta":
            await writer.write_reasoning(key, delta["thinking"])
        elif kind == "input_json_delta":
            await self._append_input(key, delta["partial_json"])
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]
            await self._cite(key, delta["citation"])
        elif kind == "compaction_delta":
            block.update({name: value for name, value in delta.items() if name not in ("type", "content") and value})
        elif kind not in _DELTA_FIELDS:
            writer.unknown.count(f"content_block_delta.{kind}")

    async def _cite(self, key: Any, citation: dict[str, Any]) -> None:
        uri = citation.get("url") or citation.get("source") or citation.get("document_title") or "document"
        title = citation.get("title") or citation.get("document_title") or ""
        await self._writer.cite(key, str(uri), title, citation.get("cited_text") or "")

    async def _end_block(self, key: Any) -> None:
        block, writer = self._blocks.get(key, {"type": "text"}), self._writer
        if block["type"] in _CALLS and self._inputs.get(key):
            try:
                block["input"] = parse(self._inputs[key])
            except ValueError:
                block["input"] = {}  # cut by the limit of tokens: the call's own text tells
        elif block["type"] in _SHOWN:
            content = {name: value for name, value in block.items() if name in ("content", "file_id") and value}
            await writer.show(block["type"], content)
        elif block["type"] != "text":  # the text of the next block belongs to the same message
            writer.end_text(key)
