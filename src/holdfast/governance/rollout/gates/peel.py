"""Gate 5.a: no task that matters is done by a dear model where a cheaper one was shown to do it as well.

What is judged are the outcomes of real work of the same task: of routes, of experiments, of whoever asked for the model by name.
Golden sessions would have all models do the very same work; there are none yet, so models are compared on work that was
shared out among them, and a router that sends the hard cases to one model makes that one look worse.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from holdfast.governance.outcomes.intervals import lower_bound
from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.model import Evidence, GateScope, Row, Ruling, Thresholds, fails, passes, unknown

_MILLION: Final = 1_000_000
_TRY: Final = "Try a cheaper model on it: holdfast routing experiment start"


class PeelTask(NamedTuple):
    """A task that matters.

    Attributes:
        usual: the model that it spends most on: what is done counts, not what a document calls the incumbent.
        calls: by model, in the window.
        judged: by model, what was said of its work.
        floor: the share of accepted outcomes that is asked for.
    """

    name: str
    usual: str
    calls: dict[str, int]
    judged: dict[str, Row]
    floor: float

    @property
    def words(self) -> str:
        """As people are told of it."""
        return f"task {self.name!r}" if self.name else "work without a task"


def decide(evidence: Evidence, scope: GateScope, thresholds: Thresholds) -> Ruling:
    """Whether every task with its share of the spend was tried with a cheaper model, and uses it where it is good enough."""
    spend = evidence["task_spend"].rows
    whole = sum(int(row["billed_nano"] or 0) for row in spend)
    if not evidence["workflow"].rows:
        return unknown("missing", "the workflow has no manifest", "Write one: holdfast workflow init")
    if whole <= 0:
        return unknown("missing", "the workflow spent nothing in the window", "Let it run: its tasks are seen then")
    tasks, covered = _tasks(evidence, scope, thresholds, whole)
    n = sum(int(row["n"] or 0) for task in tasks for row in task.judged.values())
    for task in tasks:
        for reason in _idle(task, thresholds):
            fix = f"Let {task.words} be done by it: holdfast routing set"
            return fails(n, reason, fix)
    for task in tasks:
        for ruling in _untried(task, thresholds, n):
            return ruling
    if 100 * (whole - covered) > int(thresholds["rest_percent"]) * whole:
        return unknown(
            "few", f"most of the spend is of tasks below {thresholds['task_percent']} %", "Name fewer, larger tasks", n
        )
    names = ", ".join(task.words for task in tasks[:5])
    return passes(n, f"{names}: nothing cheaper that is good enough lies idle")


def _tasks(evidence: Evidence, scope: GateScope, thresholds: Thresholds, whole: int) -> tuple[list[PeelTask], int]:
    """The tasks that matter, the dearest first, and what they spend."""
    spent: dict[str, dict[str, Row]] = {}
    for row in evidence["task_spend"].rows:
        spent.setdefault(str(row["task"]), {})[str(row["model"])] = row
    found = []
    covered = 0
    sums = {task: sum(int(row["billed_nano"] or 0) for row in rows.values()) for task, rows in spent.items()}
    for task in sorted(sums, key=lambda one: (-sums[one], one)):
        if 100 * sums[task] < int(thresholds["task_percent"]) * whole:
            continue
        covered += sums[task]
        rows = spent[task]
        usual = max(rows, key=lambda model: (int(rows[model]["billed_nano"] or 0), model))
        judged: dict[str, Row] = {
            str(row["model"]): row for row in evidence["task_outcomes"].rows if row["task"] == task
        }
        calls = {model: int(row["calls"] or 0) for model, row in rows.items()}
        found.append(PeelTask(task, usual, calls, judged, _floor(evidence, scope, task, thresholds)))
    return found, covered


def _floor(evidence: Evidence, scope: GateScope, task: str, thresholds: Thresholds) -> float:
    """What the route of a task asks for; where there is none, what the profile does."""
    document = json.loads(str(evidence["routes"].rows[0]["document"])) if evidence["routes"].rows else {}
    routes: list[dict[str, Any]] = [
        one
        for one in document.get("routes", ())
        if one.get("workflow") == scope.workflow and one.get("task", "") in ("", task)
    ]
    route: dict[str, Any] = max(routes, key=lambda one: bool(one.get("task")), default={})
    return float(route.get("floor", int(thresholds["floor_ppm"]) / _MILLION))


def _wanted_floor(task: PeelTask, thresholds: Thresholds) -> float:
    """The floor, at most what the usual model itself is shown to reach: a floor that nobody reaches protects nobody."""
    usual = task.judged.get(task.usual)
    if usual is None or int(usual["n"] or 0) < int(thresholds["n"]):
        return task.floor
    return min(task.floor, _bound(usual))


def _bound(row: Row, after: str = "") -> float:
    return lower_bound(int(row[f"accepted{after}"] or 0), int(row[f"n{after}"] or 0))


def _is_cheaper(row: Row, than: Row, times: int = 1) -> bool:
    """Whether a piece of work costs less; with ``times`` 2, half of it at most."""
    own = times * int(row["cost_nano"] or 0) * int(than["costed"] or 0)
    other = int(than["cost_nano"] or 0) * int(row["costed"] or 0)
    costed = bool(row["costed"]) and bool(than["costed"])
    return costed and (own <= other if times > 1 else own < other)


def _idle(task: PeelTask, thresholds: Thresholds) -> Iterator[str]:
    """Cheaper models that were shown to be good enough before the window began, and that did next to nothing in it."""
    usual, floor, least = task.judged.get(task.usual), _wanted_floor(task, thresholds), int(thresholds["n"])
    calls = sum(task.calls.values())
    for model, row in sorted(task.judged.items()):
        if usual is None or model == task.usual or not _is_cheaper(row, usual):
            continue
        shown = int(row["n_before"] or 0) >= least and min(_bound(row), _bound(row, "_before")) >= floor
        if shown and 100 * task.calls.get(model, 0) < int(thresholds["used_percent"]) * calls:
            yield (
                f"{task.words}: {model} costs less than {task.usual}, at least {_bound(row):.1%} of its work is accepted where "
                f"{floor:.1%} is asked for, and it is not used"
            )


def _untried(task: PeelTask, thresholds: Thresholds, n: int) -> Iterator[Ruling]:
    """What is not known yet of a task."""
    least = int(thresholds["n"])
    usual = task.judged.get(task.usual)
    if usual is None:
        yield unknown(
            "missing", f"{task.words}: nobody said what became of the work of {task.usual}",
            "Say it, or let a check say it: holdfast outcomes record", n,
        )  # fmt: skip
    elif int(usual["n"] or 0) < least:
        yield unknown(
            "few", f"{task.words}: {usual['n']} outcomes of {task.usual}, of {least}",
            "Have more of its work judged: holdfast outcomes record", n,
        )  # fmt: skip
    else:
        apart = [
            row
            for model, row in task.judged.items()
            if model != task.usual and (_is_cheaper(row, usual, 2) or _is_cheaper(usual, row, 2))
        ]
        most = max((int(row["n"] or 0) for row in apart), default=0)
        if not apart:
            yield unknown(
                "missing", f"{task.words}: no model at half the price was judged beside {task.usual}", _TRY, n
            )
        elif most < least:
            yield unknown("few", f"{task.words}: {most} outcomes of a model at half the price, of {least}", _TRY, n)


GATE: Final = Gate(
    "5.a", "peel", ("P",), queries=("workflow", "task_spend", "task_outcomes", "routes", "kin"),
    thresholds={"task_percent": 5, "n": 100, "floor_ppm": 900_000, "used_percent": 1, "rest_percent": 50},
    decide=decide, effect="the workflow may leave its pilot",
)  # fmt: skip
