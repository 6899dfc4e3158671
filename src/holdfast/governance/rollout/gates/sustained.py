"""Gate 6.b: whoever answers for the workflow does it: what was due was done in time, as computed, and there are hours for it."""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.model import (
    DAY_MS,
    Evidence,
    GateScope,
    Row,
    Rows,
    Ruling,
    Thresholds,
    fails,
    passes,
    unknown,
)

DECLARED: Final = {
    "gate": 30, "alarm": 30, "budget": 10, "accept": 5, "people": 30, "waiver": 15, "idea": 20, "approval": 5, "work": 20,
    "tool": 30,
}  # fmt: skip
"""Minutes that an item takes, by the first word of its kind, until enough of them were measured."""
OTHERWISE: Final = 15
MEASURED_LEAST: Final = 5
WEEKS: Final = 4
AGAIN_MS: Final = DAY_MS
"""What is there again within so long was not done."""


def decide(evidence: Evidence, scope: GateScope, thresholds: Thresholds) -> Ruling:
    """Whether items are closed in time, and hours needed are at most those allotted. Who says that something is done closes
    nothing: only what was computed as gone counts, and stayed so for a day."""
    if not evidence["workflow"].rows:
        return unknown("missing", "the workflow has no manifest", "Write one: holdfast workflow init")
    looks = evidence["inbox_looks"].rows
    if not looks:
        return unknown(
            "missing", "the inbox was never computed", "Start a server with governance: it computes the inbox"
        )
    due, least, percent = evidence["inbox_due"].rows, int(thresholds["least"]), int(thresholds["percent"])
    in_time = sum(_in_time(row) for row in due)
    if len(due) >= least and in_time * 100 < len(due) * percent:
        return fails(
            len(due), f"{in_time} of {len(due)} items were done in time, of {percent} % wanted",
            "Do what the inbox lists, or name a second owner: holdfast inbox brief",
        )  # fmt: skip
    came = sum(int(row["n"] or 0) for row in evidence["inbox_kinds"].rows)
    needed, allotted = needed_minutes(evidence), allotted_minutes(evidence["owner_hours"].rows)
    hours = f"{needed / 60:.1f} of {allotted / 60:.1f} hours a week are needed"
    if came >= least and needed > allotted:
        return fails(came, hours, "Give its owner more hours, or name a second one: holdfast inbox brief")
    oldest = min(looks, key=lambda row: (int(row["at_ms"] or 0), str(row["source"])))
    age_h = (scope.as_of_ms - int(oldest["at_ms"] or 0)) // 3_600_000
    if age_h > int(thresholds["look_h"]):
        return unknown(
            "stale",
            f"the inbox could not compute {oldest['source']} for {age_h} hours",
            "Look at the log of the server",
            len(due),
        )
    if len(due) < least:
        return unknown(
            "few", f"{len(due)} items were due, of {least} at least", "Wait: there was little to do", len(due)
        )
    return passes(len(due), f"{in_time} of {len(due)} items were done in time, and {hours}")


def _in_time(row: Row) -> bool:
    closed, again = row["closed_ms"], row["again_ms"]
    if closed is None or row["closed_by"] != "computed" or int(closed) < int(row["opened_ms"] or 0):
        return False
    if again is not None and int(again) - int(closed) < AGAIN_MS:
        return False
    return int(closed) <= int(row["due_ms"] or 0)


def _family(kind: str) -> str:
    return kind.partition(":")[0].partition(".")[0]


def needed_minutes(evidence: Evidence) -> int:
    """Minutes a week: what came in, times what one of its kind takes."""
    times: dict[str, list[int]] = {}
    for row in evidence["inbox_handling"].rows:
        times.setdefault(_family(str(row["kind"])), []).extend([int(row["minutes"] or 0)] * int(row["n"] or 0))
    total = 0
    for row in evidence["inbox_kinds"].rows:
        family = _family(str(row["kind"]))
        some = sorted(times.get(family, ()))
        minutes = some[len(some) // 2] if len(some) >= MEASURED_LEAST else DECLARED.get(family, OTHERWISE)
        total += minutes * int(row["n"] or 0)
    return -(-total // WEEKS)


class _Hours(msgspec.Struct, frozen=True):
    owner_week: float = 0.0


class _Manifest(msgspec.Struct, frozen=True):
    hours: _Hours = _Hours()


def allotted_minutes(rows: Rows) -> int:
    """Minutes a week that the manifest gives its owner; none where it says nothing of it."""
    document = rows[0]["document"] if rows else None
    return int(msgspec.json.decode(str(document), type=_Manifest).hours.owner_week * 60) if document else 0


GATE: Final = Gate(
    "6.b", "sustained", ("P",),
    queries=("workflow", "inbox_due", "inbox_kinds", "inbox_handling", "inbox_looks", "owner_hours"),
    thresholds={"percent": 90, "least": 5, "look_h": 24}, decide=decide, effect="the workflow may leave its pilot",
)  # fmt: skip
