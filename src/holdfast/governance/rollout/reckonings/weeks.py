"""The change of what was spent from one week to the next, as ``holdfast ledger variance`` takes it apart."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.ledger.bills.service import Bills
from holdfast.governance.organisation.dates import day_at
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.rollout.model import GateScope
from holdfast.governance.rollout.reckonings.memo import RoundMemo, states_by_week
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.workflows import workflow_manifests, workflow_steps

WEEKS: Final = 13
"""How many changes: each week that is over beside the one before it."""


class Weeks:
    """Takes the last complete weeks apart.

    Args:
        database: the store.
        bills: of the ledger.
        organisation: whose weeks they are.
    """

    def __init__(self, database: Store, bills: Bills, organisation: Organisation) -> None:
        self._store = database
        self._bills = bills
        self._organisation = organisation
        self._memo: RoundMemo[tuple[int, int, int, int, int, int]] = RoundMemo(limits.PLAN_VERIFY_MS)

    async def __call__(self, scope: GateScope) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, int | str]]:
        """A row for each week, the oldest first: its Monday, and the four effects, nano-USD."""
        today = day_at(scope.as_of_ms, self._organisation.zone(scope.tenant))
        monday = today - datetime.timedelta(days=today.weekday())
        begin = monday - datetime.timedelta(weeks=WEEKS + 1)
        states = await self._store.read(
            lambda connection: states_by_week(connection, scope.tenant, begin.isoformat(), monday.isoformat())
        )
        rows: list[dict[str, Any]] = []
        for back in range(WEEKS, 0, -1):
            first = monday - datetime.timedelta(weeks=back)
            try:
                price, volume, mix, cache, before, after = await self._memo.get(
                    (scope.tenant, first, states.get(_before(first)), states.get(first.isoformat())), scope.as_of_ms,
                    lambda day=first: self._taken_apart(scope.tenant, day)  # type: ignore[misc]
                )  # fmt: skip
            except Refused:  # more rows than can be read: without this week there are not enough
                continue
            rows.append(
                {
                    "week": first.isoformat(), "price": price, "volume": volume, "mix": mix, "cache": cache, "before_nano": before,
                    "after_nano": after,
                }
            )  # fmt: skip
        return rows, {"weeks": WEEKS}

    async def _taken_apart(self, tenant: str, first: datetime.date) -> tuple[int, int, int, int, int, int]:
        before = first - datetime.timedelta(weeks=1)
        found = await self._bills.variance(tenant, _week(before), _week(first))
        effects = found.effects
        return effects.price, effects.volume, effects.mix, effects.cache, found.before_nano, found.after_nano


class Units:
    """Finds where the unit of work of a workflow became another one: outcomes before and after are not of the same thing.

    Args:
        database: the store.
    """

    def __init__(self, database: Store) -> None:
        self._store = database

    async def __call__(self, scope: GateScope) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, int | str]]:
        """A row for each change, the oldest first. A unit that was taken away and came back as another one is a change."""
        documents, applied = await self._store.read(lambda connection: _manifests(connection, scope))
        last: dict[str, str] = {}
        rows = []
        for workflow, version, at_ms in applied:
            unit = str(documents.get((workflow, version), {}).get("unit_of_work", ""))
            before = last.get(workflow, "")
            if unit and before and unit != before:
                day = day_at(at_ms, ZoneInfo(scope.zone)).isoformat()
                rows.append({"workflow": workflow, "at_ms": at_ms, "day": day, "before": before, "after": unit})
            last[workflow] = unit or before
        return rows, {}


def _manifests(
    connection: Connection, scope: GateScope
) -> tuple[dict[tuple[str, str], dict[str, Any]], list[tuple[str, str, int]]]:
    of, made = workflow_steps.c, workflow_manifests.c
    documents = connection.execute(
        select(made.workflow, made.version, made.document).where(made.tenant == scope.tenant)
    ).all()
    steps = connection.execute(
        select(of.workflow, of.after, of.at_ms)
        .where(of.tenant == scope.tenant, of.what == "version", of.at_ms <= scope.as_of_ms)
        .order_by(of.at_ms, of.id)
    ).all()
    return {(one.workflow, one.version): one.document for one in documents}, [
        (one.workflow, one.after, one.at_ms) for one in steps
    ]


def _before(first: datetime.date) -> str:
    return (first - datetime.timedelta(weeks=1)).isoformat()


def _week(first: datetime.date) -> tuple[str, str]:
    return first.isoformat(), (first + datetime.timedelta(days=6)).isoformat()
