"""The gateway alone: a server of its own, with the bounds that the session server has."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import uvicorn

from holdfast.edge.bounded_http import http_class
from holdfast.edge.connection_limits import Strangers
from holdfast.edge.server import UnsignalledServer, allow_open_files, bind
from holdfast.gateway.app import Gateway
from holdfast.protocol import limits


@contextlib.asynccontextmanager
async def serving(
    gateway: Gateway, host: str, port: int, sockets: list[socket.socket] | None = None
) -> AsyncIterator[uvicorn.Server]:
    """A gateway's server while the context lasts; leaving drains it. The gateway was started already.

    Raises:
        HoldfastError: ``config.invalid`` when the address cannot be listened on.
    """
    sockets = sockets or bind(host, port)
    allow_open_files(limits.GATEWAY_CALLS * 2, limits.STRANGERS)
    config = uvicorn.Config(
        gateway,
        http=http_class(Strangers(limits.STRANGERS)),
        ws="none",
        loop="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="error",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(limits.KEEP_ALIVE_S),
        timeout_graceful_shutdown=int(limits.DRAIN_S),
    )
    server = UnsignalledServer(config)
    task = asyncio.create_task(server.serve(sockets), name="holdfast gateway")
    try:
        while not server.started:
            if task.done():
                await task
                raise RuntimeError("the gateway did not start")
            await asyncio.sleep(0.005)
        yield server
    finally:
        gateway.refuse_waiters()
        server.should_exit = True
        await task
        for sock in sockets:
            sock.close()
