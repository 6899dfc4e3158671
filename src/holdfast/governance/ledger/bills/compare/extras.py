"""Lines of a bill that are no usage: credits, fees, taxes, seats, corrections; beside what rate cards expect of them."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from holdfast.governance import limits
from holdfast.governance.ledger.bill_line import BillLine
from holdfast.governance.ledger.bills.compare.days import DAY_MS, day_of_line
from holdfast.governance.ledger.bills.compare.model import MEANING, BillFinding, Cause, CauseShare, Cell, Context
from holdfast.governance.ledger.bills.compare.words import FIX, listing

_FALLBACK: Final = ("fallback", "fall-back", "refusal")


@dataclasses.dataclass(frozen=True, slots=True)
class Extras:
    """Cells and findings of what is no usage."""

    cells: tuple[Cell, ...]
    findings: tuple[BillFinding, ...]


def cause_of(line: BillLine) -> Cause | None:
    """Which cause a line is named by; None for usage."""
    amount = line.amount_nano or 0
    if line.kind == "usage" and amount >= 0:
        return None
    if line.kind == "credit" or (line.kind in ("usage", "adjustment") and amount < 0):
        words = f"{line.line} {' '.join(line.tags.values())}".lower()
        return "fallback_credit" if any(word in words for word in _FALLBACK) else "credit"
    return "charge"


def beside_usage(bill: Sequence[BillLine], context: Context) -> Extras:
    """Compare them by kind over the whole period: what rate cards say of a month has no day."""
    groups: dict[tuple[Cause, str], list[BillLine]] = defaultdict(list)
    for line in bill:
        inside = (
            context.since <= day_of_line(line, context.zone) <= context.until
            or line.until_ms - line.since_ms > 2 * DAY_MS
        )
        cause = cause_of(line)
        if cause and inside:
            groups[cause, "credit" if cause != "charge" else line.kind].append(line)
    expected: dict[str, int] = defaultdict(int)
    for charge in context.charges:
        expected[charge.kind] += charge.amount_nano
    kinds = {kind for _, kind in groups}
    for kind in sorted(set(expected) - kinds):
        groups["credit" if kind == "credit" else "charge", kind] = []
    cells, findings = [], []
    span = f"{context.since}/{context.until}"
    for (cause, kind), lines in sorted(groups.items()):
        amount = sum(line.amount_nano or 0 for line in lines)
        expected_here = expected.get(kind, 0) if cause != "fallback_credit" else 0
        rest = amount - expected_here
        keys = sorted({line.key or line.account for line in lines})
        cells.append(
            Cell(
                day=span,
                model=f"({kind})",
                key=keys[0] if len(keys) == 1 else "*",
                bill_nano=amount if lines else None,
                ledger_nano=expected_here if kind in expected else None,
                shares=(CauseShare(cause, rest),) if rest else (),
                lines=tuple(line.id for line in lines),
            )
        )
        if rest:
            words = listing(sorted({line.line or line.kind for line in lines}), "lines")
            what = f"{len(lines)} lines ({words}): {MEANING[cause]}."
            findings.append(
                BillFinding(
                    cause=cause,
                    amount_nano=abs(rest),
                    net_nano=rest,
                    what=what,
                    fix=FIX[cause],
                    cells=1,
                    where=((span, f"({kind})", "*"),),
                    lines=tuple(line.id for line in lines[: limits.BILLS_SHOWN]),
                    facts={"kind": kind, "expected_nano": expected_here},
                )
            )
    return Extras(tuple(cells), tuple(findings))
