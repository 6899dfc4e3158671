"""A blob on its way out, in pieces, as fast as it is taken; the room it holds in memory is counted until then."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from holdfast.edge.request import Held
from holdfast.session.access import Principal

_PIECE_BYTES = 64 << 10


class Download(Response):
    """A response whose content waits for the reader."""

    def __init__(self, data: bytes, held: Held, principal: Principal, headers: dict[str, str], media_type: str) -> None:
        super().__init__(None, 200, headers, media_type)
        self._data = data
        self._held = held
        self._principal = principal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held.room(self._principal) as room:
            room.grow(len(self._data))
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            view = memoryview(self._data)
            for start in range(0, max(len(view), 1), _PIECE_BYTES):
                piece = bytes(view[start : start + _PIECE_BYTES])
                more = start + _PIECE_BYTES < len(view)
                await send({"type": "http.response.body", "body": piece, "more_body": more})
