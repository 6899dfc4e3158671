"""OpenAI's Responses: bytes to pieces.

Events as documented at https://platform.openai.com/docs/api-reference/responses-streaming. Items are output items, by their
``output_index``: some servers change an item's id between events. What a server tells only when an item is whole is told
then, and what came before is not told twice. ``native`` of an ``ItemEnd`` is the whole item, to be sent back.
"""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from holdfast.providers.decoder import StreamDecoder, bounded, failure
from holdfast.providers.fields import Fields, mapping, mappings, number, text, word
from holdfast.providers.pieces import (
    AnswerEnd,
    AnswerFailure,
    AnswerFinish,
    AnswerStart,
    ArgumentsDelta,
    CallStart,
    ItemEnd,
    ItemStart,
    Piece,
    ProviderCallResult,
    ProviderCallStart,
    ReasoningDelta,
    RefusalDelta,
    SourceCited,
    Stop,
    TextDelta,
    UnknownPart,
)
from holdfast.providers.usage import responses_usage

STOPS: dict[str, Stop] = {"completed": "stop", "max_output_tokens": "length", "content_filter": "refused"}
CALLER_CALLS = {
    "function_call": "arguments", "custom_tool_call": "input", "apply_patch_call": "operation",
    "mcp_approval_request": "arguments", "computer_call": "action", "local_shell_call": "action",
}  # fmt: skip
"""Types of items that the one who asked the model has to act on, and the field with what it wrote."""
_SILENT_ITEMS = frozenset({"mcp_list_tools", "compaction", "additional_tools", "mcp_approval_response"})
_SILENT_EVENTS = re.compile(
    r"keepalive|ping|response\.(created|queued|in_progress|content_part\.\w+|compaction\.\w+|reasoning_summary_part\.\w+"
    r"|(output_text|refusal|reasoning_text|reasoning_summary_text|audio|audio\.transcript)\.done|audio\.delta"
    r"|(web_search|file_search|image_generation|code_interpreter|computer|mcp)_call\.\w+|mcp_list_tools\.\w+"
    r"|(function|mcp)_call_arguments\.done|(code_interpreter_call_code|custom_tool_call_input|shell_call_command"
    r"|shell_call_output_content|apply_patch_call_operation_diff)\.\w+)"
)
"""What says nothing of its own: it is said again when its item is whole."""
_OUTCOME_FIELDS = ("output", "outputs", "results", "result", "tools")
_NOT_INPUT = frozenset({"id", "type", "status", "call_id", "name", "error", *_OUTCOME_FIELDS})
_TERMINAL = ("response.completed", "response.incomplete", "response.failed")
_Key = tuple[int, int, str]


class ResponsesDecoder(StreamDecoder):
    """Reads one stream of response events.

    Attributes:
        sequence: the number of the newest event; -1 before the first that has one.
    """

    dialect = "openai.responses"
    control: ClassVar[tuple[bytes, ...]] = (
        b'"response.created"', b'"response.queued"', b'"response.in_progress"', b'"response.completed"',
        b'"response.incomplete"', b'"response.failed"', b'"error"',
    )  # fmt: skip

    def __init__(self, *, deltas: bool = True) -> None:
        super().__init__(deltas=deltas)
        self.sequence = -1
        self._model = ""
        self._started = False
        self._streamed: set[_Key] = set()  # texts that came piece by piece
        self._cited: set[tuple[int, int, int]] = set()
        self._calls: dict[int, bool] = {}  # calls by item: whether some of their arguments came
        self._cut: AnswerFinish | None = None  # an end without a reason, which an error may follow

    def _read(self, event: Fields, pieces: list[Piece]) -> None:
        kind, item = text(event, "type"), number(event, "output_index")
        if isinstance(sequence := event.get("sequence_number"), int):
            self.sequence = sequence
        if self._read_delta(kind, item, event, pieces):
            return
        if kind == "response.output_text.annotation.added":
            self._cite(item, _part(event), mapping(event, "annotation"), pieces)
        elif kind == "response.output_item.added":
            self._start_item(item, mapping(event, "item"), pieces)
        elif kind == "response.output_item.done":
            self._end_item(item, mapping(event, "item"), pieces)
        elif kind in ("response.created", "response.queued", "response.in_progress"):
            self._start(mapping(event, "response"), pieces)
        elif kind in _TERMINAL:
            self._finish(mapping(event, "response"), pieces)
        elif kind == "error":
            self._cut = None
            pieces.append(failure(event))
        elif not _SILENT_EVENTS.fullmatch(kind):
            pieces.append(UnknownPart(kind))

    def _read_delta(self, kind: str, item: int, event: Fields, pieces: list[Piece]) -> bool:
        piece: Piece
        if kind in ("response.output_text.delta", "response.audio.transcript.delta"):
            piece = TextDelta(text(event, "delta"), item, _part(event))
            self._mark((item, piece.part, "text"))
        elif kind in ("response.function_call_arguments.delta", "response.mcp_call_arguments.delta"):
            piece = ArgumentsDelta(text(event, "delta"), item)
            if piece.text and item in self._calls:
                self._calls[item] = True
        elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            summary = kind == "response.reasoning_summary_text.delta"
            piece = ReasoningDelta(text(event, "delta"), item, _part(event), summary)
            self._mark((item, piece.part, "summary" if summary else "reasoning"))
        elif kind == "response.refusal.delta":
            piece = RefusalDelta(text(event, "delta"), item, _part(event))
            self._mark((item, piece.part, "text"))
        else:
            return False
        if piece.text:
            pieces.append(piece)
        return True

    def _mark(self, key: _Key) -> None:
        if key not in self._streamed:
            bounded(self._streamed)
            self._streamed.add(key)

    def _start(self, response: Fields, pieces: list[Piece]) -> None:
        model = text(response, "model")
        if self._started and (not model or model == self._model):
            return
        self._started, self._model = True, model
        created = response.get("created_at")
        pieces.append(
            AnswerStart(text(response, "id"), model, created if isinstance(created, int) else 0, native=response)
        )

    def _cite(self, item: int, part: int, annotation: Fields, pieces: list[Piece]) -> None:
        key = (item, part, hash(repr(annotation)))
        if key not in self._cited:
            bounded(self._cited)
            self._cited.add(key)
            uri = word(annotation, "url") or word(annotation, "file_id")
            title = word(annotation, "title") or word(annotation, "filename")
            pieces.append(SourceCited(uri, title, item=item, part=part, native=annotation))

    # --- items
    def _start_item(self, item: int, fields: Fields, pieces: list[Piece]) -> None:
        kind = text(fields, "type")
        name = word(fields, "name") or kind.removesuffix("_call")
        ident = word(fields, "call_id") or word(fields, "id") or f"item-{item}"
        if kind == "message":
            pieces.append(ItemStart(item, "text", fields))
        elif kind == "reasoning":
            pieces.append(ItemStart(item, "reasoning", fields))
        elif kind in _SILENT_ITEMS or kind.endswith("_output"):
            pieces.append(ItemStart(item, "other", fields))
        else:
            if item not in self._calls:
                bounded(self._calls)
            self._calls[item] = False
            if kind in CALLER_CALLS:
                form = "function" if kind == "function_call" else kind
                pieces.append(CallStart(item, ident, name, form, fields))
            else:
                pieces.append(ProviderCallStart(item, ident, name, fields))

    def _end_item(self, item: int, fields: Fields, pieces: list[Piece]) -> None:
        kind = text(fields, "type")
        outcome = {name: fields[name] for name in _OUTCOME_FIELDS if fields.get(name) is not None}
        value = (next(iter(outcome.values())) if len(outcome) == 1 else outcome) or fields.get("status", "completed")
        if kind in ("message", "reasoning"):
            self._complete_text(item, fields, pieces)
        elif kind.endswith("_output"):  # of a call that OpenAI made, which came before
            pieces.append(ProviderCallResult(item, word(fields, "call_id"), value))
        elif item in self._calls:
            if not self._calls[item] and (args := _input_json(fields, CALLER_CALLS.get(kind))):
                self._calls[item] = True
                pieces.append(ArgumentsDelta(args, item))
            error = fields.get("error")
            failed = fields.get("status") == "failed" or error is not None
            if kind not in CALLER_CALLS and (outcome or failed or not fields.get("call_id")):
                why = (json.dumps(error) if error else "it failed") if failed else ""
                ident = word(fields, "call_id") or word(fields, "id") or f"item-{item}"
                pieces.append(ProviderCallResult(item, ident, value, why))
        pieces.append(ItemEnd(item, fields))

    def _complete_text(self, item: int, fields: Fields, pieces: list[Piece]) -> None:
        """A message or reasoning is whole: what did not come in pieces is told now, and the sources not told yet."""
        for part, content in enumerate(mappings(fields, "content")):
            kind = content.get("type")
            if kind == "reasoning_text":
                self._complete((item, part, "reasoning"), ReasoningDelta(text(content, "text"), item, part), pieces)
            elif kind == "refusal":
                words = text(content, "text") or text(content, "refusal")
                self._complete((item, part, "text"), RefusalDelta(words, item, part), pieces)
            elif kind == "output_text":
                words = text(content, "text") or text(content, "refusal")
                self._complete((item, part, "text"), TextDelta(words, item, part), pieces)
            else:
                pieces.append(UnknownPart(f"content.{kind}"))
            for annotation in mappings(content, "annotations"):
                self._cite(item, part, annotation, pieces)
        for part, content in enumerate(mappings(fields, "summary")):
            thought = ReasoningDelta(text(content, "text"), item, part, summary=True)
            self._complete((item, part, "summary"), thought, pieces)

    def _complete(self, key: _Key, piece: TextDelta | RefusalDelta | ReasoningDelta, pieces: list[Piece]) -> None:
        if key not in self._streamed and piece.text:
            self._mark(key)
            pieces.append(piece)

    # --- the end
    def _finish(self, response: Fields, pieces: list[Piece]) -> None:
        self._start(response, pieces)
        usage: Fields = mapping(response, "usage")
        if tools := response.get("tool_usage"):
            usage = {**usage, "tool_usage": tools}
        if usage:
            tier = response.get("service_tier")
            self.usage = responses_usage(usage, tier if isinstance(tier, str) else "")
            pieces.append(self.usage)
        status = word(response, "status")
        if status == "failed":
            pieces.append(failure(mapping(response, "error")) if response.get("error") else AnswerFailure())
            return
        reason = word(mapping(response, "incomplete_details"), "reason")
        if status == "incomplete" and not reason:
            self._cut = AnswerFinish("incomplete")
            return
        pieces.append(AnswerFinish(reason or status or "completed", STOPS.get(reason or status or "completed", "")))
        pieces.append(AnswerEnd())

    def _rest(self) -> list[Piece]:
        finish, self._cut = self._cut, None
        return [finish, AnswerEnd()] if finish is not None else []


def _part(event: Fields) -> int:
    return number(event, "content_index" if "content_index" in event else "summary_index")


def _input_json(fields: Fields, field: str | None) -> str:
    """What an item that was not streamed was given, as JSON text."""
    value: Any
    if field is None:
        value = {name: each for name, each in fields.items() if name not in _NOT_INPUT and each is not None}
        if isinstance(value.get("arguments"), str):
            return str(value["arguments"])
    else:
        value = fields.get(field)
        if field == "arguments":
            return str(value or "")
        value = {field: value} if isinstance(value, str) else value
    return json.dumps(value, ensure_ascii=False) if value else ""
