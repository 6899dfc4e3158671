"""4.a, 4.b and 10.a: the bill is explained, what may be spent has an end, and every change of it has a reason. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Final

from holdfast.governance.verifier.documents import Row
from holdfast.governance.verifier.rules.judgement import Gap, Judgement, RuleCase, concluded, total, whole
from holdfast.governance.verifier.rules.owner import answering_names

NANO: Final = 1_000_000_000


def bill(case: RuleCase) -> Judgement:
    """4.a. Absolute differences of the bill and the ledger, cell by cell, within two parts in a hundred; no large line off by a
    tenth; little that is of nobody. What was changed proves nothing. A violation that what is missing might explain is none
    until it is there."""
    rows, month = case.of("bill"), str(case.params.get("month", ""))
    bills = [row for row in rows if row["kind"] == "bill"]
    n = total(bills, "cells")
    if case.of("bill_changed") or case.of("ledger_verified"):
        return Judgement("unknown", "bill or ledger are not as they were written", n, cause="changed")
    used = {str(row["provider"]) for row in case.of("ledger_month") if row["billed_nano"] or row["unpriced"]}
    former = {str(row["provider"]) for row in case.of("bill_before")}
    due = used | {str(row["provider"]) for row in case.of("bill_before") if str(row["month"]) < month}
    absent = due - {str(row["provider"]) for row in rows}
    billed = total(bills, "bill_nano")
    at_most = billed + total([row for row in case.of("ledger_month") if row["provider"] in absent], "billed_nano")
    sure = list(_sure(case, bills, [row for row in rows if row["kind"] == "line"], at_most))
    gaps = list(_bill_gaps(case, rows, absent, absent <= former, billed))
    if sure or gaps:
        return concluded(sure, gaps, "", n)
    likely = []
    if 100 * total(bills, "catch_all_nano") > case.number("catch_all_percent") * billed:
        likely.append("too much of the bill is of nobody")
    if 100 * total(bills, "gap_nano") > case.number("gap_percent") * billed:
        likely.append("bill and ledger differ")
    return concluded(likely, [], "the ledger explains the bill", n)


def _sure(case: RuleCase, bills: Sequence[Row], lines: Sequence[Row], at_most: int) -> Iterator[str]:
    if at_most > 0 and 100 * total(bills, "sure_gap_nano") > case.number("gap_percent") * at_most:
        yield "bill and ledger differ, whatever is missing"
    for row in lines:
        amount = whole(row["bill_nano"])
        large = 100 * amount > case.number("line_share_percent") * at_most
        if row["sure"] and large and 100 * whole(row["gap_nano"]) > case.number("line_gap_percent") * amount:
            yield f"a line of {row['model']!s:.80} differs"


def _bill_gaps(case: RuleCase, rows: Sequence[Row], absent: set[str], late: bool, billed: int) -> Iterator[Gap]:
    if absent:  # a bill of whoever sent bills before is on its way
        yield Gap("stale" if late else "missing", f"no bill of {min(absent)}")
    if not rows and not absent:
        yield Gap("missing", "no bill, and nothing spent")
    if any(row["kind"] == "missing" for row in rows):
        yield Gap("missing", "a bill is not whole")
    if total(case.of("ledger_month"), "unpriced"):
        yield Gap("missing", "rows without a price")
    if billed <= 0:
        yield Gap("missing", "bills without use")
    closing = case.of("periods")[0]
    if closing["closed"] and not closing["last"]:
        yield Gap("missing", "the month is not closed")


def cap(case: RuleCase) -> Judgement:
    """4.b. Of what covers the workflow something refuses, a payer who does not answer for the workflow agreed to an amount, a
    single run has an end, no window passed what it had, and hardly anything was refused while the money was there."""
    workflow = next(iter(case.of("workflow")), None)
    if workflow is None:
        return Judgement("unknown", "there is no manifest", 0, cause="missing")
    budgets = [row for row in case.of("caps") if row["kind"] == "budget"]
    binding = [row for row in budgets if row["strength"] == "hard" and row["mode"] == "enforce"]
    caps = [row for row in binding if not row["each"]]
    calls = total(case.of("cap_calls"), "calls")
    if not caps or not any(row["each"] == "run" for row in binding):
        return Judgement("fail", "nothing refuses, or a run has no end of its own", 0)
    violations = []
    if not case.of("ledger_verified"):
        violations += [f"{row['name']!s:.80} was passed" for row in caps if whole(row["over_nano"]) > 0]
    opinions = [_agreement(case, row, workflow) for row in caps]
    agreed = None in opinions
    doubtful = [one for one in opinions if isinstance(one, Gap)]
    if not agreed and not doubtful:
        violations += [one for one in opinions if isinstance(one, str)]
    if _refused_falsely(case, calls):
        violations.append("too much was refused while the money was there")
    if violations:
        return Judgement("fail", violations[0])
    if not agreed:
        return Judgement("unknown", doubtful[0].why, 0, cause=doubtful[0].cause)
    return concluded([], list(_cap_doubts(case, caps)), "a payer agreed, and it held", calls)


def _agreement(case: RuleCase, row: Row, workflow: Row) -> Gap | str | None:
    """What is wrong with whoever agreed to a cap: a gap, a violation, or nothing."""
    answering = answering_names(case, _name(workflow["owner"]), _name(workflow["deputy"]))
    paying, who, writer = (
        _name(row["decider"]) or _name(workflow["payer"]),
        _name(row["approved_by"]),
        _name(row["recorded_by"]),
    )
    if not row["on_record"]:
        return Gap("changed", "a budget is not as its last change left it")
    if not who or who in answering or who != paying or writer in answering or writer[:6] == "agent:":
        return f"{row['name']!s:.80}: nobody who pays agreed"
    if writer == who:
        return None
    if row["p90_nano"] is None:
        return Gap("few", "no amount was named, and nothing is forecast")
    if whole(row["cap_nano"]) > case.number("times_p90") * whole(row["p90_nano"]):
        return f"{row['name']!s:.80} has far more than is likely"
    return None


def _refused_falsely(case: RuleCase, calls: int) -> bool:
    refusals = case.of("refusals")
    false = total([row for row in refusals if row["was_false"] == 1], "n")
    false += total([row for row in case.of("caps") if row["kind"] == "judged"], "false")
    tried = calls + total(refusals, "n")
    return tried >= case.number("calls") and false * 1_000_000 > case.number("false_ppm") * tried


def _cap_doubts(case: RuleCase, caps: Sequence[Row]) -> Iterator[Gap]:
    if case.of("ledger_verified"):
        yield Gap("changed", "the ledger is not as it was written")
    stored = {row["id"]: row["cap_nano"] for row in case.of("budgets")}
    counted = {row["id"] for row in case.of("budget_spent") if row["buckets"]}
    for row in caps:
        uncounted = row["span"] != "rolling" and whole(row["most_nano"]) > 0 and row["id"] not in counted
        if row["differences"] or uncounted or row["id"] not in stored or stored[row["id"]] != row["cap_nano"]:
            yield Gap("changed", f"the accounts of {row['name']!s:.80} say something else than the ledger")
    if case.of("strangers"):
        yield Gap("missing", "keys came that nobody knows")
    if any(row["kind"] == "key" for row in case.of("bill")):
        yield Gap("missing", "a key is billed that never came to the gateway")


def _name(actor: object) -> str:
    return str(actor or "").removeprefix("user:").casefold()


def accounts(case: RuleCase) -> Judgement:
    """10.a. What was spent is added up by itself; what price, volume, mix and cache leave of a week's change is at most a dollar,
    or half a part in a hundred of it."""
    weeks, spent = case.of("weeks"), {str(row["week"]): row for row in case.of("weeks_spent")}
    violations = []
    for row in weeks:
        change = _spent(spent, str(row["week"])) - _spent(spent, _monday_before(str(row["week"])))
        rest = change - sum(whole(row[name]) for name in ("price", "volume", "mix", "cache"))
        if abs(rest) > max(case.number("usd") * NANO, case.number("ppm") * abs(change) // 1_000_000):
            violations.append(f"the week of {row['week']!s:.10} is not explained")
    if violations:
        return Judgement("fail", violations[0], len(weeks))
    there = len([row for row in weeks if str(row["week"]) in spent and whole(spent[str(row["week"])]["n"]) > 0])
    if there < case.number("weeks"):
        return Judgement("unknown", f"{there} weeks", there, cause="few")
    first, last = _monday_before(str(weeks[0]["week"])), str(weeks[-1]["week"])
    gaps = []
    if total([row for week, row in spent.items() if first <= week <= last], "unpriced"):
        gaps.append(Gap("missing", "rows without a price"))
    if any(str(row["day"]) >= first for row in case.of("units")):
        gaps.append(Gap("changed", "the unit of work became another one"))
    return concluded([], gaps, "every change has its reason", there)


def _spent(spent: dict[str, Row], week: str) -> int:
    return whole(spent[week]["spent_nano"]) if week in spent else 0


def _monday_before(monday: str) -> str:
    return (datetime.date.fromisoformat(monday) - datetime.timedelta(days=7)).isoformat()
