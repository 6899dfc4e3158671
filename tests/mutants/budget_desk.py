"""Planted bugs of the desk of budgets: who may raise one, what an approval is of, who is told, and what a forecast knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.planting import replace
from msgspec.structs import replace as changed

from holdfast.governance.budgets import book, definitions, forecast, refusals, request_store, requests
from holdfast.governance.budgets.alerts import rules
from holdfast.governance.budgets.model import Budget, BudgetRefusal
from holdfast.governance.messages import mail, outbox, webhook
from tests.mutants.plant import mutant

BUDGETS = "tests/unit/governance/budgets"
ALERTS = f"{BUDGETS}/test_alerts.py"


@mutant("MONEY-1", "whoever asks for more may give it to themselves", f"{BUDGETS}/test_requests.py")
def own_raise() -> None:
    def check(asker: Any, request: Any, budget: Any, state: Any) -> None:
        assert requests.decides(asker, budget) or asker.may("budget") or state == "withdrawn"

    replace(requests, "_check_decider", check)


@mutant("MONEY-1", "what was read and not given on counts beside the tail", f"{BUDGETS}/test_book.py")
def tail_beyond_the_grant() -> None:
    real = book.Bound.with_tail
    replace(book.Bound, "with_tail", lambda self, used, granted: real(self, used, max(granted, used.total_output)))


@mutant("MONEY-1", "a second decision replaces the first", f"{BUDGETS}/test_requests.py")
def last_decision_stands() -> None:
    real = request_store.decide

    def decide(connection: Any, request: Any) -> bool:
        real(connection, request)
        return True

    replace(request_store, "decide", decide)


@mutant("MONEY-1", "an approval outlives the cap that it was of", f"{BUDGETS}/test_definitions.py")
def approved_for_ever() -> None:
    real = definitions._approved

    def approved(budget: Budget, before: Budget | None, approved_by: str | None, setting: Any) -> Budget:
        found = real(budget, before, approved_by, setting)
        stays = before is not None and before.approved_by and not found.approved_by
        return changed(found, approved_by=before.approved_by) if stays and before is not None else found

    replace(definitions, "_approved", approved)


@mutant("MONEY-2", "a refusal is judged by what is settled of those under way", f"{BUDGETS}/test_desk.py")
def judged_early() -> None:
    def was_false(refusal: BudgetRefusal, costs: Mapping[str, int | None]) -> bool:
        in_flight = sum(costs.get(attempt) or 0 for attempt in refusal.in_flight)
        return refusal.cap_nano - refusal.spent_nano - in_flight >= refusal.need_nano

    replace(refusals, "was_false", was_false)
    from holdfast.governance.budgets import desk

    replace(desk, "was_false", was_false)


@mutant("STAT-1", "the back-test knows the days that it forecasts", f"{BUDGETS}/test_forecast.py")
def back_test_peeks() -> None:
    real = forecast._draws

    def draws(history: Any, today: Any, left: int, so_far: int, seed: str, times: int) -> list[int]:
        return real(_everything or history, today, left, so_far, seed, times)

    _everything: list[Any] = []
    test = forecast.back_test

    def back_test(history: Any, horizon: int) -> Any:
        _everything[:] = history
        try:
            return test(history, horizon)
        finally:
            _everything.clear()

    replace(forecast, "_draws", draws)
    replace(forecast, "back_test", back_test)


@mutant("STAT-1", "three days are enough to call a fourth unusual", ALERTS)
def unusual_of_three() -> None:
    replace(rules.limits, "ALERT_WEEKS_LEAST", 3)


@mutant("STAT-1", "a pace that wavers is an alert each time", ALERTS)
def no_hysteresis() -> None:
    replace(rules, "burning", lambda before, projected_nano, cap_nano: projected_nano >= cap_nano)


@mutant("TELL-1", "a try under way is made again by the next who looks", ALERTS)
def tries_twice() -> None:
    def claim(connection: Any, table: Any, ident: str, way: str, now_ms: int, until_ms: int) -> Any:
        found = outbox.due(connection, table, 0, now_ms, 1_000)
        delivery = next((outbox._sent(row)[way] for row, name in found if (row["id"], name) == (ident, way)), None)
        return None if delivery is None else changed(delivery, tries=delivery.tries + 1)

    replace(outbox, "claim", claim)


@mutant("TELL-2", "a webhook goes wherever its name leads", ALERTS)
def private_webhook() -> None:
    real = webhook.WebhookWay.__init__

    def init(self: Any, url: str, secret: Any, now_ms: Any, *, private: bool = False) -> None:
        real(self, url, secret, now_ms, private=True)

    replace(webhook.WebhookWay, "__init__", init)


@mutant("TELL-2", "a password is sent in the clear where no TLS is offered", ALERTS)
def password_in_the_clear() -> None:
    replace(mail, "_HERE", ("127.0.0.1", "127.0.0.2"))
