"""Recorded exchanges through what the gateway does to a stream: it is cut at events, collected, condensed, ended."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Unavailable
from holdfast.gateway.collecting import Collected
from holdfast.gateway.estimates import output_tokens, tokens_of_request
from holdfast.gateway.followed import FollowedStream, estimated
from holdfast.gateway.incoming import Incoming
from holdfast.gateway.unstreamed import stream_of
from holdfast.gateway.whole_events import WholeEvents
from holdfast.gateway.wires import WIRES, GatewayWire
from holdfast.protocol import limits
from holdfast.providers.billing.usage_meter import UsageMeter, of_response
from holdfast.providers.dialects import STREAM_DIALECTS
from holdfast.providers.pieces import DELTAS, AnswerFailure, Piece
from holdfast.providers.usage import TokenUsage
from tests.recorded_streams import body_of, exchanges

OURS = {wire.name: wire for wire in WIRES.values() if wire.streams}
GOOD = [each for each in exchanges() if each["api"] in OURS and each["response_status"] == 200]
STREAMS = [e for e in GOOD if e["streaming"] and "error-event" not in e["features"] and "chunk" not in e["framing"]]
WHOLE = [
    e
    for e in GOOD
    if not e["streaming"] and not {"resp-queued", "resp-in_progress"} & set(str(e["features"]).split("; "))
]


def name(exchange: Any) -> str:
    return str(exchange["file"])[:70]


def pieces_of(wire: GatewayWire, data: bytes) -> list[Piece]:
    decoder = STREAM_DIALECTS[wire.name].decoder()
    return [*decoder.feed(data), *decoder.close()]


def texts(pieces: list[Piece]) -> dict[str, str]:
    """What was generated, by kind."""
    found: dict[str, str] = {}
    for piece in pieces:
        if isinstance(piece, DELTAS):
            found[type(piece).__name__] = found.get(type(piece).__name__, "") + piece.text
    return found


def test_there_is_something_to_look_at() -> None:
    assert len(STREAMS) > 40 and {each["api"] for each in STREAMS} == set(OURS)


@pytest.mark.parametrize("exchange", STREAMS, ids=name)
def test_cut_at_events_and_put_together_it_is_the_same(exchange: Any) -> None:
    data = body_of(exchange)
    for size in (1, 7, 100, 4_096):
        cutter = WholeEvents()
        found = [cutter.feed(data[at : at + size]) for at in range(0, len(data), size)]
        assert b"".join([*found, cutter.close()]).rstrip() == data.rstrip()
        for part in found:
            assert not part or part.rstrip(b"\r\n") != part, "each ends where an event does"


@pytest.mark.parametrize("exchange", STREAMS, ids=name)
def test_it_has_ended_at_its_end_and_nowhere_before(exchange: Any) -> None:
    wire, data = OURS[exchange["api"]], body_of(exchange)
    followed, cutter = FollowedStream(wire), WholeEvents()
    early = 0
    for at in range(0, len(data), 200):
        if events := cutter.feed(data[at : at + 200]):
            followed.add(events)
            early += followed.is_whole() and at + 1_000 < len(data) and wire.name != "openai.responses"
    followed.add(cutter.close())
    assert followed.is_whole() or followed.closing() or wire.name == "openai.chat"
    assert not early and followed.failure is None


@pytest.mark.parametrize("exchange", STREAMS, ids=name)
def test_collected_it_says_what_its_pieces_say(exchange: Any) -> None:
    wire, data = OURS[exchange["api"]], body_of(exchange)
    collected = Collected(wire)
    for at in range(0, len(data), 333):
        collected.feed(data[at : at + 333])
    try:
        answer = json.loads(collected.close())
    except Unavailable:
        assert "finish_reason" not in data.decode() and wire.name == "openai.chat"
        return
    again = texts(pieces_of(wire, stream_of(wire, json.dumps(answer).encode())))
    streamed = texts(pieces_of(wire, data))
    for kind in ("TextDelta", "RefusalDelta"):
        assert again.get(kind, "") == streamed.get(kind, "")
    billed = of_response(wire.name, json.dumps(answer).encode())
    meter = UsageMeter(wire.name)
    meter.feed(data)
    assert [(one.counts, one.model) for one in billed] == [(one.counts, one.model) for one in meter.end()]


@pytest.mark.parametrize("exchange", WHOLE, ids=name)
def test_a_whole_answer_made_a_stream_is_billed_and_collected_the_same(exchange: Any) -> None:
    wire, body = OURS[exchange["api"]], body_of(exchange)
    stream = stream_of(wire, body)
    meter = UsageMeter(wire.name)
    meter.feed(stream)
    assert [one.counts for one in meter.end()] == [one.counts for one in of_response(wire.name, body)]
    collected, before = Collected(wire), json.loads(body)
    collected.feed(stream)
    answer = json.loads(collected.close())
    assert answer.get("usage") == before.get("usage")
    if wire.name == "anthropic.messages":
        assert answer["content"] == before["content"] and answer["stop_reason"] == before["stop_reason"]
    elif wire.name == "openai.responses":
        assert answer == before
    else:
        for mine, theirs in zip(answer["choices"], before["choices"], strict=True):
            assert mine["message"].get("content") == theirs["message"].get("content")
            calls = [
                {n: v for n, v in call.items() if n != "index"} for call in theirs["message"].get("tool_calls") or ()
            ]
            assert (mine["message"].get("tool_calls") or []) == calls


@pytest.mark.parametrize("exchange", STREAMS, ids=name)
@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
def test_ended_anywhere_the_end_is_legal_and_condensing_changes_nothing(
    exchange: Any, part: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire, data = OURS[exchange["api"]], body_of(exchange)
    given_out = WholeEvents().feed(data[: int(len(data) * part)])
    if not given_out:
        return
    endings, sizes = [], []
    for most in (1 << 30, 1_500):
        monkeypatch.setattr(limits, "FOLLOWED_BYTES", most)
        followed, cutter = FollowedStream(wire), WholeEvents()
        for at in range(0, len(given_out), 700):
            if events := cutter.feed(given_out[at : at + 700]):
                followed.add(events)
        meter = UsageMeter(wire.name)
        meter.feed(given_out)
        used = estimated(400, followed.text_bytes, meter.end())
        endings.append(followed.ending(Unavailable("upstream.failed", "it broke"), used))
        sizes.append(followed.text_bytes)
    pieces = pieces_of(wire, given_out + endings[0])
    assert isinstance(pieces[-1], AnswerFailure) or any(isinstance(piece, AnswerFailure) for piece in pieces)
    failure = next(piece for piece in pieces if isinstance(piece, AnswerFailure))
    assert failure.code == "upstream.failed"
    usages = [piece for piece in pieces if isinstance(piece, TokenUsage)]
    assert usages and (usages[-1].total_input, usages[-1].output) == (used.total_input, used.total_output)
    assert sizes[0] == sizes[1]
    assert _output(endings[0]) == _output(endings[1])


def _output(ending: bytes) -> Any:
    """What Responses says again at its end; of the others, all of it."""
    if b"response.incomplete" not in ending:
        return ending
    line = next(line for line in ending.split(b"\n") if line.startswith(b"data: ") and b"response.incomplete" in line)
    return [
        [part.get("text") for part in item.get("content") or ()] + [item.get("arguments"), item.get("id"), item["type"]]
        for item in json.loads(line[6:])["response"]["output"]
    ]


@given(st.lists(st.sampled_from(["data: x", "event: y", "", "", ":c"]), max_size=30), st.data())
def test_any_lines_with_any_ends_cut_anywhere(lines: list[str], data: Any) -> None:
    ends = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    raw = ends.join(lines).encode()
    cutter, at, found = WholeEvents(), 0, b""
    while at < len(raw):
        size = data.draw(st.integers(1, 9))
        part = cutter.feed(raw[at : at + size])
        found += part
        assert not part or part.endswith((b"\n", b"\r"))
        at += size
    rest = cutter.close()
    assert raw.startswith(found) and b"data" not in rest and raw[len(found) :].count(b"\n\n") == 0


# --- how far estimates are off; docs/reference/gateway.md has the figures
def test_estimates_of_input_are_about_right_in_sum() -> None:
    guess = truth = 0
    for exchange in GOOD:
        request = {name: value for name, value in (exchange.get("request") or {}).items() if name != "background"}
        tools = request.get("tools") or []
        hosted = [tool for tool in tools if tool.get("type") not in (None, "function", "custom")]
        unseen = (
            hosted
            or request.get("mcp_servers")
            or request.get("previous_response_id")
            or "removed" in exchange["notes"]
        )
        if unseen or "media" in str(exchange["features"]) or not request:
            continue
        wire = OURS[exchange["api"]]
        billed = of_whole(exchange)
        if not billed:
            continue
        body = json.dumps({"model": "m", **request}, ensure_ascii=False, separators=(",", ":")).encode()
        guess += tokens_of_request(Incoming(wire, body, {}).text_bytes)
        truth += billed[0].total_input
    assert truth > 10_000 and 0.8 < guess / truth < 1.3, (guess, truth)


def test_estimates_of_plain_output_are_about_right_in_sum() -> None:
    guess = truth = 0
    for exchange in STREAMS:
        if any(word in str(exchange["features"]) for word in ("encrypted", "redacted", "server-tool", "tool-call")):
            continue
        wire, billed = OURS[exchange["api"]], of_whole(exchange)
        if billed and not billed[0].counts.get("reasoning"):
            followed = FollowedStream(wire)
            followed.add(body_of(exchange))
            guess += output_tokens(followed.text_bytes)
            truth += billed[0].total_output
    assert truth > 1_000 and 0.7 < guess / truth < 1.3, (guess, truth)


def of_whole(exchange: Any) -> Any:
    """What the provider reported, where it did."""
    meter = UsageMeter(exchange["api"])
    meter.feed(body_of(exchange))
    return [one for one in meter.end() if one.reported and one.total_input]


def test_what_was_seen_is_counted_without_the_escapes_of_json() -> None:
    followed = FollowedStream(OURS["openai.chat"])
    for text in ('"Zitat"\n', "é汉", "\\", "\U0001f600"):
        followed.add(b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n")
    assert followed.text_bytes == pytest.approx(len('"Zitat"\né汉\\\U0001f600'.encode()), abs=3)
