"""What every dialect is made from: an answer as a list of parts, with how many tokens each stands for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tests.fake_upstream.knobs import Knobs

ID: Final = "@@@@@@@@@@@@"
"""Stands for a request's id, as wide as one, so that an answer is encoded once and used again."""
CREATED: Final = 1_764_000_000
WORDS: Final = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "and",
    "then",
    "sleeps",
    "at",
    "home",
)


class Options(msgspec.Struct, frozen=True):
    """Of ``stream_options``."""

    include_usage: bool = False


class Asked(msgspec.Struct, frozen=True):
    """What is read of a request's body."""

    model: str = "fake"
    stream: bool = False
    stream_options: Options | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether a stream of Chat Completions shall end with usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


class AskedEmbeddings(Asked, frozen=True):
    """The same of a request for embeddings: a text, texts, the tokens of a text, or those of several."""

    input: str | list[str | int | list[int]] = ""


@dataclass(frozen=True)
class Part:
    """A piece of a stream: an event or several, and the visible tokens in it."""

    data: bytes
    tokens: int = 0
    usage: bool = False


@dataclass(frozen=True)
class Counts:
    """Tokens of one answer, disjoint."""

    input: int
    cached: int
    written: int
    output: int
    reasoning: int

    @property
    def total_input(self) -> int:
        """As the wires count that include what was cached."""
        return self.input + self.cached + self.written

    @property
    def total_output(self) -> int:
        """What is billed as output."""
        return self.output + self.reasoning


def texts(knobs: Knobs) -> list[str]:
    """The visible text, token by token: prose, or the arguments of a tool as JSON."""
    words = [f"{' ' if number else ''}{WORDS[number % len(WORDS)]}" for number in range(knobs.tokens)]
    if knobs.tool and words:
        words[0] = f'{{"text":"{words[0]}'
        words[-1] += '"}'
    return words


def event(data: Any, name: str = "") -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, bytes) else msgspec.json.encode(data)
    return (b"event: " + name.encode() + b"\n" if name else b"") + b"data: " + text + b"\n\n"


def reported(knobs: Knobs, usage: dict[str, Any]) -> dict[str, Any]:
    """The usage object that is told."""
    told: dict[str, Any] = msgspec.json.decode(knobs.report) if knobs.report else usage
    return told


def joined(parts: Iterable[Part]) -> bytes:
    """Everything at once."""
    return b"".join(part.data for part in parts)
