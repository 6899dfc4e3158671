"""Gate 4.b: what the workflow may spend has an end that somebody else agreed to pay for, and that end holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from holdfast.governance.directory.names import names_of
from holdfast.governance.ledger.bills.amounts import dollars, percent
from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.model import Evidence, GateScope, Row, Rows, Ruling, Thresholds, fails, passes, unknown


def decide(evidence: Evidence, scope: GateScope, thresholds: Thresholds) -> Ruling:
    """Whether a cap holds it.

    Of the budgets that cover the workflow one has to be agreed to, and every one that is enforced has to have held: a second
    budget excuses none that was passed.
    """
    current = evidence["workflow"].rows
    if not current:
        return unknown("missing", "the workflow has no manifest", "Write one: holdfast workflow init")
    workflow = current[0]
    budgets = [row for row in evidence["caps"].rows if row["kind"] == "budget"]
    caps = [row for row in budgets if not row["each"] and _binds(row)]
    for ruling in _unbound(budgets, caps):
        return ruling
    n = sum(int(row["calls"] or 0) for row in evidence["cap_calls"].rows)
    verified = not evidence["ledger_verified"].rows
    for row in caps:
        if verified and int(row["over_nano"] or 0) > 0:
            over, most = dollars(int(row["over_nano"] or 0)), dollars(int(row["most_nano"] or 0))
            return fails(
                n, f"{row['name']} came to {most} in a window, {over} more than it had",
                "Find what spends past the gateway: holdfast ledger reconcile, and take its key",
            )  # fmt: skip
    agreed = sorted((_agreed(evidence, row, workflow, thresholds) for row in caps), key=_rank)
    if agreed[0] is not None and agreed[0].verdict == "fail":
        return agreed[0]
    for ruling in _false_refusals(evidence, thresholds, n):
        return ruling
    if agreed[0] is not None:
        return agreed[0]
    for ruling in _doubts(evidence, caps, n):
        return ruling
    cap = next(row for row in caps if _agreed(evidence, row, workflow, thresholds) is None)
    who, amount = _person(cap["approved_by"]), dollars(int(cap["cap_nano"] or 0))
    most = dollars(int(cap["most_nano"] or 0))
    return passes(n, f"{who} agreed to {amount} ({cap['span']}); the fullest window came to {most}")


def _binds(row: Row) -> bool:
    return row["strength"] == "hard" and row["mode"] == "enforce"


def _person(actor: object) -> str:
    return str(actor or "").removeprefix("user:").casefold()


def _names(evidence: Evidence) -> list[tuple[str, str, str]]:
    return [(str(row["name"]), str(row["kind"]), str(row["id"])) for row in evidence["person_names"].rows]


def _rank(ruling: Ruling | None) -> int:
    return 0 if ruling is None else 1 if ruling.verdict == "unknown" else 2


def _unbound(budgets: Rows, caps: Rows) -> Iterator[Ruling]:
    names = [row for row in budgets if not row["each"]]
    if not names:
        yield fails(0, "no budget covers the workflow", "Set one with the payer: holdfast budget set")
    elif not caps:
        row = names[0]
        yield fails(
            0, f"{row['name']} refuses nothing: it is {row['strength']}, and {row['mode']}s",
            "Let it be hard, and enforce it: holdfast budget set",
        )  # fmt: skip
    elif not any(row["each"] == "run" and _binds(row) for row in budgets):
        yield fails(
            0, "no run has a ceiling of its own", f"Set one: holdfast budget set {caps[0]['name']} --run-usd AMOUNT"
        )


def _agreed(evidence: Evidence, row: Row, workflow: Row, thresholds: Thresholds) -> Ruling | None:
    """What is wrong with whoever agreed to a cap; None where nothing is.

    A cap names its amount when the payer has put it on record: by setting it, or by approving a request for it. What somebody
    else says the payer agreed to holds only up to a multiple of what is likely to be spent.
    """
    name, amount = str(row["name"]), int(row["cap_nano"] or 0)
    own = names_of((_person(workflow["owner"]), _person(workflow["deputy"])), _names(evidence))
    payers = {_person(row["decider"]) or _person(workflow["payer"])} - {""}
    who, recorded = _person(row["approved_by"]), _person(row["recorded_by"])
    if not row["on_record"]:
        return unknown("changed", f"{name} is not as its last change left it", "Set it again: holdfast budget set")
    if not who:
        return fails(0, f"nobody who pays agreed to {dollars(amount)} of {name}", f"Ask its payer to set {name} again")
    if who in own:
        return fails(0, f"{who} answers for the workflow and agreed to {name}", "Let somebody who pays agree to it")
    if who not in payers:
        return fails(0, f"{who} agreed to {name}, and does not pay", "Name the payer in the manifest, or the decider")
    if recorded in own:
        return fails(
            0, f"that {who} agreed to {name} is said by {recorded}", f"Let {who} set it, or somebody else say so"
        )
    if recorded.startswith("agent:"):
        return fails(
            0, f"that {who} agreed to {name} is said by {recorded}, which is no person", f"Let {who} set {name}"
        )
    if recorded == who:
        return None
    if row["p90_nano"] is None:
        return unknown("few", f"{name} has no forecast, and {who} named no amount", f"Let {who} set {name}: budget set")
    likely, times = int(row["p90_nano"]), int(thresholds["times_p90"])
    if amount > times * likely:
        reason = f"{name} has {dollars(amount)}, more than {times} times the {dollars(likely)} that are likely at most"
        return fails(0, reason, f"Lower it, or let {who} name the amount: holdfast budget set {name} --usd AMOUNT")
    return None


def _false_refusals(evidence: Evidence, thresholds: Thresholds, n: int) -> Iterator[Ruling]:
    refused = sum(int(row["n"] or 0) for row in evidence["refusals"].rows)
    false = sum(int(row["n"] or 0) for row in evidence["refusals"].rows if row["was_false"] == 1)
    false += sum(int(row["false"] or 0) for row in evidence["caps"].rows if row["kind"] == "judged")
    calls = n + refused
    if calls >= int(thresholds["calls"]) and false * 1_000_000 > int(thresholds["false_ppm"]) * calls:
        yield fails(
            n, f"{false} of {calls} calls ({percent(false, calls)}) were refused while the money was there",
            "Raise the cap, or bound what a call may answer: holdfast budget refusals",
        )  # fmt: skip


def _doubts(evidence: Evidence, caps: Rows, n: int) -> Iterator[Ruling]:
    for row in evidence["ledger_verified"].rows:
        yield unknown(
            "changed", f"the ledger is not as it was written: {row['n']} findings of {row['check']}",
            "Look at them: holdfast ledger verify", n,
        )  # fmt: skip
    stored = {str(row["id"]): row for row in evidence["budgets"].rows}
    counted = {str(row["id"]) for row in evidence["budget_spent"].rows if row["buckets"]}
    for cap in caps:
        ident, name = str(cap["id"]), cap["name"]
        lost = cap["span"] != "rolling" and int(cap["most_nano"] or 0) > 0 and ident not in counted
        other = ident not in stored or stored[ident]["cap_nano"] != cap["cap_nano"]
        if cap["differences"] or lost or other:
            yield unknown(
                "changed", f"the accounts of {name} say something else than the ledger",
                f"End {name} and set it anew, so that it is counted from the ledger, and find who changed it", n,
            )  # fmt: skip
    strangers = evidence["strangers"].rows
    if strangers:
        keys = "1 key" if len(strangers) == 1 else f"{len(strangers)} keys"
        yield unknown(
            "missing", f"{keys} came to the gateway that nobody knows",
            "Give them a name, or take them back: holdfast keys unknown", n,
        )  # fmt: skip
    for row in evidence["bill"].rows:
        if row["kind"] == "key":
            yield unknown(
                "missing", f"{row['key']} of {row['provider']} is billed, and never came to the gateway",
                "Take the key back, or send its calls to the gateway", n,
            )  # fmt: skip


GATE: Final = Gate(
    "4.b", "a cap", ("L", "R"),
    queries=(
        "workflow", "person_names", "caps", "budgets", "budget_spent", "cap_calls", "refusals", "ledger_verified", "strangers", "bill",
        "kin",
    ),
    thresholds={"times_p90": 2, "calls": 1_000, "false_ppm": 1_000}, decide=decide, who="payer",
    effect="the workflow may be launched, and keeps running",
)  # fmt: skip
