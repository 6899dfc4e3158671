"""How a request is answered, and where that is said."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=600_000)]

_IN_TEXT = re.compile(rb"\[\[fake ([^\]]{1,300})\]\]")


class Knobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set. Token counts are disjoint: the input is ``input`` + ``cached`` + ``written``.

    Attributes:
        tokens: of visible text; each is an event of its own.
        reasoning: output tokens nobody sees in Chat Completions and Responses; thinking in messages.
        input: plain input tokens. None: a quarter of the body's bytes.
        cached, written: input tokens read from and written to a cache.
        first: milliseconds before the first token.
        gap: milliseconds between tokens.
        status: other than 200: refused before the stream, with the dialect's body.
        retry_after: seconds, for a header of a refusal.
        cut: after so many tokens the connection is lost, without a word.
        close: after so many tokens the response ends cleanly, without usage and without the dialect's end.
        error: after so many tokens an error comes as the dialect has it, and the response ends.
        hang: after so many tokens nothing comes any more, until the other side goes.
        ahead: tokens generated, and to be paid for, that a caller who leaves has not seen yet.
        tight: generate no further than the connection takes: little waits in it.
        usage: False: usage is never reported, asked or not.
        report: JSON text of the usage object to report instead of the one that would be true.
        served: the model that answers, when it is another than the one asked for.
        tier: the service tier of the response.
        tool: the name of a tool; the answer calls it, and its tokens are those of the arguments.
    """

    tokens: Count = 20
    reasoning: Count = 0
    input: Count | None = None
    cached: Count = 0
    written: Count = 0
    first: Milliseconds = 0.0
    gap: Milliseconds = 0.0
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 200
    retry_after: Count | None = None
    cut: Count | None = None
    close: Count | None = None
    error: Count | None = None
    hang: Count | None = None
    ahead: Count = 0
    tight: bool = False
    usage: bool = True
    report: str = ""
    served: str = ""
    tier: str = ""
    tool: str = ""

    @property
    def plain(self) -> bool:
        """Whether the answer is said in one go: nothing waits, and nothing goes wrong."""
        return not (self.first or self.gap) and (self.cut, self.close, self.error, self.hang) == (None,) * 4


def changed(knobs: Knobs, *changes: dict[str, Any]) -> Knobs:
    """Knobs with changes, the later winning. Text stands for numbers; a ``report`` may be an object.

    Raises:
        ValueError: a knob that does not exist, or a value it cannot have. The text names it.
    """
    fields = msgspec.structs.asdict(knobs)
    for change in changes:
        fields |= change
    if isinstance(fields["report"], dict):
        fields["report"] = msgspec.json.encode(fields["report"]).decode()
    return msgspec.convert(fields, Knobs, strict=False)


def from_text(text: str, separator: str) -> dict[str, Any]:
    """``name=value`` pairs."""
    pairs = (pair.partition("=") for pair in text.split(separator) if pair)
    return {name.strip(): value for name, _, value in pairs}


def in_body(body: bytes) -> dict[str, Any]:
    """The knobs in the text of a request: the last that are there, since clients send the whole conversation again."""
    found = _IN_TEXT.findall(body)
    return from_text(found[-1].decode(errors="replace"), " ") if found else {}
