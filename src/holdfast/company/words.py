"""Words for the company's texts, drawn by chance that is handed in."""

from __future__ import annotations

import random
from typing import Final

_WORDS: Final = [
    "the",
    "report",
    "of",
    "this",
    "quarter",
    "shows",
    "that",
    "orders",
    "from",
    "the",
    "north",
    "region",
    "came",
    "later",
    "than",
    "planned",
    "because",
    "two",
    "carriers",
    "changed",
    "their",
    "schedule",
    "while",
    "returns",
    "stayed",
    "below",
    "the",
    "usual",
    "level",
    "and",
    "support",
    "answered",
    "most",
    "questions",
    "on",
    "the",
    "first",
    "day",
    "so",
    "the",
    "team",
    "proposes",
    "to",
    "keep",
    "stock",
    "in",
    "the",
    "second",
    "warehouse",
    "until",
    "the",
    "contract",
    "is",
    "renewed",
    "and",
    "to",
    "review",
    "prices",
    "with",
    "finance",
    "before",
    "the",
    "next",
    "meeting",
    "customers",
    "ask",
    "for",
    "a",
    "shorter",
    "notice",
    "period",
    "and",
    "a",
    "clear",
    "statement",
    "of",
    "fees",
    "which",
    "legal",
    "will",
    "add",
    "to",
    "the",
    "terms",
]
_STRIDE: Final = 12
_CHARS: Final = 4


def sentences(chance: random.Random, tokens: int) -> str:
    """Prose of about so many tokens, four characters each."""
    size = tokens * _CHARS
    parts: list[str] = []
    length = 0
    while length < size:
        at = chance.randrange(len(_WORDS) - _STRIDE)
        sentence = f"{' '.join(_WORDS[at : at + _STRIDE]).capitalize()}. "
        parts.append(sentence)
        length += len(sentence)
    return "".join(parts)[:size].strip()
