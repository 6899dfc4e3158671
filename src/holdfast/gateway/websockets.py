"""WebSockets, which the gateway does not speak: realtime sessions are not metered, so they are refused."""

from __future__ import annotations

from typing import Any, Final

from starlette.types import Receive, Scope, Send

from holdfast.errors import Refused
from holdfast.gateway import refusal
from holdfast.gateway.wires import unmetered

_POLICY: Final = 1008


async def refuse_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the handshake with why, where the server can; else with a refusal that says nothing."""
    path = scope["path"]
    error = Refused("call.unmetered", f"{path:.200} ({unmetered(path) or 'a WebSocket'}) is not metered yet")
    if "websocket.http.response" in scope.get("extensions", {}):
        body = refusal.body(None, error, "")
        headers: list[Any] = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "websocket.http.response.start", "status": error.row.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})
        return
    await receive()  # the handshake
    await send({"type": "websocket.close", "code": _POLICY})


def drop_connection(scope: Scope) -> None:
    """Drop the connection of a caller who takes nothing any more, where the server lets us; it is closed anyway."""
    drop = scope.get("holdfast.cut")
    if drop is not None:
        drop()
