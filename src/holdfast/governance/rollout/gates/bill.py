"""Gate 4.a: the bill of the last closed month is explained by the ledger, to the day, the model and the key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from holdfast.governance.ledger.bills.amounts import dollars, percent
from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.model import (
    Evidence,
    GateScope,
    Row,
    Ruling,
    Thresholds,
    fails,
    passes,
    unknown,
)

_IMPORT: Final = "Import its report of the whole month: holdfast ledger import"
_COMPARE: Final = "Look what differs: holdfast ledger reconcile"


def decide(evidence: Evidence, scope: GateScope, thresholds: Thresholds) -> Ruling:
    """Whether the bills of all providers stand beside the ledger.

    Differences are absolute, cell by cell: one that cancels another counts twice. A violation that what is missing could not
    explain fails; and what a provider without a bill would have billed counts as billed, so that leaving it out proves nothing.
    """
    rows, month = evidence["bill"].rows, scope.month
    bills = [row for row in rows if row["kind"] == "bill"]
    absent = _absent(evidence, {str(row["provider"]) for row in rows}, month)
    unbilled = sum(int(r["billed_nano"] or 0) for r in evidence["ledger_month"].rows if r["provider"] in absent)
    whole = sum(int(row["bill_nano"] or 0) for row in bills)
    n = sum(int(row["cells"] or 0) for row in bills)
    for ruling in _changed(evidence, n):
        return ruling
    for ruling in _violations(evidence, thresholds, whole + unbilled, n):
        return ruling
    for ruling in _missing(evidence, absent, whole, n, month):
        return ruling
    gap = sum(int(row["gap_nano"] or 0) for row in bills)
    catch_all = sum(int(row["catch_all_nano"] or 0) for row in bills)
    if 100 * catch_all > int(thresholds["catch_all_percent"]) * whole:
        share = f"{percent(catch_all, whole)} of the bill of {month} are unassigned, unknown or rounding"
        return fails(n, share, "Name the callers that are of no workflow: holdfast keys unknown")
    if 100 * gap > int(thresholds["gap_percent"]) * whole:
        return fails(n, _gap(gap, whole, month), _COMPARE)
    return passes(n, f"{dollars(whole)} of {month}: {percent(gap, whole)} differ, in {n} cells")


def _gap(gap: int, whole: int, month: str) -> str:
    return f"{dollars(gap)} of {dollars(whole)} of {month} differ ({percent(gap, whole)})"


def _absent(evidence: Evidence, there: set[str], month: str) -> list[str]:
    """Providers that the ledger has spent at, or that billed before, and that have no bill of the month."""
    spent = {str(row["provider"]) for row in evidence["ledger_month"].rows if row["billed_nano"] or row["unpriced"]}
    before = {str(row["provider"]) for row in evidence["bill_before"].rows if str(row["month"]) < month}
    return sorted((spent | before) - there)


def _changed(evidence: Evidence, n: int) -> Iterator[Ruling]:
    """What was changed after it was written proves nothing, neither for nor against."""
    for row in evidence["bill_changed"].rows:
        reason = f"the bill {row['name'] or row['id']} of {row['provider']} is not as it was imported"
        yield unknown("changed", reason, "Import it again, and find who changed it: holdfast ledger verify", n)
    for row in evidence["ledger_verified"].rows:
        reason = f"the ledger is not as it was written: {row['n']} findings of {row['check']}"
        yield unknown("changed", reason, "Look at them: holdfast ledger verify", n)


def _violations(evidence: Evidence, thresholds: Thresholds, whole: int, n: int) -> Iterator[Ruling]:
    rows = evidence["bill"].rows
    gap = sum(int(row["sure_gap_nano"] or 0) for row in rows if row["kind"] == "bill")
    if whole > 0 and 100 * gap > int(thresholds["gap_percent"]) * whole:
        yield fails(n, _gap(gap, whole, str(evidence["bill"].params.get("month", ""))), _COMPARE)
    for row in rows:
        if row["kind"] == "line" and row["sure"] and _is_off(row, thresholds, whole):
            amount, off = int(row["bill_nano"] or 0), int(row["gap_nano"] or 0)
            where = f"{row['model']} at {row['key']} on {row['day']}"
            yield fails(n, f"{where} differs by {percent(off, amount)} of its {dollars(amount)}", _COMPARE)


def _is_off(row: Row, thresholds: Thresholds, whole: int) -> bool:
    amount, off = int(row["bill_nano"] or 0), int(row["gap_nano"] or 0)
    large = 100 * amount > int(thresholds["line_share_percent"]) * whole
    return large and 100 * off > int(thresholds["line_gap_percent"]) * amount


def _missing(evidence: Evidence, absent: list[str], whole: int, n: int, month: str) -> Iterator[Ruling]:
    rows, ledger = evidence["bill"].rows, evidence["ledger_month"].rows
    if not rows and not absent:
        yield unknown("missing", f"no bill of {month} was imported, and the ledger has nothing", _IMPORT)
    if absent:
        had = {str(row["provider"]) for row in evidence["bill_before"].rows}
        late = all(provider in had for provider in absent)  # it is on its way: what was found before stands for a while
        yield unknown(
            "stale" if late else "missing", f"no bill of {absent[0]} for {month} was imported", _IMPORT, n
        )  # fmt: skip
    for row in rows:
        if row["kind"] == "missing":
            yield unknown("missing", f"{row['provider']}: {row['what']}", _COMPARE, n)
    unpriced = sum(int(row["unpriced"] or 0) for row in ledger)
    if unpriced:
        yield unknown(
            "missing", f"{unpriced} rows of {month} have no price", "Give the models a price: holdfast prices", n
        )
    if whole <= 0:
        yield unknown("missing", f"the bills of {month} have no lines of usage", _IMPORT, n)
    closing = evidence["periods"].rows[0]
    if closing["closed"] and not closing["last"]:
        yield unknown("missing", f"{month} is not closed yet", f"Close it: holdfast ledger close {month}", n)


GATE: Final = Gate(
    "4.a", "the bill explained", ("P",), "organisation",
    ("bill", "bill_month", "bill_before", "bill_changed", "ledger_month", "ledger_verified", "periods"),
    {"gap_percent": 2, "line_share_percent": 1, "line_gap_percent": 10, "catch_all_percent": 5}, decide, "finops",
    "workflows may leave their pilots",
)  # fmt: skip
