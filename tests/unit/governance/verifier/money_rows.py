"""Made-up rows of the queries and reckonings of money: few values, on both sides of every edge."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

Strategy = st.SearchStrategy[list[dict[str, Any]]]
NANO = 1_000_000_000
FLAG = st.integers(0, 1)
MONEY = st.sampled_from([0, 1, NANO // 100, NANO, 2 * NANO, 50 * NANO, 100 * NANO])
MODEL = st.sampled_from(["small", "large", "huge"])
PROVIDER = st.sampled_from(["openai", "anthropic"])
MONTH = "2025-10"
WEEKS = [datetime.date(2025, 7, 28) + datetime.timedelta(weeks=week) for week in range(14)]


def rows(most: int = 4, **columns: st.SearchStrategy[Any]) -> Strategy:
    """A few rows."""
    return st.lists(st.fixed_dictionaries(columns), max_size=most)


def seldom(some: Strategy) -> Strategy:
    """Mostly nothing."""
    return st.one_of(st.just([]), st.just([]), st.just([]), some)


def bill() -> Strategy:
    """A bill beside the ledger, mostly one that fits."""
    whole = st.fixed_dictionaries({
        "kind": st.just("bill"), "provider": PROVIDER, "bill_nano": st.just(100 * NANO), "ledger_nano": MONEY,
        "gap_nano": st.sampled_from([0, NANO, 2 * NANO, 3 * NANO]), "sure_gap_nano": st.sampled_from([0, 0, 0, 2 * NANO, 3 * NANO]),
        "catch_all_nano": st.sampled_from([0, 5 * NANO, 6 * NANO]), "cells": st.just(7),
    })  # fmt: skip
    line = st.fixed_dictionaries({
        "kind": st.just("line"), "provider": PROVIDER, "day": st.just("2025-10-01"), "model": MODEL, "key": st.just("k"),
        "bill_nano": st.sampled_from([NANO, 2 * NANO, 10 * NANO]), "ledger_nano": MONEY,
        "gap_nano": st.sampled_from([0, NANO // 10, NANO, 2 * NANO]), "sure": FLAG,
    })  # fmt: skip
    key = st.fixed_dictionaries(
        {"kind": st.just("key"), "provider": PROVIDER, "key": st.just("k9"), "bill_nano": MONEY}
    )
    missing = st.fixed_dictionaries({"kind": st.just("missing"), "provider": PROVIDER, "what": st.just("a day")})
    more = seldom(st.lists(st.one_of(line, line, key, missing), max_size=3))
    return st.tuples(st.lists(whole, max_size=2), more).map(lambda parts: [*parts[0], *parts[1]])


def caps() -> Strategy:
    """Budgets, mostly good ones, and what refusals came to."""
    names = st.sampled_from(["user:dee", "user:dee", "user:dee", "user:Ann", "user:bob", "user:eve", ""])
    budget = {
        "kind": st.just("budget"), "id": st.sampled_from(["b1", "b2"]), "name": st.just("mail"), "each": st.just(""),
        "cap_nano": st.sampled_from([NANO, 50 * NANO]), "span": st.sampled_from(["month", "rolling"]),
        "strength": st.sampled_from(["hard", "hard", "hard", "soft"]), "mode": st.sampled_from(["enforce", "enforce", "observe"]),
        "payer": st.just(""), "decider": st.sampled_from(["user:dee", ""]), "approved_by": names, "approved_ms": st.just(1),
        "recorded_by": names, "on_record": st.sampled_from([1, 1, 1, 0]), "windows": st.just(1), "most_nano": MONEY,
        "over_nano": st.sampled_from([0, 0, 0, 1]), "differences": st.sampled_from([0, 0, 0, 1]),
        "p90_nano": st.one_of(st.none(), st.sampled_from([NANO, NANO // 2, NANO // 2 - 1, 25 * NANO])),
    }  # fmt: skip
    good = {
        **budget, "strength": st.just("hard"), "mode": st.just("enforce"), "decider": st.just("user:dee"), "on_record": st.just(1),
        "approved_by": st.just("user:dee"), "recorded_by": st.sampled_from(["user:dee", "user:eve"]), "over_nano": st.just(0),
        "differences": st.just(0), "id": st.just("b1"), "cap_nano": st.just(NANO),
    }  # fmt: skip
    run = st.fixed_dictionaries({**good, "each": st.just("run")})
    judged = st.fixed_dictionaries({"kind": st.just("judged"), "false": st.sampled_from([0, 1, 2]), "open": st.just(0)})
    one = st.one_of(st.fixed_dictionaries(good), st.fixed_dictionaries(budget))
    parts = st.tuples(st.lists(one, min_size=1, max_size=2), st.lists(run, max_size=2), judged)
    return parts.map(lambda some: [*some[0], *some[1], some[2]])


def outcomes() -> Strategy:
    """What was said of the work of models."""
    some = st.fixed_dictionaries({
        "task": st.sampled_from(["reply", "sort"]), "model": MODEL, "n": st.sampled_from([99, 100, 200]),
        "lost": st.sampled_from([0, 1, 10, 30]), "n_before": st.sampled_from([0, 99, 100]), "costed": st.sampled_from([0, 100]),
        "cost_nano": MONEY,
    })  # fmt: skip
    good = [
        {"task": task, "model": model, "n": 200, "lost": 1, "n_before": 100, "costed": 100, "cost_nano": cost}
        for task in ("reply", "sort", "") for model, cost in (("small", NANO), ("large", 2 * NANO), ("huge", 50 * NANO))
    ]  # fmt: skip
    listed = st.lists(some, max_size=5, unique_by=lambda row: (row["task"], row["model"]))
    return st.one_of(st.just(good), listed).map(
        lambda found: [
            {**{name: value for name, value in row.items() if name != "lost"}, "accepted": row["n"] - row["lost"],
             "accepted_before": max(0, row["n_before"] - row["lost"])}
            for row in found
        ]
    )  # fmt: skip


def task_spend() -> Strategy:
    """What was spent on tasks."""
    some = st.fixed_dictionaries({
        "task": st.sampled_from(["reply", "sort", ""]), "model": MODEL, "calls": st.sampled_from([0, 1, 100]), "billed_nano": MONEY,
    })  # fmt: skip
    return st.lists(some, max_size=5, unique_by=lambda row: (row["task"], row["model"]))


def routes() -> Strategy:
    """The routing document, or none."""
    route = st.fixed_dictionaries(
        {"workflow": st.sampled_from(["w", "other"]), "floor": st.sampled_from([0.5, 0.9, 0.999])},
        optional={"task": st.sampled_from(["reply", "sort", ""])},
    )
    made = st.lists(route, max_size=3).map(lambda some: [{"version": 1, "document": json.dumps({"routes": some})}])
    return st.one_of(st.just([]), made)


def manifests() -> Strategy:
    """Manifests that followed each other, some in one moment."""
    some = st.lists(st.tuples(st.sampled_from([100, 200, 200, 300]), st.lists(MODEL, max_size=3)), max_size=4)

    def chained(found: list[tuple[int, list[str]]]) -> list[dict[str, Any]]:
        ordered = sorted(found, key=lambda one: one[0])
        return [
            {"at_ms": at_ms, "before": f"v{number - 1}" if number else "", "version": f"v{number}",
             "document": json.dumps({"models": [{"model": name} for name in names]})}
            for number, (at_ms, names) in enumerate(ordered)
        ]  # fmt: skip

    return some.map(chained).flatmap(st.permutations).map(lambda found: sorted(found, key=lambda row: row["at_ms"]))


def served() -> Strategy:
    """Models that served."""
    some = rows(
        4, model=MODEL, asked=MODEL, day=st.just("2025-10-01"), lost=st.sampled_from([0, 0, 0, 1]), named=st.sampled_from([1, 1, 1, 0]),
        first_ms=st.sampled_from([50, 100, 150, 250]), length=st.sampled_from([0, 60, 200]), n=st.sampled_from([0, 1, 19, 400]),
    )  # fmt: skip
    return some.map(
        lambda found: [
            {
                **{name: value for name, value in row.items() if name != "length"},
                "last_ms": row["first_ms"] + row["length"],
            }
            for row in found
        ]
    )


@st.composite
def weeks(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Thirteen weeks taken apart, or fewer."""
    rest = st.sampled_from([0, 0, 0, 0, 0, 0, NANO, NANO + 1])
    return [
        {
            "week": day.isoformat(),
            "price": 0,
            "volume": 0,
            "mix": 0,
            "cache": draw(rest),
            "before_nano": 0,
            "after_nano": 0,
        }
        for day in WEEKS[draw(st.sampled_from([1, 1, 1, 2])) :]
    ]


@st.composite
def weeks_spent(draw: st.DrawFn) -> list[dict[str, Any]]:
    """What they came to, mostly the same each week."""
    nano = draw(MONEY)
    odd = st.sampled_from([0] * 12 + [1, NANO])
    return [
        {"week": day.isoformat(), "n": draw(st.sampled_from([9] * 20 + [0])), "spent_nano": nano + draw(odd), "unpriced": draw(st.sampled_from([0] * 20 + [1]))}
        for day in WEEKS
        if draw(st.sampled_from([True] * 30 + [False]))
    ]  # fmt: skip


MONEY_EVIDENCE: Mapping[str, Strategy] = {
    "bill": bill(),
    "bill_month": st.just([]),
    "bill_before": rows(2, provider=PROVIDER, month=st.sampled_from(["2025-09", MONTH]), reports=st.just(1)),
    "bill_changed": seldom(st.just([{"id": "1", "name": "b", "provider": "openai"}])),
    "ledger_month": rows(
        2, provider=PROVIDER, n=st.just(3), billed_nano=MONEY, unpriced=st.sampled_from([0, 0, 0, 1]), unassigned_nano=st.just(0)
    ),
    "ledger_verified": seldom(st.just([{"check": "sums", "n": 1}])),
    "periods": st.sampled_from([[{"closed": 0, "last": 0}], [{"closed": 2, "last": 1}], [{"closed": 2, "last": 0}]]),
    "caps": caps(),
    "budgets": st.sampled_from(
        [[{"id": "b1", "cap_nano": NANO}, {"id": "b2", "cap_nano": 50 * NANO}], [{"id": "b1", "cap_nano": NANO}, {"id": "b2", "cap_nano": 50 * NANO}], [{"id": "b1", "cap_nano": NANO}], []]
    ),
    "budget_spent": st.sampled_from([[{"id": "b1", "buckets": 1}, {"id": "b2", "buckets": 1}], []]),
    "cap_calls": rows(2, day=st.just("d"), calls=st.sampled_from([10, 499, 999, 1_000, 2_000]), billed_nano=MONEY),
    "refusals": rows(2, budget=st.just("b"), was_false=st.sampled_from([-1, 0, 1]), n=st.sampled_from([1, 2, 500])),
    "strangers": seldom(st.just([{"fingerprint": "f", "agent": "", "calls": 1, "last_ms": 1}])),
    "task_spend": task_spend(),
    "task_outcomes": outcomes(),
    "routes": routes(),
    "manifests": manifests(),
    "served": served(),
    "weeks": weeks(),
    "weeks_spent": weeks_spent(),
    "units": seldom(
        rows(1, workflow=st.just("w"), at_ms=st.just(1), day=st.sampled_from(["2025-07-27", "2025-07-28", "2025-09-01"]),
             before=st.just("a"), after=st.just("b"))
    ),
}  # fmt: skip
"""Rows by query."""
