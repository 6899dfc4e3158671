"""The door: what every WebSocket goes through, whatever serves it: hello, operations, rates, refresh, expiry.

``Door`` is per server, ``Visit`` per connection. A visit is driven by its transport: ``opened``, ``received``,
``drained``, ``lost``; it talks back through the few methods of ``Wire``.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import Protocol

from holdfast.edge.auth import Verifier
from holdfast.edge.config import Settings
from holdfast.edge.rate import Bucket
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.hub import operations
from holdfast.hub.hub import Hub
from holdfast.hub.port import Batch
from holdfast.protocol import codec, limits, wire
from holdfast.protocol.codec import encode
from holdfast.session.access import Principal

log = logging.getLogger("holdfast.edge")

CLOSE_CODES = {
    "auth.required": 4401, "auth.invalid": 4401, "auth.denied": 4403, "auth.expired": 4410, "auth.revoked": 4411,
    "auth.origin": 4413, "auth.host": 4413, "limit.rate": 4429, "limit.connections": 1013, "input.malformed": 4400,
    "server.restarting": 1012,
}  # fmt: skip
"""WebSocket close codes of the refusals that end a connection (PROTOCOL.md, section 4)."""

_NOBODY = Principal("", "", ())
_ABUSE = 50  # operations over the rate before the connection is closed


class Wire(Protocol):
    """What a transport does for a visit."""

    @property
    def paused(self) -> bool:
        """More is unsent than the high mark."""

    def write(self, batch: Batch) -> None:
        """Send payloads."""

    def shut(self, code: int, reason: str) -> None:
        """Close."""

    def abort(self) -> None:
        """Drop without a word."""


class Door:
    """The verifier, the settings and the count of connections of one server."""

    def __init__(self, hub: Hub, settings: Settings, verifier: Verifier) -> None:
        self.hub = hub
        self.settings = settings
        self.verifier = verifier
        self.visits: dict[str, Visit] = {}
        self._numbers = itertools.count(1)
        self._boot = codec.encode(id(self)).hex()[-4:]

    def admit(self) -> None:
        """Refuse another connection when there are too many, or when the server is going away."""
        if self.hub.closing:
            raise Unavailable("server.restarting")
        if len(self.visits) >= self.settings.connections:
            raise Unavailable("limit.connections")

    def visit(self, wire_: Wire, principal: Principal | None) -> Visit:
        """A new connection, authenticated already when it brought a header."""
        visit = Visit(self, wire_, f"c{next(self._numbers)}-{self._boot}")
        self.visits[visit.ident] = visit
        if principal is not None:
            visit.enter(principal)
        else:
            visit.expect_hello()
        return visit

    def count(self, actor: str, tenant: str) -> int:
        """Connections of one principal."""
        return sum(v.principal.actor == actor and v.principal.tenant == tenant for v in self.visits.values())


class Visit:
    """One WebSocket connection; the hub sees it as a ``Connection``."""

    def __init__(self, door: Door, wire_: Wire, ident: str) -> None:
        self.door = door
        self.hub = door.hub
        self.ident = ident
        self.principal = _NOBODY
        self.surface = ""
        self.device = ""
        self._wire: Wire | None = wire_
        self._timer: asyncio.TimerHandle | None = None
        self._abuse = 0
        now = self.hub.loop.time()
        settings = door.settings
        self._operations = Bucket(settings.requests_per_s, settings.requests_per_s * 2, now)
        self._events = Bucket(settings.appends_per_s, settings.appends_per_s * 2, now)

    # --- as the hub sees it
    @property
    def paused(self) -> bool:
        """See ``hub.port.Connection``."""
        return self._wire is None or self._wire.paused

    def deliver(self, batch: Batch) -> None:
        """See ``hub.port.Connection``."""
        if self._wire is not None:
            self._wire.write(batch)

    def close(self, code: int, reason: str) -> None:
        """See ``hub.port.Connection``."""
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
        """The connection is authenticated: it becomes one of the hub's."""
        if self.door.count(principal.actor, principal.tenant) >= self.door.settings.connections_per_principal:
            raise Unavailable("limit.connections", "this principal has as many connections as it may")
        self.principal = principal
        self._watch_expiry()
        self.hub.connect(self)

    def _watch_expiry(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.principal.expires_ms is not None:
            left = (self.principal.expires_ms - self.hub.clock.wall_ms()) / 1_000
            self._timer = self.hub.loop.call_later(max(left, 0.0), self.close, 4410, "token expired")

    def received(self, raw: bytes | str) -> None:
        """One message of the client."""
        try:
            op: wire.Op = codec.decode(raw, wire.DECODER)
        except HoldfastError as error:
            self._refuse(None, error, fatal=self.principal is _NOBODY)
            return
        if self.principal is _NOBODY:
            self._hello(op)
        elif self._within_rate(op):
            if isinstance(op, (wire.Auth, wire.Hello)):
                self._refresh(op)
            else:
                self.hub.dispatch(self, op)

    def _within_rate(self, op: wire.Op) -> bool:
        now = self.hub.loop.time()
        try:
            if type(op) is wire.Append:
                self._events.take(now, len(op.events))
            else:
                self._operations.take(now)
        except Unavailable as error:
            self._abuse += 1
            self._refuse(op.id, error, fatal=self._abuse > _ABUSE)
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

    def drained(self) -> None:
        """The transport can take more."""
        self.hub.resume(self)

    def lost(self) -> None:
        """The transport is gone."""
        if self._wire is None:
            return
        self._wire = None
        if self._timer is not None:
            self._timer.cancel()
        self.door.visits.pop(self.ident, None)
        if self.principal is not _NOBODY:
            self.hub.disconnect(self)
