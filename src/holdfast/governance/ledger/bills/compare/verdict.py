"""Whether a bill is explained: gate 4.a. Unknown never passes; a violation that is proven without what is missing fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from holdfast.governance.ledger.bill_line import BillLine
from holdfast.governance.ledger.bills.amounts import dollars, percent
from holdfast.governance.ledger.bills.compare.grid import Grid
from holdfast.governance.ledger.bills.compare.keys import AccountNames
from holdfast.governance.ledger.bills.compare.model import BillFinding, Cell, Verdict

GAP_PERCENT: Final = 2
"""Sum of absolute differences, of the bill."""
LINE_SHARE_PERCENT: Final = 1
LINE_GAP_PERCENT: Final = 10
"""Each cell above the first share of the bill within the second of its own amount."""
CATCH_ALL_PERCENT: Final = 5
"""What is unassigned, unknown or rounding, of the bill."""


def judge(
    *, cells: Sequence[Cell], whole: int, gap: int, catch_all: int,
    findings: Sequence[BillFinding], grid: Grid, keys: AccountNames, bill: Sequence[BillLine],
) -> tuple[Verdict, list[str]]:  # fmt: skip
    """The verdict, and why it is no pass."""
    missing = evidence_missing(findings=findings, grid=grid, keys=keys, bill=bill, whole=whole)
    doubtful = {at for entry in findings if entry.blocks for at in entry.where}
    blocked = any(entry.blocks and (entry.cause == "time_zone" or entry.cells > len(entry.where)) for entry in findings)
    sure = [cell for cell in cells if (cell.day, cell.model, cell.key) not in doubtful]
    proven = [] if blocked or whole <= 0 or len(grid.grain) < 3 else _violations(sure, whole)
    if whole > 0 and not missing and 100 * catch_all > CATCH_ALL_PERCENT * whole:
        proven.append(
            f"{percent(catch_all, whole)} of the bill are unassigned, unknown or rounding: at most 5 % may be"
        )
    if proven:
        return "fail", proven + missing
    if missing:
        return "unknown", missing
    if 100 * gap > GAP_PERCENT * whole:
        return "fail", [_gap(gap, whole)]
    return "pass", []


def _violations(cells: Sequence[Cell], whole: int) -> list[str]:
    found = []
    gap = sum(abs(cell.difference_nano) for cell in cells)
    if 100 * gap > GAP_PERCENT * whole:
        found.append(_gap(gap, whole))
    for cell in cells:
        amount = cell.bill_nano or 0
        if 100 * amount > LINE_SHARE_PERCENT * whole and 100 * abs(cell.difference_nano) > LINE_GAP_PERCENT * amount:
            off = percent(cell.difference_nano, amount)
            found.append(f"{cell.model} at {cell.key} on {cell.day} differs by {off} of its line: at most 10 % may be")
    return found[:20]


def _gap(gap: int, whole: int) -> str:
    return f"{dollars(gap)} of {dollars(whole)} differ ({percent(gap, whole)}): at most 2 % may"


def evidence_missing(
    *, findings: Sequence[BillFinding], grid: Grid, keys: AccountNames, bill: Sequence[BillLine], whole: int
) -> list[str]:
    """What would have to be there before a comparison can pass."""
    context = grid.context
    found = []
    if whole <= 0:
        found.append("the bill has no lines of usage in this period")
    if not context.complete:
        found.append("the report says that it is not whole")
    if grid.wide:
        found.append("the report does not tell days apart")
    if not grid.named and whole > 0:
        found.append("the report does not tell models apart")
    if not keys.apart and whole > 0:
        found.append(
            "the report tells no keys apart, or none that an upstream is known to use: say `--key REPORT=UPSTREAM`"
        )
    found += [f"the report has no account for the upstream {name}" for name in sorted(keys.missing)]
    there = {line.key for line in bill} | {line.account for line in bill}
    found += [f"the account {name} is not in the report" for name in sorted(context.accounts - there)]
    # A day that the ledger missed is a proven difference, and missing evidence of the same day's rows: small, it is unknown.
    found += [
        entry.what for entry in findings if entry.cause == "missed_day" or (entry.blocks and entry.cause != "unknown")
    ]
    found += [entry.what for entry in findings if entry.blocks and entry.cause == "unknown" and not keys.missing]
    return found
