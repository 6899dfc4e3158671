"""The first dated plan of a use case, from whatever is known before any traffic passes. Pure.

Each step has who and by when. A date is counted in working days from today; what waits for a notice or for history says so. What
nobody knows yet is said to be unknown, and is itself a step.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final

import msgspec

NOTICE_DAYS: Final = 14
"""People are told so long before the first run (gate 8.a)."""
PILOT_DAYS: Final = 28
"""A pilot lasts so long at least (gate 1.b), with ``PILOT_RUNS`` runs."""
PILOT_RUNS: Final = 200
UNKNOWN: Final = "nobody yet"


class PlanFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a use case.

    Attributes:
        today: there.
        triage: sentence of its triage; empty where nobody answered. ``suits``: whether that lets it go on.
        owner, deputy, payer: empty for nobody.
        manifest: version; empty for none. ``state``: of its workflow; empty for none.
        keys: that name it. ``budget``: whether there is one that its manifest names.
        bills: whether a bill was imported. ``outcome``: whether its manifest says when work is accepted.
        unclassed: tools of it that nobody classed.
        runs: of 28 days.
    """

    today: datetime.date
    triage: str = ""
    suits: bool = False
    owner: str = ""
    deputy: str = ""
    payer: str = ""
    manifest: str = ""
    state: str = ""
    keys: int = 0
    budget: bool = False
    bills: bool = False
    outcome: bool = False
    unclassed: tuple[str, ...] = ()
    runs: int = 0


class FirstStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step. ``by``: a date, ISO 8601; ``how``: a command where there is one; ``done``: whether that is known."""

    what: str
    who: str
    by: str
    how: str = ""
    done: bool = False


class FirstPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan. ``launch``, ``production``: the earliest days; ``unknown``: what nobody knows yet, in sentences."""

    use_case: str
    today: str
    launch: str
    production: str
    steps: tuple[FirstStep, ...]
    unknown: tuple[str, ...]


def first_plan(use_case: str, facts: PlanFacts) -> FirstPlan:
    """The plan of a use case."""
    owner = facts.owner or UNKNOWN

    def step(days: int, what: str, who: str, how: str, *, done: bool) -> FirstStep:
        return FirstStep(what=what, who=who, by=working_day(facts.today, days).isoformat(), how=how, done=done)

    tools = f" ({', '.join(facts.unclassed[:5])})" if facts.unclassed else ""
    steps = [
        step(1, "Answer the five conditions of work that suits agents, its risk, its data and its value", owner,
             f"holdfast workflow idea triage {use_case}", done=facts.suits),
        step(2, "Name an owner and a deputy of the unit that does the work", owner if facts.owner else "its sponsor",
             f"holdfast workflow idea register {use_case} --owner NAME --unit TEAM", done=bool(facts.owner and facts.deputy)),
        step(2, "Import the last closed bill of each provider", "finance", "holdfast ledger import FILE", done=facts.bills),
        step(3, "Give its program a key of its own, and change its base URL and key", owner,
             f"holdfast keys create --workflow {use_case} --team TEAM --task TASK", done=facts.keys > 0),
        step(5, "Write and apply its manifest: agents, models, tools, data", owner,
             f"holdfast workflow init {use_case}", done=bool(facts.manifest)),
        step(5, f"Class its tools{tools}", "the policy editor", "holdfast workflow tool NAME read|write|memory",
             done=bool(facts.manifest) and not facts.unclassed),
        step(7, "Set a cap that a payer approves who is not the owner", facts.payer or "its payer",
             "holdfast budget set NAME", done=facts.budget and bool(facts.payer) and facts.payer != facts.owner),
        step(7, "Say when a piece of work is accepted, and who says so", owner, f"holdfast workflow init {use_case}",
             done=facts.outcome),
        step(8, f"Tell everybody concerned, {NOTICE_DAYS} days before the first run", owner, "", done=False),
    ]  # fmt: skip
    open_ones = [one for one in steps if not one.done]
    notice = datetime.date.fromisoformat(max(one.by for one in open_ones))
    launch = working_day(notice + datetime.timedelta(days=NOTICE_DAYS), 0)
    running = facts.state in ("pilot", "production")
    launch = facts.today if running else launch
    production = working_day(launch + datetime.timedelta(days=PILOT_DAYS), 0)
    steps += [
        FirstStep(
            what="Begin the pilot", who=owner, by=launch.isoformat(), how=f"holdfast workflow launch {use_case}", done=running
        ),
        FirstStep(
            what=f"Decide on production, after {PILOT_DAYS} days and {PILOT_RUNS} runs at least", who="its sponsor",
            by=production.isoformat(), how=f"holdfast workflow production {use_case}", done=facts.state == "production",
        ),
    ]  # fmt: skip
    return FirstPlan(
        use_case=use_case, today=facts.today.isoformat(), launch=launch.isoformat(), production=production.isoformat(),
        steps=tuple(steps), unknown=tuple(_unknown(facts)),
    )  # fmt: skip


def working_day(day: datetime.date, days: int) -> datetime.date:
    """The day so many working days later, Saturdays and Sundays left out; of 0 the first that is one."""
    while not days and day.weekday() > 4:
        day += datetime.timedelta(days=1)
    for _ in range(days):
        day += datetime.timedelta(days=1)
        while day.weekday() > 4:
            day += datetime.timedelta(days=1)
    return day


def _unknown(facts: PlanFacts) -> Sequence[str]:
    found = []
    if not facts.triage:
        found.append("whether such work suits agents: nobody answered the conditions")
    elif not facts.suits:
        found.append(f"whether such work suits agents. {facts.triage}")
    if not facts.owner:
        found.append("who owns it")
    if not facts.bills:
        found.append("what is spent today: no bill was imported")
    if not facts.runs:
        found.append("how often it runs, and with which tools: nothing of it was seen")
    found.append("holidays: dates count Saturdays and Sundays only")
    return found
