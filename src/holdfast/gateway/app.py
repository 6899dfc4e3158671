"""The gateway as an ASGI application: who calls, what is asked, and the way to an answer. It assembles and routes."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from msgspec import structs
from starlette.types import Receive, Scope, Send

from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.gateway.agent_models import AGENT, AgentModels
from holdfast.gateway.answers import Answers, CallerAnswer
from holdfast.gateway.bodies import Bodies
from holdfast.gateway.capacity import UpstreamLoad
from holdfast.gateway.exchange import UpstreamExchange
from holdfast.gateway.fingerprint import fingerprint
from holdfast.gateway.incoming import Incoming
from holdfast.gateway.model_runs import ModelRuns
from holdfast.gateway.models import entry, listing, may_ask
from holdfast.gateway.person import signed_in
from holdfast.gateway.port import (
    OPEN,
    Admission,
    BrakeNews,
    Caller,
    Halted,
    Keys,
    Meter,
    ModelCall,
    People,
    Route,
    Router,
    Served,
    Stranger,
    ignore,
)
from holdfast.gateway.relay import CallerStalled
from holdfast.gateway.route_events import RouteEvents
from holdfast.gateway.running import RunningCall, RunningCalls
from holdfast.gateway.served_models import RoutedExchange, facts_of
from holdfast.gateway.sessions import LocalSessions, RemoteSessions, SessionClients, session_of
from holdfast.gateway.settings import GatewaySettings, Shape
from holdfast.gateway.shadow import Shadows
from holdfast.gateway.upstreams import Upstreams
from holdfast.gateway.websockets import drop_connection, refuse_websocket
from holdfast.gateway.wires import MODELS, WIRES, GatewayWire, dialect_of, unmetered
from holdfast.protocol import limits
from holdfast.session.labels import is_seated
from holdfast.visible import logger

log = logger("holdfast.gateway")
_NAMES: Final = ("authorization", "x-api-key", "api-key")


class Gateway:
    """A model gateway.

    Args:
        keys: who calls.
        meter: what is spent.
        now_ms: Unix ms.
        monotonic: seconds that only grow, for health and keys.
        sessions: where the sessions are that calls may name; None where there are none.
        router: which model answers; None for the one that is asked for.
        people: reads the tokens of people that callers send along; None where nobody can.
        admission: what may begin.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        keys: Keys,
        meter: Meter,
        *,
        now_ms: Callable[[], int],
        monotonic: Callable[[], float],
        sessions: LocalSessions | RemoteSessions | None = None,
        router: Router | None = None,
        people: People | None = None,
        admission: Admission = OPEN,
    ) -> None:
        self.settings = settings
        self.upstreams = Upstreams(settings.upstreams, monotonic)
        self._keys = keys
        self._meter = meter
        self._now_ms = now_ms
        self._sessions = sessions
        self._clients = SessionClients(sessions) if sessions is not None else None
        self._runs = ModelRuns(self._clients) if self._clients is not None else None
        self._agents = AgentModels(self._clients) if self._clients is not None else None
        self._running = RunningCalls()
        self._router = router
        self._people = people
        self._events = RouteEvents(sessions)
        self._shadows = Shadows(self.upstreams, meter, now_ms, self._settle, router) if router is not None else None
        self._bodies = Bodies()
        self._settling: set[asyncio.Task[None]] = set()
        self._admission = admission
        keys.watch(self._revoked)
        admission.watch(self._end_halted)

    async def start(self) -> None:
        """Open connections."""
        await self.upstreams.start()
        if self._runs is not None:
            await self._runs.start()

    def load(self) -> list[UpstreamLoad]:
        """How full each upstream is, by kind of call."""
        return self.upstreams.load()

    def refuse_waiters(self) -> None:
        """The server drains: who waits for a slot is told so, and nobody new waits."""
        self.upstreams.refuse_waiters()

    async def stop(self) -> None:
        """Wait until everything that was served is on record."""
        self.refuse_waiters()
        if self._shadows is not None:
            await self._shadows.stop()
        if self._runs is not None:
            await self._runs.stop()
        await self._events.settled()
        if self._clients is not None:
            await self._clients.close()
        await self.upstreams.cut_drains()
        await self.settled()
        await self.upstreams.stop()

    async def settled(self) -> None:
        """Wait until everything that was served so far is on record, shadows and events of routes included."""
        if self._shadows is not None:
            await self._shadows.settled()
        await self._events.settled()
        while self._settling:
            await asyncio.wait(set(self._settling))

    # --- ASGI
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await refuse_websocket(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        path = scope["path"]
        wire = WIRES.get(path) if _is_plain(scope) else None
        answer = Answers(wire or dialect_of(scope["headers"]), send)
        ident = f"c-{secrets.token_hex(10)}"
        try:
            headers = _headers(scope)
            caller = self._caller(scope, headers, path)
            if scope["method"] == "GET" and f"{path}/".startswith(f"{MODELS}/") and path != f"{MODELS}/":
                await answer.whole(200, [(b"content-type", b"application/json")], self._models(path, caller, headers))
            elif wire is None or scope["method"] != "POST":
                raise _no_route(path)
            else:
                await self._serve(wire, caller, headers, ident, receive, answer)
        except HoldfastError as error:
            if not answer.started:
                await answer.refuse(error, ident)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except CallerStalled:
            drop_connection(scope)
        except Exception:
            log.exception("call %s failed", ident)
            if answer.started:
                raise
            await answer.refuse(Unavailable("server.internal"), ident)

    def _caller(self, scope: Scope, headers: dict[str, str], path: str) -> Caller:
        secret = _secret(headers)
        try:
            if not secret:
                raise Refused("key.required")
            if len(secret) > limits.KEY_CHARS:
                raise Refused("key.unknown")
            return self._keys.identify(secret)
        except Refused as error:
            if error.code in ("key.required", "key.unknown"):
                of_key = fingerprint(secret)
                client = scope.get("client") or ("", 0)
                agent = headers.get("user-agent", "")[: limits.STRANGER_CHARS]
                self._keys.note(Stranger(of_key, str(client[0]), agent, path[: limits.STRANGER_CHARS], self._now_ms()))
            raise

    def _models(self, path: str, caller: Caller, headers: dict[str, str]) -> bytes:
        shape: Shape = "anthropic" if "anthropic-version" in headers else "openai"
        name = path.removeprefix(MODELS)[1:]
        if name:
            return entry(self.upstreams, caller, shape, name)
        agents = set(caller.agents)
        if "*" in agents and self._sessions is not None:
            agents |= self._sessions.agents(caller.tenant)
        return listing(self.upstreams, caller, shape, agents - {"*"})

    async def _serve(
        self, wire: GatewayWire, caller: Caller, headers: dict[str, str], ident: str, receive: Receive, answer: Answers
    ) -> None:
        caller = signed_in(caller, headers, self._people)
        seated = is_seated(dict(caller.labels))
        with self._running.one(caller, seated=seated) as running:
            async with self._bodies.one(headers, receive, seated=seated) as body:
                incoming = Incoming(wire, body, headers)
                del body
                await self._answer(incoming, caller, ident, receive, answer.of(incoming), running)

    def _revoked(self, key: str) -> None:
        self._running.revoked(key)
        if self._runs is not None:
            self._runs.revoked(key)

    def _end_halted(self, halted: Halted) -> int:
        """End what is under way and goes no further; how many calls that were."""
        return self._running.end(halted) + (self._runs.end(halted) if self._runs is not None else 0)

    async def _answer(
        self,
        incoming: Incoming,
        caller: Caller,
        ident: str,
        receive: Receive,
        answer: CallerAnswer,
        running: RunningCall,
    ) -> None:
        running.model = lambda: incoming.model
        if incoming.model.startswith(AGENT):
            call = ModelCall(ident, caller, incoming.wire.name, incoming.model, self._now_ms(), incoming.text_bytes)
            self._admission.admit(call)
            await self._answer_as_agent(incoming, caller, ident, receive, answer, running)
            return
        requested = incoming.model
        if not may_ask(caller, requested) and (self._router is None or not self._router.is_route(requested)):
            raise Refused("key.denied", f"the key may not ask model {incoming.model!r:.200}")
        call = ModelCall(
            ident, caller, incoming.wire.name, incoming.model, self._now_ms(), incoming.text_bytes, incoming.output_limit,
            incoming.tier, session=session_of(caller, incoming.headers), facts=_facts(incoming),
        )  # fmt: skip
        self._admission.admit(call)
        route = None
        if self._router is not None:
            route = self._route(self._router, incoming, call)
            incoming.model = route.model
            call = structs.replace(call, model=route.model)
        if call.session:
            await self._answer_as_run(incoming, call, receive, answer, running, route, requested)
            return
        exchange = self._exchange(incoming, call, answer, self._settle, route)
        running.stops_by(lambda error: exchange.leave(error.code, cut=True, tell=error))
        async with watched(receive, lambda: exchange.leave("caller.left")):
            await exchange.run()

    def _route(self, router: Router, incoming: Incoming, call: ModelCall) -> Route:
        """Which model answers: one that may begin, as those that may take its place."""
        route = router.route(call, lambda: facts_of(incoming))
        if route.model != call.model:
            self._admission.admit(structs.replace(call, model=route.model))
        if route.instead and self._admission.halted(call.caller, route.instead) is not None:
            route = structs.replace(route, instead="", instead_upstreams=())
        if route.shadow and self._admission.halted(call.caller, route.shadow) is not None:
            route = structs.replace(route, shadow="", shadow_upstreams=())
        return route

    def _exchange(
        self, incoming: Incoming, call: ModelCall, answer: CallerAnswer, keep: Callable[[Served], None], route: Route | None,
        news: Callable[[BrakeNews], None] = ignore,
    ) -> UpstreamExchange:  # fmt: skip
        arguments = self.upstreams, self._meter, incoming, call, answer, self._now_ms, keep, news
        if route is None or self._router is None or self._shadows is None:
            return UpstreamExchange(*arguments)
        own = self._shadows.begin(incoming, call, route, answer)
        return RoutedExchange(*arguments, route, self._router, self._events, own)

    async def _answer_as_run(
        self, incoming: Incoming, call: ModelCall, receive: Receive, answer: CallerAnswer, running: RunningCall,
        route: Route | None, requested: str,
    ) -> None:  # fmt: skip
        """The call is a run: its caller may leave."""
        if self._runs is None:
            raise Refused(
                "config.invalid", "this gateway reaches no sessions", fix="Leave the session out, or set sessions_url."
            )

        def begin(
            named: ModelCall, recording: CallerAnswer, hear: Callable[[Served], None], news: Callable[[BrakeNews], None]
        ) -> UpstreamExchange:
            def keep(served: Served) -> None:
                hear(served)
                self._settle(served)

            if route is not None:
                self._events.decided(named, route, requested)
            return self._exchange(incoming, named, recording, keep, route, news)

        running.is_run = True
        running.stops_by(lambda _: None)  # from here on the run is ended, which lasts longer than its caller waits
        waiting = await self._runs.answer(incoming, call, answer, begin)
        async with watched(receive, lambda: waiting.leave("caller.left")):
            await waiting.finished

    async def _answer_as_agent(
        self,
        incoming: Incoming,
        caller: Caller,
        ident: str,
        receive: Receive,
        answer: CallerAnswer,
        running: RunningCall,
    ) -> None:
        if self._agents is None:
            raise Refused("config.invalid", "this gateway reaches no sessions, so no agents", fix="Set sessions_url.")
        stopped: asyncio.Future[HoldfastError] = asyncio.get_running_loop().create_future()
        running.stops_by(stopped.set_result)
        giving = asyncio.ensure_future(
            self._agents.answer(incoming, caller, ident, answer, self._now_ms() // 1_000, stopped)
        )
        async with watched(receive, giving.cancel):
            try:
                await giving
            except asyncio.CancelledError:
                if not giving.cancelled():
                    raise

    def _settle(self, served: Served) -> None:
        task = asyncio.ensure_future(self._meter.settle(served))
        self._settling.add(task)
        task.add_done_callback(self._settled)

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._settling.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("what was served could not be put on record: %s", error)


@contextlib.asynccontextmanager
async def watched(receive: Receive, left: Callable[[], object]) -> AsyncIterator[None]:
    """While it lasts, ``left`` is called once the caller has gone."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left()

    watching = asyncio.ensure_future(watch())
    try:
        yield
    finally:
        watching.cancel()


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]}


def _is_plain(scope: Scope) -> bool:
    """Whether a path came as it is spelled, and not in escapes: what stands between us and callers may read those otherwise."""
    raw: bytes | None = scope.get("raw_path")
    return raw is None or raw.partition(b"?")[0] == scope["path"].encode()


def _secret(headers: dict[str, str]) -> str:
    for name in _NAMES:
        if found := headers.get(name):
            return found[7:].strip() if name == "authorization" and found[:7].lower() == "bearer " else found.strip()
    return ""


def _no_route(path: str) -> Refused:
    what = unmetered(path)
    if what:
        return Refused("call.unmetered", f"{path:.200} ({what}) is not metered yet, so it is not served")
    if path in WIRES or path == MODELS:
        return Refused("route.method", f"{path} does not take this method")
    return Refused("call.unmetered", f"{path:.200} is no path of this gateway")


def _facts(incoming: Incoming) -> dict[str, str]:
    """What helps to find waste later: which prompt, and which try of the caller's own."""
    facts: dict[str, Any] = {
        "prompt": incoming.prompt_hash,
        "retry": incoming.headers.get("x-stainless-retry-count", ""),
    }
    return {name: value[:32] for name, value in facts.items() if value and value != "0"}
