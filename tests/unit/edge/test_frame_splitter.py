"""Frames on their way into picows: whatever comes, in whatever portions, is what was sent; and picows keeps little of it."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picows import WSListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from holdfast.edge import frame_splitter
from holdfast.edge.frame_splitter import FRAGMENT_BYTES, parse_frame_header
from holdfast.edge.upgrade import PicowsProtocol, first_message_complete
from holdfast.protocol import limits

MASK = b"\x01\x02\x03\x04"


def frame(payload: bytes, op: int = 1, fin: bool = True, mask: bytes = MASK) -> bytes:
    """One frame of a client."""
    size = len(payload)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    masked = (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")
    length = (
        bytes((0x80 | size,)) if size < 126
        else b"\xfe" + size.to_bytes(2, "big") if size < 1 << 16
        else b"\xff" + size.to_bytes(8, "big")
    )  # fmt: skip
    return bytes(((0x80 if fin else 0) | op,)) + length + mask + masked


class RecordingListener(WSListener):
    """Puts messages together, and lets long ones in when it is told to."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.pings: list[bytes] = []
        self.requested_sizes: list[int] = []
        self.longest = 0
        self.full = False
        self._go: Callable[[], None] | None = None
        self._granted = False
        self._parts = b""

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        payload = frame.get_payload_as_bytes()
        self.longest = max(self.longest, len(payload))
        if frame.msg_type in (9, 10):
            self.pings.append(payload)
            return
        self._parts += payload
        if frame.fin:
            self.messages.append(self._parts)
            self._parts = b""

    def request_memory(self, size: int, go: Callable[[], None]) -> bool:
        if self._granted:
            self._granted = False
            return True
        self.requested_sizes.append(size)
        if self.full:
            self._go = go
            return False
        return True

    def grant(self) -> None:
        go, self._go, self._granted = self._go, None, True
        assert go is not None
        go()


class NullTransport:
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        self.socket = socket.socket()
        self.written: list[bytes] = []

    def get_extra_info(self, name: str) -> Any:
        return self.socket if name == "socket" else None

    def get_write_buffer_size(self) -> int:
        return 1

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def set_protocol(self, protocol: Any) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        pass


class Server:
    connections: set[Any] = set()


def through(work: Callable[[PicowsProtocol, RecordingListener, NullTransport], None]) -> None:
    """Do something with a protocol that was just let in."""

    async def run() -> None:
        recorder, transport = RecordingListener(), NullTransport()
        protocol = PicowsProtocol(Server, recorder)  # type: ignore[arg-type]
        protocol.take_over(transport, b"")
        try:
            work(protocol, recorder, transport)
        finally:
            protocol.connection_lost(None)
            transport.socket.close()

    asyncio.run(run())


def arrive(protocol: PicowsProtocol, data: bytes, portions: list[int]) -> None:
    """Hand data over as a transport does: into the buffer, so much at a time."""
    at = n = 0
    while at < len(data):
        size = max(portions[n % len(portions)], len(data) // 2_000)
        buffer = protocol.get_buffer(-1)
        portion = data[at : at + min(size, len(buffer))]
        buffer[: len(portion)] = portion
        protocol.buffer_updated(len(portion))
        at, n = at + len(portion), n + 1


SIZES = st.sampled_from(
    [0, 1, 2, 125, 126, 127, 1_000, 8_184, 8_192, FRAGMENT_BYTES - 1, FRAGMENT_BYTES, FRAGMENT_BYTES + 1, FRAGMENT_BYTES + 3,
     2 * FRAGMENT_BYTES, 65_535, 65_536]
)  # fmt: skip
PORTIONS = st.lists(st.integers(1, 70_000) | st.integers(1, 20), min_size=1, max_size=6)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(SIZES, st.integers(1, 4), st.booleans()), min_size=1, max_size=6), PORTIONS)
def test_what_is_sent_is_what_is_heard(sent: list[tuple[int, int, bool]], portions: list[int]) -> None:
    data, messages, pings = b"", [], 0
    for number, (size, parts, ping) in enumerate(sent):
        message = random.Random(size + number).randbytes(size)
        messages.append(message)
        cuts = [size * n // parts for n in range(parts)] + [size]
        for n in range(parts):
            data += frame(message[cuts[n] : cuts[n + 1]], op=0 if n else 1, fin=n == parts - 1)
            if ping:
                data += frame(b"x" * 125, op=10)
                pings += 1

    def work(protocol: PicowsProtocol, recorder: RecordingListener, _: NullTransport) -> None:
        arrive(protocol, data, portions)
        assert recorder.messages == messages
        assert len(recorder.pings) == pings
        assert recorder.longest <= FRAGMENT_BYTES
        assert len(WSProtocol.get_buffer(protocol, -1)) <= 4 * FRAGMENT_BYTES, "what picows keeps stays small"

    through(work)


def test_a_long_frame_waits_for_room_and_what_was_read_with_it_waits_too() -> None:
    long = frame(b"y" * 100_000)

    def work(protocol: PicowsProtocol, recorder: RecordingListener, _: NullTransport) -> None:
        recorder.full = True
        arrive(protocol, frame(b"x") + long[:50_000], [60_000])
        assert (recorder.messages, recorder.requested_sizes) == ([b"x"], [100_000])
        assert len(protocol._pending) == 50_000
        recorder.grant()
        arrive(protocol, long[50_000:] + frame(b"z"), [9_000])
        assert recorder.messages == [b"x", b"y" * 100_000, b"z"]

    through(work)


def test_a_message_in_pieces_asks_for_as_much_as_a_message_may_have() -> None:
    def work(protocol: PicowsProtocol, recorder: RecordingListener, _: NullTransport) -> None:
        arrive(protocol, frame(b"x" * 20_000, fin=False) + frame(b"x" * 20_000, op=0), [9_999])
        assert recorder.requested_sizes == [limits.MESSAGE_BYTES, 20_000]
        assert recorder.messages == [b"x" * 40_000]

    through(work)


WRONG = {
    "unmasked": bytes((0x81, 5)) + b"hello" + b"more",
    "too long": b"\x81\xff" + (limits.MESSAGE_BYTES + 1).to_bytes(8, "big") + MASK + b"x" * 100,
    "a length written long": b"\x81\xff" + (20_000).to_bytes(8, "big") + MASK + b"x" * 20_000,
    "negative": b"\x81\xff" + b"\xff" * 8 + MASK + b"x" * 100,
    "a long ping": b"\x89\xfe" + (30_000).to_bytes(2, "big") + MASK + b"x" * 30_000,
    "no such frame": frame(b"x", op=5),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("portions", [[1], [7], [70_000]])
def test_what_is_wrong_is_closed_by_picows_and_nothing_after_it_heard(name: str, portions: list[int]) -> None:
    def work(protocol: PicowsProtocol, recorder: RecordingListener, transport: NullTransport) -> None:
        arrive(protocol, frame(b"before") + WRONG[name] + frame(b"after") * 3, portions)
        assert recorder.messages in ([b"before"], [])  # picows looks one frame ahead
        assert protocol.transport.is_close_frame_sent
        assert len(WSProtocol.get_buffer(protocol, -1)) <= 8 * FRAGMENT_BYTES

    through(work)


def test_heads_are_read_as_they_are() -> None:
    for size in (0, 125, 126, 65_535, 65_536, 1 << 20):
        whole = frame(b"x" * size, fin=False, mask=bytes(4))
        head = parse_frame_header(whole, 0)
        assert head is not None and (head.length, head.fin, head.is_data, head.invalid) == (size, False, True, False)
        assert all(parse_frame_header(whole[:cut], 0) is None for cut in range(head.size))
    ping = parse_frame_header(frame(b"x", op=9), 0)
    assert ping is not None and (ping.is_data, ping.fin, ping.invalid) == (False, True, False)


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"", False),
        (frame(b"hello"), True),
        (frame(b"hello")[:-1], False),
        (frame(b"hello") + b"\x81", True),
        (frame(b"hel", fin=False) + frame(b"lo", op=0), True),
        (frame(b"hel", fin=False) + frame(b"lo", op=0)[:-1], False),
        (frame(b"ping", op=9) + frame(b"hello"), True),
        (frame(b"ping", op=9), False),
        (frame(b"x" * 90)[:40], None),
        (frame(b"x" * 30, fin=False) + frame(b"x" * 40, op=0), None),
        (frame(b"", op=9) * 20, None),
        (b"\x81\x05hello", True),
        (b"\x81\xff" + b"\x7f" * 8 + MASK, None),
    ],
)
def test_a_first_message_is_whole_or_too_long(data: bytes, whole: bool | None) -> None:
    assert first_message_complete(data, 80) is whole


def test_the_scratch_is_for_any_connection() -> None:
    """Two that are read from in turns do not see what the other got."""

    async def run() -> None:
        pairs = [(RecordingListener(), NullTransport()) for _ in range(2)]
        protocols = [PicowsProtocol(Server, recorder) for recorder, _ in pairs]  # type: ignore[arg-type]
        for protocol, (_, transport) in zip(protocols, pairs, strict=True):
            protocol.take_over(transport, b"")
        data = [frame(bytes((65 + n,)) * 50_000) for n in range(2)]
        for at in range(0, len(data[0]), 777):
            for n in range(2):
                arrive(protocols[n], data[n][at : at + 777], [777])
        assert [heard.messages for heard, _ in pairs] == [[b"A" * 50_000], [b"B" * 50_000]]
        assert protocols[0].get_buffer(-1).obj is frame_splitter._SCRATCH
        for protocol, (_, transport) in zip(protocols, pairs, strict=True):
            protocol.connection_lost(None)
            transport.socket.close()

    asyncio.run(run())
