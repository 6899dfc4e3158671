"""Gate 9.b: what people are streamed was validated on the build that serves them: their answers survive, go on and stop."""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.model import (
    DAY_MS,
    Evidence,
    GateScope,
    Row,
    Ruling,
    Thresholds,
    fails,
    not_applicable,
    passes,
    unknown,
)
from holdfast.governance.rollout.validations import Validation, identity_of

CAPABILITIES: Final = ("resilient", "continuity", "control")
_VALIDATE: Final = (
    "Validate the server that serves people: holdfast validate --json FILE, then holdfast plan validation FILE"
)


def decide(evidence: Evidence, scope: GateScope, thresholds: Thresholds) -> Ruling:
    """Whether the newest report of every build that serves passes in all three capabilities. A report of another build is of
    another server."""
    seated = sum(int(row["n"] or 0) for row in evidence["seated_runs"].rows)
    if not seated:
        return not_applicable("nobody waited for an answer in 28 days")
    builds = [str(row["build"]) for row in evidence["builds"].rows]
    if not builds:
        return unknown("stale", "no server said within a day which build it runs", "Start the server with governance")
    rulings = [_of_build(evidence, scope, thresholds, build, seated) for build in builds]
    order = ("fail", "unknown", "pass")
    worst = min(rulings, key=lambda one: order.index(one.verdict))
    if worst.verdict != "pass":
        return worst
    return min(rulings, key=lambda one: one.valid_until_ms or 0)


def _of_build(evidence: Evidence, scope: GateScope, thresholds: Thresholds, build: str, seated: int) -> Ruling:
    rows = evidence["validations"].rows
    row = next((one for one in rows if one["build"] == build), None)
    if row is None:
        other = f"; the newest report is of {rows[0]['build']}" if rows else ""
        return unknown("missing", f"the build that serves ({build}) was not validated{other}", _VALIDATE, seated)
    if not is_intact_record(row):
        return unknown("changed", f"the report of {build} was changed after it was recorded", _VALIDATE, seated)
    until_ms = int(row["began_ms"] or 0) + int(thresholds["days"]) * DAY_MS
    verdicts = {name: str(row[name]) for name in CAPABILITIES}
    failing = [name for name, verdict in verdicts.items() if verdict == "fail"]
    if failing:
        return fails(
            seated, f"{build} fails {', '.join(failing)}", "Look at the report: the probes say what broke for people"
        )
    if until_ms <= scope.as_of_ms:
        return unknown("missing", f"{build} was validated more than {thresholds['days']} days ago", _VALIDATE, seated)
    if row["absent"]:
        return unknown("cut", f"the report of {build} lacks {row['absent']} probes", _VALIDATE, seated)
    open_ = [name for name, verdict in verdicts.items() if verdict != "pass"]
    if open_:
        return unknown("missing", f"{build} is inconclusive about {', '.join(open_)}", _VALIDATE, seated)
    return passes(seated, f"{build} passes {', '.join(CAPABILITIES)}", until_ms)


def is_intact_record(row: Row) -> bool:
    """Whether a record is as it was written."""
    try:
        record = msgspec.convert(dict(row), Validation)
    except msgspec.ValidationError:
        return False
    return record.id == identity_of(record)


GATE: Final = Gate(
    "9.b", "streaming", ("P",), "organisation", queries=("seated_runs", "builds", "validations"),
    thresholds={"days": 30}, decide=decide, who="platform", effect="workflows that people wait for may leave their pilot",
)  # fmt: skip
