"""Usage by class: what each provider counts where, and that nothing of it is lost or counted twice."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.providers.chat_decoder import ChatDecoder
from holdfast.providers.dialects import STREAM_DIALECTS
from holdfast.providers.messages_decoder import MessagesDecoder
from holdfast.providers.responses_decoder import ResponsesDecoder
from holdfast.providers.usage import TokenUsage, chat_usage, messages_usage, responses_usage, to_messages
from tests.adapters.replay import body_of, recordings

RECORDED = [(api, r) for api in STREAM_DIALECTS for r in recordings(api)]


def test_cached_input_is_inside_for_openai_and_beside_for_anthropic() -> None:
    details = {"cached_tokens": 60, "cache_write_tokens": 10}
    chat = chat_usage({"prompt_tokens": 100, "completion_tokens": 9, "prompt_tokens_details": details})
    responses = responses_usage({"input_tokens": 100, "output_tokens": 9, "input_tokens_details": details})
    reported = {
        "input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10, "output_tokens": 9,
    }  # fmt: skip
    messages = messages_usage(reported)
    for usage in (chat, responses, messages):
        assert (usage.input, usage.cache_read, usage.cache_write, usage.total_input) == (30, 60, 10, 100)
        assert usage.output == 9 and usage.reasoning is None
    assert to_messages(chat) == reported


def test_a_zero_is_a_zero_and_what_is_not_named_is_not() -> None:
    usage = chat_usage({"prompt_tokens": 5, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 0}})
    assert (usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning) == (5, 0, None, 0, None)
    reported = {"completion_tokens": None, "prompt_tokens": True, "total_tokens": -1}
    odd = "prompt_tokens is not a count; total_tokens is not a count"
    assert chat_usage(reported) == TokenUsage(odd=odd, reported=reported)


def test_xai_counts_its_reasoning_beside_the_output() -> None:
    details = {"reasoning_tokens": 227}
    beside = {
        "prompt_tokens": 307, "completion_tokens": 26, "total_tokens": 560, "completion_tokens_details": details,
    }  # fmt: skip
    assert (chat_usage(beside).output, chat_usage(beside).reasoning) == (253, 227)
    inside = {**beside, "completion_tokens": 253}
    assert (chat_usage(inside).output, chat_usage(inside).reasoning) == (253, 227)


@pytest.mark.parametrize(
    "reported",
    [
        {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}},
        {"completion_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 11}},
    ],
)
def test_counts_that_contradict_each_other_are_said_to(reported: dict[str, Any]) -> None:
    usage = chat_usage(reported)
    assert usage.odd and (usage.input or 0) >= 0


def test_both_events_of_a_message_count_and_the_later_count_stands() -> None:
    decoder = MessagesDecoder()
    begun = {"input_tokens": 7, "cache_read_input_tokens": 5, "cache_creation": {"ephemeral_5m_input_tokens": 2}}
    decoder.event({"type": "message_start", "message": {"id": "m", "usage": {**begun, "output_tokens": 1}}})
    over = {"output_tokens": 40, "cache_creation_input_tokens": 2, "input_tokens": None, "service_tier": "batch"}
    decoder.event({"type": "message_delta", "delta": {}, "usage": over})
    usage = decoder.usage
    assert usage is not None
    assert (usage.input, usage.cache_read, usage.cache_write, usage.output, usage.tier) == (7, 5, 2, 40, "batch")
    assert usage.classes["cache_creation.ephemeral_5m_input_tokens"] == 2
    decoder.event({"type": "message_start", "message": {"id": "n", "usage": {"input_tokens": 1}}})
    assert decoder.usage == messages_usage({"input_tokens": 1}), "another message counts for itself"


def test_what_stands_outside_the_usage_is_not_lost() -> None:
    decoder = ResponsesDecoder()
    response = {
        "status": "completed", "service_tier": "flex", "usage": {"input_tokens": 3, "output_tokens": 4},
        "tool_usage": {"web_search": {"num_requests": 2}},
    }  # fmt: skip
    decoder.event({"type": "response.completed", "response": response})
    assert decoder.usage is not None and decoder.usage.tier == "flex"
    assert decoder.usage.classes["tool_usage.web_search.num_requests"] == 2
    iterations = [{"type": "compaction", "input_tokens": 9}]
    assert messages_usage({"input_tokens": 1, "iterations": iterations}).iterations == iterations


def test_every_recorded_stream_adds_up() -> None:
    counted = 0
    for api, recording in RECORDED:
        decoder = STREAM_DIALECTS[api].decoder()
        decoder.feed(body_of(recording))
        decoder.close()
        usage = decoder.usage
        if usage is None:
            continue
        counted += 1
        name, reported = recording["id"], usage.reported
        numbers = (usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning)
        assert all(number is None or number >= 0 for number in numbers), name
        if api == "anthropic.messages":
            read, write = (reported.get(f"cache_{kind}_input_tokens") or 0 for kind in ("read", "creation"))
            assert usage.total_input == reported["input_tokens"] + read + write, name
        else:
            assert usage.total_input == reported.get("prompt_tokens", reported.get("input_tokens")), name
            if total := reported.get("total_tokens"):
                assert usage.total_input + (usage.output or 0) == total, name
        details = reported.get("completion_tokens_details") or reported.get("output_tokens_details") or {}
        assert bool(usage.odd) == ((details.get("reasoning_tokens") or 0) > (usage.output or 0)), name
    assert counted > 60


@pytest.mark.parametrize("size", [13, 4_000])
def test_every_recorded_stream_reads_the_same_written_again_and_its_usage_without_its_content(size: int) -> None:
    for api, recording in RECORDED:
        body, name = body_of(recording), recording["id"]
        decoder, again, quick = (STREAM_DIALECTS[api].decoder(deltas=deltas) for deltas in (True, True, False))
        pieces = [p for at in range(0, len(body), size) for p in decoder.feed(body[at : at + size])] + decoder.close()
        said = [piece for piece in pieces if type(piece).__name__ != "UnknownPart"]
        encoder = STREAM_DIALECTS[api].encoder(native=True)
        assert again.feed(encoder.encode(pieces)) + again.close() == said, name
        assert not encoder.unsaid, name
        for at in range(0, len(body), size):
            quick.feed(body[at : at + size])
        quick.close()
        assert (quick.usage, quick.ended) == (decoder.usage, decoder.ended), name


def test_a_chunk_with_nothing_but_usage_is_the_last_only_if_nothing_comes() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    decoder = ChatDecoder()
    assert [type(p).__name__ for p in decoder.event(usage)] == ["TokenUsage"]
    assert [type(p).__name__ for p in decoder.close()] == ["AnswerFinish"]
    failed = ChatDecoder()
    failed.event(usage)
    failed.event({"error": {"code": 400, "message": "Token limit reached"}})
    assert failed.close() == [] and failed.ended
