"""What every WebSocket goes through, whatever serves it: hello, charges, operations, rates, refresh, expiry.

There is one ``Listener`` per server and one ``ServerConnection`` per WebSocket. A connection is driven by its transport
(``message_received``, ``pause_writing``, ``resume_writing``, ``connection_lost``) and calls the few methods of
``SocketTransport``.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple, Protocol

from holdfast.edge.accounts import Account
from holdfast.edge.auth import Verifier
from holdfast.edge.charges import EXTRA_WORK, LOAD_WORK, SENT_TIMES, Charges
from holdfast.edge.config import Settings
from holdfast.edge.connection_limits import ConnectionLimits
from holdfast.edge.inbox import Inbox, Source
from holdfast.edge.pool import Allocation
from holdfast.edge.rate import Bucket
from holdfast.engines.port import Key
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.hub import operations
from holdfast.hub.hub import Hub
from holdfast.hub.port import Batch
from holdfast.protocol import codec, limits, wire
from holdfast.protocol.codec import encode
from holdfast.session.access import Principal

PATH: Final = "/v1/connect"
PROTOCOL: Final = "holdfast.v1"

CLOSE_CODES = {
    "auth.required": 4401, "auth.invalid": 4401, "auth.denied": 4403, "auth.expired": 4410, "auth.revoked": 4411,
    "auth.origin": 4413, "auth.host": 4413, "auth.keys": 1013, "limit.rate": 4429, "limit.connections": 1013,
    "input.malformed": 4400, "input.too_large": 1009,
    "server.restarting": 1012,
}  # fmt: skip
"""WebSocket close codes of the refusals that end a connection (PROTOCOL.md, section 4)."""

_NOBODY = Principal("", "", ())
_REFUSALS = 50  # operations over the rate that are answered at once, and
_REFUSALS_PER_S = 1.0  # so many a second later; beyond them the connection is closed
LONGEST_TIMER_S = 86_400.0  # event loops take no timer of years


class SocketTransport(Source, Protocol):
    """What a transport does for a connection."""

    def write(self, batch: Batch) -> None:
        """Send payloads. When more is unsent than the high mark it calls ``pause_writing`` of the connection, before this
        returns or later, and ``resume_writing`` when it can take more."""

    def unsent(self) -> int:
        """Bytes in this process on their way to the peer."""

    def close(self, code: int, reason: str) -> None:
        """Close."""

    def abort(self) -> None:
        """Drop without a word."""


class SocketKind(NamedTuple):
    """What a WebSocket at some path is.

    Attributes:
        make: makes the connection, given the listener, the transport and the connection's id.
        first_message_bytes: how long the message may be that authenticates it.
    """

    make: Callable[[Listener, SocketTransport, str], ServerConnection]
    first_message_bytes: int = limits.HELLO_BYTES


class Listener:
    """The verifier, the settings and the connections of one server."""

    def __init__(self, hub: Hub, settings: Settings, verifier: Verifier) -> None:
        self.hub = hub
        self.settings = settings
        self.verifier = verifier
        self.charges = Charges(settings)
        self.connection_limits = ConnectionLimits(settings)
        self.connections: dict[str, ServerConnection] = {}
        self.socket_kinds: list[Callable[[str], SocketKind | None]] = []  # what dialects serve on paths of their own
        self._native_kind = SocketKind(ServerConnection)
        self._numbers = itertools.count(1)
        self._boot = secrets.token_hex(2)

    def admit(self) -> None:
        """Refuse another connection when the server is going away."""
        if self.hub.closing:
            raise Unavailable("server.restarting")

    def socket_kind(self, path: str) -> SocketKind | None:
        """What a WebSocket at this path is; None where there is none."""
        if path == PATH:
            return self._native_kind
        return next((kind for find in self.socket_kinds if (kind := find(path)) is not None), None)

    def charge_load(self, account: Account, session: str) -> None:
        """Charge for loading a session that is not in memory."""
        if Key(account.key.tenant, session) not in self.hub.sessions:
            self.charges.spend(account, LOAD_WORK)

    def connect(
        self, transport: SocketTransport, principal: Principal | None, kind: SocketKind | None = None
    ) -> ServerConnection:
        """A new connection, authenticated already when it brought a header. Raises as ``register`` does."""
        self.admit()
        connection = (kind or self._native_kind).make(self, transport, f"c{next(self._numbers)}-{self._boot}")
        self.connections[connection.ident] = connection
        if principal is not None:
            try:
                connection.register(principal)
            except HoldfastError:
                connection.connection_lost()
                raise
        return connection


class ServerConnection:
    """One WebSocket connection; the hub sees it as a ``Connection``.

    Attributes:
        message_received: takes one message of the client, and the size of the memory allocated for it while it came.
        account: whose work it brings; None while it is not authenticated.
        memory: its allocation of the server's memory; None as long.
    """

    def __init__(self, listener: Listener, transport: SocketTransport, ident: str) -> None:
        self.listener = listener
        self.hub = listener.hub
        self.ident = ident
        self.principal = _NOBODY
        self.message_received: Callable[[bytes, int], None] = self._first_message_received
        self.account: Account | None = None
        self.memory: Allocation | None = None
        self._inbox: Inbox | None = None
        self.surface = ""
        self.device = ""
        self.paused = False
        self._transport: SocketTransport | None = transport
        self.deliver: Callable[[Batch], None] = transport.write  # every frame to every reader: no call in between
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._unread = 0  # answered while it did not read
        self._unsent = 0  # of that and of what filled the transport, what is counted as memory
        settings, clock = listener.settings, self.hub.runtime.loop.time
        self._operations = Bucket(settings.requests_per_s, settings.requests_per_s * 2, clock)
        self._events = Bucket(settings.appends_per_s, settings.appends_per_s * 2, clock)
        self._refusals = Bucket(_REFUSALS_PER_S, _REFUSALS, clock)

    # --- called by the hub
    def _deliver_unread(self, batch: Batch) -> None:
        """Deliver while the client does not read: answers to requests, no frames."""
        if self._transport is None:
            return
        size = sum(map(len, batch.payloads))
        self._unread += size
        if self._unread > limits.UNREAD_BYTES or not self._reserve_unsent(size):
            self._closing = True
            self._transport.abort()
        else:
            self._transport.write(batch)

    def _reserve_unsent(self, size: int) -> bool:
        """Whether there is memory for more that the client has not taken yet."""
        if self.memory is None:
            return True
        try:
            self.memory.grow(size)
        except Unavailable:
            return False
        self._unsent += size
        return True

    def charge_sent(self, size: int) -> None:
        """Charge for so much written at once: a snapshot, a page, a long frame."""
        if self.account is not None:
            self.listener.charges.spend(self.account, size // SENT_TIMES)

    def close(self, code: int, reason: str) -> None:
        """See ``hub.port.Connection``."""
        self._closing = True
        if self._transport is not None:
            self._transport.close(code, reason)

    def abort(self) -> None:
        """Drop the connection as a dead network would (for those who test what happens then)."""
        if self._transport is not None:
            self._transport.abort()

    # --- authentication
    def register(self, principal: Principal) -> None:
        """The connection is authenticated: it becomes one of the hub's.

        Raises:
            Refused: ``auth.revoked``: a handshake takes a while.
            Unavailable: ``limit.connections`` or ``server.restarting``.
        """
        self.listener.admit()
        self.listener.verifier.recheck(principal)
        account = self.listener.charges.account(principal)
        self.listener.connection_limits.acquire(account.key)
        account.users += 1
        self.account, self.memory = account, Allocation(self.listener.charges.memory, account.key)
        assert self._transport is not None
        self._inbox = Inbox(self.listener.charges, account, self.memory, self._transport, self._handle)
        self.message_received = self._inbox.receive
        self.principal = principal
        self._watch_expiry()
        self.hub.connect(self)

    def _watch_expiry(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.principal.expires_ms is not None:
            left_s = (self.principal.expires_ms - self.hub.clock.token_ms()) / 1_000
            if left_s <= 0:
                self.close(4410, "token expired")
            else:
                self._timer = self.hub.runtime.loop.call_later(min(left_s, LONGEST_TIMER_S), self._watch_expiry)

    # --- messages
    def _first_message_received(self, raw: bytes, allocated: int = 0) -> None:
        if not self._closing:
            self._handle_first(raw)

    def finish_work(self, work: int) -> None:
        """This much work is done: what asked for it is answered."""
        self.listener.charges.finish(self.account, work)  # type: ignore[arg-type]  # it has one, or there was no work

    def _handle_first(self, raw: bytes) -> None:
        """The first message: it authenticates, or ends the connection."""
        try:
            op: wire.Op = codec.decode(raw, wire.DECODER, max_bytes=limits.HELLO_BYTES)
        except HoldfastError as error:
            self._refuse(None, error, fatal=True)
            return
        if not isinstance(op, wire.Hello):
            self._refuse(op.id, Refused("auth.required", "say hello first"), fatal=True)
            return
        try:
            principal = self.listener.verifier.verify(op.token)
            self.surface, self.device = codec.check_text(op.surface, "surface"), codec.check_text(op.device, "device")
            self.register(principal)
        except HoldfastError as error:
            self._refuse(op.id, error, fatal=True)
            return
        operations.answer_ok(self, op.id, {})

    def _handle(self, raw: bytes, work: int) -> None:
        """Do what a message asks for; its work is charged already."""
        op = self._decode(raw)
        if op is None or not self._within_rates(op):
            self.finish_work(work)
        elif isinstance(op, (wire.Auth, wire.Hello)):
            self._refresh(op)
            self.finish_work(work)
        else:
            done = partial(self.listener.charges.finish, self.account, work)  # type: ignore[arg-type]  # as in ``done``
            operations.dispatch(self.hub, self, op, done)

    def _decode(self, raw: bytes) -> wire.Op | None:
        """The operation, or None after refusing what is none."""
        try:
            if len(raw) > limits.PRESENCE_MESSAGE_BYTES:
                wire.check_size(raw)
            op: wire.Op = codec.decode(raw, wire.DECODER)
            return op
        except HoldfastError as error:
            if self._within_rate(None, self._operations, 1):
                name, ident = wire.op_and_id(raw)
                unknown = name is not None and name not in wire.OPS
                self._refuse(ident, Refused("input.unknown_op", f"{name:.40}") if unknown else error, fatal=False)
            return None

    def _within_rates(self, op: wire.Op) -> bool:
        if type(op) is wire.Append:
            if op.run is None:
                self._charge_load(op.session)
            return self._within_rate(op.id, self._events, len(op.events))
        if self.account is not None:
            self.listener.charges.spend(self.account, EXTRA_WORK.get(type(op), 0))
        if isinstance(op, wire.SessionOp):
            self._charge_load(op.session)
        # what a lease allows is counted as content is: a busy worker ends many runs
        return self._within_rate(op.id, self._events if isinstance(op, wire.RunOp) else self._operations, 1)

    def _charge_load(self, session: str) -> None:
        if self.account is not None:
            self.listener.charge_load(self.account, session)

    def _within_rate(self, ident: int | None, bucket: Bucket, amount: int) -> bool:
        try:
            bucket.take(amount)
        except Unavailable as error:
            try:
                self._refusals.take()
            except Unavailable:
                self._refuse(ident, error, fatal=True)
            else:
                self._refuse(ident, error, fatal=False)
            return False
        return True

    def _refresh(self, op: wire.Auth | wire.Hello) -> None:
        """Replace the token on the open connection; it must be the same principal (ACC-4)."""
        try:
            principal = self.listener.verifier.verify(op.token)
            if (principal.actor, principal.tenant) != (self.principal.actor, self.principal.tenant):
                raise Refused("auth.denied", "the token names another principal; open another connection for it")
        except HoldfastError as error:
            self._refuse(op.id, error, fatal=False)
            return
        self.hub.replace_principal(self, principal)
        self._watch_expiry()
        operations.answer_ok(self, op.id, {"expires_ms": principal.expires_ms})

    def _refuse(self, ident: int | None, error: HoldfastError, *, fatal: bool) -> None:
        message: dict[str, object] = {"op": "error", "error": error.wire()}
        if ident is not None:
            message["id"] = ident
        self.deliver(Batch([encode(message)]))
        if fatal:
            self.close(CLOSE_CODES.get(error.code, 4400), error.code)

    # --- called by the transport
    def pause_writing(self) -> None:
        """More is unsent than the transport's high mark."""
        self.paused = True
        self.deliver = self._deliver_unread
        if self._transport is not None and not self._reserve_unsent(self._transport.unsent()):
            self._closing = True
            self._transport.abort()

    def resume_writing(self) -> None:
        """The transport can take more."""
        if self._transport is None:
            return
        self.paused = False
        self.deliver = self._transport.write
        self._unread = 0
        if self.memory is not None:
            unsent, self._unsent = self._unsent, 0
            self.memory.shrink(unsent)
        self.hub.resume(self)

    def connection_lost(self) -> None:
        """The transport is gone."""
        if self._transport is None:
            return
        self._transport = None
        self.paused = True
        self.deliver = self._deliver_unread
        if self._timer is not None:
            self._timer.cancel()
        self._closing = True
        self.listener.connections.pop(self.ident, None)
        if self.account is None or self.memory is None or self._inbox is None:
            return
        self._inbox.close()
        self.memory.release()
        self.account.users -= 1
        self.listener.connection_limits.release(self.account.key)
        self.hub.disconnect(self)
