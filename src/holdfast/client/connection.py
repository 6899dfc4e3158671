"""One connection to a server that carries many sessions, and comes back by itself when it is lost.

What a caller gets: an operation is answered, refused, or timed out; a keyed operation is done once however often the
connection breaks in between; and operations reach the server in the order they were asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar

from holdfast.client import messages
from holdfast.client.link import Link, error_from_close
from holdfast.client.pending import OutcomeCallback, PendingOperations
from holdfast.client.retry import Backoff
from holdfast.client.token import Token, TokenSource
from holdfast.client.transport import Dialer
from holdfast.errors import HoldfastError, Refused, Unavailable, from_wire
from holdfast.protocol import limits, wire
from holdfast.protocol.codec import encode
from holdfast.visible import logger

Status = Literal["live", "catching_up", "offline"]
"""How a client stands to its server."""
MessageCallback = Callable[[Any, int], None]
_Callback = TypeVar("_Callback")

_LOG = logger("holdfast.client")
_CONNECTION_OPS: Final = (
    wire.Hello, wire.Auth, wire.Ping, wire.Watch, wire.Unwatch, wire.Subscribe, wire.Unsubscribe, wire.Presence,
    wire.Serve, wire.Heartbeat, wire.Attach,
)  # fmt: skip
"""Operations that mean something to one connection only: when it is lost they fail, and their owners begin anew."""


def new_key() -> str:
    """A key for an operation: 128 random bits."""
    return secrets.token_hex(16)


class Connection:
    """See the module. ``open`` it before use and ``close`` it after; ``agents`` and sessions build on it.

    Args:
        dialer: opens transports.
        token: sent on every connect, for dials that authenticate.
        surface, device: what the person uses; shown to others as presence.
    """

    def __init__(
        self,
        dialer: Dialer,
        token: TokenSource = None,
        *,
        surface: str = "",
        device: str = "",
        backoff: Backoff | None = None,
    ) -> None:
        self._dialer = dialer
        self._token = Token(token)
        self._surface, self._device = surface, device
        self._backoff = backoff or Backoff()
        self._link: Link | None = None  # set while the server has welcomed us
        self._pending = PendingOperations()
        self._request_slots = asyncio.Semaphore(limits.PENDING_REQUESTS)
        self._message_callbacks: dict[type[Any], list[MessageCallback]] = {}
        self._connected_callbacks: list[Callable[[], None]] = []
        self._disconnected_callbacks: list[Callable[[], None]] = []
        self._status_callbacks: list[Callable[[Status], None]] = []
        self._status: Status = "offline"
        self._readers_behind: set[object] = set()
        self._first_welcome: asyncio.Future[None] | None = None
        self._reconnect_after_s: float | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._error: HoldfastError | None = None
        self._reason = ""  # why the last transport was lost
        self.welcome = messages.Welcome()
        self.closed = False  # by us

    # --- life
    async def open(self, timeout_s: float = limits.REQUEST_TIMEOUT_S) -> None:
        """Connect, trying again until ``timeout_s``.

        Raises:
            Refused: the server does not want this token.
            Unavailable: ``connection.lost`` when it could not be reached in time.
        """
        self._first_welcome = asyncio.get_running_loop().create_future()
        self._tasks.append(asyncio.create_task(self._run(), name="holdfast connection"))
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._first_welcome)
        except TimeoutError:
            await self.close()
            reason = f": {self._reason}" if self._reason else ""
            fix = "Start the server, or check the address."
            raise Unavailable("connection.lost", f"the server could not be reached{reason}", fix=fix) from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close for good: what waits for an answer fails with ``connection.lost``."""
        self.closed = True
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._give_up(self._error or Unavailable("connection.lost", "this client was closed"))

    @property
    def connected(self) -> bool:
        """Whether the server has welcomed us and the transport stands."""
        return self._link is not None

    @property
    def error(self) -> HoldfastError | None:
        """Why the connection ended for good, or None while it is in use."""
        return self._error

    @property
    def status(self) -> Status:
        """``live``: everything subscribed is up to date; ``catching_up``; ``offline``."""
        return self._status

    @property
    def _opening(self) -> bool:
        return self._first_welcome is not None and not self._first_welcome.done()

    # --- callbacks
    def on_status(self, callback: Callable[[Status], None]) -> Callable[[], None]:
        """Call back when the status changes; returns what ends that."""
        return _register(self._status_callbacks, callback)

    def on_connected(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after every welcome, before unanswered operations are sent again."""
        return _register(self._connected_callbacks, callback)

    def on_disconnected(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back when a transport is lost."""
        return _register(self._disconnected_callbacks, callback)

    def on_message(self, kind: type[Any], callback: MessageCallback) -> Callable[[], None]:
        """Call back with every server message of a kind (a struct of ``client.messages``) and its size in bytes, in
        the order received."""
        return _register(self._message_callbacks.setdefault(kind, []), callback)

    def mark_behind(self, reader: object, behind: bool) -> None:
        """A subscription is behind the tail, or has caught up: part of the status."""
        (self._readers_behind.add if behind else self._readers_behind.discard)(reader)
        self._update_status()

    # --- operations
    def post(self, op: wire.Op, on_outcome: OutcomeCallback) -> None:
        """Send an operation; ``done`` is called with its result or error as soon as that arrives, in order.

        An operation that is not of the connection itself is kept while offline and sent again after a reconnect.
        """
        if isinstance(op, wire.Command) and op.key is None and getattr(op, "producer", None) is None:
            op.key = new_key()
        resend = not isinstance(op, _CONNECTION_OPS)
        if self._error is not None:
            on_outcome(self._error)
        elif not resend and self._link is None:
            on_outcome(Unavailable("connection.lost"))
        else:
            try:
                pending = self._pending.add(op, on_outcome, resend)
            except Refused as error:
                on_outcome(error)
                return
            if self._link is not None:
                self._write(self._link, pending.message)

    async def request(self, op: wire.Op, *, timeout_s: float | None = limits.REQUEST_TIMEOUT_S) -> dict[str, Any]:
        """Do an operation and return its result. Refusals that may pass are retried with the same key until the time
        is up.

        Raises:
            Refused: the request is at fault.
            Unavailable: ``timeout`` (a keyed operation's outcome is unknown then), or what the server said.
        """
        resend = not isinstance(op, _CONNECTION_OPS)
        backoff = Backoff()
        last_error = ""
        try:
            async with asyncio.timeout(timeout_s), self._request_slots:
                while True:
                    try:
                        return await self._request_once(op)
                    except Unavailable as error:
                        if not resend or self._error is not None:
                            raise
                        last_error = f"; last refused with {error.code}: {error.detail}"
                        await asyncio.sleep(backoff.after_s(error))
        except TimeoutError:
            name = type(op).__name__.lower()
            raise Unavailable("timeout", f"{name} was not done within {timeout_s} s{last_error}") from None

    async def _request_once(self, op: wire.Op) -> dict[str, Any]:
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        def on_outcome(outcome: dict[str, Any] | HoldfastError) -> None:
            if future.done():
                return
            if isinstance(outcome, HoldfastError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        self.post(op, on_outcome)
        try:
            return await future
        finally:
            if op.id is not None:
                self._pending.remove(op.id)

    def cap_backoff(self, cap_s: float) -> None:
        """Wait no longer than this, seconds, before a try to connect again."""
        self._backoff.lower_cap(cap_s)

    # --- the loop
    async def _run(self) -> None:
        try:
            while True:
                error = await self._run_link()
                self._reason = error.detail
                if isinstance(error, Refused) and (self._opening or not self._token.renewable):
                    raise error
                delay, self._reconnect_after_s = self._reconnect_after_s, None
                await asyncio.sleep(self._backoff.next_s() if delay is None else delay + self._backoff.next_s())
        except HoldfastError as error:
            _LOG.error("connection ended for good: %s", error.code)
            self._give_up(error)
        except Exception:
            _LOG.exception("the connection's loop failed")
            self._give_up(Unavailable("connection.lost", "the client failed"))

    async def _run_link(self) -> HoldfastError:
        """From dialling to the loss of one transport; returns why it was lost."""
        link = Link(self)
        refresh: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(2 * limits.HELLO_S):
                link.transport = await self._dialer(link)
                if self._dialer.authenticates:
                    hello = wire.Hello(
                        id=0, token=await self._token.fetch(), surface=self._surface, device=self._device
                    )
                    link.transport.send(encode(hello))
                await link.welcome
            refresh = asyncio.create_task(self._refresh_token(self.welcome.expires_ms), name="holdfast token")
            await link.lost_event.wait()
            return error_from_close(link.code, link.reason)
        except HoldfastError as error:
            return error
        except (OSError, TimeoutError) as error:
            return Unavailable("connection.lost", str(error))
        finally:
            if refresh is not None:
                refresh.cancel()
            if link.transport is not None:
                link.transport.close()
            link.lost(1006, "")

    async def _refresh_token(self, expires_ms: int | None) -> None:
        """Replace the token on the open connection before it expires (ACC-4)."""
        backoff = Backoff(limits.RETRY_BASE_S * 8, limits.TOKEN_REFRESH_S)
        while expires_ms is not None and self._token.renewable:
            await asyncio.sleep(self._token.refresh_in_s(expires_ms))
            try:
                result = await self.request(wire.Auth(token=await self._token.fetch()))
                expires_ms = result.get("expires_ms")
                backoff.reset()
            except Exception as error:  # the application's token source may raise anything; expiry closes otherwise
                _LOG.warning("the token could not be refreshed: %s", type(error).__name__)
                await asyncio.sleep(backoff.next_s())

    # --- from the transport, through its link
    def received(self, link: Link, raw: bytes) -> None:
        message = messages.decode(raw)
        if isinstance(message, messages.Ok):
            self._pending.resolve(message.id, messages.result(raw))
        elif isinstance(message, messages.Error):
            self._refused(link, message)
        elif isinstance(message, messages.Welcome):
            self._welcomed(link, message)
        elif isinstance(message, messages.Goaway):
            self._reconnect_after_s = message.retry_after_s
        else:
            for callback in self._message_callbacks.get(type(message), ()):
                try:
                    callback(message, len(raw))
                except Exception:  # an application's callback must not cost everybody the connection
                    _LOG.exception("a callback for %s failed", type(message).__name__)

    def _refused(self, link: Link, message: messages.Error) -> None:
        error = from_wire(message.error)
        if self._link is link and message.id is not None:
            self._pending.resolve(message.id, error)
        else:
            self._reconnect_after_s = error.retry_after_s or self._reconnect_after_s  # of the whole connection
            link.fail(error)

    def _welcomed(self, link: Link, welcome: messages.Welcome) -> None:
        if link.welcome.done():
            return
        link.welcome.set_result(welcome)
        self.welcome = welcome
        self._link = link
        self._backoff.reset()
        to_resend = self._pending.to_resend()
        for callback in list(self._connected_callbacks):
            callback()
        for pending in to_resend:
            self._write(link, pending.message)
        self._update_status()
        if self._first_welcome is not None and not self._first_welcome.done():
            self._first_welcome.set_result(None)

    def _write(self, link: Link, message: bytes) -> None:
        if link.transport is not None:
            link.transport.send(message)

    def lost(self, link: Link) -> None:
        if self._link is not link:
            return
        self._link = None
        for callback in list(self._disconnected_callbacks):
            callback()
        self._pending.connection_lost(Unavailable("connection.lost"))
        self._update_status()

    def _give_up(self, error: HoldfastError) -> None:
        if self._error is not None:
            return
        self._error = error
        if self._first_welcome is not None and not self._first_welcome.done():
            self._first_welcome.set_exception(error)
            self._first_welcome.exception()
        for callback in list(self._disconnected_callbacks):
            callback()
        self._pending.fail_all(error)
        self._update_status()

    def _update_status(self) -> None:
        status: Status = "offline" if self._link is None else "catching_up" if self._readers_behind else "live"
        if status != self._status:
            self._status = status
            for callback in list(self._status_callbacks):
                try:
                    callback(status)
                except Exception:
                    _LOG.exception("a callback for the status failed")


def _register(callbacks: list[_Callback], callback: _Callback) -> Callable[[], None]:
    callbacks.append(callback)

    def unregister() -> None:
        with contextlib.suppress(ValueError):
            callbacks.remove(callback)

    return unregister
