"""Executing operations: authorise, hand to the session, or to the part that keeps what is not in the log, answer.

This stands above the hub: whoever carries operations, of a connection or of a caller in this process, calls it with a hub.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from holdfast.engines.port import Key
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.hub.deciding import authorise_attempt
from holdfast.hub.hub import Hub
from holdfast.hub.pending import Callback, Outcome, resolve_into
from holdfast.hub.port import Batch, HubConnection
from holdfast.protocol import limits, wire
from holdfast.protocol.bounds import too_large
from holdfast.protocol.codec import check_session_id, check_value, decode, encode
from holdfast.session import life, program
from holdfast.session.access import NEEDS, Principal, authorise

_QUEUED: Final = frozenset({*program.DECIDE, wire.Delete})
"""Operations that are queued among a session's commands."""


def answer_ok(conn: HubConnection, ident: int | None, result: dict[str, Any]) -> None:
    """Answer an operation that asked for it."""
    if ident is not None:
        conn.deliver(Batch([encode({"op": "ok", "id": ident, **result})]))


def answer_error(conn: HubConnection, ident: int | None, error: HoldfastError) -> None:
    """Say why an operation was not carried out."""
    message: dict[str, Any] = {"op": "error", "error": error.wire()}
    if ident is not None:
        message["id"] = ident
    conn.deliver(Batch([encode(message)]))


def enqueue(hub: Hub, principal: Principal, op: wire.SessionOp, notify: Callback) -> None:
    """Authorise a command and queue it in its session. Raises when it is refused."""
    key = Key(principal.tenant, op.session)
    if key not in hub.sessions:
        check_session_id(op.session)
    authorise(principal, NEEDS[type(op)], op.session)
    if hub.closing:
        raise Unavailable("server.restarting")
    if isinstance(op, (wire.Take, wire.GiveBack)) and op.force:
        authorise(principal, "admin", op.session)
    if isinstance(op, _QUEUES_RUNS):
        notify = _with_served(hub, key, notify)
    hub.sessions.hot(key).enqueue(op, principal.actor, principal, notify)


_QUEUES_RUNS: Final = (wire.Send, wire.Interrupt, wire.Regenerate)


def _with_served(hub: Hub, key: Key, notify: Callback) -> Callback:
    """The answer says too whether a worker is there for the run that was queued: without one it waits (RUN-7)."""

    def notify_served(outcome: Outcome) -> None:
        if not isinstance(outcome, HoldfastError) and (ident := outcome.get("run")) is not None:
            state = hub.sessions.hot(key).state
            run = state.runs.get(ident) if state is not None else None
            if run is not None:
                outcome = {**outcome, "served": hub.workers.serves(key, run.agent)}
        notify(outcome)

    return notify_served


async def submit(hub: Hub, principal: Principal, op: wire.SessionOp) -> dict[str, Any]:
    """``enqueue`` a command and wait for its answer."""
    future: asyncio.Future[dict[str, Any]] = hub.runtime.loop.create_future()
    enqueue(hub, principal, op, resolve_into(future))
    return await future


async def execute(hub: Hub, principal: Principal, op: wire.Op, conn: HubConnection | None = None) -> dict[str, Any]:
    """Execute one operation, and return what follows in its ``ok``.

    Args:
        conn: the connection that asks, for operations that are about one; None without.

    Raises:
        Refused: why it is not done.
        Unavailable: why it cannot be done now.
    """
    special = _SPECIAL.get(type(op))
    if special is not None:
        if type(op) in NEEDS:
            authorise(principal, NEEDS[type(op)], check_session_id(op.session))  # type: ignore[attr-defined]
        return await special(hub, principal, op, conn)
    if type(op) not in _QUEUED or type(op) not in NEEDS or not isinstance(op, wire.SessionOp):
        raise Refused("input.unknown_op", f"{type(op).__struct_config__.tag} is not possible here")
    if isinstance(op, wire.Send):
        await hub.blobs.check(principal, op)
    return await submit(hub, principal, op)


def ignore_done() -> None:
    """The default ``done``: the caller need not know when an operation is answered."""


def dispatch(hub: Hub, conn: HubConnection, op: wire.Op, done: Callable[[], None] = ignore_done) -> None:
    """Execute one operation of a connection and answer it there. Operations take effect in the order of the calls.

    ``done`` is called once, when the operation is answered and none of it is in memory any more.
    """
    must_wait = isinstance(op, wire.Send) and not hub.blobs.are_known(conn.principal, op)
    if must_wait or type(op) in _SPECIAL or not isinstance(op, wire.SessionOp):
        task = hub.runtime.background(_run_special(hub, conn, op))
        task.add_done_callback(lambda _: done())
        return

    ident = op.id  # the callback references no content
    spawned = Key(conn.principal.tenant, op.session) if type(op) is wire.Spawn and op.local else None

    def notify(outcome: Outcome) -> None:
        done()
        if conn.ident not in hub.connections:
            return
        if isinstance(outcome, HoldfastError):
            answer_error(conn, ident, outcome)
        else:
            if spawned is not None and outcome.get("status") == "running":
                hub.workers.adopt_local(conn, hub.sessions.hot(spawned), outcome["run"])
            answer_ok(conn, ident, outcome)

    try:
        if type(op) not in _QUEUED:
            raise Refused("input.unknown_op", f"{type(op).__struct_config__.tag} is not possible here")
        enqueue(hub, conn.principal, op, notify)
    except HoldfastError as error:
        done()
        answer_error(conn, op.id, error)


def handle(hub: Hub, conn: HubConnection, raw: bytes | str) -> None:
    """Decode one message of a connection and dispatch it; malformed input is answered, never raised."""
    try:
        op: wire.Op = decode(raw, wire.DECODER)
    except HoldfastError as error:
        return answer_error(conn, None, error)
    return dispatch(hub, conn, op)


async def _run_special(hub: Hub, conn: HubConnection, op: wire.Op) -> None:
    try:
        if isinstance(op, wire.Subscribe):
            authorise(conn.principal, "read", check_session_id(op.session))
            await subscribe(hub, conn, op, answer=lambda result: answer_ok(conn, op.id, result))
            return
        result = await execute(hub, conn.principal, op, conn)
        if conn.ident in hub.connections:
            answer_ok(conn, op.id, result)
    except HoldfastError as error:
        answer_error(conn, op.id, error)
    except Exception:
        hub.runtime.log.exception("operation %s failed", type(op).__name__)
        answer_error(conn, op.id, Unavailable("server.internal"))


# --- operations that are not commands of the session program ---------------------------------------------------------
async def subscribe(
    hub: Hub, conn: HubConnection, op: wire.Subscribe, answer: Callable[[dict[str, Any]], None] | None = None
) -> None:
    """Begin to read a session: the answer first, then what is read."""
    session = await hub.sessions.load(conn.principal, check_session_id(op.session))
    if conn.ident not in hub.connections:
        return
    hub.readers.check_subscriptions(conn, op.session)
    if answer is not None:
        answer({"session": op.session, "incarnation": session.incarnation, "tail": session.tail})
    await hub.readers.attach(conn, session, op.start)
    hub.presence.join(session, conn)


def _connection(conn: HubConnection | None) -> HubConnection:
    if conn is None:
        raise Refused("input.unknown_op", "this needs a WebSocket connection")
    return conn


async def _subscribe(hub: Hub, principal: Principal, op: wire.Subscribe, conn: HubConnection | None) -> dict[str, Any]:
    await subscribe(hub, _connection(conn), op)
    return {}


async def _unsubscribe(
    hub: Hub, principal: Principal, op: wire.Unsubscribe, conn: HubConnection | None
) -> dict[str, Any]:
    conn = _connection(conn)
    hub.readers.detach(conn, op.session)
    session = hub.sessions.get(Key(principal.tenant, op.session))
    if session is not None:
        hub.presence.leave(session, conn)
    return {}


async def _history(hub: Hub, principal: Principal, op: wire.History, conn: HubConnection | None) -> dict[str, Any]:
    session = await hub.sessions.load(principal, op.session)
    life.check_life(session.incarnation, op.incarnation)
    page = await session.snapshotter.page(op.page) if 0 < op.page <= session.view.older else None
    if page is None:
        raise Refused("history.not_found", f"no page {op.page}")
    return {"page": msgspec.Raw(page), "older": op.page - 1}


async def _read(hub: Hub, principal: Principal, op: wire.Read, conn: HubConnection | None) -> dict[str, Any]:
    session = await hub.sessions.load(principal, op.session)
    life.check_life(session.incarnation, op.incarnation)
    await hub.lists.read(session, principal, op.seq)
    return {}


async def _presence(hub: Hub, principal: Principal, op: wire.Presence, conn: HubConnection | None) -> dict[str, Any]:
    conn = _connection(conn)
    check_value(op.doing, "doing")
    if len(encode(op.doing)) > limits.PRESENCE_BYTES:
        raise too_large("doing", limits.PRESENCE_BYTES, "bytes")
    session = await hub.sessions.load(principal, op.session, "presence")
    if conn.ident not in session.readers:
        raise Refused("input.malformed", "subscribe before you say what you do")
    hub.presence.set_activity(session, conn, op.doing)
    return {}


async def _attach(hub: Hub, principal: Principal, op: wire.Attach, conn: HubConnection | None) -> dict[str, Any]:
    session, conn = await hub.sessions.load(principal, op.session, "append"), _connection(conn)

    def attach() -> dict[str, Any]:
        assert session.state is not None
        life.check(session.state, op)
        authorise_attempt(session.state, principal, op)
        return hub.workers.attach(conn, session, op)

    assignment = await session.when_durable(attach)
    hub.presence.mark_changed(session)
    return assignment


async def _serve(hub: Hub, principal: Principal, op: wire.Serve, conn: HubConnection | None) -> dict[str, Any]:
    return await hub.workers.serve(_connection(conn), op)


async def _heartbeat(hub: Hub, principal: Principal, op: wire.Heartbeat, conn: HubConnection | None) -> dict[str, Any]:
    return await hub.workers.heartbeat(_connection(conn), op)


async def _watch(hub: Hub, principal: Principal, op: wire.Watch, conn: HubConnection | None) -> dict[str, Any]:
    if op.all:
        authorise(principal, "admin", "*")
    await hub.lists.watch(_connection(conn), everything=op.all)
    return {}


async def _unwatch(hub: Hub, principal: Principal, op: wire.Unwatch, conn: HubConnection | None) -> dict[str, Any]:
    hub.lists.unwatch(_connection(conn))
    return {}


async def _ping(hub: Hub, principal: Principal, op: wire.Ping, conn: HubConnection | None) -> dict[str, Any]:
    return {"now_ms": hub.clock.wall_ms()}


Special = Callable[[Hub, Principal, Any, HubConnection | None], Awaitable[dict[str, Any]]]

_SPECIAL: Final[dict[type[wire.Op], Special]] = {
    wire.Ping: _ping,
    wire.Watch: _watch,
    wire.Unwatch: _unwatch,
    wire.Subscribe: _subscribe,
    wire.Unsubscribe: _unsubscribe,
    wire.History: _history,
    wire.Read: _read,
    wire.Presence: _presence,
    wire.Serve: _serve,
    wire.Heartbeat: _heartbeat,
    wire.Attach: _attach,
}
