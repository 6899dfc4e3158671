"""What the other domains have to say on Monday: spend with the cost of an accepted outcome, stops and incidents."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from holdfast.governance.ledger.reader import LedgerReader
from holdfast.governance.operations.service import Operations
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.rollout.monday_text import MailPart
from holdfast.governance.routing.report import ModelRow
from holdfast.governance.routing.service import Routing

SHOWN: Final = 8
"""Workflows whose spend is named."""


class MondayParts:
    """Asks the domains.

    Args:
        reader: of the ledger.
    """

    def __init__(
        self, reader: LedgerReader, routing: Routing, operations: Operations, organisation: Organisation
    ) -> None:
        self._reader = reader
        self._routing = routing
        self._operations = operations
        self._organisation = organisation

    async def __call__(self, tenant: str, since_ms: int, /) -> Sequence[MailPart]:
        """Of a tenant, since a moment. Raises of the store."""
        return [await self._incidents(tenant, since_ms), await self._spend(tenant)]

    async def _incidents(self, tenant: str, since_ms: int) -> MailPart:
        entries = [
            (f"Stopped: {one.what}", f"by {one.by}: {one.reason}") for one in await self._operations.stops(tenant)
        ]
        for one in await self._operations.incidents(tenant):
            if one.to_ms is None or one.to_ms >= since_ms:
                state = "goes on" if one.to_ms is None else "is over"
                touched = f"{one.sessions} sessions, {one.people} people, {one.outputs} runs"
                entries.append((f"Incident of {one.workflow or 'everything'}", f"{state}. {one.notes} {touched}."))
        return MailPart("Incidents and stops", entries, "Nothing is stopped, and nothing went wrong since last week.")

    async def _spend(self, tenant: str) -> MailPart:
        today = self._organisation.today(tenant)
        week = await self._between(tenant, today, 7, 1)
        before = await self._between(tenant, today, 14, 8)
        rows = (await self._routing.report(tenant)).models
        entries = []
        for workflow, nano in sorted(week.items(), key=lambda one: -one[1])[:SHOWN]:
            change = nano - before.get(workflow, 0)
            each = each_accepted([row for row in rows if row.workflow == workflow])
            cost = (
                f"{each:,.2f} USD for each accepted outcome"
                if each is not None
                else "cost of an accepted outcome unknown"
            )
            entries.append((workflow or "(none)", f"{_usd(change, '+')} to {_usd(nano)} in 7 days; {cost}."))
        return MailPart("What it costs, the most first", entries, "Nothing was spent in the last seven days.")

    async def _between(self, tenant: str, today: datetime.date, first: int, last: int) -> dict[str, int]:
        since, until = (today - datetime.timedelta(days=days) for days in (first, last))
        found = await self._reader.spend(tenant, since.isoformat(), until.isoformat(), ("workflow",))
        return {group.values[0]: group.figures.billed_nano for group in found.groups if not group.rest}


def each_accepted(rows: Sequence[ModelRow]) -> Decimal | None:
    """What all judged work cost for each accepted piece of it, USD; None where a cost is not known, or nothing was accepted.
    Pure."""
    judged = [row for row in rows if row.n]
    accepted = sum(row.accepted for row in judged)
    costs = [Decimal(row.each_usd) * row.n for row in judged if row.each_usd is not None]
    return sum(costs, Decimal(0)) / accepted if accepted and len(costs) == len(judged) else None


def _usd(nano: int, sign: str = "") -> str:
    """To the cent; the rows say more."""
    return f"{Decimal(nano) / 10**9:{sign},.2f} USD"
