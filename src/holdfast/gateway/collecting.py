"""A stream as the one answer that a caller who does not stream waits for, field by field as its provider sends it."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from holdfast.errors import Refused, Unavailable
from holdfast.gateway.wires import CHAT, MESSAGES, GatewayWire
from holdfast.protocol import limits
from holdfast.protocol.bounds import check_nesting
from holdfast.providers.sse import SseParser

Fields = dict[str, Any]
_TERMINAL: Final = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
_TERMINAL_BYTES: Final = tuple(kind.encode() for kind in _TERMINAL)


class Collected:
    """One answer from the events of a stream."""

    def __init__(self, wire: GatewayWire) -> None:
        self._parser = SseParser()
        self._size = 0
        self._into: _Chat | _Message | _Response
        self._into = _Chat() if wire is CHAT else _Message() if wire is MESSAGES else _Response()

    def feed(self, data: bytes) -> None:
        """More of the stream. Raises ``upstream.failed`` for what is no stream of the wire."""
        self._size += len(data)
        if self._size > limits.COLLECTED_BYTES:
            raise Unavailable("upstream.failed", f"the answer has more than {limits.COLLECTED_BYTES:,} bytes")
        for event in self._parser.feed(data, self._into.wanted):
            self._add(event)
        if self._parser.error is not None:
            raise Unavailable("upstream.failed", self._parser.error.detail)

    def close(self) -> bytes:
        """The answer, as JSON. Raises ``upstream.failed`` when the stream was cut."""
        for event in self._parser.close():
            self._add(event)
        whole = self._into.whole()
        if whole is None:
            raise Unavailable("upstream.failed", "the provider's answer was cut before its end")
        return msgspec.json.encode(whole)

    def _add(self, event: bytes) -> None:
        if event == b"[DONE]":
            self._into.done = True
            return
        try:
            check_nesting(event, max_depth=limits.PROVIDER_DEPTH)
            value = _decoded(event)
        except (Refused, ValueError, RecursionError):
            raise Unavailable("upstream.failed", "the provider sent an event that is no JSON") from None
        try:
            if isinstance(value, dict):
                self._into.add(value)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Unavailable("upstream.failed", "the provider sent an event that is none of its dialect") from None


def _decoded(event: bytes) -> Any:
    try:
        return msgspec.json.decode(event)
    except msgspec.DecodeError:  # halves of surrogate pairs
        return json.loads(event.decode("utf-8", "replace"))


class _Chat:
    """Of chat completion chunks."""

    wanted = None

    def __init__(self) -> None:
        self.done = False
        self._head: Fields = {}
        self._choices: dict[int, Fields] = {}

    def add(self, chunk: Fields) -> None:
        for name, value in chunk.items():
            if name not in ("choices", "object") and (value is not None or name not in self._head):
                self._head[name] = value
        for choice in chunk.get("choices") or ():
            into = self._choices.setdefault(
                choice.get("index", 0),
                {"index": choice.get("index", 0), "message": {"role": "assistant", "content": None}},
            )
            _grow(into["message"], choice.get("delta") or {})
            for name, value in choice.items():
                if name == "logprobs" and isinstance(value, dict):
                    _grow(into.setdefault("logprobs", {}), value)
                elif name not in ("delta", "index") and value is not None:
                    into[name] = value

    def whole(self) -> Fields | None:
        if not self._choices or not (self.done or all("finish_reason" in each for each in self._choices.values())):
            return None
        for choice in self._choices.values():
            choice.setdefault("finish_reason", "stop")  # not every server says why
            for call in choice["message"].get("tool_calls") or ():
                call.pop("index", None)
            choice.setdefault("logprobs", None)
        choices = [self._choices[index] for index in sorted(self._choices)]
        return {**self._head, "object": "chat.completion", "choices": choices}


def _grow(into: Fields, delta: Fields) -> None:
    """Texts and lists grow; lists of objects with an index grow at their index; everything else is said once."""
    for name, value in delta.items():
        before = into.get(name)
        if isinstance(value, str) and isinstance(before, str) and name not in ("role", "id", "type", "name"):
            into[name] = before + value
        elif isinstance(value, list) and value and all(isinstance(one, dict) and "index" in one for one in value):
            rows: list[Fields] = before if isinstance(before, list) else []
            into[name] = rows
            for one in value:
                found = next((row for row in rows if row.get("index") == one["index"]), None)
                if found is None:
                    rows.append(dict(one))
                else:
                    _grow(found, one)
        elif isinstance(value, list) and isinstance(before, list):
            before.extend(value)
        elif isinstance(value, dict) and isinstance(before, dict):
            _grow(before, value)
        elif value is not None or name not in into:
            into[name] = value


class _Message:
    """Of Anthropic's events."""

    wanted = None
    _APPENDED = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}

    def __init__(self) -> None:
        self.done = False
        self._message: Fields = {}
        self._blocks: dict[int, Fields] = {}
        self._json: dict[int, list[str]] = {}

    def add(self, event: Fields) -> None:
        kind = event.get("type")
        if kind == "message_start":
            self._message = dict(event.get("message") or {})
        elif kind == "content_block_start":
            self._blocks[event["index"]] = dict(event["content_block"])
        elif kind == "content_block_delta":
            self._delta(event["index"], event.get("delta") or {})
        elif kind == "message_delta":
            self._message.update(event.get("delta") or {})
            usage = self._message.setdefault("usage", {})
            usage.update({n: v for n, v in (event.get("usage") or {}).items() if v is not None or n not in usage})
            self._message.update({n: v for n, v in event.items() if n not in ("type", "delta", "usage")})
        elif kind == "message_stop":
            self.done = True

    def _delta(self, index: int, delta: Fields) -> None:
        block = self._blocks.setdefault(index, {"type": "text", "text": ""})
        kind = delta.get("type")
        if kind == "input_json_delta":
            self._json.setdefault(index, []).append(delta.get("partial_json", ""))
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta.get("citation")]
        elif (name := self._APPENDED.get(str(kind))) is not None:
            block[name] = (block.get(name) or "") + delta.get(name, "")
        else:
            block.update({name: value for name, value in delta.items() if name != "type"})

    def whole(self) -> Fields | None:
        if not self.done:
            return None
        for index, parts in self._json.items():
            text = "".join(parts)
            try:
                self._blocks[index]["input"] = json.loads(text) if text else {}
            except (
                ValueError
            ):  # cut short, as an answer that reached its limit is: no arguments rather than half of them
                self._blocks[index]["input"] = {}
        return {**self._message, "content": [self._blocks[index] for index in sorted(self._blocks)]}


class _Response:
    """Of the events of Responses, whose last one repeats the whole."""

    def __init__(self) -> None:
        self.done = False
        self._response: Fields | None = None

    @staticmethod
    def wanted(block: bytes) -> bool:
        """Only the last event is read."""
        return any(kind in block for kind in _TERMINAL_BYTES)

    def add(self, event: Fields) -> None:
        if event.get("type") in _TERMINAL:
            self._response = event.get("response")

    def whole(self) -> Fields | None:
        return self._response
