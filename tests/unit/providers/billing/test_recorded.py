"""Every recorded exchange gives what the provider reported, in classes that add up, however its bytes come."""

from __future__ import annotations

import random
from typing import Any

import pytest

from holdfast.providers.billing.model import BilledAttempt, problem
from holdfast.providers.billing.usage_meter import UsageMeter, of_response
from holdfast.providers.billing.wires import UNSUPPORTED, WIRES
from tests.recorded_streams import body_of, exchanges, index

from .reported_totals import events_of, reported

SILENT = {
    "azure-openai-chat-chat-streaming-1-1ab5d6.json",
    "groq-openai-chat-tool-use-failed-error-streaming-0-e2243d.json",
    "local-openai-compatible-openai-completions-trace-propagation-stream-openai-0-55a7e9.json",
    "openai-openai-chat-agent-with-raw-dict-messages-1-1755aa.json",
    "openai-openai-chat-agents-7-499397.json",
    "openai-openai-chat-chat-tools-streaming-0-d13736.json",
    "openai-openai-chat-open-ai-function-calls-tools-streaming-parallel-0-f84d1a.json",
    "openai-openai-completions-completion-streaming-2-696b84.json",
    "openai-openai-responses-background-mode-reasoning-vcr-0-8c7538.json",
    "openai-openai-responses-background-mode-vcr-0-517264.json",
    "openai-openai-responses-background-mode-vcr-1-c72cb2.json",
    "openai-openai-responses-background-mode-with-tool-vcr-0-7e6da9.json",
    "openai-openai-responses-background-mode-with-tool-vcr-2-2542f3.json",
    "openai-openai-responses-background-mode-with-tool-vcr-3-bf5b58.json",
}
"""Answers that say nothing of usage: it was not asked for, an error came, or the work had not begun."""
ODD = {
    "bedrock-bedrock-invoke-with-response-stream-testinvokemodelwithstreamresponse-invoke-0-f9a310.json": (
        "the model and the metrics of its invocation count differently"
    ),
    "google-google-streamgeneratecontent-generate-content-with-file-uri-image-true-0-098a5a.json": (
        "no input was reported"
    ),
    "openrouter-openai-chat-openrouter-stream-error-0-e50d09.json": "more reasoning than output",
}


def metered(exchange: dict[str, Any], size: int = 0) -> tuple[BilledAttempt, ...]:
    """What a meter says; ``size``: of each read, 0 for one read."""
    meter, body = UsageMeter(exchange["api"], provider=exchange["provider"]), body_of(exchange)
    for at in range(0, len(body), size or len(body)):
        meter.feed(body[at : at + (size or len(body))])
    return meter.end()


def ids(exchange: dict[str, Any]) -> str:
    return str(exchange["file"])


every = pytest.mark.parametrize("exchange", exchanges(), ids=ids)


@every
def test_it_gives_what_the_provider_reported(exchange: dict[str, Any]) -> None:
    attempts = metered(exchange)
    assert [problem(attempt) for attempt in attempts] == [""] * len(attempts)
    before, after = reported(exchange)
    assert sum(attempt.total_input for attempt in attempts) == (before or 0)
    assert sum(attempt.total_output for attempt in attempts) == (after or 0)
    failed = exchange["response_status"] >= 400
    assert all(attempt.reported != (failed or exchange["file"] in SILENT) for attempt in attempts)
    assert all(attempt.final == attempt.reported for attempt in attempts)
    assert {attempt.odd for attempt in attempts} == {ODD.get(exchange["file"], "")}


@every
def test_it_names_the_model_that_served(exchange: dict[str, Any]) -> None:
    served = {event.get("model") or event.get("modelVersion") for event in events_of(exchange)}
    for name in ("message", "response", "interaction"):
        served |= {event[name].get("model") for event in events_of(exchange) if isinstance(event.get(name), dict)}
    assert {attempt.model for attempt in metered(exchange)} <= (served - {None, ""} or {""})


@every
def test_it_is_the_same_however_the_bytes_come(exchange: dict[str, Any]) -> None:
    whole = metered(exchange)
    dice = random.Random(len(body_of(exchange)))
    for size in (1, 2, dice.randint(3, 60), dice.randint(60, 5_000)):
        assert metered(exchange, size) == whole
    if exchange["framing"] == "json":
        assert of_response(exchange["api"], body_of(exchange)) == whole


@every
def test_events_that_are_not_decoded_say_nothing(exchange: dict[str, Any]) -> None:
    """Skipping events by their bytes gives what decoding every one of them gives."""
    reader = WIRES[exchange["api"]].reader(exchange["provider"])
    for event in events_of(exchange):
        reader.read(event)
    if exchange["framing"] == "json" or "[DONE]" in exchange["response_body"]:
        reader.end()
    assert reader.attempts() == metered(exchange)


@every
def test_a_zero_that_was_reported_is_a_zero(exchange: dict[str, Any]) -> None:
    classes = {
        "cached_tokens": ("cache_read",), "cache_write_tokens": ("cache_write",), "reasoning_tokens": ("reasoning",),
        "cache_read_input_tokens": ("cache_read",), "num_cached_tokens": ("cache_read",),
        "cache_creation_input_tokens": ("cache_write", "cache_write_5m"), "cacheReadInputTokens": ("cache_read",),
        "web_search_requests": ("web_searches",), "total_cached_tokens": ("cache_read",),
    }  # fmt: skip
    for attempt in metered(exchange):
        flat = {**attempt.raw}
        for name in list(flat):
            if name in ("billed_units", "tokens") or not isinstance(flat[name], dict):
                continue
            flat.update(flat.pop(name))
        for name, names in classes.items():
            if flat.get(name) == 0 and "billed_units" not in attempt.raw:
                found = [attempt.counts[each] for each in names if each in attempt.counts]
                assert found, f"{name} was reported"
                assert sum(found) == 0


def test_what_is_not_read_is_listed_with_its_reason_and_is_little() -> None:
    rows = index()
    unread = [row for row in rows if row["api"] not in WIRES]
    assert len(rows) == 181 and len(exchanges()) == len(rows) - len(unread)
    assert {row["api"] for row in unread} <= set(UNSUPPORTED)
    assert all(len(reason) > 20 for reason in UNSUPPORTED.values()) and not UNSUPPORTED.keys() & WIRES.keys()
    assert len(unread) * 4 < len(rows)
    for name in UNSUPPORTED:
        with pytest.raises(LookupError, match=UNSUPPORTED[name]):
            UsageMeter(name)


LITERAL = [
    ("anthropic-anthropic-messages-anthropic-prompt-caching-stream-0-614884.json",
     {"input": 4, "cache_write": 1165, "cache_read": 0, "output": 201}),
    ("chunk-lines/chunks-anthropic-anthropic-code-execution-20260120-prompt-cache-1-5b3026.json",
     {"input": 6, "cache_write_5m": 3068, "cache_write_1h": 0, "cache_write": 269, "cache_read": 6289, "output": 198,
      "reasoning": 0, "web_searches": 0}),
    ("chunk-lines/chunks-xai-xai-tool-call-2994b3.json",
     {"input": 1, "cache_read": 306, "input_audio": 0, "input_image": 0, "output": 26, "reasoning": 227,
      "output_audio": 0}),
    ("google-google-generatecontent-google-model-mobile-youtube-video-url-input-0-1e4790.json",
     {"input": 298, "input_audio": 36, "cache_read": 15_498, "cache_read_audio": 1_881, "output": 68,
      "reasoning": 821}),
    ("openai-openai-responses-openai-responses-model-web-search-tool-without-external-acce-0-1d0c9a.json",
     {"input": 4_158, "cache_write": 4_418, "cache_read": 0, "output": 20, "reasoning": 32, "web_searches": 1}),
    ("openrouter-openai-chat-openrouter-cache-all-settings-real-api-1-47282b.json",
     {"input": 1, "cache_read": 2_569, "cache_write": 79, "input_audio": 0, "output": 100, "reasoning": 0,
      "output_audio": 0, "output_image": 0}),
    ("mistral-openai-chat-tool-choice-matrix-tools-plus-output-mistral-1-5008ee.json",
     {"input": 1, "cache_read": 174, "output": 39}),
    ("groq-openai-chat-chat-streaming-0-024aad.json", {"input": 18, "output": 73}),
    ("deepseek-openai-responses-deepseek-responses-replay-own-reasoning-history-0-f2f0d2.json",
     {"input": 52, "cache_read": 128, "output": 2, "reasoning": 38}),
    ("google-google-interactions-generate-interactions-multi-model-messages-true-0-42cd0b.json",
     {"input": 8, "input_image": 258, "cache_read": 0, "output": 3, "reasoning": 57}),
]  # fmt: skip
"""Counted by hand from the bodies."""


@pytest.mark.parametrize(("file", "counts"), LITERAL)
def test_classes_are_as_counted_by_hand(file: str, counts: dict[str, int]) -> None:
    (exchange,) = [each for each in exchanges() if each["file"] == file]
    (attempt,) = metered(exchange)
    assert attempt.counts == counts


def test_tiers_and_regions_are_those_of_the_answer() -> None:
    found = {exchange["file"]: metered(exchange)[0] for exchange in exchanges()}
    assert found["openai-openai-chat-chat-with-service-tier-0-1e0703.json"].tier == "priority"
    assert found["openai-openai-responses-openai-responses-streaming-usage-0-7411ee.json"].tier == "flex"
    named = "openai-openai-responses-openai-responses-phase-streamed-on-part-start-1-88d895.json"
    assert found[named].tier == "default", "the answer's tier, not the one that was asked for"
    assert found["vertex-google-generatecontent-function-call-choice-0-759d33.json"].tier == "ON_DEMAND"
    code = found["anthropic-anthropic-messages-anthropic-code-execution-tool-1-6ab4c9.json"]
    assert (code.tier, code.region) == ("standard", "global")
    paid = found["openrouter-openai-chat-openrouter-stream-with-reasoning-0-d16f68.json"]
    assert paid.raw["cost"] == 0.00085


def test_several_messages_in_one_stream_are_several_attempts() -> None:
    name = "chunk-lines/chunks-anthropic-anthropic-programmatic-tool-calling-1-da9875.json"
    (exchange,) = [each for each in exchanges() if each["file"] == name]
    attempts = metered(exchange)
    used = [attempt.counts for attempt in attempts if attempt.total_input]
    assert [(counts["input"], counts["output"]) for counts in used] == [(3_369, 725), (4_551, 197)]
    assert len(attempts) > 2 and all(attempt.counts["output"] == 0 for attempt in attempts[1:-1])
