"""Events of a provider or a framework that its adapter does not know: counted, and reported to operators."""

from __future__ import annotations

from holdfast.agents.run import RunContext
from holdfast.protocol import events as e
from holdfast.protocol import limits
from holdfast.visible import logger

_LOG = logger("holdfast.agents")
_OTHER_NAMES = "…"
_logged: set[tuple[str, str]] = set()  # a worker's log names each kind once


class UnknownEvents:
    """Counts by name the events that an adapter could not show.

    Args:
        adapter: which one, as operators read it.
    """

    def __init__(self, run: RunContext, adapter: str) -> None:
        self._run = run
        self._adapter = adapter
        self._counts: dict[str, int] = {}

    def count(self, kind: object) -> None:
        """Count one. ``kind`` names it, never its content: ``delta.audio`` for example."""
        name = "".join(c if c.isprintable() else "?" for c in str(kind))[: limits.UNKNOWN_NAME_CHARS] or "?"
        if name not in self._counts and len(self._counts) >= limits.UNKNOWN_NAMES:
            name = _OTHER_NAMES
        self._counts[name] = self._counts.get(name, 0) + 1

    async def record(self) -> None:
        """Report to operators what was counted since the last time: as an event, and in the worker's log."""
        counts, self._counts = self._counts, {}
        fresh = {name for name in counts if (self._adapter, name) not in _logged}
        if fresh and len(_logged) < limits.UNKNOWN_LOGGED:
            _logged.update((self._adapter, name) for name in fresh)
            _LOG.warning("%s does not know %s, and shows nothing of it", self._adapter, sorted(fresh))
        if counts:
            await self._run.emit(e.UPSTREAM_UNKNOWN, {"adapter": self._adapter, "events": counts})
