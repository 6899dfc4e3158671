"""The bills of the last closed month beside the ledger, as ``holdfast ledger reconcile`` compares them, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, func, select

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.ledger import dates
from holdfast.governance.ledger.bills.compare.model import EVERYTHING, Cell, Reconciliation
from holdfast.governance.ledger.bills.service import BillQuestion, Bills
from holdfast.governance.rollout.model import GateScope
from holdfast.governance.rollout.reckonings.memo import RoundMemo, state_of_bills, states_by_week
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.ledger import ledger_bill_lines as lines

LEAST_PPM: Final = 1_000
"""Cells below this share of their bill are in its sums, and not listed."""
_GRAIN: Final = 3


class BillsBeside:
    """Compares every bill of a month.

    Args:
        database: the store.
        bills: of the ledger.
    """

    def __init__(self, database: Store, bills: Bills) -> None:
        self._store = database
        self._bills = bills
        self._memo: RoundMemo[list[dict[str, Any]]] = RoundMemo(limits.PLAN_VERIFY_MS)

    async def __call__(self, scope: GateScope) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, int | str]]:
        """Rows of four kinds: ``bill`` sums one provider's; ``line`` is a cell with a difference; ``key`` one that the bill
        has and the ledger has nothing of; ``missing`` what would have to be there."""
        since, until = dates.next_day(f"{scope.month}-01", -1), f"{dates.next_month(scope.month)}-03"

        def states(connection: Connection) -> tuple[object, ...]:
            weeks = states_by_week(connection, scope.tenant, since, until)
            return tuple(sorted(weeks.items())), state_of_bills(connection, scope.tenant)

        key = scope.tenant, scope.month, await self._store.read(states)
        found = await self._memo.get(key, scope.as_of_ms, lambda: self._compare(scope.tenant, scope.month))
        return found, {"zone": "UTC", "least_ppm": LEAST_PPM}

    async def _compare(self, tenant: str, month: str) -> list[dict[str, Any]]:
        since, until = f"{month}-01", dates.next_day(f"{dates.next_month(month)}-01", -1)
        rows: list[dict[str, Any]] = []
        for provider in await self._bills.providers(tenant, since, until):
            before = dates.next_day(since, -1)[:7]
            accounts = await self._store.read(
                lambda connection, one=provider, of=before: _accounts(connection, tenant, one, of)  # type: ignore[misc]
            )
            question = BillQuestion(since=since, until=until, provider=provider, accounts=accounts)
            try:
                rows += rows_of(await self._bills.reconcile(tenant, question))
            except Refused as error:
                rows.append(_row("missing", provider, what=error.detail))
        return rows


def rows_of(found: Reconciliation) -> list[dict[str, Any]]:
    """A comparison as rows. ``sure``: that what is missing could not explain it."""
    doubtful = {at for one in found.findings if one.blocks for at in one.where}
    blocked = len(found.grain) < _GRAIN or any(
        one.blocks and (one.cause == "time_zone" or one.cells > len(one.where)) for one in found.findings
    )

    def sure(cell: Cell) -> bool:
        return not blocked and (cell.day, cell.model, cell.key) not in doubtful

    gap = sum(abs(cell.difference_nano) for cell in found.cells if sure(cell))
    rows = [
        _row(
            "bill", found.provider, bill_nano=found.bill_nano, ledger_nano=found.ledger_nano, gap_nano=found.gap_nano,
            sure_gap_nano=gap, catch_all_nano=found.catch_all_nano, cells=len(found.cells),
        )
    ]  # fmt: skip
    for cell in found.cells:
        amount = cell.bill_nano or 0
        if cell.difference_nano and amount * 1_000_000 >= LEAST_PPM * found.bill_nano:
            rows.append(
                _row(
                    "line", found.provider, day=cell.day, model=cell.model, key=cell.key, bill_nano=amount,
                    ledger_nano=cell.ledger_nano or 0, gap_nano=abs(cell.difference_nano), sure=int(sure(cell)),
                )
            )  # fmt: skip
    rows += [_row("key", found.provider, key=key, bill_nano=nano) for key, nano in _unmetered(found)]
    return rows + [_row("missing", found.provider, what=what) for what in found.missing[: limits.BILLS_SHOWN]]


def _unmetered(found: Reconciliation) -> list[tuple[str, int]]:
    """Keys that were billed and of which the ledger has nothing at all."""
    billed: dict[str, int] = {}
    metered = {cell.key for cell in found.cells if cell.ledger_nano is not None}
    for cell in found.cells:
        if cell.key not in metered and cell.key != EVERYTHING and "key" in found.grain and (cell.bill_nano or 0) > 0:
            billed[cell.key] = billed.get(cell.key, 0) + (cell.bill_nano or 0)
    return sorted(billed.items())


def _row(kind: str, provider: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "provider": provider, **more}


def _accounts(connection: Connection, tenant: str, provider: str, month: str) -> tuple[str, ...]:
    """Accounts that the bill of a month had."""
    wanted = select(lines.c.account).where(
        lines.c.tenant == tenant, lines.c.provider == provider, func.substr(lines.c.day, 1, 7) == month,
        lines.c.account != "", lines.c.amount_nano > 0,
    )  # fmt: skip
    return tuple(connection.scalars(wanted.distinct().order_by(lines.c.account).limit(limits.BILLS_NAMES)))
