"""Gate 1.b: no stage is skipped. The stage before was held long enough, with enough runs, and its own gates passed."""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.gates.stage import ORDER
from holdfast.governance.rollout.model import (
    DAY_MS,
    Evidence,
    GateScope,
    Row,
    Rows,
    Ruling,
    Thresholds,
    VerdictRow,
    fails,
    is_intact,
    not_applicable,
    passes,
    unknown,
)

_TAKE: Final = "Declare {before} first, and stay there"


def decide(evidence: Evidence, scope: GateScope, thresholds: Thresholds) -> Ruling:
    """Whether the stage before was lived through. Chat has none before it."""
    current = evidence["workflow"].rows
    if not current or current[0]["stage"] not in ORDER:
        return unknown("missing", "no stage is declared", "Declare chat, pilot or stateful in the manifest")
    stage = str(current[0]["stage"])
    if stage == ORDER[0]:
        return not_applicable("chat is the first stage")
    before = ORDER[ORDER.index(stage) - 1]
    wanted = [gate for gate in str(thresholds["gates"]).split(",") if gate]
    standing, waived = _standing(evidence["passed"].rows), {str(row["gate"]) for row in evidence["waived"].rows}
    for gate in wanted:
        if standing.get(gate) == "fail" and gate not in waived:
            return fails(0, f"gate {gate} fails, which {before} has to pass", f"Mend gate {gate} first")
    held_ms, runs = 0, 0
    for row in evidence["stages"].rows:
        if row["stage"] == before:
            held_ms += int(row["until_ms"] or scope.as_of_ms) - int(row["since_ms"] or 0)
            runs += int(row["runs"] or 0)
    if not held_ms:
        return fails(0, f"{stage} was declared and {before} never was", _TAKE.format(before=before))
    days, least_days, least = held_ms // DAY_MS, int(thresholds["days"]), int(thresholds["runs"])
    if days < least_days or runs < least:
        reason = f"it was {before} for {days} days and {runs} runs, of {least_days} days and {least} runs"
        return unknown("few", reason, f"Stay with {before} until there are as many", runs)
    missing = [gate for gate in wanted if gate not in waived and standing.get(gate) not in ("pass", "not_applicable")]
    if missing:
        return unknown(
            "missing", f"{before} has not passed {', '.join(missing)}", f"Pass gate {missing[0]} first", runs
        )
    return passes(runs, f"it was {before} for {days} days and {runs} runs, and passed its gates")


def _standing(rows: Rows) -> dict[str, str]:
    """Verdicts by gate. One that was changed after it was written says nothing."""
    return {str(row["gate"]): str(row["verdict"]) for row in rows if _is_as_written(row)}


def _is_as_written(row: Row) -> bool:
    try:
        return is_intact(
            msgspec.convert({**row, "thresholds": msgspec.json.decode(str(row["thresholds"]))}, VerdictRow)
        )
    except (msgspec.ValidationError, msgspec.DecodeError):
        return False


GATE: Final = Gate(
    "1.b", "no stage skipped", ("L",), queries=("workflow", "stages", "passed", "waived"),
    thresholds={"days": 28, "runs": 200, "gates": "4.a,5.a,5.b,6.b,7.b,8.b,9.a,9.b,11.a"}, decide=decide,
    effect="the workflow may be launched in its stage",
)  # fmt: skip
