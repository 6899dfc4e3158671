"""Reads the ledger for people: sums, pages of rows, and files of either."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.ledger import queries, spend
from holdfast.governance.ledger.figures import Amount, csv_lines
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.port import LedgerStore
from holdfast.governance.ledger.spend import Bucket, Spend, SpendQuestion


class RowPage(msgspec.Struct, frozen=True):
    """Rows, newest first; ``next`` is where the page after begins, empty when there is none."""

    rows: tuple[Row, ...]
    next: str


class LedgerReader:
    """Answers questions."""

    def __init__(self, database: LedgerStore) -> None:
        self._store = database

    async def spend(
        self, tenant: str, since: str, until: str, by: Sequence[str] = (), bucket: Bucket = "",
        filters: Mapping[str, Sequence[str]] | None = None, limit: int = limits.LEDGER_GROUPS,
    ) -> Spend:  # fmt: skip
        """What was spent between two days, both included.

        Raises:
            Refused: see ``spend.check``.
        """
        question = _question(tenant, since, until, tuple(by), bucket, filters, limit)
        return await self._store.read(lambda connection: queries.spend_of(connection, question))

    async def rows(
        self, tenant: str, since: str, until: str, filters: Mapping[str, Sequence[str]] | None = None, cursor: str = "",
        limit: int = 100, *, replaced: bool = False,
    ) -> RowPage:  # fmt: skip
        """Rows between two days; with ``replaced`` those too that do not count any more.

        Raises:
            Refused: ``input.malformed``, ``input.too_large``.
        """
        question = _question(tenant, since, until, (), "", filters, limits.LEDGER_GROUPS)
        if not 1 <= limit <= limits.LEDGER_PAGE_ROWS:
            raise Refused("input.malformed", f"limit {limit} is not within 1 and {limits.LEDGER_PAGE_ROWS}")
        before = _parse(cursor)
        found = await self._store.read(
            lambda connection: queries.page_of(connection, question, before, limit + 1, replaced=replaced)
        )
        more = f"{found[limit - 1].at_ms}:{found[limit - 1].id}" if len(found) > limit else ""
        return RowPage(tuple(found[:limit]), more)

    async def of_session(self, tenant: str, session: str) -> tuple[Row, ...]:
        """The rows of a session that count, oldest first, ``limits.LEDGER_TREE_ROWS`` at most; none for one that no row
        names."""
        return tuple(await self._store.read(lambda connection: queries.of_session(connection, tenant, session)))

    async def row_file(
        self, tenant: str, since: str, until: str, filters: Mapping[str, Sequence[str]] | None = None
    ) -> AsyncIterator[str]:
        """The same rows as CSV, piece by piece. Raises ``input.too_large`` when there are too many for a file."""
        yield csv_lines([ROW_COLUMNS])
        cursor, count = "", 0
        while True:
            page = await self.rows(tenant, since, until, filters, cursor, limits.LEDGER_PAGE_ROWS)
            count += len(page.rows)
            if count > limits.LEDGER_EXPORT_ROWS:
                raise Refused(
                    "input.too_large", f"more than {limits.LEDGER_EXPORT_ROWS:,} rows", fix="Take fewer days."
                )
            yield csv_lines(map(row_cells, page.rows))
            cursor = page.next
            if not cursor:
                return


ROW_COLUMNS: Final = [name.replace("_nano", "_usd") for name in Row.__struct_fields__]


def row_cells(row: Row) -> list[Any]:
    """A row as cells of CSV, in the order of ``ROW_COLUMNS``."""
    return [_CELLS.get(name, _plain)(getattr(row, name)) for name in Row.__struct_fields__]


def _plain(value: Any) -> Any:
    return value


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


_CELLS: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("counts", "raw", "parts", "tags"), _json),
    **dict.fromkeys(spend.MONEY, Amount),
    "unpriced": " ".join,
}


def _question(
    tenant: str, since: str, until: str, by: tuple[str, ...], bucket: Bucket, filters: Any, limit: int
) -> SpendQuestion:
    values = {name: tuple(found) for name, found in (filters or {}).items()}
    return spend.check(
        SpendQuestion(tenant=tenant, since=since, until=until, by=by, bucket=bucket, filters=values, limit=limit)
    )


def _parse(cursor: str) -> tuple[int, str] | None:
    if not cursor:
        return None
    at_ms, _, row = cursor.partition(":")
    if not (at_ms.isascii() and at_ms.isdigit()) or len(at_ms) > 15 or not row:
        raise Refused("input.malformed", f"cursor {cursor!r:.80} is none of ours", fix="Begin without one.")
    return int(at_ms), row
