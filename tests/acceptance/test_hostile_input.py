"""Nothing a client sends crashes, hangs or grows the server; bad input gets a documented code and the server lives."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import struct
from typing import Any

import pytest

from holdfast.client.client import Client
from holdfast.errors import CODES
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Draft

from .conftest import Site

pytestmark = pytest.mark.anyio


class Raw:
    """A WebSocket spoken by hand, so that it can be spoken wrongly."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: int) -> None:
        self.reader, self.writer, self.status = reader, writer, status

    @classmethod
    async def open(
        cls,
        site: Site,
        *headers: str,
        token: str | None = None,
        host: str | None = None,
        window: int | None = None,
        path: str = "/v1/connect",
        method: str = "GET",
    ) -> Raw:
        """Shake hands; ``window`` bytes is about what this end takes before it reads."""
        sock = socket.socket()
        if window is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", site.port))
        reader, writer = await site.line(sock, window or 65_536)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"{method} {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{site.port}'}", "Upgrade: websocket",
            "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", *headers,
        ]  # fmt: skip
        if token is not None:
            lines.append(f"Authorization: Bearer {token}")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        return cls(reader, writer, int(head.split()[1]))

    def frame(self, payload: bytes, *, op: int = 1, fin: bool = True, rsv: int = 0, mask: bool = True) -> None:
        """Write one frame."""
        first = (0x80 if fin else 0) | (rsv << 4) | op
        size, flag = len(payload), 0x80 if mask else 0
        if size < 126:
            head = bytes([first, flag | size])
        elif size < 65_536:
            head = bytes([first, flag | 126]) + struct.pack(">H", size)
        else:
            head = bytes([first, flag | 127]) + struct.pack(">Q", size)
        self.writer.write(head + (bytes(4) if mask else b"") + payload)

    def say(self, message: Any) -> None:
        """Write one JSON message."""
        self.frame(message if isinstance(message, bytes) else json.dumps(message).encode())

    async def hear(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload."""
        first, second = await self.reader.readexactly(2)
        size = second & 127
        if size == 126:
            (size,) = struct.unpack(">H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await self.reader.readexactly(8))
        return first & 15, await self.reader.readexactly(size)

    async def answer(self, *, op: str | None = None) -> dict[str, Any]:
        """The next JSON message, of one kind if named."""
        while True:
            kind, payload = await asyncio.wait_for(self.hear(), 5)
            if kind == 1:
                message: dict[str, Any] = json.loads(payload)
                if op in (None, message["op"]):
                    return message
            elif kind == 8:
                raise ConnectionResetError(struct.unpack(">H", payload[:2])[0])

    async def close_code(self) -> int:
        """Read until the server closes; 0 when it just dropped the connection."""
        try:
            while True:
                kind, payload = await asyncio.wait_for(self.hear(), 8)
                if kind == 8:
                    return int(struct.unpack(">H", payload[:2])[0])
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0


async def lives(site: Site) -> None:
    """The server still does its work, for somebody else."""
    async with Client(site.url, site.token("user:other")) as hf:
        session = await hf.create()
        await session.send("still there?")
        assert len((await session.state()).items) == 1


def deep(levels: int) -> bytes:
    return b'{"op":"presence","id":1,"session":"s1","doing":' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"


MALFORMED = {
    "not json": b"{",
    "an array": b"[]",
    "a number": b"7",
    "no op": b'{"id":1}',
    "unknown op": b'{"op":"fly","id":1}',
    "nan": b'{"op":"presence","id":1,"session":"s1","doing":{"a":NaN}}',
    "infinite": b'{"op":"presence","id":1,"session":"s1","doing":{"a":1e999}}',
    "lone surrogate": b'{"op":"send","id":1,"session":"s1","text":"\\ud800"}',
    "surrogates the wrong way": b'{"op":"send","id":1,"session":"s1","text":"\\udc00\\ud800"}',
    "wrong type": b'{"op":"send","id":1,"session":"s1","text":7}',
    "negative id": b'{"op":"ping","id":-1}',
    "id of 2^63": b'{"op":"ping","id":9223372036854775808}',
    "very deep": deep(5_000),
    "session id": b'{"op":"send","id":1,"session":"../x","text":"x"}',
    "too many events": b'{"op":"append","id":1,"session":"s1","events":['
    + b'{"type":"X"},' * 1_001
    + b'{"type":"X"}]}',
    "no events": b'{"op":"append","id":1,"session":"s1","events":[]}',
}


@pytest.mark.parametrize("name", sorted(MALFORMED))
async def test_malformed_messages_are_answered(site: Site, name: str) -> None:
    raw = await Raw.open(site, token=site.token())
    await raw.answer(op="welcome")
    raw.say({"op": "create", "id": 0, "session": "s1"})
    await raw.answer(op="ok")
    raw.say(MALFORMED[name])
    error = (await raw.answer(op="error"))["error"]
    assert error["code"] in CODES and error["code"].startswith("input."), error
    raw.say({"op": "ping", "id": 2})
    assert (await raw.answer(op="ok"))["id"] == 2
    await lives(site)


VALUES = {
    "2^53": ({"v": 2**53}, "input.number_range"),
    "-2^63": ({"v": -(2**63)}, "input.number_range"),
    "2^80": ({"v": [2**80]}, "input.number_range"),
    "depth": ({"v": json.loads("[" * 40 + "]" * 40)}, "input.too_deep"),
    "size": ({"v": "x" * (limits.EVENT_BYTES + 1)}, "input.too_large"),
}


@pytest.mark.parametrize("name", sorted(VALUES))
async def test_values_no_reader_could_represent(site: Site, name: str) -> None:
    data, code = VALUES[name]
    async with site.http(site.token()) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        response = await http.post("/v1/sessions/s1/events", json={"events": [{"type": "CUSTOM", "data": data}]})
        assert response.json()["error"]["code"] == code and response.status_code == CODES[code].status
        assert (await http.get("/v1/sessions/s1")).json()["seq"] == 1


async def test_duplicate_keys_are_dropped(site: Site) -> None:
    async with site.http(site.token()) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        body = b'{"events":[{"type":"CUSTOM","data":{"a":1,"a":2}}]}'
        assert (await http.post("/v1/sessions/s1/events", content=body)).status_code == 201
        assert (await http.get("/v1/sessions/s1/events?after=1")).text.count('"a":') == 1


RESERVED = [
    "run.ended",
    "approval.resolved",
    "session.created",
    "input.message",
    "cancel.requested",
    "",
    "x" * 65,
    "a\nb",
]


@pytest.mark.parametrize("type_", RESERVED)
async def test_control_cannot_be_forged(site: Site, type_: str) -> None:
    async with site.http(site.token()) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        response = await http.post("/v1/sessions/s1/events", json={"events": [{"type": type_, "data": {}}]})
        assert response.json()["error"]["code"] == "input.event_type"


BROKEN = {
    "reserved bits": lambda r: r.frame(b"{}", rsv=4),
    "unknown opcode": lambda r: r.frame(b"{}", op=3),
    "binary": lambda r: r.frame(b"{}", op=2),
    "invalid utf-8": lambda r: r.frame(b"\xff\xfe"),
    "continuation of nothing": lambda r: r.frame(b"{}", op=0),
    "new message inside another": lambda r: (r.frame(b"{", fin=False), r.frame(b"{}")),
    "fragmented ping": lambda r: r.frame(b"x", op=9, fin=False),
    "long ping": lambda r: r.frame(b"x" * 200, op=9),
    "too large": lambda r: r.frame(b"x" * (limits.MESSAGE_BYTES + 1)),
    "too large in pieces": lambda r: [r.frame(b"x" * 60_000, op=1 if i == 0 else 0, fin=False) for i in range(20)],
    "a length of 2^63": lambda r: r.writer.write(b"\x81\xff" + b"\xff" * 8 + bytes(4)),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
async def test_broken_frames_close_only_their_connection(site: Site, name: str) -> None:
    raw = await Raw.open(site, token=site.token())
    await raw.answer(op="welcome")
    BROKEN[name](raw)
    assert await raw.close_code() in (0, 1002, 1003, 1007, 1009)
    await lives(site)


async def test_fragments_are_put_together(site: Site) -> None:
    raw = await Raw.open(site, token=site.token())
    await raw.answer(op="welcome")
    raw.frame(b'{"op":"pi', fin=False)
    raw.frame(b"", op=9)
    raw.frame(b'ng","id":1}', op=0)
    assert (await raw.answer(op="ok"))["id"] == 1


async def test_before_hello_nothing_is_done(site: Site) -> None:
    raw = await Raw.open(site)
    raw.say({"op": "create", "id": 1, "session": "s1"})
    assert (await raw.answer())["error"]["code"] == "auth.required"
    assert await raw.close_code() == 4401
    raw = await Raw.open(site)
    raw.say({"op": "hello", "id": 1, "token": "nonsense"})
    assert (await raw.answer())["error"]["code"] == "auth.invalid"
    assert await raw.close_code() == 4401
    silent = await Raw.open(site)
    assert await silent.close_code() == 4408


async def test_origin_and_host(site: Site) -> None:
    """ACC-5: on WebSockets and over REST alike."""
    assert (await Raw.open(site, "Origin: http://evil.example", token=site.token())).status == 403
    assert (await Raw.open(site, "Origin: null", token=site.token())).status == 403
    assert (await Raw.open(site, f"Origin: http://127.0.0.1:{site.port}", token=site.token())).status == 101
    assert (await Raw.open(site, host="rebound.example", token=site.token())).status == 421
    assert (await Raw.open(site, token="nonsense")).status == 401
    assert (await Raw.open(site, token=site.token(), method="POST")).status == 405
    async with site.http(site.token()) as http:
        assert (await http.get("/v1/sessions", headers={"host": "rebound.example"})).status_code == 421
        assert (await http.get("/v1/sessions", headers={"origin": "http://evil.example"})).status_code == 403


async def test_a_flood_is_refused_and_then_closed(site: Site) -> None:
    raw = await Raw.open(site, token=site.token())
    await raw.answer(op="welcome")
    for i in range(int(limits.REQUESTS_PER_S * 4)):
        raw.say({"op": "ping", "id": i})
    assert await raw.close_code() == 4429
    await lives(site)


async def test_large_and_slow_bodies(site: Site) -> None:
    async with site.http(site.token()) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        response = await http.post("/v1/sessions/s1/messages", content=b" " * (limits.MESSAGE_BYTES + 1))
        assert response.json()["error"]["code"] == "input.too_large"

        async def drip() -> Any:
            for _ in range(40):
                yield b"x" * (limits.MESSAGE_BYTES // 20)

        assert (await http.post("/v1/sessions/s1/messages", content=drip())).status_code == 413
        for body in (b"[]", b"7", b'"x"', b"{", b'{"text":1}', b'{"text":"x","attempts":0}'):
            assert (await http.post("/v1/sessions/s1/messages", content=body)).status_code == 400
        for path in (
            "/v1/sessions/s1/events?after=x",
            "/v1/sessions?limit=0",
            "/v1/sessions?before=x~y",
            "/v1/sessions/s1/history/x",
        ):
            assert (await http.get(path)).status_code == 400, path
        assert (await http.get("/v1/sessions/..%2f..%2fx")).status_code in (400, 404)
    await lives(site)


async def test_half_open_handshakes_are_not_kept(site: Site) -> None:
    held = [await site.line() for _ in range(50)]
    for _, writer in held:
        writer.write(b"GET /v1/connect HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")
    await lives(site)
    for _, writer in held:
        writer.close()


async def test_secrets_stay_out_of_errors_and_logs(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    token = site.token()
    raw = await Raw.open(site)
    raw.say({"op": "hello", "id": 1, "token": token + "x"})
    answer = json.dumps(await raw.answer())
    async with site.http(token + "x") as http:
        answer += (await http.get("/v1/sessions")).text
    part = token.split(".")[2][:16]
    assert part not in answer and part not in caplog.text


async def test_a_refused_append_leaves_nothing(site: Site) -> None:
    async with Client(site.url, site.token()) as hf:
        await hf.create("s1")
        good = Draft("TEXT_MESSAGE_START", {"messageId": "m"})
        bad = Draft("TEXT_MESSAGE_CONTENT", {"messageId": "m", "delta": 7})
        with pytest.raises(Exception, match=r"input\.malformed"):
            await hf.connection.request(wire.Append(session="s1", events=[good, bad]))
        assert (await hf.connection.request(wire.Append(session="s1", events=[good])))["first"] == 2
