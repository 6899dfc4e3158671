"""``ledger verify``: goes through every row again, and says what is not as it must be. It changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy import Connection, and_, func, select

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.ledger import checks, closing, settling, store
from holdfast.governance.ledger.bookkeeping import Bookkeeper
from holdfast.governance.ledger.checks import LedgerFinding
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.record import row_from, seal
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.ledger.spend import MONEY
from holdfast.governance.store.tables.ledger import ledger_batches as batches
from holdfast.governance.store.tables.ledger import ledger_bill_lines as lines
from holdfast.governance.store.tables.ledger import ledger_openings as openings
from holdfast.governance.store.tables.ledger import ledger_rows as rows
from holdfast.governance.store.tables.ledger import ledger_seals as seals


class PriceAgain(Protocol):
    """Prices as they were."""

    @property
    def price(self) -> Callable[..., Any]:
        """See ``port.PriceList.price``."""


_SEAL: Final = "sealed_as"
BookOf = Callable[[str], Awaitable[PriceAgain]]
"""The prices of a catalogue by its hash. Raises ``Refused`` where there is none."""


class Verification(msgspec.Struct, frozen=True):
    """What was looked at and found.

    Attributes:
        rows, periods, imports: how many were looked at.
        repriced: rows whose cost was computed again; ``estimated`` and ``without_total`` rows have nothing to check against.
        findings: the first of them; ``found`` counts them all, by check.
    """

    rows: int
    periods: int
    imports: int
    repriced: int
    estimated: int
    without_total: int
    findings: tuple[LedgerFinding, ...]
    found: dict[str, int]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.found


class LedgerVerifier:
    """Verifies a ledger.

    Args:
        ledger: which one.
        book_of: prices as they were; None to compute no price again.
    """

    def __init__(self, ledger: Ledger, book_of: BookOf | None = None) -> None:
        self._ledger = ledger
        self._store = ledger.store
        self._book_of = book_of
        self._books: dict[str, PriceAgain | None] = {}
        self._findings: list[LedgerFinding] = []
        self._found: dict[str, int] = defaultdict(int)

    async def run(self, tenant: str | None = None) -> Verification:
        """Look at everything of one tenant, or of all."""
        self._findings, self._found = [], defaultdict(int)
        facts = await self._rows(tenant)
        self._add(await self._store.read(lambda connection: _unmatched_seals(connection, tenant)))
        self._add(await self._store.read(_chains))
        self._add(await self._store.read(lambda connection: self._openings(connection)))
        periods = await self._periods(tenant)
        imports = await self._store.read(lambda connection: self._imports(connection, tenant))
        self._add(await self._store.read(lambda connection: _books(connection, tenant)))
        for gap in await self._store.read(store.list_gaps):
            self._add([LedgerFinding("gap", gap["id"], "", gap["detail"])])
        return Verification(
            facts["rows"], periods, imports, facts["repriced"], facts["estimated"], facts["without_total"],
            tuple(self._findings), dict(self._found),
        )  # fmt: skip

    def _add(self, findings: Iterable[LedgerFinding]) -> None:
        for finding in findings:
            self._found[finding.check] += 1
            if len(self._findings) < limits.LEDGER_PAGE_ROWS:
                self._findings.append(finding)

    async def _rows(self, tenant: str | None) -> dict[str, int]:
        facts: dict[str, int] = defaultdict(int)
        after = ""
        while True:
            page = await self._store.read(lambda connection, after=after: _page(connection, tenant, after))  # type: ignore[misc]
            found = [row_from(each, each["session"]) for each in page]
            names = sorted({row.parent for row in found} - {""})
            parents = await self._store.read(lambda connection, names=names: _parents(connection, names))  # type: ignore[misc]
            self._add(checks.of_parents(found, parents))
            for row, stored in zip(found, page, strict=True):
                self._add(_seal(row, stored))
                facts["rows"] += 1
                facts["estimated"] += row.basis == "estimated"
                facts["without_total"] += checks.totals(row.wire, row.raw, row.provider) == (None, None)
                self._add(checks.of_row(row, stored))
                facts["repriced"] += await self._price(row)
            if len(page) < limits.LEDGER_PAGE_ROWS:
                return facts
            after = page[-1]["id"]

    async def _price(self, row: Row) -> bool:
        """Compute a cost again, where there was a price. Whether it was computed."""
        if self._book_of is None or not row.catalogue:
            return False
        if row.catalogue not in self._books:
            try:
                self._books[row.catalogue] = await self._book_of(row.catalogue)
            except Refused:
                self._books[row.catalogue] = None
                self._add([LedgerFinding("price", row.id, row.tenant, f"there is no catalogue {row.catalogue:.12}")])
        book = self._books[row.catalogue]
        if book is None:
            return False
        try:
            cost = book.price(
                settling.as_billed(row), provider=row.provider, upstream=row.upstream, asked=row.asked, at_ms=row.at_ms,
                workflow=settling.claimed_workflow(row), request_input=settling.request_input(row),
            )  # fmt: skip
        except Refused as error:
            self._add([LedgerFinding("price", row.id, row.tenant, f"it cannot be priced again: {error.detail}")])
            return False
        self._add(checks.of_price(row, cost))
        return True

    def _openings(self, connection: Connection) -> list[LedgerFinding]:
        both = select(openings.c.id).join(rows, rows.c.id == openings.c.id).limit(limits.LEDGER_PAGE_ROWS)
        found = [
            LedgerFinding("opening", id_, "", "it is open, and has rows") for id_ in connection.scalars(both).all()
        ]
        before_ms = self._ledger.clock.wall_ms() - limits.LEDGER_OPEN_MS
        stale = select(openings.c.id).where(openings.c.at_ms < before_ms).limit(limits.LEDGER_PAGE_ROWS)
        return found + [
            LedgerFinding("opening", id_, "", "it is open for too long") for id_ in connection.scalars(stale)
        ]

    async def _periods(self, tenant: str | None) -> int:
        keeper = Bookkeeper(self._ledger)
        closed = await self._store.read(lambda connection: closing.list_periods(connection, tenant))
        for each in closed:
            digest = await keeper.digest(each.tenant, each.period)
            sums = await self._store.read(
                lambda connection, each=each: closing.sums(connection, each.tenant, each.period)  # type: ignore[misc]
            )
            if digest.hexdigest() != each.digest:
                words = "its rows or shared costs are not those with which it was closed"
                self._add([LedgerFinding("period", each.period, each.tenant, words)])
            elif sums != {name: getattr(each, name) for name in MONEY}:
                self._add([LedgerFinding("period", each.period, each.tenant, "its sums are not those of its rows")])
        return len(closed)

    def _imports(self, connection: Connection, tenant: str | None) -> int:
        wanted = select(batches) if tenant is None else select(batches).where(batches.c.tenant == tenant)
        count = 0
        for batch in connection.execute(wanted).all():
            count += 1
            if batch.use == "bill":
                inside = select(func.count(), func.sum(lines.c.amount_nano)).where(lines.c.batch == batch.id)
            else:
                total = func.sum(rows.c.billed_nano)
                inside = select(func.count(), total).where(rows.c.batch == batch.id, rows.c.corrects == "")
            number, amount = connection.execute(inside).one()
            priced = batch.use == "spend" and batch.format.endswith("-usage")  # by our catalogue: it has no total
            if number != batch.lines or (not priced and int(amount or 0) != batch.total_nano):
                words = (
                    f"it has {number:,} lines of {int(amount or 0):,}, and says {batch.lines:,} of {batch.total_nano:,}"
                )
                self._add([LedgerFinding("import", batch.id, batch.tenant, words)])
        return count


def _page(connection: Connection, tenant: str | None, after: str) -> list[dict[str, Any]]:
    wanted = select(rows, seals.c.seal.label(_SEAL)).select_from(rows.outerjoin(seals, seals.c.row == rows.c.id))
    wanted = wanted.where(rows.c.id > after).order_by(rows.c.id).limit(limits.LEDGER_PAGE_ROWS)
    if tenant is not None:
        wanted = wanted.where(rows.c.tenant == tenant)
    return [dict(found._mapping) for found in connection.execute(wanted).all()]


def _seal(row: Row, stored: dict[str, Any]) -> Iterable[LedgerFinding]:
    """Whether a row is what was written, column by column. Takes the seal out of what was stored."""
    sealed = stored.pop(_SEAL)
    if sealed is None:
        yield LedgerFinding("seal", row.id, row.tenant, "the ledger never wrote it")
    elif sealed != seal(stored):
        yield LedgerFinding("seal", row.id, row.tenant, "it is not as it was written")


def _unmatched_seals(connection: Connection, tenant: str | None) -> list[LedgerFinding]:
    """Rows that were written and are not there any more."""
    joined = seals.outerjoin(rows, rows.c.id == seals.c.row)
    wanted = select(seals.c.row, seals.c.tenant).select_from(joined).where(rows.c.id.is_(None)).order_by(seals.c.row)
    if tenant is not None:
        wanted = wanted.where(seals.c.tenant == tenant)
    return [
        LedgerFinding("seal", id_, whose, "it was written, and is gone") for id_, whose in connection.execute(wanted)
    ]


def _parents(connection: Connection, names: Sequence[str]) -> dict[str, Row]:
    found = connection.execute(select(rows).where(rows.c.id.in_(names))).all() if names else []
    return {each.id: row_from(dict(each._mapping), each.session) for each in found}


def _chains(connection: Connection) -> list[LedgerFinding]:
    """Corrections of nothing, of another tenant's row, of one row twice, and circles."""
    replaced = rows.alias("replaced")
    joined = rows.outerjoin(replaced, and_(replaced.c.id == rows.c.corrects, replaced.c.tenant == rows.c.tenant))
    missing = select(rows.c.id, rows.c.tenant, rows.c.corrects).select_from(joined)
    missing = missing.where(rows.c.corrects != "", replaced.c.id.is_(None)).limit(limits.LEDGER_PAGE_ROWS)
    found = [
        LedgerFinding("chain", id_, tenant, f"it replaces {corrects!r:.80}, which is not there")
        for id_, tenant, corrects in map(tuple, connection.execute(missing).all())
    ]
    twice = select(rows.c.corrects).where(rows.c.corrects != "").group_by(rows.c.corrects).having(func.count() > 1)
    found += [LedgerFinding("chain", id_, "", "it is replaced by several rows") for id_ in connection.scalars(twice)]
    links: dict[str, str] = dict(map(tuple, connection.execute(_links()).all()))
    for id_ in links:
        seen, current = set(), id_
        while current in links and current not in seen:
            seen.add(current)
            current = links[current]
        if current in seen:
            found.append(LedgerFinding("chain", id_, "", "it replaces itself, by way of others"))
    return found


def _links() -> Any:
    return select(rows.c.id, rows.c.corrects).where(rows.c.corrects != "")


def _books(connection: Connection, tenant: str | None) -> list[LedgerFinding]:
    """The books of all months against the rows that count, added up by two different ways."""
    replacing = rows.alias("replacing")
    counting = rows.c.id.not_in(select(replacing.c.corrects).where(replacing.c.corrects != ""))
    wanted = select(rows.c.tenant, *(func.sum(rows.c[name]) for name in MONEY)).where(counting).group_by(rows.c.tenant)
    if tenant is not None:
        wanted = wanted.where(rows.c.tenant == tenant)
    found = []
    for each in connection.execute(wanted).all():
        whose, expected = each[0], {name: int(value or 0) for name, value in zip(MONEY, each[1:], strict=True)}
        months = connection.scalars(select(rows.c.period).distinct().where(rows.c.tenant == whose)).all()
        sums = [closing.sums(connection, whose, month) for month in months]
        actual = {name: sum(month[name] for month in sums) for name in MONEY}
        if actual != expected:
            found.append(LedgerFinding("books", whose, whose, f"the books sum to {actual}, the rows to {expected}"))
    return found
