"""The sessions that a gateway reaches: in the same process, or at a session server.

A caller acts in them as itself and as nobody else; the gateway itself is a worker with one agent, ``model``, whose runs are
the calls that name a session.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx

from holdfast.agents.holdfast import Holdfast
from holdfast.client.transport import Dialer
from holdfast.client.websocket import WebSocketDialer
from holdfast.embed import Loopback
from holdfast.errors import HoldfastError, Refused, Unavailable, from_wire
from holdfast.gateway import budget_news
from holdfast.gateway.port import Caller
from holdfast.hub import operations
from holdfast.hub.hub import Hub
from holdfast.protocol import codec, limits, wire
from holdfast.protocol.events import Draft
from holdfast.session.access import Capability, Principal, full_access
from holdfast.session.labels import SIGN_IN

MODEL_AGENT: Final = "model"
"""The agent whose runs are calls."""
SESSION_HEADER: Final = "x-holdfast-session"
CHAT_HEADER: Final = "x-openwebui-chat-id"
_VERBS: Final = ("read", "append", "control")


def actor_of(caller: Caller) -> str:
    """Who acts in a session when a caller calls."""
    return caller.actor or f"user:{caller.key}"


def patterns_of(caller: Caller) -> tuple[str, ...]:
    """The sessions a caller may act in: those of its key's own making, and those that its key names."""
    return tuple(pattern for pattern in (f"{caller.key}.*", caller.session, caller.sessions) if pattern)


def session_of(caller: Caller, headers: dict[str, str]) -> str:
    """The session that a call names; empty when it names none.

    Raises:
        Refused: ``key.denied`` for a session that is not the key's, ``input.session_id`` for what is no id.
    """
    named = headers.get(SESSION_HEADER, "")
    if named:
        codec.check_session_id(named)
        if not any(Capability(pattern, frozenset()).covers(named) for pattern in patterns_of(caller)):
            allowed = " or ".join(patterns_of(caller))
            fix = f"Leave out {SESSION_HEADER}, name one of {allowed}, or ask for a key with others."
            raise Refused("key.denied", f"the key may not act in session {named!r}", fix=fix)
        return named
    return caller.session


class LocalSessions:
    """The sessions of a hub in this process."""

    agent = MODEL_AGENT

    def __init__(self, hub: Hub, tenants: Callable[[], str] = lambda: "default") -> None:
        self._hub = hub
        self._tenant = tenants

    def agents(self, tenant: str) -> set[str]:
        """The agents that some worker serves now, this gateway's own left out."""
        return self._hub.workers.agents(tenant) - {MODEL_AGENT}

    async def record(self, tenant: str, session: str, actor: str, type_: str, data: dict[str, Any]) -> None:
        """Append one event of a family that recorders write. Raises what appending raises."""
        may = (Capability(session, frozenset({"append", "record"})),)
        op = wire.Append(session=session, events=[Draft(type_, data)], key=f"g-{secrets.token_hex(8)}")
        await operations.execute(self._hub, Principal(actor, tenant, may), op)

    def dialer(self, caller: Caller | None) -> Dialer:
        """How to connect as a caller; as the gateway's own worker for None."""
        if caller is None:
            return Loopback(self._hub, full_access(self._tenant(), f"agent:{MODEL_AGENT}", (MODEL_AGENT,)))
        may = tuple(Capability(pattern, frozenset(_VERBS)) for pattern in patterns_of(caller))
        return Loopback(self._hub, Principal(actor_of(caller), caller.tenant, may, labels=caller.labels))

    def brake(self) -> Dialer:
        """How to connect as what ends the runs whose budget is spent."""
        return Loopback(self._hub, full_access(self._tenant(), budget_news.ACTOR))


class RemoteSessions:
    """The sessions of a server.

    Args:
        url: of the server.
        token: fetches one that grants everything on the sessions that callers may name, ``admin`` to mint narrower tokens,
            and acting for the agent.
        agent: whose runs are calls of this gateway: another gateway of the same server has another, for a run has to come
            back to the one whose caller waits.
    """

    def __init__(self, url: str, token: Callable[[], Awaitable[str]], agent: str = MODEL_AGENT) -> None:
        self._url, self._token = url.rstrip("/"), token
        self.agent = agent

    def agents(self, tenant: str) -> set[str]:
        """None are known here: a server tells only its operators who works."""
        return set()

    def dialer(self, caller: Caller | None) -> Dialer:
        """How to connect as a caller; as the gateway's own worker for None."""
        return WebSocketDialer(self._url)

    async def token_for(self, caller: Caller | None) -> str:
        """A token of an hour for what a caller may do. Raises what the server answers."""
        if caller is None:
            return await self._token()
        labels = {name: value for name, value in caller.labels if name != SIGN_IN}  # which nobody may mint
        body = {
            "sub": actor_of(caller), "caps": {pattern: list(_VERBS) for pattern in patterns_of(caller)}, "labels": labels, "ttl_s": 3_600,
        }  # fmt: skip
        headers = {"authorization": f"Bearer {await self._token()}"}
        try:
            async with httpx.AsyncClient(timeout=limits.REQUEST_TIMEOUT_S) as http:
                answer = await http.post(f"{self._url}/v1/tokens", json=body, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable(
                "connection.lost", f"the session server cannot be reached: {type(error).__name__}"
            ) from None
        try:
            found = codec.parse(answer.content)
        except ValueError:
            found = None
        if isinstance(found, dict) and isinstance(found.get("error"), dict):
            raise from_wire(found["error"])
        if not isinstance(found, dict) or not isinstance(found.get("token"), str):
            detail = f"what answers for the session server at /v1/tokens is none: HTTP {answer.status_code}"
            raise Unavailable("connection.lost", detail)
        return str(found["token"])


class SessionClients:
    """One connection for each caller that uses sessions now, and one for the gateway's worker.

    Callers that were silent longest are let go when there are too many.

    Attributes:
        agent: whose runs are calls.
    """

    def __init__(self, sessions: LocalSessions | RemoteSessions) -> None:
        self.agent = sessions.agent
        self._sessions = sessions
        self._clients: OrderedDict[str, Holdfast] = OrderedDict()
        self._opening: dict[str, asyncio.Task[Holdfast]] = {}
        self._brake: Holdfast | None = None

    async def cancel_for_budget(self, session: str, run: str, reason: str) -> bool:
        """Cancel a run in the name of the budget that is spent; whether that can be done here: a session server lets nobody
        mint a token for ``policy:budget`` from a gateway's. Raises what the session says."""
        if not isinstance(self._sessions, LocalSessions):
            return False
        if self._brake is None:
            client = self._brake = Holdfast(self._sessions.brake(), None)
            await client.connection.open(limits.SESSIONS_OPEN_S)
        await self._brake.session(session).cancel(run, reason=reason)
        return True

    async def of(self, caller: Caller | None) -> Holdfast:
        """The client of a caller. Raises what connecting raises."""
        name = "" if caller is None else self._name(caller)
        if name in self._clients:
            self._clients.move_to_end(name)
            return self._clients[name]
        task = self._opening.get(name)
        if task is None:
            task = self._opening[name] = asyncio.ensure_future(self._open(name, caller))
            task.add_done_callback(lambda _: self._opening.pop(name, None))
        return await asyncio.shield(task)

    @staticmethod
    def _name(caller: Caller) -> str:
        return "\0".join((caller.key, caller.tenant, actor_of(caller), caller.label(SIGN_IN), *patterns_of(caller)))

    async def _open(self, name: str, caller: Caller | None) -> Holdfast:
        sessions = self._sessions
        token = None if isinstance(sessions, LocalSessions) else (lambda: sessions.token_for(caller))
        client = Holdfast(sessions.dialer(caller), token)
        await client.connection.open(limits.SESSIONS_OPEN_S)
        self._clients[name] = client
        while len(self._clients) > limits.SESSION_CALLERS:
            oldest = next(one for one in self._clients if one)
            await self._clients.pop(oldest).close()
        return client

    async def forget(self, caller: Caller | None) -> None:
        """Close the client of a caller: the next is another."""
        client = self._clients.pop("" if caller is None else self._name(caller), None)
        if client is not None:
            await client.close()

    async def close(self) -> None:
        """Close all connections; no run is stopped by that."""
        for task in self._opening.values():
            task.cancel()
        clients, self._clients = list(self._clients.values()), OrderedDict()
        if self._brake is not None:
            clients.append(self._brake)
        for client in clients:
            try:
                await client.close()
            except HoldfastError:
                continue
