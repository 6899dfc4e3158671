"""Gate 9.a: programs never starve people: who waits for an answer waits hardly longer for its beginning while programs work."""

from __future__ import annotations

from typing import Final

from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.gates.streaming import is_intact_record
from holdfast.governance.rollout.model import (
    DAY_MS,
    Evidence,
    GateScope,
    Ruling,
    Thresholds,
    fails,
    not_applicable,
    passes,
    unknown,
)

_RESERVE: Final = "Reserve slots for people (seated_share of the upstream), or let programs run at other hours"
_TEST: Final = "Wait for more calls, or record a load test: holdfast plan validation FILE"


def decide(evidence: Evidence, scope: GateScope, thresholds: Thresholds) -> Ruling:
    """Whether the first token of seated calls comes nearly as soon beside much headless load as beside little. A call under a
    seated key behind which nobody had signed in is a program in a person's seat."""
    counts = evidence["seated_claims"].rows
    seated, claimed, headless = (
        int(counts[0][name] or 0) if counts else 0 for name in ("seated", "claimed", "headless")
    )
    strangers = seated - claimed
    if strangers * 1_000 > seated * int(thresholds["unclaimed_permille"]):
        return fails(
            seated, f"{strangers} of {seated} seated calls have nobody behind them who signed in",
            "Give programs headless keys, and let people sign in",
        )  # fmt: skip
    if not seated or not headless:
        return not_applicable(
            f"only {'headless' if headless else 'seated'} calls" if seated or headless else "no calls at all"
        )
    sides = {str(row["side"]): row for row in evidence["first_tokens"].rows}
    n = {side: int(sides[side]["n"] or 0) if side in sides else 0 for side in ("busy", "calm")}
    least, percent = int(thresholds["least"]), int(thresholds["times_percent"])
    if min(n.values()) >= least:
        busy, calm = (int(sides[side]["p99_ms"] or 0) for side in ("busy", "calm"))
        return _ruling(sum(n.values()), busy, calm, percent, "in minutes with much headless load", None)
    few = f"{n['busy']} seated calls beside much headless load and {n['calm']} beside little, of {least} each"
    row = next(iter(evidence["load_tests"].rows), None)
    until_ms = int(row["began_ms"] or 0) + int(thresholds["test_days"]) * DAY_MS if row is not None else 0
    if row is None or until_ms <= scope.as_of_ms:
        old = "" if row is None else ", and the last load test is too old"
        return unknown("few", few + old, _TEST, sum(n.values()))
    if not is_intact_record(row):
        return unknown("changed", "the load test was changed after it was recorded", _TEST)
    if int(row["calls"] or 0) < least:
        return unknown(
            "few", f"the load test has {row['calls']} calls, of {least} at least", _TEST, int(row["calls"] or 0)
        )
    busy, calm = int(row["loaded_ms"] or 0), int(row["unloaded_ms"] or 0)
    return _ruling(int(row["calls"] or 0), busy, calm, percent, "in a load test", until_ms)


def _ruling(n: int, busy: int, calm: int, percent: int, where: str, until_ms: int | None) -> Ruling:
    words = f"{where} the first token comes within {busy} ms (p99), else within {calm} ms"
    if busy * 100 > calm * percent:
        return fails(n, words, _RESERVE)
    return passes(n, words, until_ms)


GATE: Final = Gate(
    "9.a", "people protected", ("P",), queries=("seated_claims", "first_tokens", "load_tests", "kin"),
    thresholds={"times_percent": 150, "least": 500, "unclaimed_permille": 10, "test_days": 30}, decide=decide, who="platform",
    effect="the workflow may leave its pilot",
)  # fmt: skip
