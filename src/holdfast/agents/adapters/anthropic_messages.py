"""Anthropic's Messages.

In an agent: ``await anthropic_messages.converse(run, client, model="claude-sonnet-4-5", max_tokens=8_000, tools=[…])``, or
``relay`` for one stream.

What its events say is in ``providers/messages_decoder.py``.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from holdfast.agents.adapters.answer import ModelAnswer, ProviderStream, RunWriter, open_stream
from holdfast.agents.adapters.conversation import CallResult, Conversation, FileContent, PastMessage, Rules, ToolSpecs
from holdfast.agents.adapters.functions import Function
from holdfast.agents.adapters.piece_writer import PieceWriter
from holdfast.agents.run import RunContext
from holdfast.protocol.codec import parse
from holdfast.providers import pieces as p
from holdfast.providers.messages_decoder import MessagesDecoder
from holdfast.providers.usage import TokenUsage

__all__ = ["converse", "relay"]

_SHOWN = frozenset({"compaction", "container_upload"})  # blocks that are shown whole, by their names
_APPENDED = frozenset({"signature", "content"})  # fields that come in pieces


async def relay(run: RunContext, stream: ProviderStream) -> ModelAnswer:
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


async def _read(writer: RunWriter, stream: ProviderStream) -> ModelAnswer:
    pieces = _EventWriter(writer)
    try:
        async with open_stream(stream) as events:
            async for event in events:
                await pieces.event(event)
        await pieces.close()
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
) -> ModelAnswer:
    """ModelAnswer the run's input: ask the model, make the tool calls it asks for, and so on until it has answered.

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

    async def read(self, writer: RunWriter, stream: ProviderStream) -> ModelAnswer:
        return await _read(writer, stream)

    def answer_messages(self, answer: ModelAnswer) -> list[Any]:
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


class _EventWriter(PieceWriter):
    def __init__(self, writer: RunWriter) -> None:
        super().__init__(writer, MessagesDecoder())
        self._number = 0  # of the message in the stream
        self._blocks: dict[Hashable, dict[str, Any]] = {}
        self._inputs: dict[Hashable, str] = {}
        self._stop_reason = ""

    def key(self, item: int, part: int = 0) -> tuple[int, int]:
        return self._number, item

    def usage_counts(self, usage: TokenUsage) -> dict[str, int | None]:
        return {
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "cache_read_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
        }

    async def start_answer(self, piece: p.AnswerStart) -> None:
        self._number += 1
        await super().start_answer(piece)

    def _start_block(self, item: int, native: dict[str, Any]) -> None:
        self._blocks[self.key(item)] = block = dict(native)
        self.writer.answer.content.append(block)

    async def start_item(self, piece: p.ItemStart) -> None:
        self._start_block(piece.item, piece.native)
        await super().start_item(piece)

    async def write_text(self, piece: p.TextDelta) -> None:
        _append(self._blocks[self.key(piece.item)], "text", piece.text)
        await super().write_text(piece)

    async def write_reasoning(self, piece: p.ReasoningDelta) -> None:
        _append(self._blocks[self.key(piece.item)], "thinking", piece.text)
        await super().write_reasoning(piece)

    async def start_call(self, piece: p.CallStart) -> None:
        self._start_block(piece.item, piece.native)
        await self.writer.start_call(self.key(piece.item), piece.id, piece.name)

    async def start_provider_call(self, piece: p.ProviderCallStart) -> None:
        self._start_block(piece.item, piece.native)
        await self.writer.start_provider_call(piece.id, piece.id, piece.name)

    async def append_args(self, piece: p.ArgumentsDelta) -> None:
        key = self.key(piece.item)
        block = self._blocks[key]
        self._inputs[key] = self._inputs.get(key, "") + piece.text
        await self.writer.append_args(key if block["type"] == "tool_use" else block.get("id"), piece.text)

    async def record_result(self, piece: p.ProviderCallResult) -> None:
        self._start_block(piece.item, piece.native)
        await self.writer.record_result(piece.id, piece.value, piece.error)

    async def cite(self, piece: p.SourceCited) -> None:
        block = self._blocks[self.key(piece.item)]
        block["citations"] = [*(block.get("citations") or []), piece.native]
        await super().cite(piece)

    async def add_field(self, piece: p.OpaqueField) -> None:
        block = self._blocks[self.key(piece.item)]
        if piece.name in _APPENDED:
            _append(block, piece.name, piece.value)
        else:
            block[piece.name] = piece.value

    async def finish(self, piece: p.AnswerFinish) -> None:
        self._stop_reason = piece.reason

    async def end(self, piece: p.AnswerEnd) -> None:
        self.writer.answer.finish = self._stop_reason or "end_turn"

    async def end_item(self, piece: p.ItemEnd) -> None:
        key = self.key(piece.item)
        block, writer = self._blocks.get(key, {"type": "text"}), self.writer
        if self._inputs.get(key):
            try:
                block["input"] = parse(self._inputs[key])
            except ValueError:
                block["input"] = {}  # cut by the limit of tokens: the call's own text tells
        elif block["type"] in _SHOWN:
            content = {name: value for name, value in block.items() if name in ("content", "file_id") and value}
            await writer.show(block["type"], content)
        elif block["type"] != "text":  # the text of the next block belongs to the same message
            writer.end_text(key)


def _append(block: dict[str, Any], name: str, text: str) -> None:
    block[name] = (block.get(name) or "") + text
