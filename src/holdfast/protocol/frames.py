"""Frames: consecutive events of one session for one audience, encoded once.

The bytes built here are what is stored and what every reader of the audience gets, live and in catch-up, until
compaction replaces them ("stored is sent"). Every frame is one JSON object and one WebSocket text message::

    {"op":"events","session":"s1","from":1,"to":3,"events":[{"seq":1,…},{"seq":2,…},{"seq":3,…}]}

A reader outside the audience gets ``{"op":"skip","session":"s1","from":1,"to":3}`` instead, so positions stay
contiguous for everyone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec

from holdfast.protocol import events as e
from holdfast.protocol import limits
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Event

EVERYONE: Final = 0
OPERATORS: Final = 1


class ProducerKey(msgspec.Struct, array_like=True, gc=False):
    """One accepted append, remembered so that a retry is answered and not repeated (LOG-5).

    Attributes:
        id: the producer, or the idempotency key of a single command.
        epoch: instance of the producer; a higher one fences the lower.
        seq: number of the append within the epoch, from 1.
        digest: of the content, to tell a retry from a conflict.
        first, last: positions the append was given; ``last`` is ``first - 1`` when it appended nothing.
        ts: when, in Unix milliseconds, for expiry.
        result: what the command answered beyond its positions (ids it allocated).
    """

    id: str
    epoch: int
    seq: int
    digest: str
    first: int
    last: int
    ts: int
    result: dict[str, Any] = {}


class Frame(msgspec.Struct, gc=False):
    """A frame as stored: positions, audience, the encoded bytes, and the producer keys of the appends in it."""

    first: int
    last: int
    audience: int
    payload: bytes
    keys: Sequence[ProducerKey] = ()


class EventsFrame(msgspec.Struct, tag_field="op", tag="events"):
    """Decoded form of a frame's payload."""

    session: str
    first: int = msgspec.field(name="from")
    last: int = msgspec.field(name="to")
    events: list[Event]


_DECODER: Final = msgspec.json.Decoder(EventsFrame)


def encode_frame(session: str, events: list[Event], audience: int = EVERYONE) -> Frame:
    """Encode consecutive events into one frame; this is the only place where events become bytes."""
    first, last = events[0].seq, events[-1].last
    payload = b'{"op":"events","session":"%b","from":%d,"to":%d,"events":%b}' % (
        session.encode(),
        first,
        last,
        encode(events),
    )
    return Frame(first, last, audience, payload)


def decode_frame(payload: bytes) -> EventsFrame:
    """Decode a stored or received frame. Raises ``msgspec.DecodeError`` when the bytes are damaged."""
    return _DECODER.decode(payload)


def skip_payload(session: str, first: int, last: int) -> bytes:
    """What a reader outside a frame's audience gets instead of it."""
    return b'{"op":"skip","session":"%b","from":%d,"to":%d}' % (session.encode(), first, last)


def encode_frames(session: str, events: list[Event], types: Iterable[str] = e.OPERATORS_ONLY) -> list[Frame]:
    """Cut events into frames by audience and size, and encode each once. ``types`` are those that may occur."""
    frames: list[Frame] = []
    if e.OPERATORS_ONLY.isdisjoint(types):
        _encode_within(session, events, EVERYONE, frames)
        return frames
    for operators_only, group in groupby(events, key=lambda event: event.type in e.OPERATORS_ONLY):
        _encode_within(session, list(group), OPERATORS if operators_only else EVERYONE, frames)
    return frames


def _encode_within(session: str, events: list[Event], audience: int, frames: list[Frame]) -> None:
    frame = encode_frame(session, events, audience)
    if len(frame.payload) <= limits.FRAME_BYTES or len(events) == 1:
        frames.append(frame)
        return
    half = len(events) // 2
    _encode_within(session, events[:half], audience, frames)
    _encode_within(session, events[half:], audience, frames)
