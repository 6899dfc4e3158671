"""1.a and 1.b: what a workflow does is no more than what it declares, and no stage was skipped. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from holdfast.governance.verifier.documents import DAY_MS, Row
from holdfast.governance.verifier.rules.judgement import Gap, Judgement, RuleCase, concluded, whole

RANK: Final = {"chat": 0, "pilot": 1, "stateful": 2}


def stage(case: RuleCase) -> Judgement:
    """1.a. Work of nobody who signed in, and memory of other sessions, is stateful; a side effect makes a pilot. What was lost
    says nothing of what it did, and beyond its share nothing passes. Before anything ran the tools of the manifest say it."""
    workflow = next(iter(case.of("workflow")), None)
    declared = str(workflow["stage"] or "") if workflow is not None else ""
    if declared not in RANK:
        return Judgement("unknown", "no stage is declared", 0, cause="missing")
    runs, tools = case.of("stage_runs"), case.of("manifest_tools")
    total = sum(whole(row["n"]) for row in runs)
    if total == 0 and not tools:
        return Judgement("unknown", "nothing ran, and no tools are declared", 0, cause="missing")
    seen = [row for row in runs if not row["lost"]]
    rank = max((_rank_of_run(row) for row in seen if whole(row["n"])), default=0)
    if not seen:
        rank = max((_rank_of_tool(row) for row in tools), default=0)
    violations = [f"what it does is of rank {rank}, declared is {declared}"] if rank > RANK[declared] else []
    lost = sum(whole(row["n"]) for row in runs if row["lost"])
    gaps = (
        [Gap("missing", f"{lost} of {total} runs are lost")] if lost * 100 > total * case.number("lost_percent") else []
    )
    return concluded(violations, gaps, "it does no more than it declares", total)


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
    lived = [row for row in case.of("stages") if row["stage"] == before]
    span_ms = sum(_end(row, case.as_of_ms) - whole(row["since_ms"]) for row in lived)
    if span_ms == 0:
        return Judgement("fail", f"it was never {before}", 0)
    runs = sum(whole(row["runs"]) for row in lived)
    wanted = [name for name in str(case.numbers.get("gates", "")).split(",") if name]
    behind = {name for name in wanted if any(_is_behind(row) for row in _of_gate(case, name))}
    violations = [
        f"{name} fails" for name in wanted if any(row["verdict"] == "fail" and not row["waived"] for row in _of_gate(case, name))
    ]  # fmt: skip
    gaps = []
    if span_ms // DAY_MS < case.number("days") or runs < case.number("runs"):
        gaps.append(Gap("few", f"{span_ms // DAY_MS} days and {runs} runs as {before}"))
    gaps += [Gap("missing", f"{name} has not passed") for name in wanted if name not in behind]
    return concluded(violations, gaps, f"it was {before} for long enough", runs)


def _of_gate(case: RuleCase, name: str) -> Sequence[Row]:
    return [row for row in case.of("passed") if row["gate"] == name]


def _is_behind(row: Row) -> bool:
    return bool(row["waived"]) or row["verdict"] in ("pass", "not_applicable")


def _end(row: Row, as_of_ms: int) -> int:
    return as_of_ms if row["until_ms"] is None else whole(row["until_ms"])
