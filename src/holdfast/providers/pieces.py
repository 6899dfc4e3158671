"""What a model's answer is made of, whatever the dialect it is streamed in.

An answer is a row of items: texts, pieces of reasoning, calls. ``item`` is an item's number in its answer, and ``part`` the
number of a text inside an item. ``native`` is what a piece has in the dialect it was read from and nowhere else: an encoder
of the same dialect writes it back, another one leaves it out. Empty where a piece was made by hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import msgspec

from holdfast.providers.usage import TokenUsage

Native = dict[str, Any]
ItemKind = Literal["text", "reasoning", "other"]
Stop = Literal["", "stop", "length", "call", "refused", "pause"]
"""Why an answer ended, in one word for all dialects; empty: for a reason that only its own word names."""


class AnswerStart(msgspec.Struct, frozen=True):
    """An answer begins, or another model goes on with it.

    Attributes:
        created: seconds since 1970, where the dialect has it.
    """

    id: str = ""
    model: str = ""
    created: int = 0
    native: Native = {}


class ItemStart(msgspec.Struct, frozen=True):
    """An item that is no call begins. Dialects without items do not have it: a text begins with its first delta."""

    item: int
    kind: ItemKind
    native: Native = {}


class ItemEnd(msgspec.Struct, frozen=True):
    """Nothing more comes of an item; ``native`` is the whole of it, where the dialect repeats it."""

    item: int
    native: Native = {}


class TextDelta(msgspec.Struct, frozen=True, gc=False):
    """More of what the model says."""

    text: str
    item: int = 0
    part: int = 0


class RefusalDelta(msgspec.Struct, frozen=True, gc=False):
    """More of the words with which the model refuses."""

    text: str
    item: int = 0
    part: int = 0


class ReasoningDelta(msgspec.Struct, frozen=True, gc=False):
    """More of what the model thinks; ``summary``: told about its thoughts, not the thoughts themselves."""

    text: str
    item: int = 0
    part: int = 0
    summary: bool = False


class CallStart(msgspec.Struct, frozen=True):
    """A call begins that the one who asked the model is to make.

    Attributes:
        id: the provider's, which the result is to name.
        form: ``function``, or the provider's name for another type of call.
    """

    item: int
    id: str
    name: str
    form: str = "function"
    native: Native = {}


class ProviderCallStart(msgspec.Struct, frozen=True):
    """A call begins that the provider makes itself."""

    item: int
    id: str
    name: str
    native: Native = {}


class ArgumentsDelta(msgspec.Struct, frozen=True, gc=False):
    """More of a call's arguments: JSON text, of either kind of call."""

    text: str
    item: int


class ProviderCallResult(msgspec.Struct, frozen=True):
    """What came of a call that the provider made, maybe in an answer before this one.

    Attributes:
        item: the item in which it is told: the call's own, or one of the result's.
        id: of the call.
        error: why it failed; empty when it did not.
    """

    item: int
    id: str
    value: Any = None
    error: str = ""
    native: Native = {}


class SourceCited(msgspec.Struct, frozen=True):
    """A source of a text, which may come before the text's first word."""

    uri: str
    title: str = ""
    quote: str = ""
    item: int = 0
    part: int = 0
    native: Native = {}


class OpaqueField(msgspec.Struct, frozen=True):
    """What only the provider understands and wants back with the item: a signature, encrypted content.

    Text under the same name is appended to what came before.
    """

    item: int
    name: str
    value: Any


class AnswerFinish(msgspec.Struct, frozen=True, gc=False):
    """Why the model stopped, in the provider's own word and in one for all."""

    reason: str
    stop: Stop = ""


class AnswerFailure(msgspec.Struct, frozen=True, gc=False):
    """The provider gives up: nothing more of the answer comes.

    Attributes:
        code: the provider's, or an HTTP status as text.
        type: its class of errors.
    """

    code: str = ""
    type: str = ""
    message: str = ""


class AnswerEnd(msgspec.Struct, frozen=True, gc=False):
    """The dialect's own end: without it, or a failure, a stream was cut."""


class UnknownPart(msgspec.Struct, frozen=True, gc=False):
    """Something that the codec does not know, by its kind, never its content."""

    name: str


Piece: TypeAlias = (
    AnswerStart
    | ItemStart
    | ItemEnd
    | TextDelta
    | RefusalDelta
    | ReasoningDelta
    | CallStart
    | ProviderCallStart
    | ArgumentsDelta
    | ProviderCallResult
    | SourceCited
    | OpaqueField
    | TokenUsage
    | AnswerFinish
    | AnswerFailure
    | AnswerEnd
    | UnknownPart
)
DELTAS = (TextDelta, RefusalDelta, ReasoningDelta, ArgumentsDelta)
CONTROL = (AnswerStart, TokenUsage, AnswerFinish, AnswerFailure, AnswerEnd)
"""What is left of an answer when its content is not read."""


def merge(pieces: Iterable[Piece]) -> list[Piece]:
    """The same pieces with what grows one text joined, so that who writes them writes once a read, not once a token."""
    merged: list[Piece] = []
    texts: list[str] = []
    last: Any = None
    for piece in pieces:
        if isinstance(piece, DELTAS):
            if last is not None and _grows(last, piece):
                texts.append(piece.text)
                continue
            _join(merged, last, texts)
            last, texts = piece, [piece.text]
        else:
            _join(merged, last, texts)
            last = None
            merged.append(piece)
    _join(merged, last, texts)
    return merged


def _grows(last: Any, piece: Any) -> bool:
    return (
        type(last) is type(piece)
        and last.item == piece.item
        and getattr(last, "part", 0) == getattr(piece, "part", 0)
        and getattr(last, "summary", False) == getattr(piece, "summary", False)
    )


def _join(merged: list[Piece], last: Any, texts: list[str]) -> None:
    if last is not None:
        merged.append(last if len(texts) == 1 else msgspec.structs.replace(last, text="".join(texts)))
