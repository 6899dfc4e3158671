"""Frames: what is stored is sent, encoded once, cut by audience and size."""

from __future__ import annotations

import json
from unittest import mock

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.hub.port import batch_of
from holdfast.protocol import events as e
from holdfast.protocol import limits
from holdfast.protocol.events import Event
from holdfast.protocol.frames import EVERYONE, OPERATORS, decode_frame, encode_frame, encode_frames, skip_payload

types = st.sampled_from([e.TEXT_CONTENT, e.CUSTOM, e.USAGE_RECORDED, "vendor.x"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    start = draw(st.integers(1, 2**53 - 1000))
    kinds = draw(st.lists(types, min_size=1, max_size=30))
    return [
        Event(
            start + n, draw(st.integers(0, 2**52)), "agent:w", kind, {"messageId": "m", "delta": draw(texts)},
            run=draw(st.none() | st.just("r1")), attempt=draw(st.none() | st.integers(1, 9)),
            offset=draw(st.none() | st.integers(0, 9)),
        )
        for n, kind in enumerate(kinds)
    ]  # fmt: skip


@given(logs())
def test_a_frame_comes_back_as_it_went(events: list[Event]) -> None:
    frame = encode_frame("s1", events)
    decoded = decode_frame(frame.payload)
    assert decoded.events == events
    assert (decoded.session, decoded.first, decoded.last) == ("s1", frame.first, frame.last)
    assert (frame.first, frame.last) == (events[0].seq, events[-1].seq)
    plain = json.loads(frame.payload)
    assert list(plain) == ["op", "session", "from", "to", "events"] and plain["op"] == "events"


@settings(max_examples=200)
@given(logs(), st.integers(200, 3_000))
def test_frames_are_cut_by_audience_and_size_and_nothing_is_lost(events: list[Event], most: int) -> None:
    with mock.patch.object(limits, "FRAME_BYTES", most):
        frames = encode_frames("s1", events, {event.type for event in events})
    assert [event for frame in frames for event in decode_frame(frame.payload).events] == events
    position = events[0].seq
    for frame in frames:
        assert frame.first == position
        position = frame.last + 1
        inside = decode_frame(frame.payload).events
        secret = {event.type in e.OPERATORS_ONLY for event in inside}
        assert secret == {frame.audience == OPERATORS}
        assert len(frame.payload) <= most or len(inside) == 1


@given(logs())
def test_who_may_not_read_a_frame_gets_its_positions(events: list[Event]) -> None:
    frames = encode_frames("s1", events, {event.type for event in events})
    all_, some = batch_of(frames, "s1", operator=True), batch_of(frames, "s1", operator=False)
    assert all_.payloads == [frame.payload for frame in frames]
    for frame, payload in zip(frames, some.payloads, strict=True):
        message = json.loads(payload)
        assert (message["from"], message["to"]) == (frame.first, frame.last)
        if frame.audience == EVERYONE:
            assert payload is frame.payload, "stored is sent"
        else:
            assert message == {"op": "skip", "session": "s1", "from": frame.first, "to": frame.last}
            assert payload == skip_payload("s1", frame.first, frame.last)


def test_damaged_bytes_are_not_events() -> None:
    payload = encode_frame("s1", [Event(1, 1, "a", "x", {})]).payload
    for damaged in (payload[:-1], payload.replace(b'"seq":1', b'"seq":"1"'), b"", payload + b"x"):
        with pytest.raises(msgspec.DecodeError):
            decode_frame(damaged)
