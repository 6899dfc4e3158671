"""Compacting a session that has come to rest: fewer, larger events for those who read it again (FOLD-5)."""

from __future__ import annotations

from typing import Protocol

from holdfast.engines.port import Engine, Key
from holdfast.hub.ring import Ring
from holdfast.hub.snapshotter import Snapshotter
from holdfast.protocol import limits
from holdfast.protocol.compaction import merge
from holdfast.protocol.events import Event
from holdfast.protocol.frames import Frame, ProducerKey, decode_frame, encode_frames


class RestingSession(Protocol):
    """The part of a session in memory that compacting needs."""

    key: Key
    incarnation: str
    tail: int
    ring: Ring
    snapshotter: Snapshotter


async def compact(session: RestingSession, engine: Engine) -> int:
    """Merge what was appended since the last time, page by page; returns how many events were merged away.

    Each page is swapped atomically, so it may stop anywhere. Readers whose cursor ends up inside a cover get a snapshot.
    """
    merged_count = 0
    while session.snapshotter.compacted < session.tail:
        start = session.snapshotter.compacted
        frames = await engine.read(session.key, start, max_bytes=limits.PAGE_BYTES, incarnation=session.incarnation)
        if not frames:
            break
        before = [event for frame in frames for event in decode_frame(frame.payload).events]
        after = merge(before)
        if len(after) < len(before):
            first, last = frames[0].first, frames[-1].last
            await engine.compact(
                session.key, session.incarnation, first, last, _frames(session.key.session, after, frames)
            )
            merged_count += len(before) - len(after)
        session.snapshotter.compacted = frames[-1].last
    session.ring.clear()
    return merged_count


def _frames(session: str, events: list[Event], old_frames: list[Frame]) -> list[Frame]:
    """The merged events as frames; the producer keys of what they replace go on with the last of them."""
    frames = encode_frames(session, events)
    keys: list[ProducerKey] = [key for frame in old_frames for key in frame.keys]
    frames[-1].keys = keys
    return frames
