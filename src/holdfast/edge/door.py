"""The door: what every WebSocket goes through, whatever serves it: hello, charges, operations, rates, refresh, expiry.

``Door`` is per server, ``Visit`` per connection. A visit is driven by its transport (``received``, ``filled``,
``drained``, ``lost``) and talks back through the few methods of ``Wire``.
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
from holdfast.edge.charges import LOAD_WORK, MORE, SENT_TIMES, Charges
from holdfast.edge.config import Settings
from holdfast.edge.crowd import Crowd
from holdfast.edge.inbox import Inbox, Source
from holdfast.edge.pool import Room
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
_PATIENCE = 50  # operations over the rate that are answered at once, and
_PATIENCE_PER_S = 1.0  # so many a second later; beyond them the connection is closed
LONGEST_TIMER_S = 86_400.0  # event loops take no timer of years


class Wire(Source, Protocol):
    """What a transport does for a visit."""

    def write(self, batch: Batch) -> None:
        """Send payloads. When more is unsent than the high mark the visit is told by ``filled``, before this returns or
        later, and by ``drained`` when there is room again."""

    def unsent(self) -> int:
        """Bytes in this process on their way to the peer."""

    def shut(self, code: int, reason: str) -> None:
        """Close."""

    def abort(self) -> None:
        """Drop without a word."""


class Kind(NamedTuple):
    """What a WebSocket at some path is.

    Attributes:
        make: makes the visit of a new connection: the door, the wire, the connection's name.
        greeting_bytes: how long the message may be in which it says who it is.
    """

    make: Callable[[Door, Wire, str], Visit]
    greeting_bytes: int = limits.HELLO_BYTES


class Door:
    """The verifier, the settings and the connections of one server."""

    def __init__(self, hub: Hub, settings: Settings, verifier: Verifier) -> None:
        self.hub = hub
        self.settings = settings
        self.verifier = verifier
        self.charges = Charges(settings)
        self.crowd = Crowd(settings)
        self.visits: dict[str, Visit] = {}
        self.kinds: list[Callable[[str], Kind | None]] = []  # what dialects serve on paths of their own
        self._own = Kind(Visit)
        self._numbers = itertools.count(1)
        self._boot = secrets.token_hex(2)

    def admit(self) -> None:
        """Refuse another connection when the server is going away."""
        if self.hub.closing:
            raise Unavailable("server.restarting")

    def kind(self, path: str) -> Kind | None:
        """What a WebSocket at this path is; None where there is none."""
        if path == PATH:
            return self._own
        return next((kind for find in self.kinds if (kind := find(path)) is not None), None)

    def opens(self, account: Account, session: str) -> None:
        """Somebody asks for something of a session: one that is not in memory has to be loaded, and they pay for it."""
        if Key(account.who.tenant, session) not in self.hub.sessions:
            self.charges.spend(account, LOAD_WORK)

    def visit(self, wire_: Wire, principal: Principal | None, kind: Kind | None = None) -> Visit:
        """A new connection, authenticated already when it brought a header. Raises as ``Visit.enter`` does."""
        self.admit()
        visit = (kind or self._own).make(self, wire_, f"c{next(self._numbers)}-{self._boot}")
        self.visits[visit.ident] = visit
        if principal is not None:
            try:
                visit.enter(principal)
            except HoldfastError:
                visit.lost()
                raise
        return visit


class Visit:
    """One WebSocket connection; the hub sees it as a ``Connection``.

    Attributes:
        received: takes one message of the client, and the memory that was kept for it while it came.
        account: whose work it brings; None while it has not said who it is.
        memory: what it holds of the server's memory; None as long.
    """

    def __init__(self, door: Door, wire_: Wire, ident: str) -> None:
        self.door = door
        self.hub = door.hub
        self.ident = ident
        self.principal = _NOBODY
        self.received: Callable[[bytes, int], None] = self._received_first
        self.account: Account | None = None
        self.memory: Room | None = None
        self._inbox: Inbox | None = None
        self.surface = ""
        self.device = ""
        self.paused = False
        self._wire: Wire | None = wire_
        self.deliver: Callable[[Batch], None] = wire_.write  # every frame to every reader: no call in between
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._unread = 0  # answered while it did not read
        self._unsent = 0  # of that and of what filled the transport, what is counted as memory
        settings, clock = door.settings, self.hub.loop.time
        self._operations = Bucket(settings.requests_per_s, settings.requests_per_s * 2, clock)
        self._events = Bucket(settings.appends_per_s, settings.appends_per_s * 2, clock)
        self._patience = Bucket(_PATIENCE_PER_S, _PATIENCE, clock)

    # --- as the hub sees it
    def _deliver_unread(self, batch: Batch) -> None:
        """What is not a reader's frame: answers to somebody who asks and does not listen."""
        if self._wire is None:
            return
        size = sum(map(len, batch.payloads))
        self._unread += size
        if self._unread > limits.UNREAD_BYTES or not self._keeps(size):
            self._closing = True
            self._wire.abort()
        else:
            self._wire.write(batch)

    def _keeps(self, size: int) -> bool:
        """Whether there is memory for more that is sent and not taken."""
        if self.memory is None:
            return True
        try:
            self.memory.grow(size)
        except Unavailable:
            return False
        self._unsent += size
        return True

    def gave(self, size: int) -> None:
        """So much was written at once: a snapshot, a page, a long frame; whoever has it written pays for it."""
        if self.account is not None:
            self.door.charges.spend(self.account, size // SENT_TIMES)

    def close(self, code: int, reason: str) -> None:
        """See ``hub.port.Connection``."""
        self._closing = True
        if self._wire is not None:
            self._wire.shut(code, reason)

    def abort(self) -> None:
        """Drop the connection as a dead network would (for those who test what happens then)."""
        if self._wire is not None:
            self._wire.abort()

    # --- who
    def enter(self, principal: Principal) -> None:
        """The connection is authenticated: it becomes one of the hub's.

        Raises:
            Refused: ``auth.revoked``: a handshake takes a while.
            Unavailable: ``limit.connections`` or ``server.restarting``.
        """
        self.door.admit()
        self.door.verifier.recheck(principal)
        account = self.door.charges.account(principal)
        self.door.crowd.enter(account.who)
        account.users += 1
        self.account, self.memory = account, Room(self.door.charges.memory, account.who)
        assert self._wire is not None
        self._inbox = Inbox(self.door.charges, account, self.memory, self._wire, self._work)
        self.received = self._inbox.received
        self.principal = principal
        self._watch_expiry()
        self.hub.connect(self)

    def _watch_expiry(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.principal.expires_ms is not None:
            left_s = (self.principal.expires_ms - self.hub.clock.wall_ms()) / 1_000
            if left_s <= 0:
                self.close(4410, "token expired")
            else:
                self._timer = self.hub.loop.call_later(min(left_s, LONGEST_TIMER_S), self._watch_expiry)

    # --- what it says
    def _received_first(self, raw: bytes, room: int = 0) -> None:
        if not self._closing:
            self._greet(raw)

    def done(self, work: int) -> None:
        """What this much work was for is answered."""
        self.door.charges.done(self.account, work)  # type: ignore[arg-type]  # it has one, or there was no work

    def _greet(self, raw: bytes) -> None:
        """The first message: it says who it is, or ends the connection."""
        try:
            op: wire.Op = codec.decode(raw, wire.DECODER, max_bytes=limits.HELLO_BYTES)
        except HoldfastError as error:
            self._refuse(None, error, fatal=True)
            return
        if not isinstance(op, wire.Hello):
            self._refuse(op.id, Refused("auth.required", "say hello first"), fatal=True)
            return
        try:
            principal = self.door.verifier.verify(op.token)
            self.surface, self.device = codec.check_text(op.surface, "surface"), codec.check_text(op.device, "device")
            self.enter(principal)
        except HoldfastError as error:
            self._refuse(op.id, error, fatal=True)
            return
        operations.answer_ok(self, op.id, {})

    def _work(self, raw: bytes, work: int) -> None:
        """Do what a message asks for, whose work has begun."""
        op = self._decoded(raw)
        if op is None or not self._within_rates(op):
            self.done(work)
        elif isinstance(op, (wire.Auth, wire.Hello)):
            self._refresh(op)
            self.done(work)
        else:
            done = partial(self.door.charges.done, self.account, work)  # type: ignore[arg-type]  # as in ``done``
            operations.dispatch(self.hub, self, op, done)

    def _decoded(self, raw: bytes) -> wire.Op | None:
        """The operation; one that is none is answered."""
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
                self._open(op.session)
            return self._within_rate(op.id, self._events, len(op.events))
        if self.account is not None:
            self.door.charges.spend(self.account, MORE.get(type(op), 0))
        if isinstance(op, wire.SessionOp):
            self._open(op.session)
        # what a lease allows is counted as content is: a busy worker ends many runs
        return self._within_rate(op.id, self._events if isinstance(op, wire.RunOp) else self._operations, 1)

    def _open(self, session: str) -> None:
        if self.account is not None:
            self.door.opens(self.account, session)

    def _within_rate(self, ident: int | None, bucket: Bucket, amount: int) -> bool:
        try:
            bucket.take(amount)
        except Unavailable as error:
            try:
                self._patience.take()
            except Unavailable:
                self._refuse(ident, error, fatal=True)
            else:
                self._refuse(ident, error, fatal=False)
            return False
        return True

    def _refresh(self, op: wire.Auth | wire.Hello) -> None:
        """Replace the token on the open connection; it must be the same principal (ACC-4)."""
        try:
            principal = self.door.verifier.verify(op.token)
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

    # --- driven by the transport
    def filled(self) -> None:
        """More is unsent than the transport's high mark."""
        self.paused = True
        self.deliver = self._deliver_unread
        if self._wire is not None and not self._keeps(self._wire.unsent()):
            self._closing = True
            self._wire.abort()

    def drained(self) -> None:
        """The transport can take more."""
        if self._wire is None:
            return
        self.paused = False
        self.deliver = self._wire.write
        self._unread = 0
        if self.memory is not None:
            unsent, self._unsent = self._unsent, 0
            self.memory.shrink(unsent)
        self.hub.resume(self)

    def lost(self) -> None:
        """The transport is gone."""
        if self._wire is None:
            return
        self._wire = None
        self.paused = True
        self.deliver = self._deliver_unread
        if self._timer is not None:
            self._timer.cancel()
        self._closing = True
        self.door.visits.pop(self.ident, None)
        if self.account is None or self.memory is None or self._inbox is None:
            return
        self._inbox.close()
        self.memory.leave()
        self.account.users -= 1
        self.door.crowd.leave(self.account.who)
        self.hub.disconnect(self)
