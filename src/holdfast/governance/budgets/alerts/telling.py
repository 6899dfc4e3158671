"""Tells people of alerts of budgets by every way that is set up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from holdfast.governance.budgets.alerts import store
from holdfast.governance.budgets.alerts.model import Alert
from holdfast.governance.budgets.port import BudgetStore
from holdfast.governance.messages.model import Message
from holdfast.governance.messages.outbox import Outbox, Row, Way
from holdfast.governance.store.tables.budgets import budget_alerts


class Teller:
    """Tells people.

    Args:
        database: where alerts stand.
        now_ms: the clock, Unix ms.
        ways: by which people are told.
    """

    def __init__(self, database: BudgetStore, now_ms: Callable[[], int], ways: Sequence[Way]) -> None:
        self._outbox = Outbox(database, budget_alerts, _message_of, now_ms, ways)

    def with_ways(self, alert: Alert) -> Alert:
        """The alert with the ways by which it is to be told."""
        return replace(alert, sent=self._outbox.deliveries(alert.at_ms))

    async def tell(self) -> int:
        """Make the tries that are due; how many were taken. Raises ``store.unavailable``."""
        return await self._outbox.tell()


def _message_of(row: Row) -> Message:
    return message(store.alert_of(row))


def message(alert: Alert) -> Message:
    """What an alert says: whose budget, what of it, and the figures; amounts are nano-USD."""
    lines = [f"Payer: {alert.facts.get('payer', '')}"]
    if decider := alert.facts.get("decider"):
        lines.append(f"Who decides: {decider}")
    lines += ["", f"See it: holdfast budget show {alert.budget}"]
    if not alert.kind.startswith("request:"):
        lines.append(f"Ask for more: holdfast budget request {alert.budget}")
    data = {
        "tenant": alert.tenant, "budget": alert.budget, "subject": alert.subject, "kind": alert.kind,
        "window_ms": alert.bucket_ms, "text": alert.text, **alert.facts,
    }  # fmt: skip
    return Message(
        id=alert.id,
        tenant=alert.tenant,
        type="budget.alert",
        at_ms=alert.at_ms,
        text=alert.text,
        lines=tuple(lines),
        data=data,
    )
