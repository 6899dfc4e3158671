"""What is told of each cause: what was found, and the next step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from holdfast.governance import limits
from holdfast.governance.ledger.bills.compare.grid import OpenCell
from holdfast.governance.ledger.bills.compare.model import EVERYTHING, MEANING, BillFinding, Cause

FIX: Final[Mapping[Cause, str]] = {
    "estimated": "Settle them from the report: `holdfast ledger reconcile … --settle`.",
    "fallback_credit": "Nothing, if the provider gives such credits; else ask it which calls it took back.",
    "rounding": "Nothing.",
    "outside": "Find out who has this key, move them to the gateway, or import the spend: `holdfast ledger import --as spend`.",
    "unassigned": "Name the callers: `holdfast keys unknown`, `holdfast org show`.",
    "unknown": "Compare the cells with the provider's usage report of the same days.",
    "missed_day": "Look at `holdfast ledger verify` and the gateway's log of that day, then import what is missing.",
    "netting_pair": "Look at both cells: usage is booked under the wrong model, key or day on one side.",
    "price": "Propose a rate card with this ratio from this day on: `holdfast prices cards`.",
    "credit": "Enter the credit in the upstream's rate card: `holdfast prices cards`.",
    "charge": "Share it out by a stated key: `holdfast ledger allocate`.",
    "time_zone": "Say so: `--zone`, then reconcile again.",
    "truncated": "Export the report again with fewer groups or shorter periods, until it is whole.",
    "counted_twice": "Let the agent send the gateway's call id with its usage, or take one of the two sources away.",
    "alias": "Confirm it with `--alias REPORT=LEDGER`.",
}
"""The next step, by cause."""


def difference(
    cause: Cause, cells: Sequence[OpenCell], what: str, *,
    fix: str = "", certain: bool = True, blocks: bool = False, facts: Mapping[str, Any] | None = None,
) -> BillFinding:  # fmt: skip
    """One finding over cells that have a share of its cause."""
    amounts = [share.amount_nano for cell in cells for share in cell.shares if share.cause == cause]
    largest = sorted(cells, key=lambda cell: (-_of(cell, cause), cell.at))[: limits.BILLS_SHOWN]
    lines = [line for cell in largest for line in cell.lines][: limits.BILLS_SHOWN]
    return BillFinding(
        cause=cause, amount_nano=sum(map(abs, amounts)), net_nano=sum(amounts), what=what, fix=fix or FIX[cause],
        certain=certain, blocks=blocks, cells=len(cells), where=tuple(cell.at for cell in largest), lines=tuple(lines),
        facts=dict(facts or {}),
    )  # fmt: skip


def plain_difference(
    cause: Cause, cells: Sequence[OpenCell], *, certain: bool = True, blocks: bool = False
) -> BillFinding:
    """A finding that says where it is and what its cause means."""
    return difference(cause, cells, f"{places(cells)}: {MEANING[cause]}.", certain=certain, blocks=blocks)


def places(cells: Sequence[OpenCell]) -> str:
    """Where cells are: named when they are few."""
    days, models = sorted({cell.day for cell in cells}), sorted({cell.model for cell in cells})
    keys = sorted({cell.key for cell in cells})
    return f"{listing(models, 'models')} at {listing(keys, 'keys')} on {listing(days, 'days')}"


def listing(names: Iterable[str], noun: str) -> str:
    """Up to three names; more are counted."""
    found = [f"all {noun}" if name == EVERYTHING else name or "(no name)" for name in names]
    return ", ".join(found) if len(found) <= 3 else f"{len(found)} {noun} ({found[0]} … {found[-1]})"


def _of(cell: OpenCell, cause: Cause) -> int:
    return sum(abs(share.amount_nano) for share in cell.shares if share.cause == cause)
