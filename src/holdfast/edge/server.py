"""Running a server: uvicorn for HTTP, picows for WebSockets, one port, graceful shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

import uvicorn

from holdfast.edge.app import Edge
from holdfast.edge.picows_ws import websocket_class
from holdfast.protocol import limits


class _Server(uvicorn.Server):
    """uvicorn, with signals left to us."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


@contextlib.asynccontextmanager
async def running(edge: Edge) -> AsyncIterator[uvicorn.Server]:
    """A server while the context lasts: it listens when this enters; leaving drains and closes it.

    The hub must be open already; it is closed on the way out.
    """
    settings = edge.settings
    config = uvicorn.Config(
        edge.app, host=settings.host, port=settings.port, ws=websocket_class(edge.door, edge.browser), http="httptools",
        loop="none", lifespan="off", access_log=False, log_config=None, server_header=False, date_header=False,
        timeout_keep_alive=20, timeout_graceful_shutdown=int(settings.drain_s) or 1, h11_max_incomplete_event_size=limits.HEADER_BYTES,
        backlog=4_096, proxy_headers=False,
    )  # fmt: skip
    await edge.start()
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            if task.done():
                await task
                raise RuntimeError("the server did not start")
            await asyncio.sleep(0.005)
        yield server
    finally:
        await edge.stop()
        await edge.hub.close(settings.drain_s)
        server.should_exit = True
        with contextlib.suppress(SystemExit):
            await task


async def until_told() -> None:
    """Wait for SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


def port_of(server: uvicorn.Server) -> int:
    """The port the server listens on, also when it was asked for any."""
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port
