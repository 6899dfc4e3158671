"""OpenAI's wires and those that look like them: where reasoning, caches, sounds and tools are counted, and what is odd."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.providers.billing.model import BilledAttempt, problem
from holdfast.providers.billing.usage_meter import UsageMeter, of_response


def chat(usage: Any, provider: str = "", **fields: Any) -> BilledAttempt:
    """The attempt of one whole completion."""
    body = {"model": "m", "choices": [{"finish_reason": "stop"}], "usage": usage, **fields}
    (attempt,) = of_response("openai.chat", json.dumps(body).encode(), provider=provider)
    assert problem(attempt) == ""
    return attempt


def responses(response: dict[str, Any]) -> tuple[BilledAttempt, ...]:
    """The attempts of one whole response."""
    attempts = of_response("openai.responses", json.dumps({"object": "response", "model": "m", **response}).encode())
    assert [problem(attempt) for attempt in attempts] == [""] * len(attempts)
    return attempts


def stream(*events: Any, wire: str = "openai.chat", done: bool = True) -> BilledAttempt:
    """The attempt of a stream of these events."""
    meter = UsageMeter(wire)
    meter.feed("".join(f"data: {json.dumps(event)}\n\n" for event in events).encode())
    meter.feed(b"data: [DONE]\n\n" if done else b"")
    (attempt,) = meter.end()
    return attempt


def text(words: str = "hi", **fields: Any) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"delta": {"content": words}, "finish_reason": None}], "usage": None, **fields}


# --- classes
def test_what_was_cached_is_taken_out_of_the_prompt_and_is_never_negative() -> None:
    details = {"cached_tokens": 80_000, "cache_write_tokens": 5_000}
    usage = {"prompt_tokens": 100_000, "completion_tokens": 7, "prompt_tokens_details": details}
    assert chat(usage).counts == {"input": 15_000, "cache_read": 80_000, "cache_write": 5_000, "output": 7}
    written = {"prompt_tokens": 18_014, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 18_011}}
    assert chat(written).counts == {"input": 3, "cache_write": 18_011, "output": 1}, "instead of, not on top"


@pytest.mark.parametrize(
    ("fields", "plain"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 40}}, 60),
        ({"prompt_token_details": {"cached_tokens": 40}}, 60),
        ({"prompt_cache_hit_tokens": 40, "prompt_cache_miss_tokens": 60}, 60),
        ({"num_cached_tokens": 40}, 60),
        ({"cached_tokens": 40}, 60),
        ({"prompt_tokens_details": {"cached_tokens": 0}, "prompt_cache_hit_tokens": 40}, 60),
        ({"prompt_tokens_details": None, "cached_tokens": 40.0}, 60),
        ({"prompt_tokens_details": {"cached_tokens": "40"}}, 60),
    ],
)
def test_every_server_has_its_own_name_for_what_was_cached(fields: dict[str, Any], plain: int) -> None:
    attempt = chat({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105, **fields})
    assert attempt.counts == {"input": plain, "cache_read": 40, "output": 5} and attempt.odd == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt_tokens_details": {"cache_write_tokens": 90, "cache_write_tokens_details": {"ttl_30m_tokens": 60, "ttl_12h_tokens": 20}}},
        {"prompt_tokens_details": {"cache_write_tokens": 90}, "cache_write_tokens_details": {"ttl_30m": 60, "ttl_12h": 20}},
    ],
)  # fmt: skip
def test_writes_are_told_apart_by_their_lifetime(fields: dict[str, Any]) -> None:
    counts = chat({"prompt_tokens": 100, "completion_tokens": 0, **fields}).counts
    assert counts == {"input": 10, "cache_write_30m": 60, "cache_write_12h": 20, "cache_write": 10, "output": 0}


def test_all_of_a_write_with_a_lifetime_leaves_nothing_without() -> None:
    details = {"cached_tokens": 5, "cache_write_tokens": 90, "cache_write_tokens_details": {"ttl_30m_tokens": 90}}
    (attempt,) = responses({"usage": {"input_tokens": 100, "input_tokens_details": details, "output_tokens": 2}})
    assert attempt.counts == {"input": 5, "cache_read": 5, "cache_write_30m": 90, "output": 2}


def test_sounds_and_images_have_their_classes_and_cached_sound_too() -> None:
    inside = {"audio_tokens": 30, "image_tokens": 10, "text_tokens": 60, "cached_tokens": 20}
    within = {"audio_tokens": 5, "image_tokens": 2, "reasoning_tokens": 3}
    counts = chat({
        "prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": inside,
        "completion_tokens_details": within,
    }).counts  # fmt: skip
    assert counts == {
        "input": 40, "input_audio": 30, "input_image": 10, "cache_read": 20, "output": 10, "output_audio": 5,
        "output_image": 2, "reasoning": 3,
    }  # fmt: skip
    said = {"audio_tokens": 30, "cached_tokens": 20, "cached_tokens_details": {"audio_tokens": 15, "text_tokens": 5}}
    counts = chat({"prompt_tokens": 50, "completion_tokens": 0, "prompt_tokens_details": said}).counts
    assert counts == {"input": 15, "input_audio": 15, "cache_read": 5, "cache_read_audio": 15, "output": 0}


def test_sound_that_does_not_fit_beside_what_was_cached_was_cached() -> None:
    attempt = chat({
        "prompt_tokens": 100, "completion_tokens": 0, "prompt_tokens_details": {"audio_tokens": 80, "cached_tokens": 60},
    })  # fmt: skip
    assert attempt.counts == {"input": 0, "input_audio": 40, "cache_read": 20, "cache_read_audio": 40, "output": 0}
    assert attempt.odd == ""


# --- reasoning, inside and beside
BESIDE = {"prompt_tokens": 100, "completion_tokens": 1_000, "completion_tokens_details": {"reasoning_tokens": 50}}


@pytest.mark.parametrize(
    ("total", "provider", "visible"),
    [(1_150, "", 1_000), (1_100, "", 950), (None, "", 950), (None, "xai", 1_000), (1_150, "xai", 1_000), (1_100, "xai", 950)],
)  # fmt: skip
def test_reasoning_beside_the_completion_is_billed_with_it(total: int | None, provider: str, visible: int) -> None:
    attempt = chat({**BESIDE, "total_tokens": total}, provider)
    assert attempt.counts == {"input": 100, "output": visible, "reasoning": 50} and attempt.odd == ""


def test_reasoning_may_stand_outside_the_details() -> None:
    assert chat({"prompt_tokens": 1, "completion_tokens": 9, "reasoning_tokens": 4}).counts["output"] == 5


def test_thoughts_that_only_the_total_shows_are_billed_and_said_to_be_odd() -> None:
    attempt = chat({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 100})
    assert attempt.counts == {"input": 10, "output": 5, "reasoning": 85} and "total_tokens" in attempt.odd


def test_a_count_that_is_missing_is_what_the_total_has_beyond_the_other() -> None:
    assert chat({"prompt_tokens": 10, "total_tokens": 25}).counts == {"input": 10, "output": 15}
    assert chat({"completion_tokens": 10, "total_tokens": 25}).counts == {"input": 15, "output": 10}
    alone = chat({"prompt_tokens": 10, "total_tokens": 10})
    assert alone.counts == {"input": 10} and alone.odd == ""


def test_what_is_missing_is_said() -> None:
    assert chat({"completion_tokens": 10}).odd == "no input was reported"
    assert chat({"prompt_tokens": 10}).odd == "no output was reported"


# --- zeros, nulls, rubbish
def test_a_reported_nothing_is_exact() -> None:
    attempt = chat({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})
    assert attempt.counts == {"input": 0, "output": 0} and attempt.reported and attempt.final and attempt.odd == ""
    assert chat({"prompt_tokens": 3, "completion_tokens": 4, "cost": 0.0}).raw["cost"] == 0.0


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None, "completion_tokens": None}, [], "none", 3])
def test_a_usage_without_counts_is_not_reported(usage: Any) -> None:
    attempt = chat(usage)
    assert not attempt.reported and not attempt.final and attempt.counts == {} and attempt.model == "m"


@pytest.mark.parametrize("value", [-1, -0.5, 1.5, True, "many", "-3", "1e3", [], {}, 1 << 60, "9" * 30, "²"])
def test_what_is_no_count_is_left_out_and_named(value: Any) -> None:
    attempt = chat({"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": value}})
    assert attempt.counts == {"input": 100, "output": 5} and attempt.odd == "cached_tokens is not a count"
    attempt = chat({"prompt_tokens": value, "completion_tokens": 5})
    assert attempt.counts == {"output": 5} and "prompt_tokens is not a count" in attempt.odd


@pytest.mark.parametrize(
    ("inside", "counts"),
    [
        ({"cached_tokens": 150}, {"input": 0, "cache_read": 100}),
        ({"cached_tokens": 90, "cache_write_tokens": 90}, {"input": 0, "cache_read": 90, "cache_write": 10}),
        ({"cached_tokens": 0, "cache_write_tokens": 101}, {"input": 0, "cache_read": 0, "cache_write": 100}),
        ({"image_tokens": 200}, {"input": 0, "input_image": 100}),
    ],
)
def test_classes_larger_than_their_total_are_cut_to_it_and_named(inside: Any, counts: dict[str, int]) -> None:
    attempt = chat({"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": inside})
    assert attempt.counts == {**counts, "output": 1} and "more than there was" in attempt.odd
    attempt = chat({"prompt_tokens": 1, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 11}})
    assert attempt.counts == {"input": 1, "output": 0, "reasoning": 9} and attempt.odd == "more reasoning than output"


def test_what_nobody_could_have_meant_is_not_kept() -> None:
    attempt = chat({"prompt_tokens": 1, "completion_tokens": 2, "note": "x" * 100_000})
    assert attempt.counts == {"input": 1, "output": 2} and attempt.raw == {} and "too long" in attempt.odd
    assert len(chat({"prompt_tokens": 1}, model="m" * 10_000, service_tier="t" * 10_000).model) == 200


# --- beside tokens
def test_searches_and_seconds() -> None:
    assert chat({"prompt_tokens": 1, "completion_tokens": 2, "num_search_queries": 3}).counts["web_searches"] == 3
    assert chat({"prompt_tokens": 1, "server_tool_use": {"web_search_requests": 2}}).counts["web_searches"] == 2
    assert chat({"prompt_tokens": 1, "prompt_audio_seconds": 2.08}).counts["seconds"] == 3
    assert "num_sources_used" in chat({"prompt_tokens": 1, "completion_tokens": 1, "num_sources_used": 4}).odd


def test_tools_of_responses_stand_outside_the_usage() -> None:
    image = {
        "input_tokens": 50, "input_tokens_details": {"image_tokens": 40, "text_tokens": 10}, "output_tokens": 1_056,
        "output_tokens_details": {"image_tokens": 1_056, "text_tokens": 0}, "total_tokens": 1_106,
    }  # fmt: skip
    message, drawn = responses({
        "usage": {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}, "service_tier": "flex",
        "tool_usage": {"image_gen": image, "web_search": {"num_requests": 2}},
        "tools": [{"type": "image_generation", "model": "gpt-image-1"}],
    })  # fmt: skip
    assert message.counts == {"input": 10, "output": 20, "web_searches": 2} and message.tier == "flex"
    assert drawn.kind == "image_generation" and drawn.model == "gpt-image-1"
    assert drawn.counts == {"input": 10, "input_image": 40, "output": 0, "output_image": 1_056}
    assert message.raw["tool_usage"]["web_search"] == {"num_requests": 2}


def test_searches_are_counted_from_the_items_where_tool_usage_is_left_out() -> None:
    items = [
        {"type": "web_search_call", "action": {"type": "search"}}, {"type": "message"},
        {"type": "web_search_call", "action": {"type": "open_page"}}, {"type": "web_search_call", "action": {"type": "search"}},
    ]  # fmt: skip
    usage = {"input_tokens": 1, "output_tokens": 2}
    assert responses({"usage": usage, "output": items})[0].counts["web_searches"] == 2
    told = {"web_search": {"num_requests": 1}}
    assert responses({"usage": usage, "output": items, "tool_usage": told})[0].counts["web_searches"] == 1
    assert "web_searches" not in responses({"usage": usage, "output": [{"type": "message"}]})[0].counts


# --- streams
def test_the_tier_and_the_model_are_those_of_the_answer() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    attempt = stream(text(service_tier="auto"), {**text(), "usage": usage, "model": "m-2", "service_tier": "flex"})
    assert (attempt.model, attempt.tier) == ("m-2", "flex")
    begun = {"type": "response.created", "response": {"model": "a", "service_tier": "auto", "usage": None}}
    over = {"type": "response.completed", "response": {"model": "a-1", "service_tier": "default", "usage": {"input_tokens": 1, "output_tokens": 1}}}  # fmt: skip
    attempt = stream(begun, over, wire="openai.responses", done=False)
    assert (attempt.model, attempt.tier, attempt.final) == ("a-1", "default", True)


def test_usage_that_grows_in_every_chunk_is_final_only_at_the_end() -> None:
    grown = [{**text(), "usage": {"prompt_tokens": 9, "completion_tokens": n}} for n in (1, 2, 3)]
    cut = stream(*grown, done=False)
    assert cut.counts == {"input": 9, "output": 3} and cut.reported and not cut.final
    assert stream(*grown).final
    assert stream(*grown[:2], {"choices": [], "usage": grown[2]["usage"]}, done=False).final


def test_usage_of_groq_is_found_where_it_is() -> None:
    event = {"model": "m", "choices": [], "x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}}
    assert stream(text(), event).counts == {"input": 3, "output": 4}


def test_usage_among_chunks_that_say_none_is_found() -> None:
    meter = UsageMeter("openai.chat")
    meter.feed(f"data: {json.dumps(text())}\n\n".encode())
    used = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    meter.feed("".join(f"data: {json.dumps(event)}\n\n" for event in (text(), used, text())).encode())
    assert meter.so_far()[0].counts == {"input": 1, "output": 2}


def test_words_of_the_answer_are_not_taken_for_usage() -> None:
    trap = text('{"usage": {"prompt_tokens": 999, "completion_tokens": 999}}')
    attempt = stream(trap, {**text(), "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}, trap)
    assert attempt.counts == {"input": 1, "output": 2}


def test_an_error_after_some_usage_keeps_what_was_reported() -> None:
    failed = stream(
        {**text(), "usage": {"prompt_tokens": 3, "completion_tokens": 1}}, {"error": {"code": 500}}, done=False
    )
    assert failed.counts == {"input": 3, "output": 1} and not failed.final
    assert not stream(text(), {"error": {"message": "no"}}, done=False).reported


def test_an_embedding_has_input_only() -> None:
    body = b'{"object":"list","model":"e","data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}'
    (attempt,) = of_response("openai.embeddings", body)
    assert (attempt.kind, attempt.counts, attempt.odd, attempt.final) == ("embedding", {"input": 8}, "", True)
    (attempt,) = of_response("openai.embeddings", b'{"model":"e","usage":{"prompt_tokens":8}}')
    assert attempt.odd == "" and problem(attempt) == ""
