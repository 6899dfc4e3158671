"""Gate 1.a: a workflow does no more than the stage that it declares. The stage is measured from its runs, or, before there are
any, from the tools that its manifest names."""

from __future__ import annotations

from typing import Final

from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.model import Evidence, GateScope, Rows, Ruling, Thresholds, fails, passes, unknown

ORDER: Final = ("chat", "pilot", "stateful")


def decide(evidence: Evidence, scope: GateScope, thresholds: Thresholds) -> Ruling:
    """Measured at most as declared. Runs without a person, or that read what other sessions left, are stateful; those with a
    side effect a pilot; a tool that nobody has classified counts as one."""
    current = evidence["workflow"].rows
    if not current:
        return unknown("missing", "the workflow has no manifest", "Write one: holdfast workflow init")
    declared = str(current[0]["stage"] or "")
    if declared not in ORDER:
        return unknown("missing", "the manifest declares no stage", "Declare chat, pilot or stateful in the manifest")
    runs, tools = evidence["stage_runs"].rows, evidence["manifest_tools"].rows
    n = sum(int(row["n"] or 0) for row in runs)
    lost = sum(int(row["n"] or 0) for row in runs if row["lost"])
    if not n and not tools:
        return unknown(
            "missing", "no runs, and no tools in the manifest", "Let it run under a test key, or declare its tools"
        )
    measured, reason = _measured(runs, tools)
    if ORDER.index(measured) > ORDER.index(declared):
        return fails(n, f"measured {measured}, declared {declared}: {reason}", _fix(measured, declared))
    unrecorded = sum(int(row["n"] or 0) for row in evidence["unrecorded_runs"].rows)
    lost, n = lost + unrecorded, n + unrecorded
    if n and lost * 100 > n * int(thresholds["lost_percent"]):
        fix = (
            "Look why the journal does not read the feed"
            if unrecorded
            else "Let runs end, and keep sessions for 28 days"
        )
        return unknown("missing", f"what {lost} of {n} runs did is not known", fix, n)
    return passes(n, f"measured {measured}, declared {declared}: {reason}")


def _measured(runs: Rows, tools: Rows) -> tuple[str, str]:
    counted = [row for row in runs if not row["lost"]]
    alone = sum(int(row["n"] or 0) for row in counted if not row["interactive"])
    memory = sum(int(row["n"] or 0) for row in counted if row["memory"])
    acted = sum(int(row["n"] or 0) for row in counted if row["side_effects"])
    unclassified = sum(int(row["n"] or 0) for row in counted if row["unclassified"])
    if alone:
        return "stateful", f"{alone} runs have no person who signed in behind them"
    if memory:
        return "stateful", f"{memory} runs read what other sessions left"
    if acted:
        words = f", {unclassified} of them by tools that nobody classified" if unclassified else ""
        return "pilot", f"{acted} runs had a side effect{words}"
    remembers = [str(row["tool"]) for row in tools if row["effect"] == "memory"]
    writes = [str(row["tool"]) for row in tools if row["effect"] not in ("memory", "read")]
    if not counted and remembers:
        return "stateful", f"{remembers[0]} reads what other sessions left"
    if not counted and writes:
        return "pilot", f"{writes[0]} has a side effect"
    return "chat", "people read what it writes, and nothing else comes of it"


def _fix(measured: str, declared: str) -> str:
    if measured == "stateful":
        return f"Let people sign in before they use it, take the memory away, or take the steps from {declared} to stateful"
    return f"Take away the tools with side effects, or take the step from {declared} to {measured}"


GATE: Final = Gate(
    "1.a", "the stage it is at", ("L", "R"), queries=("workflow", "stage_runs", "manifest_tools", "unrecorded_runs", "kin"),
    thresholds={"lost_percent": 5}, decide=decide, effect="the workflow may be launched, and keeps running",
)  # fmt: skip
