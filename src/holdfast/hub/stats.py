"""Counters and gauges of one hub: plain integers, so that counting costs nothing; the edge turns them into metrics."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

from holdfast.protocol import events as e
from holdfast.protocol.events import Event

BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, float("inf"))
"""Upper bounds of the histograms, seconds."""


@dataclass
class Histogram:
    """Durations in seconds, counted by ``BUCKETS``."""

    counts: list[int] = field(default_factory=lambda: [0] * len(BUCKETS))
    total_s: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total_s += seconds


@dataclass
class Stats:
    """What one hub has done since it started; see docs/reference/metrics.md for each name's meaning."""

    connections: int = 0
    workers: int = 0
    subscriptions: int = 0
    hot_sessions: int = 0
    commands: int = 0
    refused: int = 0
    events: int = 0
    frames: int = 0
    commits: int = 0
    commit_failures: int = 0
    deliveries: int = 0
    bytes_out: int = 0
    snapshots: int = 0
    resets: int = 0
    slow_readers: int = 0
    pages_read: int = 0
    loads: int = 0
    evictions: int = 0
    merged: int = 0
    runs_claimed: int = 0
    runs_ended: int = 0
    leases_lost: int = 0
    cancels: int = 0
    unknown_upstream: int = 0
    stalls: int = 0
    commit_seconds: Histogram = field(default_factory=Histogram)

    def count_unknown(self, events: list[Event]) -> None:
        """Count the events of providers that adapters did not know, as they reported them."""
        for event in events:
            counts = event.data.get("events") if event.type == e.UPSTREAM_UNKNOWN else None
            if isinstance(counts, dict):
                self.unknown_upstream += sum(n for n in counts.values() if type(n) is int and n > 0)
