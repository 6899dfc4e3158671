"""From bytes to pieces: splitting a stream into messages, and applying a recipe's rules to each."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from holdfast.audit.recipe import Rule
from holdfast.audit.transcript import Piece
from holdfast.audit.values import MISSING, Find, as_text, fits, look

LINE_CHARS: Final = 4 * 1024 * 1024
"""The longest line; what is longer is cut there, as a garbled stream would be."""


class ParsedMessage(msgspec.Struct):
    """One message of a stream: its JSON value (or text), and where the stream says one may resume."""

    value: Any
    event: str = ""
    raw: str = ""
    mark: str = ""


def parse_message(raw: str, event: str = "", mark: str = "") -> ParsedMessage:
    """A message from its text, which is usually JSON."""
    try:
        value = msgspec.json.decode(raw.encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        value = raw
    return ParsedMessage(value, event, raw, mark)


class MessageSplitter:
    """Splits a stream of bytes into messages.

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

    def feed(self, data: bytes, *, last: bool = False) -> Iterator[ParsedMessage]:
        """The messages that are whole now."""
        text = self._decode.decode(data, last)
        if self._shape == "text":
            if text:
                yield ParsedMessage(text, raw=text)
            return
        self._rest += text
        if self._shape == "json":
            if last and self._rest:
                yield parse_message(self._rest)
            return
        carriage_return = "\r" if self._rest.endswith("\r") and not last else ""  # its line feed may be on the way
        whole = self._rest.removesuffix(carriage_return).replace("\r\n", "\n").replace("\r", "\n")
        *lines, self._rest = whole.split("\n")
        self._rest += carriage_return
        if len(self._rest) > LINE_CHARS or (last and self._shape == "ndjson"):
            lines.append(self._rest)
            self._rest = ""
        for line in lines:
            if self._shape == "ndjson":
                if line.strip():
                    yield parse_message(line)
            else:
                yield from self._line(line)

    def _line(self, line: str) -> Iterator[ParsedMessage]:
        if not line:
            if self._data:
                yield parse_message("\n".join(self._data), self._event, self._mark)
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


class StreamParser:
    """Applies rules to messages.

    Args:
        rules: what messages mean. names: the names that templates may use; captures are written into it.
        capture: names to look for in every message, by path.

    Attributes:
        cursor: where to resume, as far as the stream said. messages: how many came. matched: which rules gave text.
    """

    def __init__(self, rules: list[Rule], names: dict[str, str], capture: dict[str, str] | None = None) -> None:
        self._rules = rules
        self._names = names
        self._capture = capture or {}
        self.cursor = ""
        self.messages = 0
        self.matched: set[int] = set()

    def parse(self, message: ParsedMessage) -> Iterator[Piece]:
        """What a message says. One that no rule fits is ``other``."""
        self.messages += 1
        if message.mark:
            self.cursor = message.mark
        root = _finder(message.value, message)
        self._capture_from(self._capture, root)
        fitting = [(number, rule) for number, rule in enumerate(self._rules) if fits(root, rule.when)]
        done: set[str] = set()
        for number, rule in fitting:
            if not rule.each:
                yield from self._pieces(number, rule, root)
            elif rule.each not in done:  # item by item, so that they stay in their order
                done.add(rule.each)
                yield from self._items(rule.each, [found for found in fitting if found[1].each == rule.each], message)
        if not fitting:
            yield Piece("other", text=message.raw[:200])

    def _items(self, each: str, rules: list[tuple[int, Rule]], message: ParsedMessage) -> Iterator[Piece]:
        """The pieces of a list's items. Where they are given whole, the list is the conversation as it stands."""
        items = _finder(message.value, message)(each)
        whole = any(rule.whole for _, rule in rules)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            find = _finder(item, message)
            for number, rule in rules:
                if fits(find, rule.where):
                    yield from self._pieces(number, rule, find, f"{each}.{index}" if whole else "")

    def _pieces(self, number: int, rule: Rule, find: Find, place: str = "") -> Iterator[Piece]:
        self._capture_from(rule.capture, find)
        if rule.cursor and (mark := as_text(find(rule.cursor))):
            self.cursor = mark
        ident = as_text(find(rule.id)) if rule.id else ""
        by = as_text(find(rule.by)) if rule.by else ""
        if rule.begin:
            yield Piece("begin", id=ident, place=place)
        for kind in ("user", "steer", "text", "whole", "agent"):  # what was asked comes before its answer
            path = getattr(rule, kind)
            if path and (found := find(path)) is not MISSING and (kind != "text" or as_text(found)):
                if kind in ("text", "whole") and as_text(found):
                    self.matched.add(number)
                yield Piece(kind, text=as_text(found), id=ident, by=by, place=place if kind != "text" else "")
        if rule.approval and (found := as_text(find(rule.approval))):
            yield Piece("approval", id=found)
        if rule.resolved and (found := as_text(find(rule.resolved))):
            yield Piece("resolved", id=found)
        if rule.end:
            yield Piece("end", id=ident, word=rule.end, place=place)

    def _capture_from(self, capture: dict[str, str], find: Find) -> None:
        for name, path in capture.items():
            if found := as_text(find(path)):
                self._names[name] = found

    @property
    def gave_text(self) -> bool:
        """Whether a rule for text ever found some: one that adds to it, where the recipe has such rules."""
        adding = {number for number, rule in enumerate(self._rules) if rule.text}
        return bool(self.matched & adding if adding else self.matched)

    def unmatched_rules(self) -> list[str]:
        """The rules for text that gave none so far, as they stand in the recipe."""
        return [
            f"{kind}: {path}"
            for number, rule in enumerate(self._rules)
            for kind in ("text", "whole")
            if (path := getattr(rule, kind)) and number not in self.matched
        ]


def _finder(value: Any, message: ParsedMessage) -> Find:
    """Paths into a message, or into an item of one.

    ``$`` is the value itself, ``$event`` and ``$data`` the name and the text of a server-sent event. A value that is
    no object stands at ``data`` too.
    """

    def find(path: str) -> Any:
        if path == "$event":
            return message.event
        if path == "$data":
            return message.raw
        found = look(value, path)
        if found is MISSING and not isinstance(value, dict) and path.partition(".")[0] == "data":
            return look(value, path.partition(".")[2] or "$")
        return found

    return find
