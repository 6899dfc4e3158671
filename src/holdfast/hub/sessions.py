"""The sessions in memory: one hot session for each life that is in use, loaded when it is first asked for something.

Who owns a session is decided here and nowhere else: a process that shares its log with others would look here whether
the session is its own, and forward what is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from holdfast.engines.port import Key
from holdfast.hub.hot import HotSession
from holdfast.hub.observer import SessionObserver
from holdfast.hub.pending import PendingCommand
from holdfast.hub.runtime import Runtime
from holdfast.session.access import Principal, authorise


class SessionRegistry(Mapping[Key, HotSession], SessionObserver[HotSession]):
    """The registry of sessions in memory; as a mapping it holds those that are there now."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._hot: dict[Key, HotSession] = {}
        self._observers: list[SessionObserver[HotSession]] = [self]

    def observe(self, *observers: SessionObserver[HotSession]) -> None:
        """Tell them, in this order, what happens to sessions; to be called before the first is loaded."""
        self._observers += observers

    def hot(self, key: Key) -> HotSession:
        """The session in memory; it loads when it is first asked for something."""
        session = self._hot.get(key)
        if session is None:
            session = self._hot[key] = HotSession(self._runtime, key, self._observers, self._next_life(key))
            self._runtime.stats.hot_sessions = len(self._hot)
        return session

    async def ready(self, key: Key) -> HotSession:
        """The session's present life, loaded. Raises ``session.not_found`` or ``session.deleted``."""
        while True:
            session = self.hot(key)
            await session.ready()
            if not session.ended:
                return session

    async def load(self, principal: Principal, session: str, verb: str = "read") -> HotSession:
        """The session, loaded, when the principal may use it.

        Raises:
            Refused: ``auth.denied``, ``session.not_found`` or ``session.deleted``.
        """
        authorise(principal, verb, session)
        hot = await self.ready(Key(principal.tenant, session))
        hot.last_used = self._runtime.clock.monotonic()
        return hot

    def evict(self, session: HotSession) -> None:
        """Let a session go that nobody uses."""
        session.close()
        self._remove(session)
        self._runtime.stats.evictions += 1

    def deleted(self, session: HotSession) -> None:
        """See ``SessionObserver``."""
        self._remove(session)

    def _remove(self, session: HotSession) -> None:
        if self._hot.get(session.key) is session:
            del self._hot[session.key]
        self._runtime.stats.hot_sessions = len(self._hot)

    def _next_life(self, key: Key) -> Callable[[PendingCommand], None]:
        return lambda pending: self.hot(key).enqueue_pending(pending)

    # --- a mapping
    def __getitem__(self, key: Key) -> HotSession:
        return self._hot[key]

    def __contains__(self, key: object) -> bool:
        return key in self._hot

    def __iter__(self) -> Iterator[Key]:
        return iter(self._hot)

    def __len__(self) -> int:
        return len(self._hot)
