"""OpenAI's chat completions, and whatever speaks like them: bytes to pieces.

Chunks as documented at https://platform.openai.com/docs/api-reference/chat-streaming, with what compatible servers add:
``reasoning_content`` and ``reasoning``, content in typed parts (Mistral), an ``error`` in a chunk (OpenRouter, Groq), tools
that the server runs (Groq's ``executed_tools``), sources (``annotations``; ``citations`` of Perplexity and xAI).

The one text of an answer, its reasoning and its refusal are item 0; calls are numbered from 1 as they come. Of several
choices the first is read, the others are counted as not known.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from holdfast.providers.decoder import StreamDecoder, bounded, failure
from holdfast.providers.fields import Fields, has_content, mapping, mappings, number, text, word
from holdfast.providers.pieces import (
    AnswerEnd,
    AnswerFinish,
    AnswerStart,
    ArgumentsDelta,
    CallStart,
    OpaqueField,
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
from holdfast.providers.usage import chat_usage

STOPS: dict[str, Stop] = {
    "stop": "stop", "length": "length", "tool_calls": "call", "function_call": "call", "content_filter": "refused",
}  # fmt: skip
_CHUNK = frozenset({
    "id", "object", "created", "model", "choices", "usage", "error", "x_groq", "citations", "search_results",
    "system_fingerprint", "service_tier", "provider", "obfuscation", "moderation", "prompt_filter_results", "timings",
})  # fmt: skip
_CHOICE = frozenset({
    "index", "delta", "finish_reason", "native_finish_reason", "logprobs", "text", "message", "seed", "stop_reason",
    "matched_stop", "token_ids", "content_filter_results", "content_filter_offsets",
})  # fmt: skip
_DELTA = frozenset({
    "role", "content", "refusal", "reasoning", "reasoning_content", "reasoning_details", "tool_calls", "annotations",
    "executed_tools", "audio", "index", "channel", "token_id",
})  # fmt: skip
"""The fields that are read, or say nothing to people."""
_PLAIN = frozenset({"role", "content"})
_EXECUTED_HEAD = ("index", "type", "name", "id", "arguments")


class _WireCall(msgspec.Struct):
    """The call that is written under an index now."""

    item: int
    id: str
    has_args: bool = False


class ChatDecoder(StreamDecoder):
    """Reads one stream of chat completion chunks."""

    dialect = "openai.chat"
    control: ClassVar[tuple[bytes, ...]] = (b'"usage"', b'"error"', b'"finish_reason"', b"[DONE]")

    def __init__(self, *, deltas: bool = True) -> None:
        super().__init__(deltas=deltas)
        self._model = ""
        self._started = self._finished = self._spent = False
        self._calls: dict[int, _WireCall] = {}  # by index: some servers use one index for all, one after the other
        self._executed: dict[int, _WireCall] = {}
        self._items = self._call_number = 0
        self._cited: set[tuple[str, str]] = set()

    def _read(self, event: Fields, pieces: list[Piece]) -> None:
        self._start(event, pieces)
        choices = mappings(event, "choices")
        self._read_usage(event, bool(choices), pieces)
        _count_unknown("chunk", event, _CHUNK, pieces)
        if event.get("error"):
            pieces.append(failure(event))
            return
        for choice in choices:
            if number(choice, "index") != 0:
                pieces.append(UnknownPart("another choice"))
                continue
            _count_unknown("choice", choice, _CHOICE, pieces)
            delta = choice.get("delta")
            if delta:
                self._read_delta(mapping(choice, "delta"), pieces)
            if reason := text(choice, "finish_reason"):
                self._finished = True
                pieces.append(AnswerFinish(reason, STOPS.get(reason, "")))
        if "citations" in event or "search_results" in event:
            self._cite_search_results(event, pieces)

    def _start(self, event: Fields, pieces: list[Piece]) -> None:
        model = text(event, "model")
        if self._started and (not model or model == self._model):
            return
        if not (model or event.get("id")):
            return
        self._started, self._model = True, model
        created = event.get("created")
        pieces.append(AnswerStart(text(event, "id"), model, created if isinstance(created, int) else 0))

    def _read_usage(self, event: Fields, chosen: bool, pieces: list[Piece]) -> None:
        usage = event.get("usage") or (event.get("x_groq") and mapping(event, "x_groq").get("usage"))
        if not isinstance(usage, dict) or not usage:
            return
        tier = event.get("service_tier")
        self.usage = chat_usage(usage, tier if isinstance(tier, str) else "")
        pieces.append(self.usage)
        self._spent = self._spent or not chosen

    def _done(self) -> list[Piece]:
        return [] if self.ended else [*self._rest(), AnswerEnd()]

    def _rest(self) -> list[Piece]:
        """Not every server says why it stopped: the chunk with nothing but usage is the last."""
        if self._finished or self.ended or not self._spent:
            return []
        self._finished = True
        return [AnswerFinish("stop", "stop")]

    # --- what a choice says
    def _read_delta(self, delta: Fields, pieces: list[Piece]) -> None:
        content = delta.get("content")
        if isinstance(content, str) and delta.keys() <= _PLAIN:  # nearly every chunk
            if content:
                pieces.append(TextDelta(content))
            return
        _count_unknown("delta", delta, _DELTA, pieces)
        if thought := _reasoning(delta):
            pieces.append(ReasoningDelta(thought))
        if isinstance(content, str):
            if content:
                pieces.append(TextDelta(content))
        elif content:
            for part in mappings(delta, "content"):
                _read_part(part, pieces)
        audio = delta.get("audio")
        if isinstance(audio, dict) and (words := text(audio, "transcript")):
            pieces.append(TextDelta(words))
        if words := text(delta, "refusal"):
            pieces.append(RefusalDelta(words))
        for note in mappings(delta, "annotations"):
            citation = mapping(note, "url_citation") or note
            pieces.append(SourceCited(text(citation, "url"), text(citation, "title"), native=note))
        for tool in mappings(delta, "executed_tools"):
            self._read_executed(tool, pieces)
        for piece in mappings(delta, "tool_calls"):
            self._read_call(piece, pieces)

    def _read_call(self, piece: Fields, pieces: list[Piece]) -> None:
        index, function = number(piece, "index"), mapping(piece, "function")
        ident, name = text(piece, "id"), text(function, "name")
        call = self._calls.get(index)
        if call is None or (ident and name and ident != call.id):
            call = self._calls[index] = _WireCall(self._next_item(), ident or f"call-{self._call_number}")
            self._call_number += 1
            pieces.append(CallStart(call.item, call.id, name))
        if args := text(function, "arguments"):
            pieces.append(ArgumentsDelta(args, call.item))
        if piece.get("extra_content"):
            pieces.append(OpaqueField(call.item, "extra_content", piece["extra_content"]))

    def _read_executed(self, tool: Fields, pieces: list[Piece]) -> None:
        """A tool that the server ran: it is told when it begins, and again, with its outcome, when it ended."""
        index = number(tool, "index")
        call = self._executed.get(index)
        if call is None:
            call = self._executed[index] = _WireCall(self._next_item(), word(tool, "id") or f"executed-{index}")
            head: Fields = {name: tool[name] for name in ("type", "name", "id") if name in tool}
            name = word(tool, "name") or word(tool, "type") or "tool"
            pieces.append(ProviderCallStart(call.item, call.id, name, native=head))
        if not call.has_args and (args := word(tool, "arguments")):
            call.has_args = True
            pieces.append(ArgumentsDelta(args, call.item))
        outcome = {name: tool[name] for name in tool if name not in _EXECUTED_HEAD and has_content(tool[name])}
        if outcome:
            value = next(iter(outcome.values())) if len(outcome) == 1 else outcome
            pieces.append(ProviderCallResult(call.item, call.id, value, native=outcome))

    def _next_item(self) -> int:
        bounded(range(self._items))
        self._items += 1
        return self._items

    def _cite_search_results(self, event: Fields, pieces: list[Piece]) -> None:
        """What a server that searches found stands beside the choices, again in each chunk: each is told once."""
        found = event.get("search_results")
        results = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
        for result in results:
            self._cite(word(result, "url"), word(result, "title"), {"search_results": [result]}, pieces)
        urls = event.get("citations")
        for url in urls if isinstance(urls, list) and not results else ():
            if isinstance(url, str):
                self._cite(url, "", {"citations": [url]}, pieces)

    def _cite(self, url: str, title: str, native: Fields, pieces: list[Piece]) -> None:
        if (url, title) not in self._cited:
            bounded(self._cited)
            self._cited.add((url, title))
            pieces.append(SourceCited(url, title, native=native))


def _count_unknown(where: str, fields: Fields, read: frozenset[str], pieces: list[Piece]) -> None:
    """Count what is not known, unless it says nothing."""
    if fields.keys() <= read:
        return
    for name in fields:
        if name not in read and has_content(fields[name]):
            pieces.append(UnknownPart(f"{where}.{name}"))


def _reasoning(delta: Fields) -> str:
    words: Any = delta.get("reasoning_content") or delta.get("reasoning")
    if isinstance(words, str):
        return words
    details = delta.get("reasoning_details")
    if not isinstance(details, list):
        return ""
    return "".join(word(each, "text") or word(each, "summary") for each in details if isinstance(each, dict))


def _read_part(part: Fields, pieces: list[Piece]) -> None:
    kind = part.get("type")
    if kind == "thinking":
        for each in mappings(part, "thinking"):
            if words := text(each, "text"):
                pieces.append(ReasoningDelta(words))
    elif part.get("text"):
        pieces.append(TextDelta(text(part, "text")))
    elif part.get("url"):  # Mistral's references
        pieces.append(SourceCited(word(part, "url"), word(part, "title"), native={"part": part}))
    elif kind not in ("text", None):
        pieces.append(UnknownPart(f"content.{kind}"))
