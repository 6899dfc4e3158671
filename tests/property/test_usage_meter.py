"""Laws of reading usage: cut anywhere the same, skipping says what decoding all says, and classes always add up."""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.providers.billing.model import BilledAttempt, problem
from holdfast.providers.billing.usage_meter import UsageMeter, of_response
from holdfast.providers.billing.wires import WIRES

EXAMPLES = int(os.environ.get("HOLDFAST_EXAMPLES", "150"))
some = settings(max_examples=EXAMPLES, deadline=None)

NAMES = [
    "prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens",
    "audio_tokens", "image_tokens", "cache_write_tokens", "prompt_cache_hit_tokens", "num_cached_tokens",
    "cache_read_input_tokens", "cache_creation_input_tokens", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens",
    "thinking_tokens", "web_search_requests", "promptTokenCount", "cachedContentTokenCount", "toolUsePromptTokenCount",
    "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount", "tokenCount", "inputTokens", "outputTokens", "totalTokens",
    "cacheReadInputTokens", "cacheWriteInputTokens", "inputTokenCount", "outputTokenCount", "total_input_tokens",
    "total_cached_tokens", "total_output_tokens", "total_thought_tokens", "prompt_eval_count", "eval_count", "images",
]  # fmt: skip
NESTS = [
    "prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details", "cache_creation",
    "server_tool_use", "billed_units", "tokens", "cache_write_tokens_details",
]  # fmt: skip
LISTS = ["iterations", "promptTokensDetails", "cacheTokensDetails", "candidatesTokensDetails", "cacheDetails"]
counts = st.one_of(
    st.integers(-3, 300), st.none(), st.floats(allow_nan=False, allow_infinity=False, width=32), st.booleans(),
    st.sampled_from(["7", "-7", "x", ""]), st.integers(1 << 52, 1 << 60),
)  # fmt: skip
words = st.sampled_from(
    ["message", "compaction", "fallback_message", "AUDIO", "IMAGE", "TEXT", "5m", "1h", "m-1", "flex", ""]
)
flat = st.dictionaries(st.sampled_from(NAMES), counts, max_size=5)
parts = st.builds(lambda a, **b: {**a, **b}, flat, type=words, modality=words, ttl=words, model=words)
usages = st.builds(
    lambda own, nested, lists: {**own, **nested, **lists},
    st.dictionaries(st.sampled_from(NAMES), counts, max_size=8),
    st.dictionaries(st.sampled_from(NESTS), st.one_of(flat, counts), max_size=3),
    st.dictionaries(st.sampled_from(LISTS), st.one_of(st.lists(parts, max_size=3), counts), max_size=2),
)
reports = st.one_of(usages, counts, st.just({}))
texts = st.sampled_from(["hi", '"usage":{"prompt_tokens":9}', "data: x\n\n", "\\", "}]", '{"usageMetadata"', "é\u2028"])
PLACES: dict[str, list[Any]] = {
    "openai": [
        lambda u, t: {"model": "m-1", "choices": [{"delta": {"content": t}}], "usage": None},
        lambda u, t: {"model": "m-2", "choices": [], "usage": u, "service_tier": "flex"},
        lambda u, t: {"choices": [{"finish_reason": "stop"}], "x_groq": {"usage": u}},
        lambda u, t: {"type": "response.output_text.delta", "delta": t},
        lambda u, t: {"type": "response.completed", "response": {"model": "m-3", "usage": u, "tool_usage": {"image_gen": u}}},
    ],
    "anthropic": [
        lambda u, t: {"type": "message_start", "message": {"model": "m-1", "usage": u}},
        lambda u, t: {"type": "content_block_delta", "delta": {"text": t}},
        lambda u, t: {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": u},
        lambda u, t: {"type": "message_stop", "amazon-bedrock-invocationMetrics": u},
    ],
    "google": [
        lambda u, t: {"modelVersion": "gemini-3", "candidates": [{"content": t}], "usageMetadata": u},
        lambda u, t: {"candidates": [{"finishReason": "STOP", "groundingMetadata": {"webSearchQueries": [t]}}]},
        lambda u, t: {"interaction": {"model": "m", "usage": u, "text": t}},
    ],
    "other": [
        lambda u, t: {"usage": u, "metrics": t},
        lambda u, t: {"type": "message-end", "delta": {"usage": u}},
        lambda u, t: {"model": "m", "response": t, "done": True, **(u if isinstance(u, dict) else {})},
        lambda u, t: {"response": {"meta": u}, "text": t},
    ],
}  # fmt: skip
places = st.sampled_from([place for found in PLACES.values() for place in found])
events = st.lists(st.builds(lambda place, usage, text: place(usage, text), places, reports, texts), max_size=6)
wires = st.sampled_from(sorted(name for name in WIRES if "invoke-with" not in name))


def framed(wire: str, found: list[Any], done: bool, line_end: str) -> bytes:
    """Events as a stream of the wire."""
    texts = [json.dumps(event, ensure_ascii=False) for event in found]
    if WIRES[wire].lines:
        return "".join(f"{text}\n" for text in texts).encode()
    body = "".join(f"data: {text}\n\n" for text in texts) + ("data: [DONE]\n\n" if done else "")
    return body.replace("\n", line_end).encode()


def metered(wire: str, reads: list[bytes]) -> tuple[BilledAttempt, ...]:
    meter = UsageMeter(wire, content_type="" if WIRES[wire].lines else "text/event-stream")
    for read in reads:
        meter.feed(read)
    return meter.end()


@some
@given(
    wires,
    events,
    st.booleans(),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
)
def test_a_stream_is_billed_the_same_however_it_is_cut_and_as_if_all_were_decoded(
    wire: str, found: list[Any], done: bool, line_end: str, sizes: list[int]
) -> None:
    data = framed(wire, found, done, line_end)
    reads, at, size = [], 0, itertools.cycle(sizes)
    while at < len(data):
        step = next(size)
        reads.append(data[at : at + step])
        at += step
    reader = WIRES[wire].reader()
    for event in found:
        reader.read(event)
    if done and not WIRES[wire].lines:
        reader.end()
    assert metered(wire, [data]) == metered(wire, reads) == reader.attempts()


@some
@given(wires, events, st.booleans())
def test_classes_add_up_whatever_a_provider_says(wire: str, found: list[Any], done: bool) -> None:
    answers = [metered(wire, [framed(wire, found, done, "\n")])]
    answers += [of_response(wire, json.dumps(event).encode()) for event in found]
    for attempts in answers:
        for attempt in attempts:
            assert problem(attempt) == "", attempt
            assert attempt.final <= attempt.reported and attempt.reported == bool(attempt.counts)


@some
@given(wires, st.binary(max_size=200), st.booleans())
def test_bytes_that_are_anything_are_never_an_error(wire: str, data: bytes, prefixed: bool) -> None:
    body = (b'data: {"usage":{"prompt_tokens":' if prefixed else b"") + data
    assert [problem(attempt) for attempt in metered(wire, [body])] in ([], [""])
    meter = UsageMeter(wire)
    meter.feed(body)
    meter.end()
    of_response(wire, body)
