"""Planted bugs of the gates of money: what is taken for evidence, and who may say that it is enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.planting import replace

from holdfast.governance.rollout import evidence, ruling
from holdfast.governance.rollout.gates import accounts, bill, cap, peel, served
from holdfast.governance.rollout.reckonings import bill as beside
from holdfast.governance.rollout.reckonings import caps
from holdfast.governance.rollout.reckonings import kin as reckoned_kin
from tests.mutants.plant import mutant

GATES = "tests/unit/governance/rollout"


@mutant("MONEY-1", "the model that was asked for is taken for the one that served", f"{GATES}/test_served.py")
def asked_is_served() -> None:
    real = served._is_named
    replace(served, "_is_named", lambda row, manifests: real({**row, "model": row["asked"]}, manifests))


@mutant("MONEY-1", "work under a test key counts", f"{GATES}/test_served.py")
def keys_of_tests_count() -> None:
    real = evidence.query_text
    clause = "AND replace(tags, '\"test\":\"yes\"', '') = tags"

    def query_text(name: str) -> str:
        return real(name).replace(clause, "")

    replace(evidence, "query_text", query_text)


@mutant("MONEY-1", "a cap of today makes the window before it good", f"{GATES}/test_cap.py")
def cap_of_today() -> None:
    replace(caps, "_bound", lambda rules, window: max(rule.cap_nano or 0 for rule in rules))


@mutant("MONEY-1", "whoever says that the payer agreed is taken for the payer", f"{GATES}/test_cap.py")
def said_is_agreed() -> None:
    real = cap._agreed

    def agreed(evidence: Any, row: Mapping[str, Any], workflow: Any, thresholds: Any) -> Any:
        return real(evidence, {**row, "recorded_by": row["approved_by"]}, workflow, thresholds)

    replace(cap, "_agreed", agreed)


@mutant("MONEY-1", "differences of a bill that cancel each other are none", f"{GATES}/test_bill.py")
def netted() -> None:
    real = beside.rows_of

    def rows_of(found: Any) -> list[dict[str, Any]]:
        rows = real(found)
        gap = abs(found.bill_nano - found.ledger_nano)
        return [row | {"gap_nano": gap, "sure_gap_nano": gap} if row["kind"] == "bill" else row for row in rows if
                row["kind"] != "line"]  # fmt: skip

    replace(beside, "rows_of", rows_of)


@mutant("MONEY-1", "a provider without a bill is not missed", f"{GATES}/test_bill.py")
def absent_provider() -> None:
    replace(bill, "_absent", lambda evidence, there, month: [])


@mutant("MONEY-1", "what is taken apart is held against itself", f"{GATES}/test_accounts.py")
def own_sums() -> None:
    def unexplained(row: Any, spent: Any) -> tuple[int, int]:
        change = int(row["after_nano"]) - int(row["before_nano"])
        return change, change - sum(int(row[name]) for name in ("price", "volume", "mix", "cache"))

    replace(accounts, "_unexplained", unexplained)


@mutant("MONEY-1", "a floor that nobody reaches protects a dear model", f"{GATES}/test_peel_gate.py")
def endless_floor() -> None:
    replace(peel, "_wanted_floor", lambda task, thresholds: task.floor)


@mutant("MONEY-1", "who divides a workflow has two", f"{GATES}/test_kin.py")
def divided() -> None:
    replace(ruling, "as_one", lambda gate, ruling, evidence: ruling)


@mutant(
    "MONEY-1",
    "who shares with whom is judged by what the plan says of it, and never gets out of it",
    f"{GATES}/test_kin.py",
)
def red_for_each_other() -> None:
    real = reckoned_kin.Kin._failing

    async def failing(self: Any, scope: Any) -> Any:
        self._last = getattr(self, "_last", {}) | {scope.workflow: await real(self, scope)}
        return {gate: one for some in self._last.values() for gate, one in some.items()}

    replace(reckoned_kin.Kin, "_failing", failing)
