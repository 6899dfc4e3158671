"""A second opinion: genai-prices' own extraction, on the usage of 800 real answers. Every difference is explained."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from holdfast.providers.billing.model import BilledAttempt, problem
from holdfast.providers.billing.usage_meter import of_response
from tests.recorded_streams import second_opinions

EXPLAINED = {
    ("anthropic.messages", "input_tokens"): "it leaves out compactions and advisors, which iterations have",
    ("anthropic.messages", "output_tokens"): "the same",
    ("anthropic.messages", "cache_write_tokens"): "the same: a compaction wrote to the cache",
    ("anthropic.messages", "cache_write_5m_tokens"): "the same",
    (
        "anthropic.messages",
        "output_reasoning_tokens",
    ): "thinking is told of all rounds together, and here each is its own",
    ("openai.chat", "cache_read_tokens"): "it does not know Mistral's num_cached_tokens",
    ("openai.chat", "cache_write_tokens"): "it does not read writes for Azure, and does for OpenAI",
    ("google.generateContent", "input_image_tokens"): "it counts cached images here as well, we once, as cached",
}
"""Wire and class, to why the two counts differ."""
OURS_ONLY = {
    ("models/cassettes/test_openai/test_compatible_api_with_tool_calls_without_id.yaml", "output_tokens"),
    ("models/cassettes/test_openai/test_compatible_api_with_tool_calls_without_id.yaml", "output_reasoning_tokens"),
}
"""Gemini on its compatible wire: thoughts that only the total shows."""


def wire_of(body: dict[str, Any]) -> str:
    """The wire of a reduced body, by its names."""
    usage = body.get("usage") or {}
    if "usageMetadata" in body:
        return "google.generateContent"
    if "meta" in body or "billed_units" in usage:
        return "cohere.v2.embed" if "meta" in body else "cohere.v2.chat"
    if "inputTokens" in usage:
        return "bedrock.converse"
    if "prompt_tokens" in usage:
        return "openai.chat"
    return "openai.responses" if "input_tokens_details" in usage else "anthropic.messages"


def native(wire: str, provider: str, flavour: str) -> bool:
    """Whether an extraction reads a body as its own wire; it tries others as well, that read less."""
    return {
        "anthropic.messages": (provider, flavour) == ("anthropic", "default"),
        "google.generateContent": (provider, flavour) == ("google", "default"),
        "openai.responses": (provider, flavour) == ("openai", "responses"),
        "openai.chat": flavour in ("chat", "default") and provider not in ("google", "anthropic"),
    }.get(wire, False)


def as_theirs(attempts: tuple[BilledAttempt, ...]) -> dict[str, int]:
    """Our classes under their names, where classes may count the same tokens."""
    counts: Counter[str] = Counter()
    for attempt in attempts:
        counts.update(attempt.counts)
    return {
        "input_tokens": sum(attempt.total_input for attempt in attempts),
        "output_tokens": sum(attempt.total_output for attempt in attempts),
        "cache_read_tokens": counts["cache_read"] + counts["cache_read_audio"],
        "cache_audio_read_tokens": counts["cache_read_audio"],
        "cache_write_tokens": sum(count for name, count in counts.items() if name.startswith("cache_write")),
        "cache_write_5m_tokens": counts["cache_write_5m"],
        "output_reasoning_tokens": counts["reasoning"],
        "output_image_tokens": counts["output_image"],
        "input_audio_tokens": counts["input_audio"] + counts["cache_read_audio"],
        "input_image_tokens": counts["input_image"],
        "web_searches": counts["web_searches"],
    }


def test_two_readers_of_the_same_usage_agree_or_we_know_why() -> None:
    compared, different = 0, Counter[tuple[str, str]]()
    for opinion in second_opinions():
        wire = wire_of(opinion["body"])
        attempts = of_response(wire, json.dumps(opinion["body"]).encode())
        assert [problem(attempt) for attempt in attempts] == [""] * len(attempts), opinion
        assert all(attempt.reported for attempt in attempts), opinion
        ours = as_theirs(attempts)
        for theirs in opinion["extracted"]:
            if not native(wire, theirs["provider"], theirs["api_flavor"]):
                continue
            compared += 1
            for name, count in ours.items():
                if count != theirs["usage"].get(name, 0) and (opinion["cassette"], name) not in OURS_ONLY:
                    different[wire, name] += 1
    assert compared > 1_000
    assert different == {
        ("anthropic.messages", "input_tokens"): 4, ("anthropic.messages", "output_tokens"): 4,
        ("anthropic.messages", "cache_write_tokens"): 1, ("anthropic.messages", "cache_write_5m_tokens"): 1,
        ("anthropic.messages", "output_reasoning_tokens"): 2, ("openai.chat", "cache_read_tokens"): 8,
        ("openai.chat", "cache_write_tokens"): 1, ("google.generateContent", "input_image_tokens"): 6,
    }  # fmt: skip
    assert set(different) == set(EXPLAINED)
