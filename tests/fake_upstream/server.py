"""The server: HTTP/1.1 on a bare asyncio protocol, since it must be faster than what is measured in front of it."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

import httptools
import msgspec

from tests.fake_upstream import routes
from tests.fake_upstream.answers import ID, Asked, AskedEmbeddings, Counts
from tests.fake_upstream.knobs import Knobs, changed, from_text, in_body
from tests.fake_upstream.truth import Outcome, Request, Truth

_ID = ID.encode()
_EVENTS = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"x-request-id: req_%b\r\nrequest-id: req_%b\r\ntransfer-encoding: chunked\r\n\r\n"
)
_ASKED = {
    path: msgspec.json.Decoder(AskedEmbeddings if path == "/v1/embeddings" else Asked) for path in routes.DIALECTS
}


_TIGHT_BYTES = 4 << 10  # of the system, for what was written and not sent


class FakeServer:
    """What all connections share: the knobs, and the truth. ``keep``: headers and bodies of requests are kept, too."""

    def __init__(self, knobs: Knobs, *, keep: bool = False) -> None:
        self.always = knobs
        self.next: deque[dict[str, Any] | None] = deque()
        self.truth = Truth()
        self.keep = keep

    def knobs(self, path: str, body: bytes) -> tuple[str, Knobs]:
        """The path without its knobs, and the knobs of a request to it."""
        queued = (self.next.popleft() or {}) if self.next else {}
        prefix: dict[str, Any] = {}
        if path.startswith("/with/"):
            text, _, rest = path.removeprefix("/with/").partition("/")
            path, prefix = f"/{rest}", from_text(text, ",")
        inside = in_body(body)
        return path, changed(self.always, queued, prefix, inside) if queued or prefix or inside else self.always

    async def listen(self, host: str, port: int) -> tuple[asyncio.Server, int]:
        """Listen; returns the port, which is any when 0 was given."""
        server = await asyncio.get_running_loop().create_server(lambda: Connection(self), host, port, backlog=4096)
        found: int = server.sockets[0].getsockname()[1]
        return server, found


class Connection(asyncio.Protocol):
    """One connection. Its requests are answered one after another."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[str, str, dict[str, str], bytes]] = deque()
        self._open: Request | None = None  # the one being answered
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    # --- of asyncio
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class
        self._server.truth.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.truth.connections -= 1
        if self._task is not None:
            self._task.cancel()
        if self._open is not None and self._open.outcome == "open":
            self._server.truth.end(self._open, "aborted")

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    # --- of httptools
    def on_message_begin(self) -> None:
        self._url, self._body = b"", b""
        self._headers: dict[str, str] = {}

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if "expect" in self._headers:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode()
        self._waiting.append((method, self._url.decode("latin-1"), self._headers, self._body))
        if self._open is None:
            self._take()

    # --- answering
    def _take(self) -> None:
        while self._waiting and self._open is None:
            method, path, headers, body = self._waiting.popleft()
            try:
                self._answer(method, path, headers, body)
            except (ValueError, KeyError) as error:  # a knob that is wrong, or a body: whoever wrote the test must know
                self._reply(400, msgspec.json.encode({"error": {"message": f"fake upstream: {error}"}}))

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        path, _, query = target.partition("?")
        if control := _CONTROL.get((method, path)):
            return control(self, body, query)
        if path.endswith("/v1/models"):
            return self._reply(200, routes.models())
        if not path.endswith(tuple(routes.DIALECTS)):
            return self._reply(404, msgspec.json.encode({"error": {"message": f"fake upstream: no {method} {path}"}}))
        path, knobs = self._server.knobs(path, body)
        asked = _ASKED[path].decode(body)
        plain = len(body) // 4 if knobs.input is None else knobs.input
        silent = path == "/v1/embeddings"
        counts = Counts(
            plain, knobs.cached, knobs.written, 0 if silent else knobs.tokens, 0 if silent else knobs.reasoning
        )
        request = Request(
            self._server.truth.next_id(), path, asked.model, knobs.served or asked.model, asked.stream and not silent,
            knobs.status, counts.input, counts.cached, counts.written,
        )  # fmt: skip
        if self._server.keep:
            request.headers, request.body = headers, body.decode(errors="replace")
        self._server.truth.begin(request)
        self._open = request
        if knobs.status != 200:
            self._refuse(path, knobs, request)
        elif request.stream and knobs.plain:
            self._stream_at_once(routes.stream(path, asked, knobs, counts), request, counts)
        else:
            work = self._stream if request.stream else self._whole
            self._task = asyncio.get_running_loop().create_task(work(path, asked, knobs, counts, request))
        return None

    def _refuse(self, path: str, knobs: Knobs, request: Request) -> None:
        more = f"retry-after: {knobs.retry_after}\r\n" if knobs.retry_after is not None else ""
        self._reply(knobs.status, routes.DIALECTS[path].failure(knobs.status), more, request.id)
        self._end(request, "refused")

    def _stream_at_once(self, answer: routes.Answer, request: Request, counts: Counts) -> None:
        self._transport.write((_EVENTS % (_ID, _ID) + answer.at_once).replace(_ID, request.id.encode()))
        request.reasoning, request.generated, request.delivered = counts.reasoning, counts.output, counts.output
        request.reported = any(part.usage for part in answer.parts)
        self._end(request, "done")

    async def _stream(self, path: str, asked: Asked, knobs: Knobs, counts: Counts, request: Request) -> None:
        answer, number = routes.stream(path, asked, knobs, counts), request.id.encode()
        if knobs.tight:
            self._transport.set_write_buffer_limits(0)
            own: socket.socket = self._transport.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _TIGHT_BYTES)
        self._transport.write((_EVENTS % (_ID, _ID)).replace(_ID, number))
        request.generated = min(knobs.ahead, counts.output)
        await asyncio.sleep(knobs.first / 1000)
        request.reasoning = counts.reasoning  # comes before any text
        for part, framed in zip(answer.parts, answer.framed, strict=True):
            if request.delivered or part.tokens or part.usage:
                match request.delivered:
                    case knobs.cut:
                        return self._lose(request)
                    case knobs.close:
                        return self._finish(request, b"", "closed")
                    case knobs.error:
                        broken = routes.DIALECTS[path].broken(knobs)
                        return self._finish(request, routes.frame(broken).replace(_ID, number), "error")
                    case knobs.hang:
                        await asyncio.Event().wait()  # until the connection is lost
            if part.tokens and request.delivered and knobs.gap:
                await asyncio.sleep(knobs.gap / 1000)
            await self._writable.wait()
            self._transport.write(framed.replace(_ID, number))
            request.delivered += part.tokens
            request.generated = min(request.delivered + knobs.ahead, counts.output)
            request.reported |= part.usage
        return self._finish(request, b"", "done")

    async def _whole(self, path: str, asked: Asked, knobs: Knobs, counts: Counts, request: Request) -> None:
        request.reasoning = counts.reasoning
        for number in range(counts.output + 1):
            if knobs.first or knobs.gap:
                await asyncio.sleep((knobs.gap if number else knobs.first) / 1000)
            match number:
                case knobs.cut | knobs.close:
                    return self._lose(request)
                case knobs.error:
                    self._reply(500, routes.DIALECTS[path].failure(500), "", request.id)
                    return self._end(request, "error")
                case knobs.hang:
                    await asyncio.Event().wait()  # until the connection is lost
            request.generated = number
        request.delivered = request.generated
        request.reported = knobs.usage
        self._reply(200, routes.whole(path, asked, knobs, counts), "", request.id)
        return self._end(request, "done")

    def _lose(self, request: Request) -> None:
        self._server.truth.end(request, "cut")
        self._transport.close()  # what was written still arrives; the end of the chunks never does

    def _finish(self, request: Request, more: bytes, outcome: Outcome) -> None:
        self._transport.write(more + routes.LAST)
        self._end(request, outcome)

    def _end(self, request: Request, outcome: Outcome) -> None:
        self._open = self._task = None
        self._server.truth.end(request, outcome)
        self._take()

    def _reply(self, status: int, body: bytes, more: str = "", number: str = "") -> None:
        try:
            reason = HTTPStatus(status).phrase
        except ValueError:
            reason = "Overloaded"
        ids = f"x-request-id: req_{number}\r\nrequest-id: req_{number}\r\n" if number else ""
        head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\n{ids}{more}"
        head += f"content-length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + (body.replace(_ID, number.encode()) if number else body))

    # --- control
    def _always(self, body: bytes, query: str) -> None:
        self._server.always = changed(Knobs(), msgspec.json.decode(body, type=dict[str, Any]))
        self._reply(200, msgspec.json.encode(self._server.always))

    def _next(self, body: bytes, query: str) -> None:
        queued = msgspec.json.decode(body, type=list[dict[str, Any] | None])
        for change in queued:
            changed(self._server.always, change or {})  # said now, and not to whom the request belongs
        self._server.next.extend(queued)
        self._reply(200, msgspec.json.encode({"waiting": len(self._server.next)}))

    def _stats(self, body: bytes, query: str) -> None:
        def tell() -> None:
            if not self._transport.is_closing():
                self._reply(200, msgspec.json.encode(self._server.truth.stats()))

        self._server.truth.when_ended(int(from_text(query, "&").get("wait", 0)), tell)

    def _reset(self, body: bytes, query: str) -> None:
        self._server.truth.reset()
        self._server.next.clear()
        self._reply(200, b"{}")


_CONTROL: dict[tuple[str, str], Callable[[Connection, bytes, str], None]] = {
    ("POST", "/always"): Connection._always,
    ("POST", "/next"): Connection._next,
    ("POST", "/reset"): Connection._reset,
    ("GET", "/stats"): Connection._stats,
}
