"""Anthropic's messages: two events merged, lifetimes of writes, and calls in which several models took part."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.protocol import limits
from holdfast.providers.billing.model import BilledAttempt, problem
from holdfast.providers.billing.usage_meter import UsageMeter, of_response


def message(usage: dict[str, Any], **fields: Any) -> tuple[BilledAttempt, ...]:
    """The attempts of one whole message."""
    body = {
        "type": "message",
        "role": "assistant",
        "model": "opus",
        "stop_reason": "end_turn",
        "usage": usage,
        **fields,
    }
    attempts = of_response("anthropic.messages", json.dumps(body).encode())
    assert [problem(attempt) for attempt in attempts] == [""] * len(attempts)
    return attempts


def stream(start: Any, *deltas: Any) -> tuple[BilledAttempt, ...]:
    """The attempts of a stream whose events have these usages."""
    events = [{"type": "message_start", "message": {"model": "opus", "usage": start}}]
    events += [{"type": "content_block_delta", "delta": {"type": "text_delta", "text": "hi"}}]
    events += [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage} for usage in deltas]
    meter = UsageMeter("anthropic.messages")
    meter.feed("".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode())
    attempts = meter.end()
    assert [problem(attempt) for attempt in attempts] == [""] * len(attempts)
    return attempts


def tokens(plain: int, output: int, written: int = 0, read: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "input_tokens": plain, "output_tokens": output, "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read, **fields,
    }  # fmt: skip


# --- one message
def test_input_is_beside_what_was_cached() -> None:
    (attempt,) = message(tokens(5, 0, 1_253, 128_955))
    assert attempt.total_input == 130_213, "not twice what was cached"
    assert attempt.counts == {"input": 5, "cache_write": 1_253, "cache_read": 128_955, "output": 0}


def test_a_write_is_split_by_its_lifetime() -> None:
    usage = tokens(5, 1, 100, cache_creation={"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40})
    assert message(usage)[0].counts == {
        "input": 5, "output": 1, "cache_write_5m": 60, "cache_write_1h": 40, "cache_read": 0
    }  # fmt: skip
    short = tokens(5, 1, 100, cache_creation={"ephemeral_1h_input_tokens": 40})
    assert message(short)[0].counts["cache_write"] == 60, "its lifetime was not said"
    alone = {"input_tokens": 5, "output_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 40}}
    assert message(alone)[0].counts == {"input": 5, "output": 1, "cache_write_1h": 40}
    (more,) = message(tokens(5, 1, 10, cache_creation={"ephemeral_1h_input_tokens": 40}))
    assert more.counts["cache_write_1h"] == 40 and "cache_creation is more" in more.odd


def test_thinking_is_a_part_of_the_output() -> None:
    (attempt,) = message(tokens(1, 290, output_tokens_details={"thinking_tokens": 15}))
    assert (attempt.counts["output"], attempt.counts["reasoning"]) == (275, 15)
    (odd,) = message(tokens(1, 10, output_tokens_details={"thinking_tokens": 15}))
    assert odd.total_output == 10 and odd.odd == "more reasoning than output"


def test_tier_place_speed_and_searches_are_kept() -> None:
    usage = tokens(
        1, 1, service_tier="batch", inference_geo="us", speed="fast", server_tool_use={"web_search_requests": 3}
    )
    (attempt,) = message(usage)
    assert (attempt.tier, attempt.region, attempt.speed) == ("batch", "us", "fast")
    assert attempt.counts["web_searches"] == 3


@pytest.mark.parametrize("value", [-4, 1.5, True, "x", {}])
def test_what_is_no_count_is_left_out_and_named(value: Any) -> None:
    (attempt,) = message(tokens(5, 7, value))
    assert attempt.counts["input"] == 5 and "cache_creation_input_tokens is not a count" in attempt.odd
    (attempt,) = message(tokens(value, 7))
    assert "input" not in attempt.counts and "no input was reported" in attempt.odd


# --- two events
@pytest.mark.parametrize(
    ("start", "delta", "before", "after"),
    [
        (tokens(25, 1, 0, 500), {"output_tokens": 15}, 525, 15),  # total = output only, elsewhere
        (tokens(0, 0), tokens(25, 15, 0, 500), 525, 15),  # 0/0 is not the truth
        ({"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 25, "output_tokens": 15}, 25, 15),
        ({}, tokens(25, 15, 0, 500), 525, 15),
        (None, tokens(25, 15, 0, 500), 525, 15),
        (tokens(25, 1, 10, 500), tokens(0, 15, 0, 0), 535, 15),  # zeros for what was said before
        (tokens(25, 1), tokens(25, 15, 10, 500), 535, 15),  # what was cached comes at the end
        (tokens(690, 8), tokens(3_042, 354), 3_042, 354),  # more rounds, more input
        (tokens(25, 1), {"input_tokens": None, "output_tokens": 15, "cache_read_input_tokens": 5}, 30, 15),
        (tokens(25, 1), {"output_tokens": 0}, 25, 0),  # the end's zero is one
        ({"input_tokens": 25}, {"output_tokens": "15"}, 25, 15),
        ({"input_tokens": 25.0}, {"output_tokens": 15.0}, 25, 15),
    ],
)
def test_both_events_count(start: Any, delta: Any, before: int, after: int) -> None:
    (attempt,) = stream(start, delta)
    assert (attempt.total_input, attempt.total_output, attempt.final) == (before, after, True)


def test_a_stream_cut_before_its_end_has_its_input_and_is_not_final() -> None:
    (attempt,) = stream(tokens(25, 1, 10, 500))
    assert attempt.total_input == 535 and attempt.reported and not attempt.final
    (nothing,) = stream(None)
    assert not nothing.reported and nothing.model == "opus"


def test_each_message_of_a_stream_counts_for_itself() -> None:
    meter = UsageMeter("anthropic.messages")
    for number in (1, 2):
        start = {"type": "message_start", "message": {"model": f"m{number}", "usage": tokens(number, 0)}}
        end = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": number * 10}}
        meter.feed(f"data: {json.dumps(start)}\n\ndata: {json.dumps(end)}\n\n".encode())
    assert [(a.model, a.counts["input"], a.counts["output"]) for a in meter.end()] == [("m1", 1, 10), ("m2", 2, 20)]


# --- more models in one call
DECLINED = {"type": "message", "model": "fable-5", **tokens(2, 578, 10_421, 72_769)}
SERVED = {"type": "fallback_message", "model": "opus-4-8", **tokens(2, 13_658, 0, 79_214)}


def test_a_declined_attempt_that_produced_output_is_billed_at_its_own_model() -> None:
    first, second = message({**tokens(2, 13_658, 0, 79_214), "iterations": [DECLINED, SERVED]}, model="opus-4-8")
    assert (first.kind, first.model, first.total_output) == ("message", "fable-5", 578)
    assert first.counts == {"input": 2, "cache_write": 10_421, "cache_read": 72_769, "output": 578}
    assert (second.kind, second.model) == ("fallback_message", "opus-4-8")
    assert second.counts == {"input": 2, "cache_write": 0, "cache_read": 79_214, "output": 13_658}
    assert first.odd == second.odd == ""


def test_it_is_so_in_a_stream_too() -> None:
    attempts = stream(tokens(2, 1, 10_421, 72_769), {**tokens(2, 13_658, 0, 79_214), "iterations": [DECLINED, SERVED]})
    assert [(a.model, a.total_input, a.total_output) for a in attempts] == [
        ("fable-5", 83_192, 578), ("opus-4-8", 79_216, 13_658)
    ]  # fmt: skip


def test_an_attempt_without_output_is_not_billed() -> None:
    silent = {**DECLINED, "output_tokens": 0}
    (attempt,) = message({**tokens(2, 13_658, 0, 79_214), "iterations": [silent, SERVED]})
    assert attempt.model == "opus-4-8"
    nobody = [silent, {**SERVED, "output_tokens": 0}]
    assert message({**tokens(2, 0), "iterations": nobody}) == ()
    assert message({**tokens(2, 0), "iterations": [silent]}, stop_reason="refusal") == ()
    advice = {"type": "advisor_message", "model": "sage", **tokens(9, 0)}
    assert [a.kind for a in message({**tokens(5, 6), "iterations": [advice, {"type": "message", **tokens(5, 6)}]})] == [
        "message"
    ]


def test_a_call_that_only_fills_the_cache_is_billed() -> None:
    filled = tokens(3, 0, 5_000)
    (attempt,) = message({**filled, "iterations": [{"type": "message", **filled}]}, stop_reason="max_tokens")
    assert attempt.counts["cache_write"] == 5_000 and attempt.counts["output"] == 0


def test_a_compaction_is_in_none_of_the_counts_beside_it() -> None:
    compaction = {"type": "compaction", **tokens(180_000, 3_500)}
    turn = {"type": "message", **tokens(23_000, 1_000)}
    first, second = message({**tokens(23_000, 1_000, service_tier="priority"), "iterations": [compaction, turn]})
    assert (first.kind, first.model, first.total_input, first.total_output) == ("compaction", "opus", 180_000, 3_500)
    assert (second.kind, second.total_input, second.total_output) == ("message", 23_000, 1_000)
    assert first.tier == second.tier == "priority" and first.odd == second.odd == ""
    both = message({**tokens(23_000, 1_000), "iterations": [compaction]})
    assert [(a.kind, a.total_input) for a in both] == [("compaction", 180_000), ("message", 23_000)], (
        "only it was listed"
    )


def test_an_advisor_is_billed_at_its_own_model_and_rounds_each_for_themselves() -> None:
    rounds = [{"type": "message", **tokens(10, 5)}, {"type": "message", **tokens(20, 7)}]
    advice = {"type": "advisor_message", "model": "sage", **tokens(800, 50)}
    usage = {**tokens(30, 12, server_tool_use={"web_search_requests": 1}), "iterations": [rounds[0], advice, rounds[1]]}
    attempts = message(usage)
    assert [(a.kind, a.model, a.total_output) for a in attempts] == [
        ("message", "opus", 5), ("advisor_message", "sage", 50), ("message", "opus", 7)
    ]  # fmt: skip
    assert [a.counts.get("web_searches") for a in attempts] == [None, None, 1], "once"
    assert all(a.odd == "" for a in attempts)


def test_thinking_that_is_told_beside_one_iteration_is_that_iteration_s() -> None:
    compaction = {"type": "compaction", **tokens(9, 9)}
    usage = tokens(30, 12, output_tokens_details={"thinking_tokens": 5})
    attempts = message({**usage, "iterations": [compaction, {"type": "message", **tokens(30, 12)}]})
    assert [(a.counts["output"], a.counts.get("reasoning")) for a in attempts] == [(9, None), (7, 5)]


def test_parts_that_do_not_sum_are_said_to() -> None:
    attempts = message({**tokens(30, 99), "iterations": [{"type": "message", **tokens(30, 12)}]})
    assert [a.odd for a in attempts] == ["iterations do not sum to the usage beside them"]
    unknown = message({**tokens(30, 12), "iterations": [{"type": "oracle", **tokens(30, 12)}]})
    assert [(a.kind, a.odd) for a in unknown] == [("message", "an iteration of a kind that is not known")]


@pytest.mark.parametrize("iterations", [None, [], {}, "x", [3, None], 7])
def test_iterations_that_are_none_leave_the_usage_beside_them(iterations: Any) -> None:
    (attempt,) = message({**tokens(30, 12), "iterations": iterations})
    assert attempt.counts["output"] == 12
    assert bool(attempt.odd) == (iterations not in (None, [], {}))


def test_no_answer_has_so_many_parts() -> None:
    many = [{"type": "message", **tokens(1, 1)}] * 5_000
    attempts = message({**tokens(5_000, 5_000), "iterations": many})
    assert len(attempts) == limits.PROVIDER_PARTS and "more iterations than are read" in attempts[-1].odd
