"""Running a server: uvicorn for HTTP, picows for WebSockets, one port, graceful shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator

import uvicorn

from holdfast.edge.app import Edge
from holdfast.edge.bounded_http import http_class
from holdfast.edge.upgrade import websocket_class
from holdfast.errors import HoldfastError
from holdfast.protocol import limits
from holdfast.visible import logger

log = logger("holdfast.edge")

GC_OBJECTS = 20_000
"""More objects made than freed before the youngest are searched for cycles."""
_BACKLOG = 4_096  # connections the system holds for us in a storm


class UnsignalledServer(uvicorn.Server):
    """uvicorn, with signals left to us."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


@contextlib.asynccontextmanager
async def running(edge: Edge, sockets: list[socket.socket] | None = None) -> AsyncIterator[uvicorn.Server]:
    """A server while the context lasts: it answers when this enters; leaving drains and closes it.

    The hub must be open already; it is closed on the way out. ``sockets`` come from ``bind``, for those who want to
    know that the address is theirs before they open anything; they are closed on the way out.

    Raises:
        HoldfastError: ``config.invalid`` when the address cannot be listened on.
    """
    settings = edge.settings
    config = uvicorn.Config(
        edge.app,
        ws=websocket_class(edge.listener, edge.browser),
        http=http_class(edge.listener.connection_limits.strangers),
        loop="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="error",
        server_header=False,
        date_header=False,
        timeout_keep_alive=int(limits.KEEP_ALIVE_S),
        timeout_graceful_shutdown=int(settings.drain_s) or 1,
        backlog=_BACKLOG,
        proxy_headers=False,
    )
    server = UnsignalledServer(config)
    serving: asyncio.Task[None] | None = None
    try:
        if sockets is None:
            sockets = bind(settings.host, settings.port)
        allow_open_files(settings.connections, settings.strangers)
        await edge.start()
        serving = asyncio.create_task(server.serve(sockets), name="holdfast http")
        while not server.started:
            if serving.done():
                try:
                    await serving
                except OSError as error:  # somebody bound the same address when we did, and listened first
                    serving = None
                    raise _cannot_listen(settings.host, settings.port, error) from None
                raise RuntimeError("the server did not start")
            await asyncio.sleep(0.005)
        yield server
    finally:
        await edge.stop()
        await edge.hub.close(settings.drain_s)
        server.should_exit = True
        if serving is not None:
            await serving
        for sock in sockets or ():  # a server that ran has closed them
            sock.close()


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets bound to every address of a host name, that do not listen yet: whoever can connect finds a server that
    answers, and a secret beside its database. Raises ``config.invalid``."""
    sockets: list[socket.socket] = []
    try:
        for family, *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # the other family has its own
            sock.bind(address)
            if port == 0:
                break  # a name with two addresses would get two ports
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise _cannot_listen(host, port, error) from None
    return sockets


def _cannot_listen(host: str, port: int, error: OSError) -> HoldfastError:
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    detail = f"cannot listen on {host} port {port}: {reason}"
    return HoldfastError("config.invalid", detail, fix="Stop what listens there, or choose another port.")


def allow_open_files(connections: int, strangers: int) -> None:
    """Raise this process's limit of open files as far as it may go; say so when that is not enough."""
    needed = (connections + limits.REQUESTS_AT_ONCE) * 9 // 8 + strangers + 256
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    if limit < connections // 2:
        log.warning("this process may open %d files: too few for %d connections", limit, connections)


async def wait_for_shutdown() -> None:
    """Wait for SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


def tune_gc() -> None:
    """Search for garbage cycles less often than CPython does by default, and not in what the program itself is made of.

    A server that folds and forwards makes and frees millions of objects without a cycle: looking at all of them again
    and again took an eighth of its time, and stopped everybody for a fifth of a second each time. What is found are closed
    connections.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_OBJECTS, 20, 20)


def port_of(server: uvicorn.Server) -> int:
    """The port the server listens on, also when it was asked for any."""
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port
