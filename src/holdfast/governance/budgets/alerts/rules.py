"""When somebody is told, and of what. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from holdfast.governance import limits
from holdfast.governance.budgets.alerts.model import Alert
from holdfast.governance.budgets.model import BudgetAccount, RaiseRequest
from holdfast.governance.money import show as show_all

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
BURNS_PERCENT: Final = 110
"""Of the cap: what the window would come to at the present pace, from which on it burns."""
CALM_PERCENT: Final = 90
"""Of the cap: below it burns no more. In between it does what it did, so that nobody is told of a pace that wavers."""
_SPREADS: Final = 4
"""Robust standard deviations above the median that make a day unlike others."""
_LEAST_PERCENT: Final = 1
"""Of the cap: days that cost less are not worth a word."""


def show(nano: int) -> str:
    """Dollars, as somebody who is told wants them: to a hundredth of a cent."""
    return show_all(round(nano, -5))


def threshold(account: BudgetAccount, now_ms: int) -> Alert | None:
    """The highest percentage of the cap that was reached; None below the lowest one."""
    budget = account.budget
    reached = [one for one in budget.alerts if budget.cap_nano and account.spent_nano * 100 >= budget.cap_nano * one]
    if not reached:
        return None
    percent = max(reached)
    facts = {**_standing(account), "percent": percent}
    text = f"{percent} % of it is spent: ${show(account.spent_nano)} of ${show(budget.cap_nano)}"
    return _alert(account, f"threshold:{percent}", _window_of(account, now_ms), now_ms, facts, text)


def pace_ms(account: BudgetAccount) -> int | None:
    """Over which time the pace of a window is taken: an hour for a day, a day for longer ones; None where none ends."""
    if account.closes_ms is None or not account.budget.cap_nano:
        return None
    return _HOUR_MS if account.budget.span == "day" else _DAY_MS


def projected(account: BudgetAccount, lately_nano: int, over_ms: int, now_ms: int) -> int:
    """What the window will have cost when it closes, at the pace of lately; nano-USD."""
    left_ms = max(0, (account.closes_ms or now_ms) - now_ms)
    return account.spent_nano + lately_nano * left_ms // over_ms


def burning(before: bool, projected_nano: int, cap_nano: int) -> bool:
    """Whether an account burns: its money ends before its window does.

    Args:
        before: whether it did when it was looked at last.
    """
    return projected_nano * 100 >= cap_nano * (CALM_PERCENT if before else BURNS_PERCENT)


def burn(account: BudgetAccount, lately_nano: int, over_ms: int, now_ms: int) -> Alert:
    """The alert of an account that burns."""
    budget = account.budget
    free = max(0, budget.cap_nano - account.spent_nano)
    ends_ms = now_ms + (free * over_ms // lately_nano if lately_nano > 0 else 0)
    facts = {
        **_standing(account), "lately_nano": lately_nano, "over_ms": over_ms, "ends_ms": ends_ms,
        "projected_nano": projected(account, lately_nano, over_ms, now_ms),
    }  # fmt: skip
    span = "hour" if over_ms == _HOUR_MS else "24 hours"
    text = (
        f"at the pace of the last {span} (${show(lately_nano)}) its money ends at {_moment(ends_ms)} UTC, before its window"
        f" does ({_moment(account.closes_ms or now_ms)} UTC)"
    )
    return _alert(account, "burn", _window_of(account, now_ms), now_ms, facts, text)


class Unusual(msgspec.Struct, frozen=True):
    """A day beside the same weekdays of the weeks before.

    Attributes:
        n: how many of those there are.
        median_nano, spread_nano: of them; the spread is a robust standard deviation (1.4826 MAD, and 5 % of the median at
            least). None with too few of them.
        unusual: None where it is not known.
    """

    n: int
    today_nano: int
    median_nano: int | None = None
    spread_nano: int | None = None
    unusual: bool | None = None


def unusual(totals: Mapping[str, int], today: datetime.date, cap_nano: int) -> Unusual:
    """Whether today, as far as it has come, cost more already than days like it do as a whole.

    Args:
        totals: nano-USD by day, as ``2026-03-31``. Days before the first of them are none; others without any are zero.
    """
    spent = totals.get(today.isoformat(), 0)
    first = min(totals, default=today.isoformat())
    days = [(today - datetime.timedelta(weeks=week)).isoformat() for week in range(1, limits.ALERT_WEEKS + 1)]
    alike = [totals.get(day, 0) for day in days if day >= first]
    if len(alike) < limits.ALERT_WEEKS_LEAST:
        return Unusual(len(alike), spent)
    median = _median(alike)
    spread = max(_median([abs(each - median) for each in alike]) * 14_826 // 10_000, median // 20)
    odd = spent > median + _SPREADS * spread and spent * 100 >= cap_nano * _LEAST_PERCENT
    return Unusual(len(alike), spent, median, spread, odd)


def anomaly(account: BudgetAccount, found: Unusual, day: datetime.date, day_ms: int, now_ms: int) -> Alert:
    """The alert of an unusual day."""
    facts = {**_standing(account), **msgspec.to_builtins(found), "day": day.isoformat()}
    text = (
        f"{day.isoformat()} cost ${show(found.today_nano)} by now; the {found.n} days of the same weekday before it cost"
        f" ${show(found.median_nano or 0)} (median), give or take ${show(found.spread_nano or 0)}"
    )
    return _alert(account, "anomaly", day_ms, now_ms, facts, text)


def requested(account: BudgetAccount, request: RaiseRequest, now_ms: int) -> Alert:
    """Whoever decides for the payer is asked for more."""
    facts = {
        **_standing(account), "request": request.id, "by": request.by, "why": request.why, "from_nano": request.from_nano,
        "to_nano": request.to_nano, "until_ms": request.until_ms,
    }  # fmt: skip
    until = f"; an answer waits for it until {_moment(request.until_ms)} UTC" if request.until_ms else ""
    text = (
        f"{request.by} asks for ${show(request.to_nano)} instead of ${show(request.from_nano)} ({request.why or 'no reason given'})"
        f"{until}. Decide: holdfast budget approve {request.id}, or deny"
    )
    return _alert(account, f"request:{request.id}", request.at_ms, now_ms, facts, text)


def _alert(account: BudgetAccount, kind: str, bucket_ms: int, now_ms: int, facts: dict[str, Any], text: str) -> Alert:
    budget = account.budget
    of = f" ({budget.each} {account.subject})" if account.subject else ""
    return Alert(
        id=f"{budget.id}|{account.subject}|{bucket_ms}|{kind}", tenant=budget.tenant, budget=budget.id,
        subject=account.subject, kind=kind, bucket_ms=bucket_ms, at_ms=now_ms, facts=facts,
        text=f"Budget {budget.name}{of}: {text}.",
    )  # fmt: skip


def _standing(account: BudgetAccount) -> dict[str, Any]:
    budget = account.budget
    return {
        "name": budget.name, "payer": budget.payer, "decider": budget.decider, "mode": budget.mode,
        "strength": budget.strength, "cap_nano": budget.cap_nano, "spent_nano": account.spent_nano,
        "reserved_nano": account.reserved_nano, "closes_ms": account.closes_ms,
    }  # fmt: skip


def _window_of(account: BudgetAccount, now_ms: int) -> int:
    """By what alerts of a window are one: a window that rolls begins all the time, and counts by its length."""
    if account.budget.span == "rolling":
        length = account.budget.rolling_s * 1_000
        return now_ms // length * length
    return account.opens_ms


def _median(values: Sequence[int]) -> int:
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) // 2


def _moment(at_ms: int) -> str:
    return datetime.datetime.fromtimestamp(at_ms / 1_000, datetime.UTC).strftime("%Y-%m-%d %H:%M")
