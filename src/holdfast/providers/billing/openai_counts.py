"""Usage as OpenAI counts it, on all its wires and those of whoever speaks like it.

https://platform.openai.com/docs/api-reference/chat/object and …/responses/object. All input includes what was read from a
cache or written to one, all output includes reasoning. Others differ, and their totals show it:

- xAI, and Gemini through its compatible wire, count reasoning beside the completion: the total is larger by it;
- DeepSeek has ``prompt_cache_hit_tokens``, Mistral ``num_cached_tokens``, Together and Moonshot ``cached_tokens``;
- LiteLLM and OpenRouter name writes ``cache_creation…`` or ``cache_write…``.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from holdfast.providers.billing.counting import CountReader, Fields, Split, divide, lifetimes, note, whole

_READ = ("cached_tokens", "cache_read_tokens", "cache_read_input_tokens")
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
_BY_LIFETIME = ("cache_write_tokens_details", "cache_creation_token_details", "cache_creation")
BESIDE_OUTPUT = frozenset({"xai", "x-ai"})
"""Providers that count reasoning beside the completion, also where no total shows it."""


class Names(msgspec.Struct, frozen=True):
    """What a wire calls its sums and their details."""

    input: str
    output: str
    input_details: tuple[str, ...]
    output_details: tuple[str, ...]


CHAT = Names(
    "prompt_tokens", "completion_tokens", ("prompt_tokens_details", "prompt_token_details"),
    ("completion_tokens_details", "completion_token_details"),
)  # fmt: skip
RESPONSES = Names(
    "input_tokens", "output_tokens", ("input_tokens_details", "input_token_details"),
    ("output_tokens_details", "output_token_details"),
)  # fmt: skip


def openai_split(usage: Fields, names: Names, provider: str = "") -> Split:
    """The classes of a usage object.

    Args:
        usage: as it came.
        names: of the wire.
        provider: whose it is, where known.
    """
    split = Split(counts={}, odd=[])
    reader = CountReader(usage, split.odd)
    inside, within = reader.inner(*names.input_details), reader.inner(*names.output_details)
    reasoning = _largest(within.take("reasoning_tokens"), reader.take("reasoning_tokens"))
    _totals(reader, names, reasoning, provider, split)
    if reasoning is None and split.total_output is not None:
        reasoning = _unnamed(reader, names, split)
    _divide_input(reader, inside, split)
    parts = {
        "reasoning": reasoning, "output_audio": within.take("audio_tokens"), "output_image": within.take("image_tokens")
    }  # fmt: skip
    divide(split.counts, split.odd, split.total_output, parts, "output")
    _beside(usage, reader, split)
    return split


def _largest(one: int | None, other: int | None) -> int | None:
    return max((count for count in (one, other) if count is not None), default=None)


def _totals(reader: CountReader, names: Names, reasoning: int | None, provider: str, split: Split) -> None:
    """All input and all output that is billed. Where one of them is missing, the total shows it."""
    before, after, total = reader.take(names.input), reader.take(names.output), reader.take("total_tokens")
    if total is not None:
        if after is None and before is not None and total > before:
            after = total - before
        elif before is None and after is not None and total > after:
            before = total - after
    if reasoning and before is not None and after is not None:
        beside = before + after + reasoning
        if total == beside or (total is None and provider in BESIDE_OUTPUT):
            after += reasoning
    split.total_input, split.total_output = before, after
    split.one_sided = after is None and total is not None and total == before


def _unnamed(reader: CountReader, names: Names, split: Split) -> int | None:
    """What the total has beyond input and output: reasoning that Gemini's compatible wire does not name."""
    total = reader.take("total_tokens")
    if total is None or split.total_input is None or split.total_output is None:
        return None
    beyond = total - split.total_input - split.total_output
    if beyond <= 0:
        return None
    split.total_output += beyond
    note(split.odd, f"total_tokens is more than {names.input} and {names.output}: the rest counts as reasoning")
    return beyond


def _divide_input(reader: CountReader, inside: CountReader, split: Split) -> None:
    read = _largest(
        inside.take(*_READ), reader.take("prompt_cache_hit_tokens", "num_cached_tokens", *_READ)
    )  # fmt: skip
    written = _largest(inside.take(*_WRITTEN), reader.take(*_WRITTEN))
    by_lifetime = inside.inner(*_BY_LIFETIME)
    parts = lifetimes(by_lifetime if by_lifetime.fields else reader.inner(*_BY_LIFETIME), written)
    audio, image = inside.take("audio_tokens"), inside.take("image_tokens")
    cached_audio = inside.inner("cached_tokens_details").take("audio_tokens")
    if cached_audio is None and read and audio and split.total_input is not None:
        # audio that does not fit beside what was cached was cached itself
        others = read + audio + (image or 0) + sum(count or 0 for count in parts.values())
        cached_audio = min(read, audio, max(0, others - split.total_input)) or None
    if cached_audio is not None and read is not None and audio is not None:
        cached_audio = min(read, audio, cached_audio)
        read, audio = read - cached_audio, audio - cached_audio
    parts = {"cache_read": read, "cache_read_audio": cached_audio, **parts, "input_audio": audio, "input_image": image}
    divide(split.counts, split.odd, split.total_input, parts, "input")


def _beside(usage: Fields, reader: CountReader, split: Split) -> None:
    """What is billed beside tokens: searches (OpenRouter, Perplexity), seconds of audio (Mistral)."""
    searches = _largest(
        reader.inner("server_tool_use").take("web_search_requests"),
        _largest(
            reader.take("num_search_queries"),
            reader.inner("tool_calls_details").inner("search_web").take("invocation"),
        ),
    )
    if searches is not None:
        split.counts["web_searches"] = searches
    seconds: Any = usage.get("prompt_audio_seconds")
    if isinstance(seconds, float) and math.isfinite(seconds):
        seconds = math.ceil(seconds)  # a second begun is a second billed
    if (count := whole(seconds)) is not None:
        split.counts["seconds"] = count
    for name in ("num_sources_used", "citation_tokens"):
        if reader.take(name):
            note(split.odd, f"{name} is billed apart, and no class counts it")
