"""Holdfast inside somebody's own process: the hub, workers and clients without sockets between them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from functools import cached_property
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec import structs
from starlette.responses import StreamingResponse
from starlette.routing import BaseRoute, Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from holdfast.agents.execution import Agent
from holdfast.agents.generator import Generator, as_agent
from holdfast.agents.holdfast import Holdfast
from holdfast.client.connection import new_key
from holdfast.client.feed import Snapshot
from holdfast.client.run import Run
from holdfast.client.session import Session
from holdfast.client.transport import Sink
from holdfast.edge import auth, config
from holdfast.edge.app import Edge
from holdfast.edge.extensions.loader import load
from holdfast.edge.extensions.port import Extension
from holdfast.edge.middleware import Middleware
from holdfast.engines.address import engine_for
from holdfast.errors import HoldfastError, Refused
from holdfast.hub import operations
from holdfast.hub.clock import Clock
from holdfast.hub.hub import Hub as SessionHub
from holdfast.hub.port import Batch
from holdfast.protocol import codec, limits, wire
from holdfast.protocol.events import RUN_ENDED
from holdfast.protocol.frames import encode_frame
from holdfast.protocol.view import ENDED
from holdfast.session.access import Principal, full_access

__all__ = ["EmbeddedHub", "EmbeddedRun", "EmbeddedSession"]

_F = TypeVar("_F", bound=Agent | Generator)


class _Pipe:
    """Both ends of a connection inside one process: the hub sees a ``Connection``, the client a ``Transport``.

    What one end sends reaches the other on a later turn of the loop, as it would over a socket.
    """

    surface, device = "embedded", ""
    paused = False

    def __init__(self, hub: SessionHub, principal: Principal, sink: Sink) -> None:
        self.ident = secrets.token_hex(8)
        self.principal = principal
        self._hub = hub
        self._sink = sink
        self._closed = False
        self._loop = asyncio.get_running_loop()

    # --- the hub's end
    def deliver(self, batch: Batch) -> None:
        for payload in batch.payloads:
            self._loop.call_soon(self._received, payload)

    def _received(self, payload: bytes) -> None:
        if not self._closed:
            self._sink.received(payload)

    def shut(self, code: int, reason: str) -> None:
        """Close from either end; the client hears of it once."""
        if not self._closed:
            self._closed = True
            self._hub.disconnect(self)
            self._loop.call_soon(self._sink.lost, code, reason)

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.shut(code, reason)

    # --- the client's end
    def send(self, message: bytes) -> None:
        if not self._closed:
            self._loop.call_soon(self._handle, message)

    def _handle(self, message: bytes) -> None:
        if self._closed:
            return
        try:
            op = codec.decode(message, wire.DECODER)
        except HoldfastError as error:
            operations.answer_error(self, wire.op_and_id(message)[1], error)
        else:
            operations.dispatch(self._hub, self, op)


class Loopback:
    """A ``Dialer`` to a hub in this process, as one principal."""

    authenticates = False

    def __init__(self, hub: SessionHub, principal: Principal) -> None:
        self._hub = hub
        self._principal = principal

    async def __call__(self, sink: Sink) -> _Pipe:
        if self._hub.closing:
            raise ConnectionError("the hub is closed")
        pipe = _Pipe(self._hub, self._principal, sink)
        self._hub.connect(pipe)
        return pipe


class EmbeddedHub:
    """Holdfast in this process: ``hub = holdfast.EmbeddedHub("sqlite:///sessions.db")``.

    In a web application: ``app=app``, or ``app.include_router(hub.router)``. Elsewhere: ``async with hub: …``.

    Args:
        address: where logs are kept, see ``engine_for``.
        app: a FastAPI application, or a router, to include the hub's router in.
        tenant: the tenant of everything that this process itself does.
        slots: how many runs this process executes at a time.
        extensions: what plugs in, beside those that ``HOLDFAST_EXTENSIONS`` names. Their routes have to be under ``/v1``,
            which is what the router includes; pages it has none.
        clock: time; replaced in tests.
        settings: of the HTTP edge (``edge/config.py``), for example ``origins`` and ``hosts``.
    """

    def __init__(
        self,
        address: str = "sqlite:///holdfast.db",
        *,
        app: Any = None,
        tenant: str = "default",
        slots: int = 64,
        extensions: Sequence[Extension] = (),
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        self.tenant = tenant
        self.settings = config.load({**settings, "db": address})
        self._extensions = load(self.settings, os.environ, more=extensions)
        policy = self._extensions.policy
        self.hub = SessionHub(engine_for(address), clock=clock, lease_s=self.settings.lease_s, policy=policy)
        self._edge: Edge | None = None
        self._slots = slots
        self._agents: dict[str, Agent] = {}
        self._clients: dict[str, Holdfast] = {}
        self._worker: Holdfast | None = None
        self._serving: asyncio.Task[None] | None = None
        self._started = False
        if app is not None:
            app.include_router(self.router)

    # --- life
    async def open(self) -> None:
        """Open the engine and start the extensions. Raises ``engine.locked`` when another process writes to the file,
        and what an extension that does not start raises."""
        if not self._started:
            await self.hub.open()
            self._started = True
            try:
                if self._edge is not None or self._extensions.names:
                    await self.edge.start()
                if self._agents:
                    await self._serve()
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """Finish what was accepted and close. Runs that are executing are let go; another start takes them over."""
        if not self._started:
            return
        self._started = False
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
        for client in self._clients.values():
            await client.close()
        self._clients.clear()
        self._worker = None
        if self._edge is not None:
            await self._edge.stop()
        await self.hub.close(self.settings.drain_s)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- the web
    @property
    def edge(self) -> Edge:
        """REST, SSE and WebSocket over this hub, and the tokens they take."""
        if self._edge is None:
            self._edge = Edge(self.hub, self.settings, extensions=self._extensions)
            self._extensions.check_prefix("/v1/")
        return self._edge

    @cached_property
    def router(self) -> Any:
        """Routes under ``/v1`` with the lifespan that opens and closes the hub: ``app.include_router(hub.router)``.

        A FastAPI ``APIRouter`` where FastAPI is installed, else a Starlette ``Router``.
        """
        routes = [self._guarded(route) for route in self.edge.routes if getattr(route, "path", "").startswith("/v1")]

        @contextlib.asynccontextmanager
        async def lifespan(app: object) -> AsyncIterator[None]:
            async with self:
                yield

        try:
            from fastapi import APIRouter
        except ImportError:
            return Router(routes=routes, lifespan=lifespan)
        return APIRouter(routes=routes, lifespan=lifespan)

    def _guarded(self, route: BaseRoute) -> BaseRoute:
        """The route with the edge's own checks around it, which an application that includes it does not have."""
        if isinstance(route, WebSocketRoute):
            return WebSocketRoute(route.path, _RequireStarted(self, route.app), name=route.name)
        assert isinstance(route, Route)
        app = Middleware(_RequireStarted(self, route.app), self.edge.browser, self.hub)
        return Route(route.path, app, methods=list(route.methods or []), name=route.name)

    def token(self, subject: str, **more: Any) -> str:
        """Mint an access token for ``user:…`` or ``agent:…``; further arguments as for ``edge.auth.mint``."""
        if self.edge.secret is None:
            raise Refused("config.invalid", "tokens come from elsewhere: HS256 is not among the algorithms")
        claims = {"tenant": self.tenant, "issuer": self.settings.issuer, "audience": self.settings.audience, **more}
        return auth.mint(self.edge.secret, subject=subject, **claims)

    # --- agents
    def agent(self, name: str) -> Callable[[_F], _F]:
        """Register an agent, or a generator as one, that runs in this process: ``@hub.agent("writer")``."""

        def register(function: _F) -> _F:
            agent = self._agents[name] = as_agent(function)
            if self._worker is not None:
                self._worker.add_agent(name, agent)
            return function

        return register

    async def ensure_agent(self, agent: Agent | Generator | str) -> str:
        """Serve an agent, registered by name or passed as a function, and return its name.

        A run survives this process only under a name that is registered again: use ``agent`` for those.
        """
        self.check_started()
        if isinstance(agent, str):
            name = agent
        else:
            name, agent = getattr(agent, "__name__", "agent"), as_agent(agent)
            if self._agents.setdefault(name, agent) is not agent:
                raise Refused("config.invalid", f"another agent is registered as {name!r}")
            if self._worker is not None:
                self._worker.add_agent(name, agent)
        if self._worker is None and self._agents:
            await self._serve()
        return name

    async def _serve(self) -> None:
        worker = self._worker = await self.client("agent:embedded", agents=("*",))
        for name, function in self._agents.items():
            worker.add_agent(name, function)
        self._serving = asyncio.create_task(worker.serve(self._slots), name="holdfast embedded worker")

    # --- clients
    async def client(self, actor: str = "user:local", *, agents: tuple[str, ...] = ()) -> Holdfast:
        """A client of this hub, as any actor of the tenant, without a socket. One per actor; closed with the hub."""
        self.check_started()
        holdfast = self._clients.get(actor)
        if holdfast is None:
            principal = full_access(self.tenant, actor, agents)
            holdfast = Holdfast(Loopback(self.hub, principal), blobs=EmbeddedBlobs(self.hub, principal))
            self._clients[actor] = holdfast
            await holdfast.connection.open()
        return holdfast

    def session(self, session: str, *, actor: str = "user:local") -> EmbeddedSession:
        """A session by id, as used by ``actor``."""
        return EmbeddedSession(self, session, actor)

    def check_started(self) -> None:
        """Raise ``config.invalid`` unless the hub is open."""
        if not self._started:
            raise HoldfastError(
                "config.invalid",
                "the hub was not started: include its router (`app.include_router(hub.router)`), whose lifespan starts "
                "it; the lifespan of a mounted application is not run. Elsewhere use `async with hub:`",
            )


class _RequireStarted:
    """Fails loudly while the hub is not open."""

    def __init__(self, hub: EmbeddedHub, app: ASGIApp) -> None:
        self._hub = hub
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._hub.check_started()
        await self._app(scope, receive, send)


class EmbeddedBlobs:
    """Blobs of a hub in this process, as one principal."""

    def __init__(self, hub: SessionHub, principal: Principal) -> None:
        self._hub = hub
        self._principal = principal

    async def put(self, session: str, data: bytes, media_type: str = "application/octet-stream") -> str:
        return await self._hub.blobs.put(self._principal, session, media_type, data)

    async def get(self, session: str, blob: str) -> tuple[str, bytes]:
        return await self._hub.blobs.get(self._principal, session, blob)

    async def close(self) -> None:
        """Nothing is open."""


class EmbeddedSession:
    """A session of an embedded hub."""

    def __init__(self, hub: EmbeddedHub, session: str, actor: str) -> None:
        self._hub = hub
        self._actor = actor
        self.id = codec.check_session_id(session)

    async def client(self) -> Session:
        """The session as a client has it: read it, speak in it, control what runs in it."""
        return (await self._hub.client(self._actor)).session(self.id)

    async def stream(self, agent: Agent | Generator | str, text: str) -> StreamingResponse:
        """``start`` and respond with the answer, as ``StreamingResponse(generator(text))`` did: see ``plain``."""
        return (await self.start(agent, text)).plain()

    async def start(self, agent: Agent | Generator | str, text: str, *, key: str | None = None) -> EmbeddedRun:
        """Say something to an agent, creating the session if need be. The run goes on whatever becomes of the caller.

        Args:
            agent: a registered name, an agent's function, or a generator of the answer's pieces.
            key: makes a retry safe and becomes the message's id.
        """
        name = await self._hub.ensure_agent(agent)
        session = await self.client()
        await session.create()
        request = session.connection.request
        answer = await request(wire.Send(session=self.id, text=text, agent=name, key=key or new_key()))
        hot = await self._hub.hub.sessions.load(full_access(self._hub.tenant, self._actor), self.id)
        before = wire.Cursor(hot.incarnation, max(0, int(answer["first"]) - 1))
        return EmbeddedRun(session, str(answer["run"] or ""), str(answer["messageId"]), before)


class EmbeddedRun(Run):
    """A run of an embedded hub: detached from whoever started it."""

    def __init__(self, session: Session, run: str, input: str, before: wire.Cursor) -> None:
        super().__init__(session, run, input)
        self._session = session
        self._before = before

    def sse(self) -> StreamingResponse:
        """A response that streams the session from this run's input to this run's end, as server-sent events.

        Each carries one message of PROTOCOL.md (``events`` or ``snapshot``) and the ``id`` ``incarnation:seq``. A reader
        that goes away changes nothing; it reads on at ``/v1/sessions/{session}/events`` with ``Last-Event-ID``.
        """
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._sse(), media_type="text/event-stream", headers=headers)

    def plain(self) -> StreamingResponse:
        """A response that streams what this run says as plain text, and breaks off where the run fails.

        A reader that goes away changes nothing; the session has all of it.
        """
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._plain(), media_type="text/plain", headers=headers)

    async def _plain(self) -> AsyncIterator[str]:
        async for piece in self.stream():
            yield piece
        if (await self.finished())["status"] in ("failed", "lost"):
            raise HoldfastError("agent.failed", f"{self.id} in {self.session.id} failed; its response breaks off")

    async def _sse(self) -> AsyncIterator[bytes]:
        session = self._session.id
        async with self._session.events(after=self._before) as events:
            while True:
                following = asyncio.ensure_future(anext(events))
                try:
                    while not (await asyncio.wait({following}, timeout=limits.SSE_COMMENT_S))[0]:
                        yield b": still here\n\n"  # keeps proxies from closing a quiet response
                finally:
                    following.cancel()
                item, place = following.result(), events.cursor
                assert place is not None
                if isinstance(item, Snapshot):
                    payload = codec.encode({"op": "snapshot", "session": session, **structs.asdict(item)})
                else:
                    payload = encode_frame(session, [item]).payload
                yield b"id: %b:%d\ndata: %b\n\n" % (place.incarnation.encode(), place.seq, payload)
                if isinstance(item, Snapshot):
                    run = item.view["runs"].get(self.id)
                    if run is not None and run["status"] in ENDED:
                        return
                elif item.type == RUN_ENDED and item.run == self.id:
                    return
