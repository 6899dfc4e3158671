"""6.b, 9.a and 9.b: what was due was done, programs do not starve people, and what serves people was validated. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Final

from holdfast.governance.verifier.canonical import canonical
from holdfast.governance.verifier.documents import DAY_MS, HOUR_MS, Row
from holdfast.governance.verifier.rules.judgement import Gap, Judgement, RuleCase, concluded, total, whole

MINUTES: Final = {
    "gate": 30, "alarm": 30, "budget": 10, "accept": 5, "people": 30, "waiver": 15, "idea": 20, "approval": 5, "work": 20,
    "tool": 30,
}  # fmt: skip
"""What an item takes by its family, while fewer than five were measured; any other family takes a quarter of an hour."""
MEASURED: Final = 5
CAPABILITIES: Final = ("resilient", "continuity", "control")


def sustained(case: RuleCase) -> Judgement:
    """6.b. Nine of ten items that were due are gone in time, as computed, and stayed so for a day; and there are hours for what
    comes in."""
    looks = case.of("inbox_looks")
    if not case.of("workflow") or not looks:
        return Judgement("unknown", "there is no manifest, or nobody looked", 0, cause="missing")
    due, least = case.of("inbox_due"), case.number("least")
    done = [row for row in due if _was_done(row)]
    if len(due) >= least and 100 * len(done) < case.number("percent") * len(due):
        return Judgement("fail", f"{len(done)} of {len(due)} in time", len(due))
    came = total(case.of("inbox_kinds"), "n")
    if came >= least and _minutes_needed(case) > _minutes_given(case.of("owner_hours")):
        return Judgement("fail", "there are too few hours for it", came)
    last_ms, gaps = min(whole(row["at_ms"]) for row in looks), list[Gap]()
    if (case.as_of_ms - last_ms) // HOUR_MS > case.number("look_h"):
        gaps.append(Gap("stale", "the inbox is not computed any more"))
    if len(due) < least:
        gaps.append(Gap("few", f"{len(due)} items were due"))
    return concluded([], gaps, "done in time", len(due))


def _was_done(row: Row) -> bool:
    if row["closed_by"] != "computed" or row["closed_ms"] is None:
        return False
    closed = whole(row["closed_ms"])
    stayed = row["again_ms"] is None or whole(row["again_ms"]) >= closed + DAY_MS
    return stayed and whole(row["opened_ms"]) <= closed <= whole(row["due_ms"])


def _minutes_needed(case: RuleCase) -> int:
    """A week, of four."""
    measured: dict[str, list[int]] = {}
    for row in case.of("inbox_handling"):
        measured.setdefault(_family(row), []).extend(whole(row["n"]) * [whole(row["minutes"])])
    minutes = 0
    for row in case.of("inbox_kinds"):
        found = sorted(measured.get(_family(row), []))
        each = found[len(found) // 2] if len(found) >= MEASURED else MINUTES.get(_family(row), 15)
        minutes += each * whole(row["n"])
    return (minutes + 3) // 4


def _family(row: Row) -> str:
    return str(row["kind"]).split(":")[0].split(".")[0]


def _minutes_given(rows: Sequence[Row]) -> int:
    document = json.loads(str(rows[0]["document"])) if rows and rows[0]["document"] else {}
    return int(float(document.get("hours", {}).get("owner_week", 0)) * 60)


def people_protected(case: RuleCase) -> Judgement:
    """9.a. Behind seated calls are people who signed in; and beside much load of programs the first token comes at most half
    again as late as beside little, in the minutes of the window or else in a load test that is not too old."""
    counts = next(iter(case.of("seated_claims")), {})
    seated, claimed, headless = (whole(counts.get(name)) for name in ("seated", "claimed", "headless"))
    if 1_000 * (seated - claimed) > case.number("unclaimed_permille") * seated:
        return Judgement("fail", "programs use seated keys", seated)
    if seated == 0 or headless == 0:
        return Judgement("not_applicable", "there is one kind of use", 0)
    sides = {row["side"]: row for row in case.of("first_tokens")}
    busy, calm = sides.get("busy"), sides.get("calm")
    n, least = sum(whole(side["n"]) for side in (busy, calm) if side is not None), case.number("least")
    if busy is not None and calm is not None and min(whole(busy["n"]), whole(calm["n"])) >= least:
        return _waits(case, whole(busy["p99_ms"]), whole(calm["p99_ms"]), n, None)
    test = next(iter(case.of("load_tests")), None)
    expires = whole(test["began_ms"]) + case.number("test_days") * DAY_MS if test is not None else 0
    if test is None or expires <= case.as_of_ms:
        return Judgement("unknown", "too few calls, and no load test", n, cause="few")
    if not _is_as_written(test):
        return Judgement("unknown", "the load test was changed", 0, cause="changed")
    if whole(test["calls"]) < least:
        return Judgement("unknown", "the load test is small", whole(test["calls"]), cause="few")
    return _waits(case, whole(test["loaded_ms"]), whole(test["unloaded_ms"]), whole(test["calls"]), expires)


def _waits(case: RuleCase, busy: int, calm: int, n: int, expires: int | None) -> Judgement:
    violations = ["people wait for programs"] if 100 * busy > case.number("times_percent") * calm else []
    return concluded(violations, [], "people do not wait for programs", n, expires)


def streaming(case: RuleCase) -> Judgement:
    """9.b. Each build that serves has a report, not too old and whole, in which all three capabilities pass."""
    seated = total(case.of("seated_runs"), "n")
    if seated == 0:
        return Judgement("not_applicable", "nobody waits for it", 0)
    builds = [str(row["build"]) for row in case.of("builds")]
    if not builds:
        return Judgement("unknown", "nobody says what serves", 0, cause="stale")
    reports = {build: next((row for row in case.of("validations") if row["build"] == build), None) for build in builds}
    violations, gaps, moments = list[str](), list[Gap](), list[int]()
    for build, report in reports.items():
        if report is None:
            gaps.append(Gap("missing", f"{build:.80} was not validated"))
        elif not _is_as_written(report):
            gaps.append(Gap("changed", f"the report of {build:.80} was changed"))
        else:
            until_ms = whole(report["began_ms"]) + case.number("days") * DAY_MS
            moments.append(until_ms)
            says = [report[name] for name in CAPABILITIES]
            violations += [f"{build:.80} fails"] if "fail" in says else []
            if until_ms <= case.as_of_ms:
                gaps.append(Gap("missing", f"the report of {build:.80} is too old"))
            elif report["absent"]:
                gaps.append(Gap("cut", f"the report of {build:.80} lacks probes"))
            elif any(word != "pass" for word in says):
                gaps.append(Gap("missing", f"the report of {build:.80} is inconclusive"))
    return concluded(violations, gaps, "what serves was validated", seated, min(moments, default=None))


def _is_as_written(report: Row) -> bool:
    """Whether the id of a report is that of the rest of it."""
    facts = {name: value for name, value in report.items() if name != "id"}
    return report["id"] == f"vl-{hashlib.sha256(canonical(facts)).hexdigest()[:32]}"
