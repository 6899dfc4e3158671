"""uvicorn's HTTP protocol with the bounds it leaves to a proxy: time and size of a head, pipelining, dead peers.

One counter bounds every way of feeding the parser without end (a long head, a long header, trailers): the bytes received
since something came out of it. Between two requests a connection is as one that has not sent any (``edge/head_reader.py``): the
bytes of its next head are buffered until all are there, and it may be dropped when there are too many like it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from holdfast.edge.connection_limits import Strangers
from holdfast.edge.head_reader import TOO_LARGE, HeadReader, RequestHead, set_user_timeout
from holdfast.edge.request import ON_AUTHENTICATED
from holdfast.edge.response_sender import DROP_CONNECTION
from holdfast.protocol import limits


def http_class(strangers: Strangers) -> type[asyncio.Protocol]:
    """The class uvicorn instantiates for every connection (``Config(http=…)``)."""

    class BoundedHttp(HttpToolsProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._bytes_since_output = 0
            self._upgraded = False
            self._head: RequestHead | None = None  # while no request is under way
            self._timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            strangers.add(self, transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            self._cancel_head_timer()
            strangers.remove(self)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._head is not None:
                self._unset_keepalive_if_required()
                self._await_head()
                complete = self._head.add(data)
                if complete is None:
                    if self._head.too_large:
                        self._refuse_large()
                    return
                self._head, data = None, complete
            self._bytes_since_output += len(data)
            super().data_received(data)
            if self._upgraded or self.transport.is_closing():
                self._cancel_head_timer()
            elif self._bytes_since_output > limits.HEADER_BYTES:
                self._refuse_large()
            elif self.cycle is None or self.cycle.response_complete:
                self._await_head()  # unless it waits already: drops of data do not buy time

        def _refuse_large(self) -> None:
            self.transport.write(TOO_LARGE)
            self.transport.close()

        def _await_head(self) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(limits.HEAD_S, self.transport.abort)

        def _cancel_head_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        # --- what comes out of the parser
        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.scope[ON_AUTHENTICATED] = self._authenticated  # type: ignore[typeddict-unknown-key]
            self.scope[DROP_CONNECTION] = self.transport.abort  # type: ignore[typeddict-unknown-key]

        def _authenticated(self) -> None:
            strangers.remove(self)

        def on_header(self, name: bytes, value: bytes) -> None:
            if len(self.headers) >= limits.HEADERS:
                raise ValueError("too many headers")
            super().on_header(name, value)

        def on_headers_complete(self) -> None:
            self._bytes_since_output = 0
            self._cancel_head_timer()
            if len(self.url) + sum(len(n) + len(v) + 4 for n, v in self.headers) > limits.HEADER_BYTES:
                raise ValueError("the head is too large")
            if len(self.pipeline) >= limits.PIPELINED_REQUESTS:
                raise ValueError("too many pipelined requests")
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._bytes_since_output = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._bytes_since_output = 0
            super().on_message_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete):
                strangers.add(self, self.transport.abort)
                if not self._bytes_since_output and not self.cycle.more_body:
                    self._head = RequestHead()

        def handle_websocket_upgrade(self) -> None:
            self._upgraded = True
            set_user_timeout(self.transport, 0)  # a WebSocket has pings
            strangers.remove(self)
            super().handle_websocket_upgrade()
            self.parser = None  # type: ignore[assignment]  # each would keep the other

    class BoundHeadReader(HeadReader):
        __slots__ = ()

    BoundHeadReader.next_protocol = BoundedHttp
    BoundHeadReader.strangers = strangers
    return BoundHeadReader
