"""Planted bugs of the budgets: what is reserved, for whom, for how long, and what is said when there is no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conformance.planting import replace
from msgspec.structs import replace as changed

from holdfast.governance.budgets import book, recounting, refusing, reserving, store, windows
from holdfast.governance.budgets.counting import SpendCount
from holdfast.governance.budgets.whereabouts import BudgetSet
from holdfast.providers.billing.model import BilledAttempt
from tests.mutants.plant import mutant

BUDGETS = "tests/unit/governance/budgets"
SERVICE = f"{BUDGETS}/test_service.py"
BREAKING = f"{BUDGETS}/test_breaking_reservations.py"
TIME = f"{BUDGETS}/test_breaking_time.py"


@mutant("MONEY-1", "an extension is decided without what its siblings hold", f"{BUDGETS}/test_breaking_histories.py")
def siblings_forgotten() -> None:
    real = reserving._Work._one

    def decided(self: Any, connection: Any, one: Any, names: Any, standings: Any, holds: Any) -> Any:
        if one.begun:
            standings = {key: standing._replace(reserved=holds.get(key, 0)) for key, standing in standings.items()}
        return real(self, connection, one, names, standings, holds)

    replace(reserving._Work, "_one", decided)


@mutant("MONEY-1", "a hold is released, and its row is counted nowhere", f"{SERVICE}::test_a_call_reserves_its_input_and_a_tranche_and_settles_for_what_it_used")  # fmt: skip
def released_uncounted() -> None:
    real = SpendCount.count

    def count(self: Any, connection: Any, changes: Any, ended: Sequence[str] = ()) -> None:
        real(self, connection, () if ended else changes, ended)

    replace(SpendCount, "count", count)


@mutant("MONEY-1", "days are those of the organisation, whatever zone the budget names", f"{BUDGETS}/test_windows.py")
def wrong_zone() -> None:
    real = windows.window_of

    def window_of(budget: Any, at_ms: int, zone: Any) -> Any:
        return real(changed(budget, zone=""), at_ms, zone)

    replace(windows, "window_of", window_of)


@mutant("MONEY-1", "no margin is kept for what was generated and not seen", SERVICE)
def no_tail() -> None:
    real = book.Bound.cost
    replace(book.Bound, "cost", lambda self, tokens: real(self._replace(tail_tokens=0), tokens))


@mutant("MONEY-1", "what an answer that was cut had generated unseen is free", f"{BREAKING}::test_what_was_read_beyond_the_grant_is_a_part_of_the_tail")  # fmt: skip
def unseen_is_free() -> None:
    replace(book.Bound, "with_tail", lambda self, used, granted: used)


@mutant("MONEY-1", "an attempt that was lost was free", f"{BREAKING}::test_what_was_taken_for_lost_gets_no_more_and_settles_what_it_used")  # fmt: skip
def lost_is_free() -> None:
    replace(SpendCount, "most", lambda self, connection, attempt: BilledAttempt(counts={"input": 0}, reported=False))


@mutant(
    "BRAKE-1", "a retry is promised before enough is free", f"{TIME}::test_a_window_that_rolls_says_when_enough_is_free"
)
def early_retry() -> None:
    replace(windows, "freeing_part", lambda parts, missing_nano: next((begin for begin, _ in parts), None))


@mutant("BRAKE-1", "who comes back in a minute is told of another budget", f"{TIME}::test_of_two_that_are_short_the_one_that_stays_so_is_told")  # fmt: skip
def always_reopens() -> None:
    real = refusing.refusal_of

    def refusal_of(budget: Any, standing: Any, need: int, reopens_ms: int | None, now_ms: int) -> Any:
        return real(budget, standing, need, now_ms + 1_000 if reopens_ms is None else reopens_ms, now_ms)

    replace(refusing, "refusal_of", refusal_of)
    replace(reserving, "refusal_of", refusal_of)


@mutant("MONEY-2", "a budget that only observes refuses", f"{SERVICE}::test_a_budget_that_only_observes_refuses_nothing_and_counts_all")  # fmt: skip
def observing_refuses() -> None:
    real = book.decide

    def decide(standings: Any, bound: Any, least: int, wanted: int) -> Any:
        return real([one._replace(brakes=True) for one in standings], bound, least, wanted)

    replace(book, "decide", decide)


@mutant(
    "MONEY-3",
    "money is reserved on the smallest level alone",
    f"{SERVICE}::test_money_is_reserved_on_every_level_at_once",
)
def parents_unreserved() -> None:
    real = BudgetSet.accounts
    replace(BudgetSet, "accounts", lambda self, tenant, where: real(self, tenant, where)[:1])


@mutant("MONEY-1", "a new budget knows nothing of what runs", f"{BREAKING}::test_a_budget_that_comes_in_the_middle_is_held_for_what_runs")  # fmt: skip
def running_unheld() -> None:
    replace(recounting, "hold_again", lambda connection, budgets, openings, where, now_ms: None)


@mutant("MONEY-1", "what was taken for lost goes on", f"{BREAKING}::test_what_was_taken_for_lost_gets_no_more_and_settles_what_it_used")  # fmt: skip
def fenced_goes_on() -> None:
    from holdfast.governance.ledger.service import Ledger

    replace(Ledger, "open_of", lambda self, connection, attempts: dict.fromkeys(attempts))


@mutant("MONEY-2", "what a caller who left was granted is held for ever", f"{BREAKING}::test_whoever_leaves_before_it_is_decided_leaves_nothing_behind")  # fmt: skip
def left_behind() -> None:
    from holdfast.governance.ledger.service import Ledger

    replace(Ledger, "unasked", lambda self, opening: None)


@mutant("MONEY-1", "moving to another time zone forgets what was spent", f"{TIME}::test_moving_to_another_time_zone_forgets_nothing_that_was_spent")  # fmt: skip
def zone_forgets() -> None:
    def counted_window(budget: Any, at_ms: int, zone_at: Any) -> Any:
        return windows.window_of(budget, at_ms, zone_at(budget.tenant, at_ms))

    replace(windows, "counted_window", counted_window)


@mutant(
    "MONEY-2", "refusals are kept for ever", f"{TIME}::test_what_is_too_old_is_forgotten_and_the_counts_still_agree"
)
def kept_for_ever() -> None:
    replace(store, "forget_refusals", lambda connection, before_ms, limit: 0)
