"""Behind evidence: where the runs, rows and outcomes are listed that a query has counted, with its window and its filter. Pure.

A query answers numbers, for a verdict has to be small enough to be kept. Whoever doubts one opens what it is a number of: the
page of the console, and the command line that lists the same, down to the sessions.
"""

from __future__ import annotations

import calendar
import datetime
import shlex
from collections.abc import Callable, Mapping
from typing import Final, Literal
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import msgspec

from holdfast.governance.organisation.dates import day_at
from holdfast.governance.rollout.model import DAY_MS, EvidenceAnswer, Row

What = Literal["runs", "rows", "outcomes", "budgets", "inbox", "evidence"]
_OUTCOMES_MS: Final = 90 * DAY_MS
_NO_TEST: Final = ("tag:test", "")


class EvidenceDoor(msgspec.Struct, frozen=True):
    """Where something is listed.

    Attributes:
        what: is listed there.
        page: its address, below the console's.
        command: that lists the same on a terminal.
        note: how the list differs from what was counted; empty where it does not.
    """

    what: What
    page: str
    command: str
    note: str = ""


class Behind(msgspec.Struct, frozen=True):
    """What stands behind an answer.

    Attributes:
        all: of all its rows; None where they count nothing that is listed.
        rows: the page of each row, in their order; empty where there is none but that of all.
    """

    all: EvidenceDoor | None = None
    rows: tuple[str, ...] = ()


class QueryParams:
    """The parameters of an answer, and the days that they mean.

    Args:
        params: with which the query was asked.
        zone: of the organisation.
    """

    def __init__(self, params: Mapping[str, int | str], zone: ZoneInfo) -> None:
        self.params = params
        self._zone = zone
        self.workflow = str(params.get("workflow", ""))

    def ms(self, name: str) -> int:
        """A moment, Unix ms; 0 for one that is not there."""
        return int(self.params.get(name) or 0)

    def day(self, at_ms: int) -> str:
        """The day of a moment."""
        return day_at(at_ms, self._zone).isoformat()

    def window(self) -> tuple[str, str]:
        """The first and the last day of the window W; up to the moment itself, where that is what was asked."""
        last = self.ms("until_ms") - 1 if "until_ms" in self.params else self.ms("as_of_ms")
        return self.day(self.ms("since_ms")), self.day(last)

    def month(self) -> tuple[str, str]:
        """The first and the last day of the last closed month."""
        return days_of_month(str(self.params.get("month", "")))


_Find = Callable[[QueryParams, Row], EvidenceDoor | None]
"""The door of a row; of an empty one that of all."""


def behind(answer: EvidenceAnswer, zone: ZoneInfo) -> Behind:
    """What stands behind an answer. Evidence that was changed on record may say anything: then nothing does."""
    find = DOORS_OF.get(answer.query)
    if find is None or not answer.rows:
        return Behind()
    params = QueryParams(answer.params, zone)
    try:
        of_all = find(params, {})
        pages = [door.page if (door := find(params, row)) is not None else "" for row in answer.rows]
    except (ValueError, KeyError, OverflowError):
        return Behind()
    same = of_all is not None and all(page == of_all.page for page in pages)
    return Behind(of_all, () if same or not any(pages) else tuple(pages))


def days_of_month(month: str) -> tuple[str, str]:
    """The first and the last day of ``2026-10``."""
    year, number = int(month[:4]), int(month[5:7])
    return f"{month}-01", f"{month}-{calendar.monthrange(year, number)[1]:02}"


# --- lists
def run_door(**facts: int | str) -> EvidenceDoor:
    """Runs of the journal. What is empty is not asked."""
    asked_for = {name: str(value) for name, value in facts.items() if value not in ("", 0)}
    options = [f"--{name.replace('_', '-')} {value}" for name, value in asked_for.items() if name != "workflow"]
    named = [shlex.quote(asked_for["workflow"])] if "workflow" in asked_for else []
    command = " ".join(["holdfast workflow runs", *named, *options])
    return EvidenceDoor("runs", f"#/plan/runs?{urlencode(asked_for)}", command)


def row_door(days: tuple[str, str], *where: tuple[str, str], note: str = "") -> EvidenceDoor:
    """Rows of the ledger."""
    since, until = days
    query = [("period", f"{since}/{until}"), *(("where", f"{name}:{value}") for name, value in where)]
    filters = ",".join(f"{name}={value}" for name, value in where)
    command = f"holdfast ledger show --since {since} --until {until}" + (
        f" --where {shlex.quote(filters)}" if where else ""
    )
    return EvidenceDoor("rows", f"#/rows?{urlencode(query)}", command, note)


def _outcome_door(**facts: int | str) -> EvidenceDoor:
    asked_for = {name: str(value) for name, value in facts.items() if value != ""}
    options = [f"--{name.replace('_', '-')} {shlex.quote(value)}" for name, value in asked_for.items()]
    return EvidenceDoor(
        "outcomes", f"#/outcomes?{urlencode(asked_for)}", " ".join(["holdfast outcomes list", *options])
    )


# --- of each query
def _flag(row: Row, name: str) -> str:
    return ("yes" if row[name] else "no") if name in row else ""


def _stage_runs(params: QueryParams, row: Row) -> EvidenceDoor:
    flags = {name: _flag(row, name) for name in ("interactive", "memory", "side_effects", "unclassified", "lost")}
    return run_door(
        workflow=params.workflow, since_ms=params.ms("since_ms"), until_ms=params.ms("until_ms"), test="no", **flags
    )


def _stages(params: QueryParams, row: Row) -> EvidenceDoor:
    until_ms = row.get("until_ms") or params.ms("as_of_ms")
    return run_door(
        workflow=params.workflow, since_ms=row.get("since_ms") or 0, until_ms=until_ms, top="yes", test="no"
    )


def _seated_runs(params: QueryParams, row: Row) -> EvidenceDoor:
    return run_door(since_ms=params.ms("since_ms"), until_ms=params.ms("until_ms"), seated="yes", test="no")


def _unrecorded_runs(params: QueryParams, row: Row) -> EvidenceDoor:
    window = {"since_ms": params.ms("since_ms"), "until_ms": params.ms("until_ms")}
    return run_door(workflow=params.workflow, **window, recorded="no")


def _cap_calls(params: QueryParams, row: Row) -> EvidenceDoor:
    day = str(row.get("day") or "")
    return row_door((day, day) if day else params.window(), ("workflow", params.workflow), _NO_TEST)


def _served(params: QueryParams, row: Row) -> EvidenceDoor:
    day = str(row.get("day") or "")
    names = [(name, str(row[name] or "")) for name in ("model", "asked") if name in row]
    note = (
        "what a correction replaced, and work that names the workflow and is of nobody, is counted and not listed there"
    )
    return row_door((day, day) if day else params.window(), ("workflow", params.workflow), *names, _NO_TEST, note=note)


def _task_spend(params: QueryParams, row: Row) -> EvidenceDoor:
    names = [("task", str(row["task"] or "")), ("asked", str(row["model"] or ""))] if row else []
    note = "" if row else "shadows of experiments are listed, and not counted"
    return row_door(params.window(), ("workflow", params.workflow), *names, _NO_TEST, note=note)


def _seated_calls(params: QueryParams, row: Row) -> EvidenceDoor:
    note = "headless calls of everybody are counted beside them"
    return row_door(params.window(), ("workflow", params.workflow), ("usage", "seated"), _NO_TEST, note=note)


def _first_tokens(params: QueryParams, row: Row) -> EvidenceDoor:
    note = "of these, those in minutes with much and with little headless load are counted"
    return row_door(params.window(), ("workflow", params.workflow), ("usage", "seated"), _NO_TEST, note=note)


def _spend(params: QueryParams, row: Row) -> EvidenceDoor:
    return row_door(params.window(), *([("workflow", str(row["workflow"] or ""))] if row else []))


def _ledger_month(params: QueryParams, row: Row) -> EvidenceDoor:
    return row_door(params.month(), *([("provider", str(row["provider"] or ""))] if row else []))


def _week(params: QueryParams, row: Row) -> EvidenceDoor | None:
    if not row:
        return None
    monday = datetime.date.fromisoformat(str(row["week"]))
    return row_door((monday.isoformat(), (monday + datetime.timedelta(days=6)).isoformat()))


def _bill(params: QueryParams, row: Row) -> EvidenceDoor:
    provider = [("provider", str(row["provider"]))] if row.get("provider") else []
    if row.get("kind") != "line":
        return row_door(params.month(), *provider)
    day = str(row["day"])
    names = [(name, str(row[name])) for name in ("model", "key") if row.get(name)]
    return row_door((day, day), *provider, *names)


def _task_outcomes(params: QueryParams, row: Row) -> EvidenceDoor:
    until_ms = params.ms("as_of_ms")
    names = {name: str(row[name] or "") for name in ("task", "model") if name in row}
    window = {"since_ms": until_ms - _OUTCOMES_MS, "until_ms": until_ms + 1}
    return _outcome_door(workflow=params.workflow, **names, **window)


def _budget(name: str) -> _Find:
    def find(params: QueryParams, row: Row) -> EvidenceDoor:
        ident = str(row.get(name) or "")
        command = f"holdfast budget show {shlex.quote(ident)}" if ident else "holdfast budget list"
        return EvidenceDoor("budgets", f"#/budgets/{quote(ident, safe='')}" if ident else "#/budgets", command)

    return find


def _refusals(params: QueryParams, row: Row) -> EvidenceDoor:
    ident = str(row.get("budget") or "")
    return EvidenceDoor(
        "budgets",
        f"#/budgets/{quote(ident, safe='')}" if ident else "#/budgets",
        f"holdfast budget refusals {shlex.quote(ident)}" if ident else "holdfast budget refusals",
    )


def _inbox(params: QueryParams, row: Row) -> EvidenceDoor:
    command = f"holdfast inbox history --person '*' --workflow {shlex.quote(params.workflow)}"
    return EvidenceDoor("inbox", "#/plan/inbox?person=*", command)


def _gate(params: QueryParams, row: Row) -> EvidenceDoor | None:
    if not row or not row["gate"]:
        return None
    gate, workflow = str(row["gate"]), str(row["workflow"] or "")
    command = " ".join(["holdfast plan explain", shlex.quote(gate), *([shlex.quote(workflow)] if workflow else [])])
    page = f"#/plan/workflow/{quote(workflow, safe='')}?{urlencode({'gate': gate})}"
    return EvidenceDoor("evidence", page if workflow else f"#/plan/gate/{quote(gate, safe='')}", command)


DOORS_OF: Final[Mapping[str, _Find]] = {
    "stage_runs": _stage_runs, "stages": _stages, "seated_runs": _seated_runs, "unrecorded_runs": _unrecorded_runs,
    "cap_calls": _cap_calls, "served": _served, "task_spend": _task_spend, "seated_claims": _seated_calls,
    "first_tokens": _first_tokens, "spend": _spend, "ledger_month": _ledger_month, "weeks_spent": _week, "weeks": _week,
    "bill": _bill, "bill_month": _bill, "task_outcomes": _task_outcomes, "refusals": _refusals, "budgets": _budget("id"),
    "budget_spent": _budget("id"), "caps": _budget("id"), "inbox_due": _inbox, "inbox_kinds": _inbox, "passed": _gate,
    "waived": _gate, "kin": _gate,
}  # fmt: skip
"""By query or reckoning."""
COUNT_NOTHING: Final = frozenset({
    "acceptances", "bill_before", "bill_changed", "builds", "directory", "inbox_handling", "inbox_looks", "ledger_verified",
    "load_tests", "manifest_tools", "manifests", "owner_hours", "people", "periods", "person_names", "routes", "sign_ins", "strangers",
    "succession", "units", "validations", "workflow",
})  # fmt: skip
"""Those whose rows are the facts themselves, and no number of anything that is listed elsewhere."""
