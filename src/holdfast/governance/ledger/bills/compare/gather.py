"""From rows of the ledger to slots: what a comparison needs of them, in a bounded space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from holdfast.governance.ledger.bills.compare.model import SLOT_MS, Estimate, Slot
from holdfast.governance.ledger.model import Row
from holdfast.providers.billing.model import BESIDE


def bill_amount(row: Row) -> int | None:
    """What the bill should say for a row, before credits: billed, else contracted, else list; None without a price."""
    for amount in (row.billed_nano, row.contracted_nano, row.list_nano):
        if amount is not None:
            return amount
    return None


def current(rows: Sequence[Row]) -> list[Row]:
    """Rows that count: those that no later row replaces."""
    replaced = {row.corrects for row in rows if row.corrects}
    return [row for row in rows if row.id not in replaced]


def taken_over(rows: Iterable[Row]) -> set[str]:
    """Calls in which another model answered for the one that declined."""
    return {row.call for row in rows if row.kind == "fallback_message"}


class Gatherer:
    """Adds rows up by quarter of an hour, upstream and model.

    Args:
        fallback: calls in which another model took over (``taken_over``).

    Attributes:
        estimates: rows whose amount is ours.
        carded: upstreams whose rows name a rate card.
    """

    def __init__(self, fallback: Set[str] = frozenset()) -> None:
        self._fallback = fallback
        self._slots: dict[tuple[int, str, str], Slot] = {}
        self.estimates: list[Estimate] = []
        self.carded: set[str] = set()

    @property
    def slots(self) -> list[Slot]:
        """All of them, in order of time."""
        return [self._slots[at] for at in sorted(self._slots)]

    def add(self, row: Row) -> None:
        """Count a row; it must be one that no other row replaces."""
        at = row.at_ms - row.at_ms % SLOT_MS
        model = row.model or row.asked
        slot = self._slots.get((at, row.upstream, model))
        if slot is None:
            slot = self._slots[at, row.upstream, model] = Slot(
                at_ms=at, key=row.upstream, model=model, counts={}, beside_nano={}
            )
        slot.rows += 1
        if row.card:
            self.carded.add(row.upstream)
        amount = bill_amount(row)
        if amount is None:
            slot.unpriced += 1
            return
        slot.amount_nano += amount
        if row.workflow in ("", "unassigned"):
            slot.unassigned_nano += amount
        if row.call in self._fallback:
            slot.fallback_nano += amount
        if row.source == "agent":
            slot.agent_nano += amount
        if row.basis == "estimated":
            self.estimates.append(Estimate(row.id, row.at_ms, row.upstream, model, amount, row.counts))
            return
        for name, count in row.counts.items():
            slot.counts[name] = slot.counts.get(name, 0) + count
        listed = sum(row.parts.values())
        for name in BESIDE:
            part = row.parts.get(name, 0)
            if part and listed:
                slot.beside_nano[name] = slot.beside_nano.get(name, 0) + part * amount // listed


def gather(rows: Sequence[Row]) -> tuple[list[Slot], list[Estimate]]:
    """Slots and estimates of rows, of which those that are replaced are left out."""
    counted = current(rows)
    gatherer = Gatherer(taken_over(counted))
    for row in counted:
        gatherer.add(row)
    return gatherer.slots, gatherer.estimates
