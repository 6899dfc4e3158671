"""Usages as providers report them, read in the plainest way: the tests' own reading, beside that of the wires."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parents[3] / "fixtures" / "prices"


def ms(day: str) -> int:
    """Unix ms of noon of a day in UTC."""
    return int(datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC).timestamp()) * 1_000


NOW = ms("2026-11-20")


def nano(usd: object) -> Decimal:
    """Nano-USD of an amount as it stands in JSON."""
    return Decimal(str(usd)) * 1_000_000_000


def examples() -> list[dict[str, Any]]:
    """The priced examples."""
    return list(json.loads((FIXTURES / "examples.json").read_text())["examples"])


def second_opinion() -> Iterator[dict[str, Any]]:
    """Usages with what genai-prices says of them."""
    with gzip.open(FIXTURES / "second-opinion.jsonl.gz", "rt") as lines:
        yield from map(json.loads, lines)


def counts_of(usage: Mapping[str, Any], *, reasoning_beside: bool = False) -> dict[str, int]:
    """The disjoint classes of a usage of OpenAI's, Anthropic's or the agent SDK's shape.

    Args:
        usage: as reported.
        reasoning_beside: whether the completion is without the reasoning, as xAI counts.
    """
    if "inputTokens" in usage:
        names = {
            "inputTokens": "input",
            "cacheReadInputTokens": "cache_read",
            "cacheCreationInputTokens": "cache_write_5m",
        }
        return {ours: usage[theirs] for theirs, ours in {**names, "outputTokens": "output"}.items()}
    if "input_audio_tokens" in usage:
        return {
            "input": usage["input_text_tokens"], "input_audio": usage["input_audio_tokens"],
            "output": usage["output_text_tokens"], "output_audio": usage["output_audio_tokens"],
        }  # fmt: skip
    if "cache_creation_input_tokens" in usage:
        split = usage.get("cache_creation") or {"ephemeral_5m_input_tokens": usage["cache_creation_input_tokens"]}
        return {
            "input": usage["input_tokens"], "cache_read": usage.get("cache_read_input_tokens", 0),
            "cache_write_5m": split.get("ephemeral_5m_input_tokens", 0),
            "cache_write_1h": split.get("ephemeral_1h_input_tokens", 0), "output": usage["output_tokens"],
        }  # fmt: skip
    return _openai(usage, reasoning_beside)


def _openai(usage: Mapping[str, Any], reasoning_beside: bool) -> dict[str, int]:
    prompt = usage.get("prompt_tokens", usage.get("input_tokens", 0))
    completion = usage.get("completion_tokens", usage.get("output_tokens", 0))
    into = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    out = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    read = into.get("cached_tokens") or usage.get("cached_prompt_text_tokens") or 0
    write = into.get("cache_write_tokens") or 0
    reasoning = out.get("reasoning_tokens") or usage.get("reasoning_tokens") or 0
    visible = completion if reasoning_beside else max(0, completion - reasoning)
    return {
        "input": prompt - read - write, "cache_read": read, "cache_write": write, "output": visible,
        "reasoning": reasoning if reasoning_beside else min(reasoning, completion),
    }  # fmt: skip
