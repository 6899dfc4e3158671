"""How long steps take: since when a workflow is at its step, and when it may be through, from what happened before. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from holdfast.governance.rollout.doors import OPENS, GateStatus
from holdfast.governance.rollout.model import DAY_MS, VerdictRow
from holdfast.governance.rollout.registry import BY_NAME

LEAST: Final = 3
"""Times that a gate was passed before, with fewer of which nobody can say how long it takes."""


class Progress(msgspec.Struct, frozen=True):
    """Where a workflow is.

    Attributes:
        step: of the plan, whose gate is in the way first; 0 when none is.
        since_ms: since when; 0 for not times. ``days``: of it until now.
        holder: whose work it is.
        expected_ms: when its next door may open, from the organisation's own history; None for not times.
    """

    step: int = 0
    since_ms: int = 0
    days: int = 0
    holder: str = ""
    expected_ms: int | None = None


def durations(history: Iterable[VerdictRow]) -> dict[str, list[int]]:
    """How long each gate took from its first verdict that was not a pass to the pass after it, ms.

    Args:
        history: verdicts, the oldest first.
    """
    began: dict[tuple[str, str], int] = {}
    took: dict[str, list[int]] = {}
    for row in history:
        place = (row.workflow, row.gate)
        if row.verdict in ("pass", "not_applicable"):
            if place in began:
                took.setdefault(row.gate, []).append(row.computed_ms - began.pop(place))
        else:
            began.setdefault(place, row.computed_ms)
    return took


def progress(
    missing: Sequence[str],
    status: Mapping[str, GateStatus],
    took: Mapping[str, Sequence[int]],
    holder: str,
    now_ms: int,
) -> Progress:
    """Where a workflow is whose next door some gates keep shut."""
    shut = [status[name] for name in missing if name in status and status[name].shown not in OPENS]
    if not shut:
        return Progress()
    first = shut[0]
    since = first.since_ms
    ends: list[int] = []
    for one in shut:
        times = took.get(one.gate, ())
        if len(times) < LEAST or not one.since_ms:
            ends = []
            break
        ends.append(max(now_ms, one.since_ms + int(statistics.median(times))))
    days = (now_ms - since) // DAY_MS if since else 0
    return Progress(BY_NAME[first.gate].step, since, days, holder, max(ends) if ends else None)
