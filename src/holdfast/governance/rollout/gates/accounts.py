"""Gate 10.a: for thirteen weeks the change of what was spent is price, volume, mix and cache, and nothing else."""

from __future__ import annotations

import datetime
from typing import Final

from holdfast.governance.ledger.bills.amounts import dollars
from holdfast.governance.money import NANO
from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.model import Evidence, GateScope, Row, Ruling, Thresholds, fails, passes, unknown


def decide(evidence: Evidence, scope: GateScope, thresholds: Thresholds) -> Ruling:
    """Whether every week's change is accounted for.

    What was spent is added up by a query of its own, and not by whoever takes the change apart: what is billed, else what the
    contract says, else the list price. So an amount that the decomposition leaves out shows. The whole counts, test work too:
    it is money.
    """
    spent: dict[str, Row] = {str(row["week"]): row for row in evidence["weeks_spent"].rows}
    weeks = evidence["weeks"].rows
    found = [(row, _unexplained(row, spent)) for row in weeks]
    for row, (change, rest) in found:
        if abs(rest) > max(int(thresholds["usd"]) * NANO, int(thresholds["ppm"]) * abs(change) // 1_000_000):
            return fails(
                len(weeks), f"in the week of {row['week']} {dollars(rest)} of a change of {dollars(change)} have no reason",
                "Look which rows have a price and no billed amount: holdfast ledger variance, and enter their rate card",
            )  # fmt: skip
    there = sum(int(spent[str(row["week"])]["n"] or 0) > 0 for row in weeks if str(row["week"]) in spent)
    wanted = int(thresholds["weeks"])
    if there < wanted:
        return unknown(
            "few", f"{there} complete weeks have anything, of {wanted}", "Wait until there are as many", there
        )
    first = _before(str(weeks[0]["week"]))
    unpriced = sum(int(row["unpriced"] or 0) for week, row in spent.items() if first <= week <= str(weeks[-1]["week"]))
    if unpriced:
        return unknown(
            "missing", f"what {unpriced} rows of these weeks cost is not known",
            "Give the models a price: holdfast prices, and correct the rows", there,
        )  # fmt: skip
    changed = [row for row in evidence["units"].rows if str(row["day"]) >= first]
    if changed:
        last = changed[-1]
        return unknown(
            "changed", f"the unit of work of {last['workflow']} became {last['after']!r} on {last['day']}",
            f"Count the {wanted} weeks from then on, or take the former unit again", there,
        )  # fmt: skip
    return passes(there, f"{there} weeks: every change is price, volume, mix and cache")


def _unexplained(row: Row, spent: dict[str, Row]) -> tuple[int, int]:
    """The change of a week, and what of it none of the four explains, nano-USD."""
    now, before = spent.get(str(row["week"])), spent.get(_before(str(row["week"])))
    change = int(now["spent_nano"] or 0) if now else 0
    change -= int(before["spent_nano"] or 0) if before else 0
    return change, change - sum(int(row[name] or 0) for name in ("price", "volume", "mix", "cache"))


def _before(monday: str) -> str:
    return (datetime.date.fromisoformat(monday) - datetime.timedelta(weeks=1)).isoformat()


GATE: Final = Gate(
    "10.a", "accounts", ("O",), "organisation", ("weeks", "weeks_spent", "units"),
    {"weeks": 13, "usd": 1, "ppm": 5_000}, decide, "finops", "what the accounts say may be signed",
)  # fmt: skip
