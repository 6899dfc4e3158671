"""Exactness: what a client's text lacks and what it has twice, against the text it should have."""

from __future__ import annotations

import difflib
from typing import NamedTuple

EXCERPT_CHARS = 40
FUZZY_CHARS = 4_000
"""Of longer differences only the ends are reported."""


class Difference(NamedTuple):
    """How a text differs from what it should be.

    Attributes:
        missing, extra: characters lacking, and characters too many. at: where the first difference is.
        lost, doubled: an excerpt of each.
    """

    missing: int = 0
    extra: int = 0
    at: int = 0
    lost: str = ""
    doubled: str = ""

    @property
    def exact(self) -> bool:
        """Whether there is none."""
        return not self.missing and not self.extra

    def __str__(self) -> str:
        if self.exact:
            return "exactly the same text"
        parts = []
        if self.missing:
            parts.append(f"{self.missing} characters missing ({self.lost!r:.60})")
        if self.extra:
            parts.append(f"{self.extra} characters too many ({self.doubled!r:.60})")
        return f"{' and '.join(parts)}, first at character {self.at}"


def difference(expected: str, got: str) -> Difference:
    """Compare a client's text with the text it should have."""
    if expected == got:
        return Difference()
    start = 0
    shorter = min(len(expected), len(got))
    while start < shorter and expected[start] == got[start]:
        start += 1
    end = 0
    while end < shorter - start and expected[-1 - end] == got[-1 - end]:
        end += 1
    want, have = expected[start : len(expected) - end], got[start : len(got) - end]
    if not want or not have or max(len(want), len(have)) > FUZZY_CHARS:
        return Difference(len(want), len(have), start, want[:80], have[:80])
    missing = extra = 0
    lost = doubled = ""
    for tag, a, b, c, d in difflib.SequenceMatcher(None, want, have, autojunk=False).get_opcodes():
        if tag in ("delete", "replace"):
            missing += b - a
            lost = lost or want[a:b]
        if tag in ("insert", "replace"):
            extra += d - c
            doubled = doubled or have[c:d]
    return Difference(missing, extra, start, lost[:80], doubled[:80])


def describe_difference(expected: str, got: str) -> str:
    """An excerpt of two texts around their first difference."""
    start = 0
    while start < min(len(expected), len(got)) and expected[start] == got[start]:
        start += 1
    at = max(0, start - EXCERPT_CHARS // 4)

    def excerpt(text: str) -> str:
        piece = text[at : at + EXCERPT_CHARS]
        return f"{'…' if at else ''}{piece}{'…' if at + EXCERPT_CHARS < len(text) else ''}"

    return f"at character {start}: {excerpt(got)!r} ({len(got)}) instead of {excerpt(expected)!r} ({len(expected)})"
