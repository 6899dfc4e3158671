"""Who came without a key that is known: counted in memory, bounded, and handed over in batches."""

from __future__ import annotations

import datetime
from typing import Final, NamedTuple

from holdfast.gateway.port import Stranger
from holdfast.governance import limits
from holdfast.visible import visible

OTHERS: Final = "~others"
"""The fingerprint under which those are counted that are too many to be told apart."""
_ADDRESS_CHARS: Final = 64


class StrangerKey(NamedTuple):
    """Calls that are counted together. ``day``: in UTC, as the gateway has no other."""

    day: str
    fingerprint: str
    agent: str
    path: str


class Count(NamedTuple):
    """How often, from when to when, and the address of the last one."""

    calls: int
    first_ms: int
    last_ms: int
    address: str

    def plus(self, other: Count) -> Count:
        """Both."""
        newest = max(self, other, key=lambda count: count.last_ms)
        return Count(self.calls + other.calls, min(self.first_ms, other.first_ms), newest.last_ms, newest.address)


class StrangerCounts:
    """The counts since they were taken last."""

    def __init__(self) -> None:
        self._counts: dict[StrangerKey, Count] = {}
        self._day = ""
        self._today: set[StrangerKey] = set()

    def note(self, stranger: Stranger) -> None:
        """Count one call."""
        day = datetime.datetime.fromtimestamp(stranger.at_ms / 1_000, datetime.UTC).date().isoformat()
        if day != self._day:
            self._day, self._today = day, set()
        kind = StrangerKey(
            day,
            stranger.fingerprint[: limits.STRANGER_PATH_CHARS],
            visible(stranger.agent)[: limits.STRANGER_AGENT_CHARS],
            visible(stranger.path)[: limits.STRANGER_PATH_CHARS],
        )
        if kind not in self._today:
            if len(self._today) >= limits.STRANGERS_SEEN:
                kind = StrangerKey(day, OTHERS, "", "")
            else:
                self._today.add(kind)
        self.put(kind, Count(1, stranger.at_ms, stranger.at_ms, visible(stranger.address)[:_ADDRESS_CHARS]))

    def put(self, kind: StrangerKey, count: Count) -> None:
        """Count calls that were counted before."""
        there = self._counts.get(kind)
        self._counts[kind] = count if there is None else there.plus(count)

    def take(self) -> dict[StrangerKey, Count]:
        """The counts, which begin anew."""
        taken, self._counts = self._counts, {}
        return taken
