"""What the contract's tests ask of an engine again and again: frames, appends, what is there, what is refused."""

from __future__ import annotations

import pytest

from holdfast.engines.port import Engine, Index, Key, LogAppend
from holdfast.errors import HoldfastError
from holdfast.protocol.events import Event
from holdfast.protocol.frames import Frame, decode_frame, encode_frame

KEY = Key("acme", "s1")
PAGE = 1 << 20


def frame(key: Key, first: int, count: int = 1, *, audience: int = 0, text: str = "tide") -> Frame:
    events = [
        Event(seq, 1_000 + seq, "agent:writer", "TEXT_MESSAGE_CONTENT", {"messageId": "m1", "delta": f"{text} {seq}"})
        for seq in range(first, first + count)
    ]
    return encode_frame(key.session, events, audience)


async def create(engine: Engine, key: Key = KEY, incarnation: str = "i1", now_ms: int = 1, **index: object) -> None:
    await engine.create(key, incarnation, now_ms, Index(**index))  # type: ignore[arg-type]


async def add(engine: Engine, key: Key, expected: int, count: int = 1, **more: object) -> int:
    """Append one frame; answers the new tail."""
    fields: dict[str, object] = {"incarnation": "i1", "ts_ms": 2, **more}
    frames = [frame(key, expected + 1, count)]
    await engine.append(LogAppend(key=key, expected=expected, frames=frames, **fields))  # type: ignore[arg-type]
    return expected + count


async def all_frames(engine: Engine, key: Key = KEY, after: int = 0) -> list[Frame]:
    return await engine.read(key, after, max_bytes=PAGE)


async def seqs(engine: Engine, key: Key = KEY) -> list[int]:
    return [event.seq for frame in await all_frames(engine, key) for event in decode_frame(frame.payload).events]


async def tail(engine: Engine, key: Key = KEY) -> int:
    head = await engine.head(key)
    assert head is not None
    return head.tail


async def refused(code: str, doing: object) -> HoldfastError:
    with pytest.raises(HoldfastError) as caught:
        await doing  # type: ignore[misc]
    assert caught.value.code == code
    return caught.value
