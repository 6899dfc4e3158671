"""How long people need for items: measured by kind, and what that comes to a week. Pure.

Measured is the time from when its person opened an item first to when it was computed as gone, of at most an hour: opened and
left lying is no work. Gate 6.b computes the same of the same items; the numbers stand there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from holdfast.governance.inbox.model import MINUTE_MS, InboxItem
from holdfast.governance.rollout.gates.sustained import DECLARED, MEASURED_LEAST, OTHERWISE, WEEKS

LONGEST_MINUTES: Final = 60


class KindLoad(msgspec.Struct, frozen=True):
    """Items of one kind. ``minutes``: for one; ``measured``: of how many that is the median, 0 where it is declared."""

    kind: str
    items: int
    minutes: int
    measured: int = 0


class OwnerLoad(msgspec.Struct, frozen=True):
    """What a workflow asks of who answers for it, a week.

    Attributes:
        needed_minutes: by what came in the window; ``allotted_minutes`` what the manifest gives.
        kinds: what most of it is, first.
    """

    workflow: str
    needed_minutes: int
    allotted_minutes: int
    kinds: tuple[KindLoad, ...] = ()

    @property
    def short_minutes(self) -> int:
        """By how much it is too little."""
        return max(0, self.needed_minutes - self.allotted_minutes)


def family(kind: str) -> str:
    """The first word of a kind: times are declared and measured by it."""
    return kind.partition(":")[0].partition(".")[0]


def declared(kind: str) -> int:
    """Minutes that one of a kind is taken to need."""
    return DECLARED.get(family(kind), OTHERWISE)


def minutes_of(seen_ms: int, closed_ms: int) -> int:
    """How long somebody had an item in hand; a minute at least."""
    return min(LONGEST_MINUTES, max(1, -(-(closed_ms - seen_ms) // MINUTE_MS)))


def measured(items: Iterable[InboxItem]) -> dict[str, tuple[int, int]]:
    """``(median minutes, n)`` by family of kinds, of closed items that their person had opened; only with enough of them."""
    taken: dict[str, list[int]] = {}
    for item in items:
        if item.closed_ms is not None and item.seen_ms:
            taken.setdefault(family(item.kind), []).append(minutes_of(item.seen_ms, item.closed_ms))
    return {
        kind: (sorted(some)[len(some) // 2], len(some)) for kind, some in taken.items() if len(some) >= MEASURED_LEAST
    }


def load(
    workflow: str, items: Sequence[InboxItem], known_minutes: Mapping[str, tuple[int, int]], owner_week: float
) -> OwnerLoad:
    """What a workflow needs.

    Args:
        items: of its owner, that were opened within the window.
        known_minutes: as measured, of all items of the tenant.
        owner_week: hours, as the manifest has them.
    """
    counts: dict[str, int] = {}
    for item in items:
        counts[family(item.kind)] = counts.get(family(item.kind), 0) + 1
    kinds = []
    for kind, count in counts.items():
        minutes, n = known_minutes.get(kind, (declared(kind), 0))
        kinds.append(KindLoad(kind, count, minutes, n))
    kinds.sort(key=lambda one: (-one.items * one.minutes, one.kind))
    needed = -(-sum(one.items * one.minutes for one in kinds) // WEEKS)
    return OwnerLoad(workflow, needed, int(owner_week * 60), tuple(kinds))
