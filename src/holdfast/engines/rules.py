"""What every engine refuses and how it searches, in one place, so that no engine can differ in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from holdfast.engines.port import Head, Index, Key, LogAppend
from holdfast.errors import Refused
from holdfast.protocol.frames import Frame

LIVE: Final = ("queued", "running", "waiting")
"""What a card counts of a session in which a run has not ended."""


def check_present(key: Key, incarnation: str | None, deleted: bool | None, expected: str | None = None) -> None:
    """Refuse a verb on a session that is not there, was deleted, or lives another life than the one ``expected``.

    Args:
        key: the session.
        incarnation: its present incarnation, or None when there is no such session.
        deleted: whether only a tombstone is left.
        expected: the incarnation the caller means, or None for whichever is present.

    Raises:
        Refused: ``session.not_found``, ``session.deleted`` or ``session.incarnation``.
    """
    if incarnation is None:
        raise Refused("session.not_found", f"no session {key.session!r}")
    if expected is not None and expected != incarnation:
        raise Refused("session.incarnation", incarnation=incarnation)
    if deleted:
        raise Refused("session.deleted", f"session {key.session!r} was deleted")


def check_life(head: Head | None, incarnation: str | None) -> None:
    """Refuse (``session.incarnation``) to read a life that is not the present one; None reads whichever is."""
    if incarnation is not None and (head is None or head.incarnation != incarnation):
        raise Refused("session.incarnation", incarnation=head.incarnation if head is not None else None)


def check_tail(append: LogAppend, tail: int) -> None:
    """Refuse an append that expects another tail (LOG-8). Raises ``session.tail`` with the present one."""
    if append.expected != tail:
        raise Refused("session.tail", f"expected the tail at {append.expected}, it is at {tail}", tail=tail)


def check_consecutive(frames: Sequence[Frame], first: int) -> int:
    """Return the position behind the last frame; frames that are not consecutive from ``first`` are a caller's bug."""
    for frame in frames:
        if frame.first != first or frame.last < first:
            raise ValueError(f"frame {frame.first}..{frame.last} where one from {first} was due")
        first = frame.last + 1
    return first


def check_cover(stored: Sequence[tuple[int, int]], first: int, last: int) -> None:
    """Refuse to compact where stored frames do not tile exactly ``first..last``: it would cut one in two.

    Raises:
        Refused: ``session.tail``; the caller looks at the log again and chooses other bounds.
    """
    at = first
    for begin, end in stored:
        if begin != at:
            break
        at = end + 1
    if at != last + 1:
        raise Refused("session.tail", f"no frames lie exactly on {first}..{last}")


def ranges(names: Sequence[str]) -> list[tuple[str, str]]:
    """The names that ``names`` stand for, as ranges: from, and up to but not including. A name that ends in ``*`` stands
    for all that begin so."""
    spans = []
    for name in names:
        start = name.removesuffix("*")
        if start == name:
            spans.append((name, name + "\0"))
        else:
            spans.append((start, start[:-1] + chr(ord(start[-1]) + 1) if start else chr(0x10FFFF)))
    return spans


def searchable(index: Index) -> str:
    """The text a list's search looks through: title and every string of the card, case folded."""
    return "\n".join([index.title, *_strings(index.card)]).casefold()


def search_words(search: str) -> list[str]:
    """The words of a search; a session matches when its text contains each of them."""
    return search.casefold().split()


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)
