"""HTTP spoken wrongly, slowly or without end: answered or dropped in bounded time and memory, and the server lives."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from holdfast.protocol import limits

from .conftest import Site
from .test_hostile_input import Raw, lives

pytestmark = pytest.mark.anyio


class Line:
    """A TCP connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, site: Site) -> Line:
        return cls(*await site.line())

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def all(self, within_s: float = 5) -> bytes:
        """Everything until the server closes."""
        try:
            return await asyncio.wait_for(self.reader.read(-1), within_s)
        except ConnectionError:
            return b""

    async def pour(self, data: bytes, most_bytes: int) -> int:
        """Send the same again and again until the server closes; returns how much it took."""
        sent = 0
        try:
            while sent < most_bytes and not self.reader.at_eof() and not self.writer.is_closing():
                self.say(data)
                sent += len(data)
                await asyncio.wait_for(self.writer.drain(), 5)
                await asyncio.sleep(0)
        except (ConnectionError, TimeoutError):
            return sent
        return sent


HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
ENDLESS = {
    "a head": (HEAD, b"X-Padding: " + b"x" * 500 + b"\r\n"),
    "one header": (HEAD + b"X-Padding: ", b"x" * 4_096),
    "a target": (b"GET /", b"x" * 4_096),
    "a method": (b"", b"A" * 4_096),
    "trailers": (
        b"POST /v1/tokens HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n",
        b"X-Padding: " + b"x" * 500 + b"\r\n",
    ),
    "one trailer": (
        b"POST /v1/tokens HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nX-A: ",
        b"x" * 4_096,
    ),
    "a chunk extension": (
        b"POST /v1/tokens HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;a=",
        b"x" * 4_096,
    ),
}


@pytest.mark.parametrize("name", sorted(ENDLESS))
async def test_what_never_ends_is_cut_off(site: Site, name: str) -> None:
    begin, more = ENDLESS[name]
    line = await Line.open(site)
    line.say(begin)
    taken = await line.pour(more, 64 << 20)
    assert taken < 16 << 20, "the parser takes whatever comes"
    await lives(site)


async def test_a_large_head_at_once(site: Site) -> None:
    line = await Line.open(site)
    line.say(HEAD + b"".join(b"X-%d: %b\r\n" % (i, b"x" * 1_000) for i in range(40)) + b"\r\n")
    assert (await line.all()).startswith((b"HTTP/1.1 4", b""))
    line = await Line.open(site)
    line.say(HEAD + b"X: " + b"x" * (limits.HEADER_BYTES // 2) + b"\r\nConnection: close\r\n\r\n")
    assert (await line.all()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"G",
        HEAD,
        HEAD + b"X-A: ",
        b"GET /v1/connect HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n",
        HEAD + b"\r\n",  # answered; and then
        HEAD + b"Content-Length: 99\r\n\r\n",  # answered before its body came
    ],
)
async def test_a_slow_head_does_not_hold_a_connection(
    site: Site, start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HEAD_S", 0.3)
    line = await Line.open(site)
    line.say(start)
    await asyncio.sleep(0.2)

    async def drip() -> None:
        while not line.writer.is_closing():
            line.say(b"x")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    try:
        await line.all(5)
    finally:
        dripping.cancel()
    await lives(site)


async def test_a_slow_body_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_S", 0.3)
    await lives(site)
    line = await Line.open(site)
    head = f"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {site.token()}\r\n"
    line.say(f"{head}Connection: close\r\nContent-Length: 50\r\n\r\n{{".encode())
    answer = await line.all()
    assert answer.startswith(b"HTTP/1.1 504") and b'"timeout"' in answer


async def test_pipelining_has_an_end(site: Site) -> None:
    line = await Line.open(site)
    line.say((HEAD + b"\r\n") * 5_000)
    answers = (await line.all()).count(b"HTTP/1.1 200")
    assert answers <= limits.PIPELINED_REQUESTS + 1
    line = await Line.open(site)
    line.say((HEAD + b"\r\n") * 10 + HEAD + b"Connection: close\r\n\r\n")
    assert (await line.all()).count(b"HTTP/1.1 200") == 11


BAD = {
    "no method": b"\r\n\r\n\r\n",
    "not http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "two hosts": b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    "two origins": HEAD + b"Origin: http://localhost\r\nOrigin: http://evil.example\r\nConnection: close\r\n\r\n",
    "no host": b"GET /v1/sessions HTTP/1.1\r\nConnection: close\r\n\r\n",
    "two lengths": b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "length and chunks": b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "nul in a header": HEAD + b"X-A: a\x00b\r\n\r\n",
    "bare line feeds": b"GET /healthz HTTP/1.1\nHost: localhost\nX: y\r\n z\r\n\r\n",
    "another upgrade": HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "a target of another host": b"GET http://evil.example/v1/sessions HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    "odd path": b"GET /%00/../%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("name", sorted(BAD))
async def test_bad_requests(site: Site, name: str, caplog: pytest.LogCaptureFixture) -> None:
    line = await Line.open(site)
    line.say(BAD[name])
    try:
        answer = await asyncio.wait_for(line.reader.read(65_536), 3)
    except (TimeoutError, ConnectionError):
        answer = b""
    if name in ("bare line feeds", "another upgrade"):  # lenient, and harmless
        assert answer[:10] in (b"HTTP/1.1 2", b"HTTP/1.1 4", b"")
    else:
        assert answer[:10] in (b"HTTP/1.1 4", b""), answer
    assert "Traceback" not in caplog.text
    await lives(site)


async def test_unknown_routes_are_refused_in_the_one_shape(site: Site) -> None:
    async with site.http(site.token()) as http:
        for method, path, status, code in (
            ("GET", "/v1/nothing", 404, "route.not_found"),
            ("GET", "/v1/sessions/s1/x/y", 404, "route.not_found"),
            ("PUT", "/v1/sessions", 405, "route.method"),
        ):
            refused = await http.request(method, path)
            error = refused.json()["error"]
            assert (refused.status_code, error["code"]) == (status, code)
            assert error["request_id"] == refused.headers["x-request-id"]
            assert refused.headers.get("allow") == ("GET, HEAD, POST" if status == 405 else None)


def unsigned(header: bytes, payload: bytes = b"{}") -> str:
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload, b"x" * 32)).decode()


TOKENS = {
    "deep header": unsigned(b'{"alg":"HS256","x":' + b"[" * 2_000 + b"]" * 2_000 + b"}"),
    "deeper": unsigned(b"[" * 3_500),
    "an array": unsigned(b"[]"),
    "a number": unsigned(b"7"),
    "alg of no string": unsigned(b'{"alg":{"a":1}}'),
    "alg none": unsigned(b'{"alg":"none"}'),
    "huge number": unsigned(b'{"alg":"HS256","x":' + b"9" * 3_500 + b"}"),
    "kid as a path": unsigned(b'{"alg":"HS256","kid":"../../etc/passwd"}'),
    "jku": unsigned(b'{"alg":"RS256","jku":"http://127.0.0.1:1/keys"}'),
    "critical": unsigned(b'{"alg":"HS256","crit":["x"],"x":1}'),
    "not utf-8": unsigned(b'{"alg":"\xff"}'),
    "dots": "." * 2_000,
    "long": "a" * (limits.TOKEN_CHARS + 1),
}


@pytest.mark.parametrize("name", sorted(TOKENS))
async def test_tokens_that_break_parsers_are_refused_everywhere(
    site: Site, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = TOKENS[name]
    async with site.http(token) as http:
        assert (await http.get("/v1/sessions")).status_code == 401
    assert (await Raw.open(site, token=token)).status == 401
    raw = await Raw.open(site)
    raw.say({"op": "hello", "id": 1, "token": token})
    assert (await raw.answer())["error"]["code"] == "auth.invalid"
    assert await raw.close_code() == 4401
    open_ = await Raw.open(site, token=site.token())
    await open_.answer(op="welcome")
    open_.say({"op": "auth", "id": 2, "token": token})
    assert (await open_.answer(op="error"))["error"]["code"] == "auth.invalid"
    assert "Traceback" not in caplog.text


async def test_a_token_that_no_head_and_no_hello_has_room_for(site: Site) -> None:
    token = "a" * limits.HEADER_BYTES
    line = await Line.open(site)
    line.say(HEAD + f"Authorization: Bearer {token}\r\n\r\n".encode())
    assert (await line.all()).startswith(b"HTTP/1.1 431")
    raw = await Raw.open(site)
    raw.say({"op": "hello", "id": 1, "token": token})
    assert (await raw.answer())["error"]["code"] == "input.too_large"
    assert await raw.close_code() == 1009
    await lives(site)


async def test_a_client_that_leaves_in_the_middle_is_no_error(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        line = await Line.open(site)
        head = f"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {site.token()}\r\n"
        line.say(f"{head}Content-Length: 500\r\n\r\n{{".encode())
        await asyncio.sleep(0.05)
        line.writer.transport.abort()
    await asyncio.sleep(0.1)
    await lives(site)
    assert "Traceback" not in caplog.text


async def test_listed_origins_are_answered_as_browsers_need(site: Site) -> None:
    site.edge.browser._origins.add("https://app.example")
    origin = {"origin": "https://app.example"}
    async with site.http(site.token()) as http:
        wanted = "authorization,content-type,x-run-id,x-stainless-lang"  # clients of others add their own
        asked = {**origin, "access-control-request-method": "POST", "access-control-request-headers": wanted}
        preflight = await http.options("/v1/sessions", headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        assert (
            preflight.headers["access-control-allow-headers"] == "authorization, *"
        )  # the star is for all but that one
        assert "access-control-allow-credentials" not in preflight.headers
        listed = await http.get("/v1/sessions", headers=origin)
        assert listed.headers["access-control-allow-origin"] == "https://app.example" and listed.status_code == 200
        failed = await http.get("/v1/sessions/none", headers=origin)
        assert failed.headers["access-control-allow-origin"] == "https://app.example" and failed.status_code == 404
        asked["origin"] = "https://evil.example"
        evil = await http.options("/v1/sessions", headers=asked)
        assert evil.status_code == 403 and "access-control-allow-origin" not in evil.headers
        own = await http.get("/v1/sessions", headers={"origin": site.url})
        assert own.status_code == 200 and "access-control-allow-origin" not in own.headers


async def test_probes_answer_under_any_name_and_nothing_else_does(site: Site) -> None:
    async with site.http(site.token()) as http:
        for path in ("/healthz", "/readyz"):
            assert (await http.get(path, headers={"host": "10.0.0.7:7417"})).status_code == 200
        for path in ("/metrics", "/v1/sessions", "/openapi.json"):
            assert (await http.get(path, headers={"host": "10.0.0.7:7417"})).status_code == 421
        for headers in ({"x-real-ip": "198.51.100.7"}, {"via": "1.1 proxy"}, {"forwarded": "for=198.51.100.7"}):
            async with site.http() as nobody:
                assert (await nobody.get("/metrics", headers=headers)).status_code == 401


async def test_every_answer_carries_the_headers_that_protect_browsers(site: Site) -> None:
    async with site.http(site.token()) as http:
        for path in ("/v1/sessions", "/v1/none", "/healthz", "/openapi.json"):
            headers = (await http.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "server" not in headers and len(headers["x-request-id"]) == 16
        for path in ("/v1/sessions", "/v1/none"):
            assert (await http.get(path)).headers["cache-control"] == "no-store"


async def test_json_that_two_readers_would_read_differently(site: Site) -> None:
    """Duplicate keys are read once, and what is stored has them once."""
    async with site.http(site.token()) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        body = b'{"events":[{"type":"CUSTOM","type":"CUSTOM","data":{"name":"a","name":"b","value":{"x":1,"x":2}}}]}'
        assert (await http.post("/v1/sessions/s1/events", content=body)).status_code == 201
        stored = (await http.get("/v1/sessions/s1/events?after=1")).text
        assert stored.count('"name"') == 1 and stored.count('"x"') == 1 and '"x":2' in stored
        for bad in (b'{"text":"\\ud800"}', b'{"text":"\xff"}', b'{"text":NaN}', b"\xef\xbb\xbf{}", b'{"text":"a"}{}'):
            refused = await http.post("/v1/sessions/s1/messages", content=bad)
            assert refused.status_code == 400, bad
            json.loads(refused.text)
