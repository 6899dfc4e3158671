"""5.a and 5.b: which models do the work, and whether dear ones do what cheap ones were shown to do. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from holdfast.governance.verifier.documents import Row
from holdfast.governance.verifier.rules.judgement import Gap, Judgement, RuleCase, concluded, total, whole

_HALVINGS: Final = 60


def served(case: RuleCase) -> Judgement:
    """5.b. Every attempt that says its model was served by one that the manifests of its time name, all of them."""
    manifests = _in_order(case.of("manifests"))
    if not manifests or not manifests[-1][1]:
        return Judgement("unknown", "no manifest names models", 0, cause="missing")
    rows = case.of("served")
    present = [row for row in rows if not row["lost"]]
    n, lost = total(rows, "n"), total([row for row in rows if row["lost"]], "n")
    violations = [
        f"{row['model']!s:.80} served, which no manifest of its time names" for row in present if row["named"] and not _is_named(row, manifests)
    ]  # fmt: skip
    gaps = [] if n else [Gap("missing", "nothing was served")]
    unnamed = total([row for row in present if not row["named"]], "n")
    if unnamed:
        gaps.append(Gap("missing", f"{unnamed} responses name no model"))
    if lost * 100 > n * case.number("lost_percent"):
        gaps.append(Gap("missing", f"{lost} of {n} attempts are lost"))
    return concluded(violations, gaps, "only named models served", n)


def _in_order(rows: Sequence[Row]) -> list[tuple[int, frozenset[str]]]:
    """``(from when, models)``. Of manifests of one moment each one follows the one that it names as the one before it."""
    left, found, version = list(rows), [], ""
    while left:
        at_ms = left[0]["at_ms"]
        beside = [row for row in left if row["at_ms"] == at_ms]
        row = next((one for one in beside if one["before"] == version), beside[0])
        left.remove(row)
        version = str(row["version"])
        document = json.loads(str(row["document"] or "{}"))
        found.append((whole(at_ms), frozenset(str(one["model"]) for one in document.get("models", []))))
    return found


def _is_named(row: Row, manifests: Sequence[tuple[int, frozenset[str]]]) -> bool:
    first, last = whole(row["first_ms"]), whole(row["last_ms"])
    earlier = [models for at_ms, models in manifests if at_ms <= first]
    then = [earlier[-1] if earlier else manifests[0][1]]
    then += [models for at_ms, models in manifests if first < at_ms <= last]
    return all(str(row["model"]) in models for models in then)


def peel(case: RuleCase) -> Judgement:
    """5.a. Of every task with its share of the spend: a cheaper model that was shown to be good enough before the window is used,
    and at least one at half the price was judged."""
    spend = case.of("task_spend")
    everything = total(spend, "billed_nano")
    if not case.of("workflow") or everything <= 0:
        return Judgement("unknown", "there is no manifest, or nothing was spent", 0, cause="missing")
    by_task: dict[str, list[Row]] = {}
    for row in spend:
        by_task.setdefault(str(row["task"]), []).append(row)
    sums = {task: total(rows, "billed_nano") for task, rows in by_task.items()}
    large = sorted(
        (-amount, task) for task, amount in sums.items() if 100 * amount >= case.number("task_percent") * everything
    )
    judged = {
        task: {str(row["model"]): row for row in case.of("task_outcomes") if row["task"] == task} for _, task in large
    }
    n = sum(whole(row["n"]) for rows in judged.values() for row in rows.values())
    violations, gaps = list[str](), list[Gap]()
    for _, task in large:
        violations += _idle(case, task, by_task[task], judged[task])
        gaps += _untried(case, task, by_task[task], judged[task])
    if 100 * (everything + sum(amount for amount, _ in large)) > case.number("rest_percent") * everything:
        gaps.append(Gap("few", "most of it is spent on small tasks"))
    return concluded(violations, gaps, "nothing cheaper lies idle", n)


def _usual(spend: Sequence[Row]) -> str:
    return max((whole(row["billed_nano"]), str(row["model"])) for row in spend)[1]


def _idle(case: RuleCase, task: str, spend: Sequence[Row], judged: Mapping[str, Row]) -> Iterator[str]:
    usual = judged.get(_usual(spend))
    if usual is None:
        return
    wanted = _route_floor(case, task)
    if whole(usual["n"]) >= case.number("n"):  # a floor that the usual model itself does not reach protects nobody
        wanted = min(wanted, _share(usual))
    calls = total(spend, "calls")
    for model, row in judged.items():
        if model == _usual(spend) or not _costs_less(row, usual, 1):
            continue
        good = whole(row["n_before"]) >= case.number("n") and _share(row) >= wanted and _share(row, "_before") >= wanted
        own = total([one for one in spend if one["model"] == model], "calls")
        if good and 100 * own < case.number("used_percent") * calls:
            yield f"{model:.80} is cheaper, good enough for {task!r:.80}, and idle"


def _untried(case: RuleCase, task: str, spend: Sequence[Row], judged: Mapping[str, Row]) -> Iterator[Gap]:
    usual = judged.get(_usual(spend))
    if usual is None:
        yield Gap("missing", f"nobody judged the usual work of {task!r:.80}")
    elif whole(usual["n"]) < case.number("n"):
        yield Gap("few", f"few outcomes of {task!r:.80}")
    else:
        others = [row for model, row in judged.items() if model != _usual(spend)]
        apart = [row for row in others if _costs_less(row, usual, 2) or _costs_less(usual, row, 2)]
        if not apart:
            yield Gap("missing", f"nothing at half the price was judged for {task!r:.80}")
        elif max(whole(row["n"]) for row in apart) < case.number("n"):
            yield Gap("few", f"few outcomes at half the price for {task!r:.80}")


def _costs_less(row: Row, than: Row, times: int) -> bool:
    """Whether one piece of work costs less, or with ``times`` 2 at most half."""
    if not row["costed"] or not than["costed"]:
        return False
    own, other = (
        times * whole(row["cost_nano"]) * whole(than["costed"]),
        whole(than["cost_nano"]) * whole(row["costed"]),
    )
    return own < other or (times > 1 and own == other)


def _route_floor(case: RuleCase, task: str) -> float:
    """What the route of a task asks for, one that names it before one for all; else what the numbers say."""
    document: dict[str, Any] = json.loads(str(case.of("routes")[0]["document"])) if case.of("routes") else {}
    routes = [one for one in document.get("routes", []) if one.get("workflow") == case.params.get("workflow")]
    named = [one for one in routes if task and one.get("task") == task]
    found = (named or [one for one in routes if not one.get("task")] or [{}])[0]
    return float(found.get("floor", case.number("floor_ppm") / 1_000_000))


def _share(row: Row, when: str = "") -> float:
    return lower_bound(whole(row[f"accepted{when}"]), whole(row[f"n{when}"]))


@lru_cache(maxsize=4_096)
def lower_bound(hits: int, n: int) -> float:
    """The share below which so many hits, or more, would be seen once in twenty times: by adding up the binomial."""
    if hits <= 0 or n <= 0:
        return 0.0
    ways = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(hits, n + 1)]
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        one, other = math.log(share), math.log1p(-share)
        above = math.fsum(math.exp(way + k * one + (n - k) * other) for k, way in enumerate(ways, hits))
        low, high = (share, high) if above < 0.05 else (low, share)
    return low
