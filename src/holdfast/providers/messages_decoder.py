"""Anthropic's messages: bytes to pieces.

Events as documented at https://docs.anthropic.com/en/docs/build-with-claude/streaming. Items are content blocks, by their
index; ``native`` is the block as it began, without what is told in pieces. A stream may hold several messages, one after
the other: each begins with an ``AnswerStart``.
"""

from __future__ import annotations

import json
from typing import ClassVar

from holdfast.providers.billing.anthropic_messages import merged_usage
from holdfast.providers.decoder import StreamDecoder, bounded, failure
from holdfast.providers.fields import Fields, mapping, mappings, number, text, word
from holdfast.providers.pieces import (
    AnswerEnd,
    AnswerFinish,
    AnswerStart,
    ArgumentsDelta,
    CallStart,
    ItemEnd,
    ItemStart,
    OpaqueField,
    Piece,
    ProviderCallResult,
    ProviderCallStart,
    ReasoningDelta,
    SourceCited,
    Stop,
    TextDelta,
    UnknownPart,
)
from holdfast.providers.usage import messages_usage

STOPS: dict[str, Stop] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_use": "call", "refusal": "refused", "pause_turn": "pause",
}  # fmt: skip
_PROVIDER_CALLS = frozenset({"server_tool_use", "mcp_tool_use"})
_WHOLE = frozenset({"redacted_thinking", "mcp_tool_listing", "compaction", "container_upload"})
_IGNORED = frozenset({"redacted_thinking", "mcp_tool_listing", "ping"})


class MessagesDecoder(StreamDecoder):
    """Reads one stream of message events."""

    dialect = "anthropic.messages"
    control: ClassVar[tuple[bytes, ...]] = (
        b'"message_start"', b'"message_delta"', b'"message_stop"', b'"error"',
    )  # fmt: skip

    def __init__(self, *, deltas: bool = True) -> None:
        super().__init__(deltas=deltas)
        self._blocks: dict[int, str] = {}  # types
        self._reported: Fields = {}

    def _read(self, event: Fields, pieces: list[Piece]) -> None:
        kind = event.get("type")
        if kind == "content_block_delta":
            self._read_delta(number(event, "index"), mapping(event, "delta"), pieces)
        elif kind == "content_block_start":
            self._start_block(number(event, "index"), mapping(event, "content_block"), pieces)
        elif kind == "content_block_stop":
            pieces.append(ItemEnd(number(event, "index")))
        elif kind == "message_start":
            self._start(mapping(event, "message"), pieces)
        elif kind == "message_delta":
            self._read_usage(event, pieces)
            if reason := text(mapping(event, "delta"), "stop_reason"):
                pieces.append(AnswerFinish(reason, STOPS.get(reason, "")))
        elif kind == "message_stop":
            pieces.append(AnswerEnd())
        elif kind == "error":
            pieces.append(failure(event))
        elif not isinstance(kind, str) or kind not in _IGNORED:
            pieces.append(UnknownPart(str(kind)))

    def _start(self, message: Fields, pieces: list[Piece]) -> None:
        self._blocks, self._reported, self.ended = {}, {}, False
        pieces.append(AnswerStart(text(message, "id"), text(message, "model")))
        self._read_usage(message, pieces)

    def _read_usage(self, fields: Fields, pieces: list[Piece]) -> None:
        """Either of the two events may have any of the counts."""
        usage = mapping(fields, "usage")
        if usage:
            self._reported = merged_usage(self._reported, usage)
            self.usage = messages_usage(self._reported)
            pieces.append(self.usage)

    def _start_block(self, item: int, block: Fields, pieces: list[Piece]) -> None:
        kind = text(block, "type")
        if item not in self._blocks:
            bounded(self._blocks)
        self._blocks[item] = kind
        if kind == "text":
            self._start_text(item, block, pieces)
        elif kind == "thinking":
            pieces.append(ItemStart(item, "reasoning", _without(block, "thinking")))
            if words := text(block, "thinking"):
                pieces.append(ReasoningDelta(words, item))
        elif kind == "tool_use" or kind in _PROVIDER_CALLS:
            self._start_call(item, kind, block, pieces)
        elif "tool_use_id" in block:
            content = block.get("content")
            code = word(content, "error_code") if isinstance(content, dict) else ""
            error = code or ("it failed" if block.get("is_error") else "")
            pieces.append(ProviderCallResult(item, text(block, "tool_use_id"), content, error, block))
        else:
            pieces.append(ItemStart(item, "other", block))
            if kind not in _WHOLE:
                pieces.append(UnknownPart(f"content_block.{kind}"))

    def _start_text(self, item: int, block: Fields, pieces: list[Piece]) -> None:
        citations = mappings(block, "citations")
        native = _without(block, "text")
        pieces.append(ItemStart(item, "text", {**native, "citations": []} if citations else native))
        if words := text(block, "text"):
            pieces.append(TextDelta(words, item))
        pieces.extend(_citation(item, each) for each in citations)

    def _start_call(self, item: int, kind: str, block: Fields, pieces: list[Piece]) -> None:
        args = block.get("input")
        native = {**block, "input": {}} if args else block
        ident, name = text(block, "id") or f"call-{item}", text(block, "name")
        call = CallStart if kind == "tool_use" else ProviderCallStart
        pieces.append(call(item, ident, name, native=native))
        if args:
            pieces.append(ArgumentsDelta(json.dumps(args, ensure_ascii=False), item))

    def _read_delta(self, item: int, delta: Fields, pieces: list[Piece]) -> None:
        kind = text(delta, "type")
        if item not in self._blocks:
            pieces.append(UnknownPart(f"content_block_delta.{kind} of no block"))
        elif kind == "text_delta":
            if words := text(delta, "text"):
                pieces.append(TextDelta(words, item))
        elif kind == "thinking_delta":
            if words := text(delta, "thinking"):
                pieces.append(ReasoningDelta(words, item))
        elif kind == "input_json_delta":
            if args := text(delta, "partial_json"):
                pieces.append(ArgumentsDelta(args, item))
        elif kind == "citations_delta":
            pieces.append(_citation(item, mapping(delta, "citation")))
        elif kind == "signature_delta":
            pieces.append(OpaqueField(item, "signature", text(delta, "signature")))
        elif kind == "compaction_delta":
            pieces.extend(OpaqueField(item, name, value) for name, value in delta.items() if name != "type" and value)
        else:
            pieces.append(UnknownPart(f"content_block_delta.{kind}"))


def _without(block: Fields, name: str) -> Fields:
    return {**block, name: ""} if block.get(name) else block


def _citation(item: int, citation: Fields) -> SourceCited:
    title = word(citation, "title") or word(citation, "document_title")
    uri = word(citation, "url") or word(citation, "source") or word(citation, "document_title") or "document"
    return SourceCited(uri, title, word(citation, "cited_text"), item, native=citation)
