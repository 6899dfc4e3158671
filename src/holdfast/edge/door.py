"""The door: what every WebSocket goes through, whatever serves it: hello, operations, rates, refresh, expiry.

``Door`` is per server, ``Visit`` per connection. A visit is driven by its transport (``received``, ``filled``,
``drained``, ``lost``) and talks back through the few methods of ``Wire``.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable
from typing import Protocol

from holdfast.edge.auth import Verifier
from holdfast.edge.config import Settings
from holdfast.edge.crowd import Crowd
from holdfast.edge.rate import Bucket
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.hub import operations
from holdfast.hub.hub import Hub
from holdfast.hub.port import Batch
from holdfast.protocol import codec, limits, wire
from holdfast.protocol.codec import encode
from holdfast.session.access import Principal

CLOSE_CODES = {
    "auth.required": 4401, "auth.invalid": 4401, "auth.denied": 4403, "auth.expired": 4410, "auth.revoked": 4411,
    "auth.origin": 4413, "auth.host": 4413, "auth.keys": 1013, "limit.rate": 4429, "limit.connections": 1013,
    "input.malformed": 4400,
    "server.restarting": 1012,
}  # fmt: skip
"""WebSocket close codes of the refusals that end a connection (PROTOCOL.md, section 4)."""

_NOBODY = Principal("", "", ())
_PATIENCE = 50  # operations over the rate that are answered at once, and
_PATIENCE_PER_S = 1.0  # so many a second later; beyond them the connection is closed
LONGEST_TIMER_S = 86_400.0  # event loops take no timer of years


class Wire(Protocol):
    """What a transport does for a visit."""

    def write(self, batch: Batch) -> None:
        """Send payloads. When more is unsent than the high mark the visit is told by ``filled``, before this returns or
        later, and by ``drained`` when there is room again."""

    def shut(self, code: int, reason: str) -> None:
        """Close."""

    def abort(self) -> None:
        """Drop without a word."""


Kind = Callable[["Door", Wire, str], "Visit"]
"""Makes the visit of a new connection: the door, the wire, the connection's name."""


class Door:
    """The verifier, the settings and the connections of one server."""

    def __init__(self, hub: Hub, settings: Settings, verifier: Verifier) -> None:
        self.hub = hub
        self.settings = settings
        self.verifier = verifier
        self.crowd = Crowd(settings)
        self.visits: dict[str, Visit] = {}
        self.kinds: list[Callable[[str], Kind | None]] = []  # what dialects serve on paths of their own
        self._numbers = itertools.count(1)
        self._boot = secrets.token_hex(2)

    def admit(self) -> None:
        """Refuse another connection when there are too many, or when the server is going away."""
        if self.hub.closing:
            raise Unavailable("server.restarting")
        self.crowd.check()

    def kind(self, path: str) -> Kind | None:
        """What a WebSocket at this path is, when it is not the protocol's own; None where there is none."""
        return next((kind for find in self.kinds if (kind := find(path)) is not None), None)

    def visit(self, wire_: Wire, principal: Principal | None, kind: Kind | None = None) -> Visit:
        """A new connection, authenticated already when it brought a header. Raises as ``admit`` does."""
        self.admit()
        visit = (kind or Visit)(self, wire_, f"c{next(self._numbers)}-{self._boot}")
        self.crowd.arrive()
        self.visits[visit.ident] = visit
        if principal is None:
            visit.expect_hello()
            return visit
        try:
            visit.enter(principal)
        except HoldfastError:
            visit.lost()
            raise
        return visit


class Visit:
    """One WebSocket connection; the hub sees it as a ``Connection``."""

    def __init__(self, door: Door, wire_: Wire, ident: str) -> None:
        self.door = door
        self.hub = door.hub
        self.ident = ident
        self.principal = _NOBODY
        self.surface = ""
        self.device = ""
        self.paused = False
        self._wire: Wire | None = wire_
        self.deliver: Callable[[Batch], None] = wire_.write  # every frame to every reader: no call in between
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._unread = 0
        now = self.hub.loop.time()
        settings = door.settings
        self._operations = Bucket(settings.requests_per_s, settings.requests_per_s * 2, now)
        self._events = Bucket(settings.appends_per_s, settings.appends_per_s * 2, now)
        self._patience = Bucket(_PATIENCE_PER_S, _PATIENCE, now)

    # --- as the hub sees it
    def _deliver_unread(self, batch: Batch) -> None:
        """What is not a reader's frame: answers to somebody who asks and does not listen."""
        if self._wire is None:
            return
        self._unread += sum(map(len, batch.payloads))
        if self._unread > limits.UNREAD_BYTES:
            self._closing = True
            self._wire.abort()
        else:
            self._wire.write(batch)

    def close(self, code: int, reason: str) -> None:
        """See ``hub.port.Connection``."""
        self._closing = True
        if self._wire is not None:
            self._wire.shut(code, reason)

    def abort(self) -> None:
        """Drop the connection as a dead network would (for those who test what happens then)."""
        if self._wire is not None:
            self._wire.abort()

    # --- driven by the transport
    def expect_hello(self) -> None:
        """Give the client a moment to say who it is."""
        self._timer = self.hub.loop.call_later(limits.HELLO_S, self.close, 4408, "no hello")

    def enter(self, principal: Principal) -> None:
        """The connection is authenticated: it becomes one of the hub's.

        Raises:
            Refused: ``auth.revoked``: a handshake takes a while.
            Unavailable: ``limit.connections`` or ``server.restarting``.
        """
        if self.hub.closing:
            raise Unavailable("server.restarting")
        self.door.verifier.recheck(principal)
        self.door.crowd.name(principal)
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

    def received(self, raw: bytes | str) -> None:
        """One message of the client."""
        if self._closing:
            return
        try:
            op: wire.Op = codec.decode(raw, wire.DECODER)
        except HoldfastError as error:
            if self.principal is _NOBODY:
                self._refuse(None, error, fatal=True)
            elif self._within_rate(None, self._operations, 1):
                name, ident = wire.asked(raw)
                if name is not None and name not in wire.OPS:
                    error = Refused("input.unknown_op", f"{name:.40}")
                self._refuse(ident, error, fatal=False)
            return
        if self.principal is _NOBODY:
            self._hello(op)
            return
        if type(op) is wire.Append:
            within = self._within_rate(op.id, self._events, len(op.events))
        else:  # what a lease allows is counted as content is: a busy worker ends many runs
            within = self._within_rate(op.id, self._events if isinstance(op, wire.RunOp) else self._operations, 1)
        if not within:
            return
        if isinstance(op, (wire.Auth, wire.Hello)):
            self._refresh(op)
        else:
            self.hub.dispatch(self, op)

    def _within_rate(self, ident: int | None, bucket: Bucket, amount: int) -> bool:
        now = self.hub.loop.time()
        try:
            bucket.take(now, amount)
        except Unavailable as error:
            try:
                self._patience.take(now)
            except Unavailable:
                self._refuse(ident, error, fatal=True)
            else:
                self._refuse(ident, error, fatal=False)
            return False
        return True

    def _hello(self, op: wire.Op) -> None:
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

    def _refresh(self, op: wire.Auth | wire.Hello) -> None:
        """Replace the token on the open connection; it must be the same principal (ACC-4)."""
        try:
            principal = self.door.verifier.verify(op.token)
            if (principal.actor, principal.tenant) != (self.principal.actor, self.principal.tenant):
                raise Refused("auth.denied", "the token names another principal; open another connection for it")
        except HoldfastError as error:
            self._refuse(op.id, error, fatal=False)
            return
        self.hub.refreshed(self, principal)
        self._watch_expiry()
        operations.answer_ok(self, op.id, {"expires_ms": principal.expires_ms})

    def _refuse(self, ident: int | None, error: HoldfastError, *, fatal: bool) -> None:
        message: dict[str, object] = {"op": "error", "error": error.wire()}
        if ident is not None:
            message["id"] = ident
        self.deliver(Batch([encode(message)]))
        if fatal:
            self.close(CLOSE_CODES.get(error.code, 4400), error.code)

    def filled(self) -> None:
        """More is unsent than the transport's high mark."""
        self.paused = True
        self.deliver = self._deliver_unread

    def drained(self) -> None:
        """The transport can take more."""
        if self._wire is None:
            return
        self.paused = False
        self.deliver = self._wire.write
        self._unread = 0
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
        known = self.principal is not _NOBODY
        self.door.crowd.leave(self.principal if known else None)
        if known:
            self.hub.disconnect(self)
