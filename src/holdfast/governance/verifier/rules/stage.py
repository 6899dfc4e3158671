"""1.a and 1.b: what a workflow does is no more than what it declares, and no stage was skipped. Pure."""

from __future__ import annotations

import json
from typing import Final

import msgspec

from holdfast.governance.verifier.canonical import verdict_id
from holdfast.governance.verifier.documents import DAY_MS, Row, StatedVerdict
from holdfast.governance.verifier.rules.judgement import Gap, Judgement, RuleCase, concluded, total, whole

RANK: Final = {"chat": 0, "pilot": 1, "stateful": 2}


def stage(case: RuleCase) -> Judgement:
    """1.a. Work of nobody who signed in, and memory of other sessions, is stateful; a side effect makes a pilot. What was lost
    says nothing of what it did, and beyond its share nothing passes. Before anything ran the tools of the manifest say it."""
    workflow = next(iter(case.of("workflow")), None)
    declared = str(workflow["stage"] or "") if workflow is not None else ""
    if declared not in RANK:
        return Judgement("unknown", "no stage is declared", 0, cause="missing")
    runs, tools = case.of("stage_runs"), case.of("manifest_tools")
    ran = total(runs, "n")
    if ran == 0 and not tools:
        return Judgement("unknown", "nothing ran, and no tools are declared", 0, cause="missing")
    seen = [row for row in runs if not row["lost"]]
    rank = max((_rank_of_run(row) for row in seen if whole(row["n"])), default=0)
    if not seen:
        rank = max((_rank_of_tool(row) for row in tools), default=0)
    violations = [f"what it does is of rank {rank}, declared is {declared}"] if rank > RANK[declared] else []
    if violations:
        return Judgement("fail", violations[0], ran)
    unseen = total(case.of("unrecorded_runs"), "n")  # which the ledger paid for, and the journal does not have
    lost, every = unseen + total([row for row in runs if row["lost"]], "n"), ran + unseen
    gaps = [Gap("missing", f"{lost} of {every} are lost")] if lost * 100 > every * case.number("lost_percent") else []
    return concluded([], gaps, "it does no more than it declares", every)


def _rank_of_run(row: Row) -> int:
    if not row["interactive"] or row["memory"]:
        return RANK["stateful"]
    return RANK["pilot"] if row["side_effects"] else RANK["chat"]


def _rank_of_tool(row: Row) -> int:
    return {"memory": RANK["stateful"], "read": RANK["chat"]}.get(str(row["effect"]), RANK["pilot"])


def no_skip(case: RuleCase) -> Judgement:
    """1.b. The stage before was lived in for its days and its runs, and its gates are behind it."""
    workflow = next(iter(case.of("workflow")), None)
    declared = str(workflow["stage"] or "") if workflow is not None else ""
    if declared not in RANK:
        return Judgement("unknown", "no stage is declared", 0, cause="missing")
    if declared == "chat":
        return Judgement("not_applicable", "chat comes first", 0)
    before = next(name for name, rank in RANK.items() if rank == RANK[declared] - 1)
    wanted = [name for name in str(case.numbers.get("gates", "")).split(",") if name]
    stated = {str(row["gate"]): str(row["verdict"]) for row in case.of("passed") if _is_as_written(row)}
    waived = {str(row["gate"]) for row in case.of("waived")}
    failing = [name for name in wanted if stated.get(name) == "fail" and name not in waived]
    lived = [row for row in case.of("stages") if row["stage"] == before]
    span_ms = sum(_end(row, case.as_of_ms) - whole(row["since_ms"]) for row in lived)
    if failing or span_ms == 0:
        return Judgement("fail", f"{failing[0]} fails" if failing else f"it was never {before}", 0)
    runs, gaps = total(lived, "runs"), list[Gap]()
    if span_ms // DAY_MS < case.number("days") or runs < case.number("runs"):
        gaps.append(Gap("few", f"{span_ms // DAY_MS} days and {runs} runs as {before}"))
    behind = waived | {name for name, verdict in stated.items() if verdict in ("pass", "not_applicable")}
    gaps += [Gap("missing", f"{name} has not passed") for name in wanted if name not in behind]
    return concluded([], gaps, f"it was {before} for long enough", runs)


def _is_as_written(row: Row) -> bool:
    """Whether the id of a verdict that is read here is that of the rest of it."""
    try:
        facts = {**row, "thresholds": json.loads(str(row["thresholds"]))}
        return row["id"] == verdict_id(msgspec.convert(facts, StatedVerdict))
    except (ValueError, KeyError, msgspec.ValidationError):
        return False


def _end(row: Row, as_of_ms: int) -> int:
    return as_of_ms if row["until_ms"] is None else whole(row["until_ms"])
