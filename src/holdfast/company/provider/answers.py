"""How the made-up models answer: what is said follows from what was asked, so that it is the same each time.

A model with tools asks for one of them until it has as many results as the question needs, then it answers in words. Tokens
are four characters each. A prompt that was seen before is read from a cache, as the provider's rules have it: a prefix that
the request marks (Anthropic, five minutes), or one of 1,024 tokens at least that is found by itself (OpenAI, ten minutes).
"""

from __future__ import annotations

import hashlib
import random
from typing import Any, Final

import msgspec

from holdfast.company.words import sentences

CHARS_PER_TOKEN: Final = 4
LEAST_PREFIX: Final = 1_024
LIFETIME_MS: Final = {"anthropic": 300_000, "openai": 600_000, "own": 0}
_STEP: Final = 128
"""OpenAI counts what it read from a cache in steps."""
CHUNK: Final = 24
"""Tokens in one event of a stream."""


class Block(msgspec.Struct, frozen=True):
    """A piece of a prompt. ``mark``: whether a cache may end behind it."""

    role: str
    text: str
    mark: bool = False
    result: bool = False


class ModelQuestion(msgspec.Struct, frozen=True):
    """A request, read.

    Attributes:
        provider, key, model: whose, with which key, of which model.
        blocks: the prompt.
        tools: names of tools that the model may ask for.
        stream: whether the answer is one.
        most: bound on output tokens.
        hints: what the caller says of the simulation, from ``metadata``: ``rounds`` of tools, ``words`` (output tokens),
            ``stall`` (tokens after which a stream stands until the caller leaves), ``pace`` (ms between its pieces).
    """

    provider: str
    key: str
    model: str
    blocks: tuple[Block, ...]
    tools: tuple[str, ...] = ()
    stream: bool = False
    most: int = 4_096
    hints: dict[str, int] = {}


class Reply(msgspec.Struct, frozen=True):
    """An answer: words, or a call of a tool; and what was read, written and generated, disjoint."""

    id: str
    text: str
    tool: str
    arguments: str
    counts: dict[str, int]


def tokens(text: str) -> int:
    """How many tokens a text has."""
    return -(-len(text) // CHARS_PER_TOKEN)


class PrefixCache:
    """What the providers remember of prompts: a hash of each prefix, with when it was used last."""

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}

    def read(self, question: ModelQuestion, now_ms: int) -> dict[str, int]:
        """Input units by class; what is there from now on is remembered."""
        sizes, hashes = [], []
        state = hashlib.blake2b(f"{question.key}\0{question.model}\0".encode(), digest_size=12)
        for block in question.blocks:
            state.update(f"{block.role}\0{block.text}\0".encode())
            sizes.append(tokens(block.text))
            hashes.append(state.digest())
        ends = self._ends(question, sizes)
        lifetime_ms = LIFETIME_MS[question.provider]
        read = 0
        for at, size in ends:
            if now_ms - self._seen.get(hashes[at], -lifetime_ms - 1) <= lifetime_ms:
                read = size
        for at, _ in ends:
            self._seen[hashes[at]] = now_ms
        whole = sum(sizes)
        if question.provider == "anthropic":
            written = max((size for _, size in ends), default=0) - read
            return {"input": whole - read - written, "cache_read": read, "cache_write_5m": written}
        read -= read % _STEP
        return {"input": whole - read, "cache_read": read}

    @staticmethod
    def _ends(question: ModelQuestion, sizes: list[int]) -> list[tuple[int, int]]:
        """``(block, tokens up to its end)`` of prefixes that are kept."""
        found, size = [], 0
        for at, block in enumerate(question.blocks):
            size += sizes[at]
            if (
                size >= LEAST_PREFIX
                and LIFETIME_MS[question.provider]
                and (block.mark or question.provider == "openai")
            ):
                found.append((at, size))
        return found


def answer(question: ModelQuestion, cache: PrefixCache, now_ms: int) -> Reply:
    """What a model answers."""
    words = "\0".join(block.text for block in question.blocks if block.role != "system")
    digest = hashlib.blake2b(f"{question.model}\0{words}".encode(), digest_size=12).hexdigest()
    chance = random.Random(digest)
    counts = cache.read(question, now_ms)
    results = sum(block.result for block in question.blocks)
    if question.tools and results < question.hints.get("rounds", 1):
        tool = question.tools[results % len(question.tools)]
        text = msgspec.json.encode({"query": sentences(chance, 12).strip(".")}).decode()
        return Reply(digest, "", tool, text, {**counts, "output": tokens(text) + 8})
    wanted = question.hints.get("words") or int(chance.lognormvariate(5.2, 0.5))
    text = sentences(chance, max(8, min(wanted, question.most)))
    return Reply(digest, text, "", "", {**counts, "output": tokens(text)})


def billed_as(wire_usage: dict[str, int]) -> dict[str, int]:
    """Counts without the classes that are 0."""
    return {name: count for name, count in wire_usage.items() if count}


def pieces(text: str) -> list[str]:
    """A text as a stream has it."""
    size = CHUNK * CHARS_PER_TOKEN
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]


def texts_of(content: Any) -> list[tuple[str, bool]]:
    """``(text, marked)`` of a message's content in either dialect."""
    if isinstance(content, str):
        return [(content, False)]
    found = []
    for part in content or ():
        text = part.get("text") or part.get("content") or part.get("input") or ""
        if not isinstance(text, str):
            text = msgspec.json.encode(text).decode()
        found.append((text, "cache_control" in part))
    return found
