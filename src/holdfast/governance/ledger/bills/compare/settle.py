"""What estimated rows should have said, told by the bill."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.governance.ledger.bills.amounts import divide
from holdfast.governance.ledger.bills.compare.grid import OpenCell
from holdfast.governance.ledger.bills.compare.model import Settlement

_HARMLESS = {"estimated", "rounding"}


def settlements(cells: Iterable[OpenCell]) -> list[Settlement]:
    """The truth of estimated rows in cells where nothing but them differs.

    What the bill has beyond the exact rows of the cell is theirs; several rows share it in proportion to their estimates,
    to the last unit. A cell in which something else differs, too, settles nothing: first that is put right.
    """
    found = []
    for cell in cells:
        if not cell.estimates or not cell.lines or cell.unpriced or cell.scale != (1, 1):
            continue
        if any(share.cause not in _HARMLESS for share in cell.shares):
            continue
        truth = cell.bill - (cell.ledger - cell.estimated)
        if truth < 0:
            if -truth > cell.tolerance:
                continue
            truth = 0
        amounts = divide(truth, {estimate.row: estimate.amount_nano for estimate in cell.estimates})
        counts = _counts(cell)
        for estimate in cell.estimates:
            found.append(
                Settlement(
                    row=estimate.row,
                    was_nano=estimate.amount_nano,
                    amount_nano=amounts[estimate.row],
                    counts={name: shares[estimate.row] for name, shares in counts.items()},
                    day=cell.day,
                    model=cell.model,
                    key=cell.key,
                    alone=len(cell.estimates) == 1,
                )
            )
    return found


def _counts(cell: OpenCell) -> dict[str, dict[str, int]]:
    """Units of the estimated rows by class and row; nothing where the report has no units, or fewer than exact rows have."""
    if not cell.bill_counts:
        return {}
    found = {}
    for name, count in sorted(cell.bill_counts.items()):
        left = count - cell.ledger_counts.get(name, 0)
        if left < 0:
            return {}
        found[name] = divide(left, {estimate.row: estimate.counts.get(name, 0) for estimate in cell.estimates})
    return found
