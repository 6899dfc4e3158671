"""The meter of one answer: it never raises, says what it knows at any time, and does not read what says nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.protocol import limits
from holdfast.providers.billing import usage_meter
from holdfast.providers.billing.model import BilledAttempt, problem
from holdfast.providers.billing.usage_meter import UsageMeter, of_response
from holdfast.providers.billing.wires import WIRES
from tests.recorded_streams import body_of, exchanges

USAGE = b'data: {"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'


def test_nothing_is_an_answer_that_was_not_reported() -> None:
    for wire in WIRES:
        for body in (b"", b" \n", b"[DONE]", b"null", b"[]", b"{}", b"data: [DONE]\n\n", b"3", b'"x"'):
            meter = UsageMeter(wire)
            meter.feed(body)
            for attempts in (meter.so_far(), meter.end(), of_response(wire, body)):
                (attempt,) = attempts
                assert not attempt.reported and not attempt.final and attempt.counts == {}


def test_it_says_what_it_knows_at_any_time_and_ends_once() -> None:
    meter = UsageMeter("openai.chat")
    assert not meter.so_far()[0].reported
    meter.feed(USAGE)
    assert meter.so_far()[0].counts == {"input": 3, "output": 4}
    ended = meter.end()
    meter.feed(USAGE.replace(b"3", b"9"))
    assert meter.end() == meter.so_far() == ended, "nothing comes after the end"


def test_an_answer_in_another_framing_than_expected_is_read_all_the_same() -> None:
    body = b'{"model":"m","choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}'
    for content_type in ("", "application/json", "application/json; charset=utf-8"):
        meter = UsageMeter("openai.chat", content_type=content_type)
        for at in range(len(body)):
            meter.feed(body[at : at + 1])
        assert meter.end() == of_response("openai.chat", body)


@pytest.mark.parametrize(
    "data",
    [
        b'data: {"usage":{"prompt_tokens":3}\n\n', b'data: {"usage":' + b"[" * 500 + b"\n\n",
        b'data: {"usage":{"prompt_tokens":1}} trailing\n\n',
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_and_what_came_before_stands(data: bytes) -> None:
    meter = UsageMeter("openai.chat")
    meter.feed(USAGE + data + b"data: [DONE]\n\n")
    (attempt,) = meter.end()
    assert attempt.counts == {"input": 3, "output": 4}
    assert attempt.odd.startswith("an event of the provider's stream is")


def test_bytes_that_are_no_text_do_not_hide_the_usage_beside_them() -> None:
    meter = UsageMeter("openai.chat")
    meter.feed(USAGE.replace(b'"m"', b'"\xff\\ud83d"'))
    assert meter.end()[0].counts == {"input": 3, "output": 4}


def test_an_event_that_is_too_large_ends_it_without_keeping_it(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = UsageMeter("openai.chat")
    meter.feed(USAGE)
    for _ in range(limits.PROVIDER_EVENT_BYTES // (1 << 20) + 2):
        meter.feed(b"x" * (1 << 20))
    (attempt,) = meter.end()
    assert attempt.counts == {"input": 3, "output": 4} and "bytes" in attempt.odd
    (attempt,) = of_response("openai.chat", b'{"usage":{"prompt_tokens":1}}' + b" " * limits.PROVIDER_EVENT_BYTES)
    assert not attempt.reported and "bytes" in attempt.odd


def test_only_events_that_speak_of_usage_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    real = usage_meter.value_of

    def value_of(data: bytes) -> Any:
        decoded.append(data)
        return real(data)

    monkeypatch.setattr(usage_meter, "value_of", value_of)
    numbers: dict[str, tuple[int, int]] = {}
    for exchange in exchanges():
        if exchange["streaming"] and exchange["events"] and exchange["events"] > 20:
            before, meter = len(decoded), UsageMeter(exchange["api"])
            meter.feed(body_of(exchange))
            meter.end()
            read, events = numbers.get(exchange["api"], (0, 0))
            numbers[exchange["api"]] = (read + len(decoded) - before, events + exchange["events"])
    for api, (read, events) in numbers.items():
        if not api.startswith(("google", "bedrock")):  # Google's every event has usage
            assert read * 8 < events, api


def test_errors_name_no_words_of_the_provider() -> None:
    secret = "sk-live-0123456789"
    body = {"usage": {"prompt_tokens": secret, "completion_tokens": [secret], "iterations": secret, secret: -1}}
    for wire in WIRES:
        for attempt in of_response(wire, json.dumps(body).encode()):
            assert secret not in attempt.odd


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (BilledAttempt(counts={"input": 3, "output": 4}, provider_input=3, provider_output=4), ""),
        (BilledAttempt(counts={"input": 3}, provider_input=4), "input sum to 3"),
        (BilledAttempt(counts={"output": 3, "reasoning": 2}, provider_output=3), "output sum to 5"),
        (BilledAttempt(counts={"input": -1}), "input is negative"),
        (BilledAttempt(counts={"tokens": 1}), "tokens is no class"),
        (BilledAttempt(counts={"input": 1}, reported=False), "reported none"),
        (BilledAttempt(reported=False), ""),
    ],
)
def test_what_does_not_add_up_is_a_problem(attempt: BilledAttempt, words: str) -> None:
    assert (problem(attempt) == "") if not words else (words in problem(attempt))


def test_every_wire_cut_anywhere_reports_no_more_than_the_whole() -> None:
    """A stream that is cut keeps what was reported by then, and does not call it final unless it is all there was."""
    for exchange in exchanges():
        if not exchange["streaming"]:
            continue
        body = body_of(exchange)
        whole = UsageMeter(exchange["api"], provider=exchange["provider"])
        whole.feed(body)
        everything = whole.end()
        for part in range(1, 9):
            meter = UsageMeter(exchange["api"], provider=exchange["provider"])
            meter.feed(body[: len(body) * part // 9])
            attempts = meter.end()
            assert [problem(attempt) for attempt in attempts] == [""] * len(attempts)
            assert sum(a.total_output for a in attempts) <= sum(a.total_output for a in everything), exchange["file"]
            assert len(attempts) <= len(everything)
            if attempts[-1].final and attempts[-1].reported and len(attempts) == len(everything):
                assert attempts[-1].total_output == everything[-1].total_output, exchange["file"]
