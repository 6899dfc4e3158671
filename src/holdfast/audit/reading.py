"""From bytes to pieces: cutting a stream into messages, and applying a recipe's rules to each."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from holdfast.audit.recipe import Rule
from holdfast.audit.transcript import Piece
from holdfast.audit.values import MISSING, as_text, fits, look

LINE_CHARS: Final = 4 * 1024 * 1024
"""The longest line; what is longer is cut there, as a garbled stream would be."""


class Message(msgspec.Struct):
    """One message of a stream: its JSON value (or text), and where the stream says one may resume."""

    value: Any
    event: str = ""
    raw: str = ""
    mark: str = ""


def parsed(raw: str, event: str = "", mark: str = "") -> Message:
    """A message from its text, which is usually JSON."""
    try:
        value = msgspec.json.decode(raw.encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        value = raw
    return Message(value, event, raw, mark)


class Cutter:
    """Cuts a stream of bytes into messages.

    Args:
        shape: ``sse`` (WHATWG HTML, section 9.2), ``ndjson`` (one JSON value a line), ``text`` (whatever arrives) or
            ``json`` (one value, when the stream ends).

    Attributes:
        comments: how many SSE comments came: signs of life.
    """

    def __init__(self, shape: str) -> None:
        self._shape = shape
        self._decode = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._event, self._data, self._mark = "", list[str](), ""
        self.comments = 0

    def feed(self, data: bytes, *, last: bool = False) -> Iterator[Message]:
        """The messages that are whole now."""
        text = self._decode.decode(data, last)
        if self._shape == "text":
            if text:
                yield Message(text, raw=text)
            return
        self._rest += text
        if self._shape == "json":
            if last and self._rest:
                yield parsed(self._rest)
            return
        held = "\r" if self._rest.endswith("\r") and not last else ""  # its line feed may be on the way
        whole = self._rest.removesuffix(held).replace("\r\n", "\n").replace("\r", "\n")
        *lines, self._rest = whole.split("\n")
        self._rest += held
        if len(self._rest) > LINE_CHARS or (last and self._shape == "ndjson"):
            lines.append(self._rest)
            self._rest = ""
        for line in lines:
            if self._shape == "ndjson":
                if line.strip():
                    yield parsed(line)
            else:
                yield from self._line(line)

    def _line(self, line: str) -> Iterator[Message]:
        if not line:
            if self._data:
                yield parsed("\n".join(self._data), self._event, self._mark)
            self._event, self._data = "", []
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            self.comments += 1
        elif name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id":
            self._mark = value


class Reader:
    """Applies rules to messages.

    Args:
        rules: what messages mean. names: the names that templates may use; captures are written into it.

    Attributes:
        cursor: where to resume, as far as the stream said.
    """

    def __init__(self, rules: list[Rule], names: dict[str, str]) -> None:
        self._rules = rules
        self._names = names
        self.cursor = ""

    def read(self, message: Message) -> Iterator[Piece]:
        """What a message says. One that no rule fits is ``other``."""
        if message.mark:
            self.cursor = message.mark
        value = message.value
        if isinstance(value, dict):
            root: Any = {**value, "$event": message.event, "$data": message.raw}
        else:
            root = {"$event": message.event, "$data": message.raw, "data": value}
        fitting = [rule for rule in self._rules if fits(root, rule.when)]
        done: set[str] = set()
        for rule in fitting:
            if not rule.each:
                yield from self._pieces(rule, root)
            elif rule.each not in done:  # item by item, so that they stay in their order
                done.add(rule.each)
                items = look(value if rule.each == "$" else root, rule.each)
                for item in items if isinstance(items, list) else ():
                    for other in fitting:
                        if other.each == rule.each and fits(item, other.where):
                            yield from self._pieces(other, item)
        if not fitting:
            yield Piece("other", text=message.raw[:200])

    def _pieces(self, rule: Rule, value: Any) -> Iterator[Piece]:
        for name, path in rule.capture.items():
            if found := as_text(look(value, path)):
                self._names[name] = found
        if rule.cursor and (mark := as_text(look(value, rule.cursor))):
            self.cursor = mark
        ident = as_text(look(value, rule.id)) if rule.id else ""
        by = as_text(look(value, rule.by)) if rule.by else ""
        if rule.begin:
            yield Piece("begin", id=ident)
        for kind in ("text", "whole", "user", "steer", "agent"):
            path = getattr(rule, kind)
            if path and (found := look(value, path)) is not MISSING and (kind != "text" or as_text(found)):
                yield Piece(kind, text=as_text(found), id=ident, by=by)
        if rule.approval and (found := as_text(look(value, rule.approval))):
            yield Piece("approval", id=found)
        if rule.resolved and (found := as_text(look(value, rule.resolved))):
            yield Piece("resolved", id=found)
        if rule.end:
            yield Piece("end", id=ident, word=rule.end)
