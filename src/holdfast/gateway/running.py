"""The calls under way, key by key: so many at a time, and ended when their key is revoked, or what they use is stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.gateway.port import Caller, Halted
from holdfast.protocol import limits

Stop = Callable[[HoldfastError], object]


class RunningCall:
    """One call, from its key to its end.

    Attributes:
        caller: whose.
        model: which model, or agent, it asks now; empty until it was read.
        is_run: it is a run of a session, and ended as one.
    """

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.model: Callable[[], str] = str
        self.is_run = False
        self._stop: Stop | None = None
        self._error: HoldfastError | None = None

    def stops_by(self, stop: Stop) -> None:
        """From now on it is ended by ``stop``. Raises why, where it was to end before."""
        if self._error is not None:
            raise self._error
        self._stop = stop

    def stop(self, error: HoldfastError) -> bool:
        """End it, and tell its caller why. Twice is once; whether it was the first time."""
        if self._error is not None:
            return False
        self._error = error
        if self._stop is not None:
            self._stop(error)
        return True


class RunningCalls:
    """All of a gateway."""

    def __init__(self) -> None:
        self._of_key: dict[str, set[RunningCall]] = {}
        self._count = 0
        self._headless = 0

    @contextlib.contextmanager
    def one(self, caller: Caller, *, seated: bool = False) -> Iterator[RunningCall]:
        """One more, while the context lasts; some places are kept for those that people wait for. Raises ``server.busy``."""
        key = caller.key
        calls = self._of_key.get(key, set())
        crowded = not seated and self._headless >= limits.HEADLESS_CALLS
        if crowded or len(calls) >= limits.KEY_CALLS or self._count >= limits.GATEWAY_CALLS:
            raise Unavailable("server.busy", "there are as many calls at a time as may be")
        call = RunningCall(caller)
        self._of_key[key] = calls
        calls.add(call)
        self._count += 1
        self._headless += not seated
        try:
            yield call
        finally:
            self._count -= 1
            self._headless -= not seated
            calls.discard(call)
            if not calls:
                self._of_key.pop(key, None)

    def revoked(self, key: str) -> None:
        """End those of a key."""
        for call in list(self._of_key.get(key, ())):
            call.stop(revocation())

    def end(self, halted: Halted) -> int:
        """End those that go no further, runs of sessions left out; how many."""
        count = 0
        for call in [call for calls in self._of_key.values() for call in calls if not call.is_run]:
            error = halted(call.caller, call.model())
            count += error is not None and call.stop(error)
        return count


def revocation() -> Refused:
    """What a caller hears whose key was revoked in the middle of an answer."""
    return Refused("key.revoked", "the key was revoked while this was answered")
