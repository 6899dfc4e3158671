"""Bedrock: Converse, and InvokeModel with the words of the model's maker inside and AWS' own beside."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

import pytest

from holdfast.providers.billing.event_stream import EventStreamFramer
from holdfast.providers.billing.model import BilledAttempt, problem
from holdfast.providers.billing.usage_meter import UsageMeter, of_response


def converse(usage: Any, **fields: Any) -> BilledAttempt:
    """The attempt of one whole answer."""
    (attempt,) = of_response("bedrock.converse", json.dumps({"usage": usage, **fields}).encode())
    assert problem(attempt) == ""
    return attempt


def message(payload: bytes, kind: str = "chunk") -> bytes:
    """One message of an event stream."""
    name, value = b":event-type", kind.encode()
    header = bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value
    prelude = struct.pack(">II", 16 + len(header) + len(payload), len(header))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + header + payload
    return body + struct.pack(">I", zlib.crc32(body))


def invoked(*events: Any) -> tuple[BilledAttempt, ...]:
    """The attempts of a stream of InvokeModel."""
    meter = UsageMeter("bedrock.invoke-with-response-stream", content_type="application/vnd.amazon.eventstream")
    for event in events:
        inner = base64.b64encode(json.dumps(event).encode()).decode()
        meter.feed(message(json.dumps({"bytes": inner, "p": "abcd"}).encode()))
    return meter.end()


# --- Converse
def test_input_excludes_what_was_cached_and_writes_have_a_lifetime() -> None:
    details = [{"ttl": "1h", "inputTokens": 9_000}, {"ttl": "5m", "inputTokens": 600}]
    attempt = converse({
        "inputTokens": 12, "outputTokens": 34, "totalTokens": 9_780, "cacheReadInputTokens": 100,
        "cacheWriteInputTokens": 9_634, "cacheDetails": details,
    })  # fmt: skip
    assert attempt.counts == {
        "input": 12, "cache_read": 100, "cache_write_1h": 9_000, "cache_write_5m": 600, "cache_write": 34, "output": 34
    }  # fmt: skip
    assert attempt.odd == ""


@pytest.mark.parametrize(
    ("details", "counts"),
    [
        ([{"ttl": "1h", "inputTokens": 9_634}], {"cache_write_1h": 9_634}),
        ([{"ttl": "1h", "inputTokens": 9_000}, {"ttl": "1h", "inputTokens": 634}], {"cache_write_1h": 9_634}),
        ([], {"cache_write": 9_634}),
        (None, {"cache_write": 9_634}),
        ([{"ttl": "2d", "inputTokens": 9_634}], {"cache_write": 9_634}),
        ([{"ttl": "1h", "inputTokens": None}, "x"], {"cache_write": 9_634}),
    ],
)
def test_lifetimes_of_what_was_written(details: Any, counts: dict[str, int]) -> None:
    usage = {"inputTokens": 1, "outputTokens": 2, "cacheWriteInputTokens": 9_634, "cacheDetails": details}
    assert converse(usage).counts == {"input": 1, "output": 2, **counts}


def test_totals_with_and_without_what_was_cached_are_no_contradiction() -> None:
    usage = {"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": 100}
    assert converse({**usage, "totalTokens": 115}).odd == converse({**usage, "totalTokens": 15}).odd == ""
    assert converse({**usage, "totalTokens": 16}).odd == "totalTokens is not the sum of its parts"
    assert converse({"inputTokens": 10, "totalTokens": 15}).counts == {"input": 10, "output": 5}


def test_tier_speed_and_the_router_s_model() -> None:
    attempt = converse(
        {"inputTokens": 1, "outputTokens": 1}, serviceTier={"type": "flex"}, performanceConfig={"latency": "optimized"},
        trace={"promptRouter": {"invokedModelId": "nova"}, "guardrail": {"x": {"usage": {"topicPolicyUnits": 1}}}},
    )  # fmt: skip
    assert (attempt.tier, attempt.speed, attempt.model) == ("flex", "optimized", "nova")


# --- InvokeModel
METRICS = "amazon-bedrock-invocationMetrics"


def test_the_maker_s_words_and_those_of_aws_are_one_when_they_agree() -> None:
    start = {"type": "message_start", "message": {"model": "claude", "usage": {
        "input_tokens": 7, "output_tokens": 1, "cache_creation_input_tokens": 20,
        "cache_creation": {"ephemeral_1h_input_tokens": 20}}}}  # fmt: skip
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}
    stop = {
        "type": "message_stop",
        METRICS: {"inputTokenCount": 7, "outputTokenCount": 9, "cacheWriteInputTokenCount": 20},
    }
    (attempt,) = invoked(start, {"type": "content_block_delta"}, end, stop)
    assert attempt.counts == {"input": 7, "cache_write_1h": 20, "output": 9} and attempt.odd == ""
    stop[METRICS]["outputTokenCount"] = 6
    (attempt,) = invoked(start, end, stop)
    assert attempt.counts == {"input": 7, "cache_write": 20, "output": 6} and attempt.model == "claude"
    assert "count differently" in attempt.odd and attempt.raw["output_tokens"] == 9
    (cut,) = invoked(start)
    assert cut.total_input == 27 and not cut.final


def test_several_models_in_one_invocation_stay_several() -> None:
    parts = [
        {"type": "message", "model": "a", "input_tokens": 5, "output_tokens": 5},
        {"type": "fallback_message", "model": "b", "input_tokens": 6, "output_tokens": 7},
    ]
    start = {"type": "message_start", "message": {"model": "b", "usage": {"input_tokens": 6}}}
    end = {"type": "message_delta", "usage": {"output_tokens": 7, "iterations": parts}}
    stop = {"type": "message_stop", METRICS: {"inputTokenCount": 11, "outputTokenCount": 12}}
    assert [(a.model, a.counts) for a in invoked(start, end, stop)] == [
        ("a", {"input": 5, "output": 5}), ("b", {"input": 6, "output": 7})
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "counts", "kind"),
    [
        ({"usage": {"inputTokens": 3, "outputTokens": 4, "cacheReadInputTokenCount": 0}},
         {"input": 3, "cache_read": 0, "output": 4}, "message"),
        ({"inputTextTokenCount": 3, "results": [{"tokenCount": 4}, {"tokenCount": 5}]}, {"input": 3, "output": 9}, "message"),
        ({"inputTextTokenCount": 3, "embedding": [0.1]}, {"input": 3}, "embedding"),
        ({"prompt_token_count": 3, "generation_token_count": 4}, {"input": 3, "output": 4}, "message"),
        ({"choices": [{"finish_reason": "stop"}], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
         {"input": 3, "output": 4}, "message"),
        ({"type": "message", "role": "assistant", "usage": {"input_tokens": 3, "output_tokens": 4}},
         {"input": 3, "output": 4}, "message"),
    ],
)  # fmt: skip
def test_the_words_of_each_maker(body: dict[str, Any], counts: dict[str, int], kind: str) -> None:
    (attempt,) = of_response("bedrock.invoke", json.dumps(body).encode())
    assert (attempt.counts, attempt.kind, attempt.odd, problem(attempt)) == (counts, kind, "", "")


def test_headers_say_what_a_body_does_not() -> None:
    headers = {"X-Amzn-Bedrock-Input-Token-Count": "12", "x-amzn-bedrock-output-token-count": "34"}
    (attempt,) = of_response("bedrock.invoke", b'{"generation":"hi"}', headers=headers)
    assert attempt.counts == {"input": 12, "output": 34} and attempt.final
    (silent,) = of_response("bedrock.invoke", b'{"generation":"hi"}')
    assert not silent.reported


# --- the event stream
def read(data: bytes, size: int, **options: Any) -> tuple[list[bytes], str]:
    framer = EventStreamFramer(**options)
    payloads = [p for at in range(0, len(data), size) for p in framer.feed(data[at : at + size])]
    return payloads, str(framer.error or "")


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_messages_come_out_whole(size: int) -> None:
    data = message(b'{"a":1}') + message(b"") + message(b"x" * 300)
    assert read(data, size) == ([b'{"a":1}', b"x" * 300], "")
    assert read(data[:-1], size) == ([b'{"a":1}'], ""), "a message without its end is none"


@pytest.mark.parametrize("size", [1, 1_000])
@pytest.mark.parametrize("at", [0, 5, 9, 14, 30, -2])
def test_a_changed_byte_ends_it(at: int, size: int) -> None:
    good, bad = message(b'{"a":1}'), bytearray(message(b'{"b":2}'))
    bad[at] ^= 1
    payloads, error = read(good + bytes(bad) + good, size)
    assert payloads == [b'{"a":1}'] and "event stream" in error


def test_a_message_has_its_limit() -> None:
    payloads, error = read(message(b"x" * 200), 10, max_bytes=100)
    assert payloads == [] and "length" in error
    framer = EventStreamFramer(max_bytes=100)
    framer.feed(message(b"x" * 200))
    assert not framer._buffer
