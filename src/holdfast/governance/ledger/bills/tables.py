"""Comparisons, variances and waste as CSV, for those who go on in a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from holdfast.governance.ledger.bills.compare.model import Reconciliation
from holdfast.governance.ledger.bills.variance.model import EFFECTS, Variance
from holdfast.governance.ledger.bills.waste.model import Waste
from holdfast.governance.ledger.figures import Amount, csv_lines


def reconciliation_csv(found: Reconciliation) -> str:
    """A line for every part of every cell's difference; cells without a difference have one line without a cause."""

    def lines() -> Iterator[Sequence[Any]]:
        yield (
            "day",
            "model",
            "key",
            "bill_usd",
            "ledger_usd",
            "difference_usd",
            "cause",
            "part_usd",
            "rows",
            "estimated",
        )
        for cell in found.cells:
            shares: Sequence[tuple[str, int]] = [(share.cause, share.amount_nano) for share in cell.shares] or [("", 0)]
            for cause, amount in shares:
                yield (
                    cell.day, cell.model, cell.key, _amount(cell.bill_nano), _amount(cell.ledger_nano),
                    Amount(cell.difference_nano), cause, Amount(amount), cell.rows, cell.estimated,
                )  # fmt: skip

    return csv_lines(lines())


def variance_csv(found: Variance) -> str:
    """A line for every group, and the total; the four effects sum to the change in each."""

    def lines() -> Iterator[Sequence[Any]]:
        yield (
            found.dimension or "total",
            "before_usd",
            "after_usd",
            "change_usd",
            *(f"{name}_usd" for name in EFFECTS),
            "unpriced",
        )
        each = [(g.name, g.before_nano, g.after_nano, g.effects, g.unpriced) for g in found.groups if found.dimension]
        each.append(("(total)", found.before_nano, found.after_nano, found.effects, found.unpriced))
        for name, before, after, effects, unpriced in each:
            parts = [Amount(getattr(effects, effect)) for effect in EFFECTS]
            yield name, Amount(before), Amount(after), Amount(after - before), *parts, unpriced

    return csv_lines(lines())


def waste_csv(found: Waste) -> str:
    """A line for every session that shows a kind of waste, after one for the kind."""

    def lines() -> Iterator[Sequence[Any]]:
        yield "kind", "session", "waste_usd", "rows", "note", "unknown_usd"
        for item in found.items:
            yield item.kind, "", _amount(item.amount_nano), item.rows, item.why, Amount(item.unknown_nano)
            for entry in item.sessions:
                yield item.kind, entry.session, Amount(entry.amount_nano), entry.rows, entry.note, ""

    return csv_lines(lines())


def _amount(nano: int | None) -> Any:
    return None if nano is None else Amount(nano)
