"""The ledger's statements on openings, rows and what they refer to; each in the transaction of whoever calls."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    Connection,
    Select,
    Table,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    union,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from holdfast.gateway.port import Opening
from holdfast.governance import limits
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.record import ROW_FIELDS, record, row_from, seal
from holdfast.governance.store import facts
from holdfast.governance.store.tables.ledger import (
    ledger_gaps as gaps,
)
from holdfast.governance.store.tables.ledger import (
    ledger_links as links,
)
from holdfast.governance.store.tables.ledger import (
    ledger_openings as openings,
)
from holdfast.governance.store.tables.ledger import (
    ledger_periods as periods,
)
from holdfast.governance.store.tables.ledger import (
    ledger_processes as processes,
)
from holdfast.governance.store.tables.ledger import (
    ledger_rows as rows,
)
from holdfast.governance.store.tables.ledger import (
    ledger_seals as seals,
)
from holdfast.governance.store.tables.ledger import (
    ledger_sessions as sessions,
)

ERASED: Final = "erased:"
"""Before the reference of a session that nobody can name any more."""

_CLOCK: Final = "ledger.clock_ms"
_opening: Final = msgspec.json.Decoder(Opening)
_CLOSE_OPENING: Final = delete(openings).where(openings.c.id == bindparam("id"))
_REPLACES: Final = rows.c.corrects != literal("", literal_execute=True)
"""Only a statement that says so, and in these words, is answered from the index of replacements; others read every row."""
_REFERENCE: Final = select(sessions.c.reference).where(
    sessions.c.tenant == bindparam("tenant"), sessions.c.session == bindparam("session")
)
_ROW_COLUMNS: Final = [rows.c[name] for name in ROW_FIELDS]


def add_once(connection: Connection, table: Table, facts: Any, on: Sequence[str] = ()) -> None:
    """Insert what is not there yet, by its primary key or the columns named; what is there stays as it is."""
    columns = list(on) or [column.name for column in table.primary_key]
    if connection.dialect.name == "postgresql":
        connection.execute(postgresql.insert(table).on_conflict_do_nothing(index_elements=columns), facts)
    else:
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(index_elements=columns), facts)


# --- processes and openings
def beat(connection: Connection, process: str, now_ms: int) -> None:
    """A process lives."""
    if not connection.execute(update(processes).where(processes.c.process == process), {"beat_ms": now_ms}).rowcount:
        add_once(connection, processes, {"process": process, "beat_ms": now_ms})


def leave(connection: Connection, *ended: str) -> None:
    """Processes have ended."""
    connection.execute(delete(processes).where(processes.c.process.in_(ended)))


def beats(connection: Connection) -> dict[str, int]:
    """The last beat of every process that has not left."""
    return {row.process: row.beat_ms for row in connection.execute(select(processes.c.process, processes.c.beat_ms))}


def newest_time(connection: Connection, now_ms: int) -> int:
    """The latest time that any process of this store had, Unix ms; it becomes ``now_ms`` where that is later."""
    newest = int(facts.get(connection, _CLOCK) or 0)
    if now_ms > newest + limits.LEDGER_CLOCK_MS // 2:  # to a part of a minute: not everybody writes at every beat
        facts.put(connection, _CLOCK, str(now_ms))
    return newest


def orphans(connection: Connection, process: str, dead: Collection[str] | None, limit: int) -> list[tuple[str, str]]:
    """``(id, opening)`` of attempts whose process is not ours and has left or is dead; None: all others are."""
    wanted = select(openings.c.id, openings.c.opening).where(openings.c.process != process)
    if dead is not None:
        wanted = wanted.where(
            openings.c.process.not_in(select(processes.c.process).where(processes.c.process.not_in(dead)))
        )
    found = connection.execute(wanted.order_by(openings.c.at_ms).limit(limit))
    return [(id_, opening) for id_, opening in found]


def find_opening(connection: Connection, attempt: str) -> str | None:
    """An opening as JSON, or None."""
    return connection.scalar(select(openings.c.opening).where(openings.c.id == attempt))


def find_openings(connection: Connection, attempts: Sequence[str]) -> list[tuple[str, str]]:
    """``(id, opening)`` as JSON of those attempts that are open."""
    found = connection.execute(select(openings.c.id, openings.c.opening).where(openings.c.id.in_(attempts)))
    return [(id_, opening) for id_, opening in found]


def close_opening(connection: Connection, attempt: str) -> bool:
    """An attempt is settled. Whether it was open until now."""
    return connection.execute(_CLOSE_OPENING, {"id": attempt}).rowcount > 0


def close_openings(connection: Connection, attempts: Sequence[str]) -> set[str]:
    """Attempts are settled. Which of them were open until now."""
    open_now = set(connection.scalars(select(openings.c.id).where(openings.c.id.in_(attempts))))
    connection.execute(delete(openings).where(openings.c.id.in_(attempts)))
    return open_now


def add_openings(connection: Connection, facts: Sequence[dict[str, Any]]) -> None:
    """Attempts begin, in the transaction that reserves money for them."""
    if facts:
        connection.execute(insert(openings), facts)


def opening_facts(opening: Opening, process: str, encoded: str) -> dict[str, Any]:
    """An opening as the table has it."""
    return {"id": opening.id, "call": opening.call.id, "process": process, "at_ms": opening.at_ms, "opening": encoded}


def open_attempts(connection: Connection, before_ms: int | None = None) -> int:
    """How many attempts are open, of those begun before an instant."""
    wanted = select(func.count()).select_from(openings)
    return connection.scalar(wanted if before_ms is None else wanted.where(openings.c.at_ms < before_ms)) or 0


# --- rows
def present(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Which of these rows there are."""
    return set(connection.scalars(select(rows.c.id).where(rows.c.id.in_(ids))))


def replaced(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Which of these rows were replaced."""
    return set(connection.scalars(select(rows.c.corrects).where(_REPLACES, rows.c.corrects.in_(ids))))


def add_rows(connection: Connection, new: Sequence[Row]) -> None:
    """Append rows, each with its seal. One whose id is there already changes nothing.

    Raises:
        IntegrityError, DBAPIError: of the database's guards: a closed period, a row that was replaced before.
    """
    if new:
        facts = [record(row, reference(connection, row)) for row in new]
        add_once(connection, rows, facts)
        add_once(connection, seals, [{"row": f["id"], "tenant": f["tenant"], "seal": seal(f)} for f in facts])


def reference(connection: Connection, row: Row) -> str:
    """What stands for a row's session; see ``reference_of``."""
    return reference_of(connection, row.tenant, row.session, row.at_ms)


def reference_of(connection: Connection, tenant: str, session: str, at_ms: int) -> str:
    """What stands for a session: random, so that nothing leads back once the pair is forgotten."""
    if not session or session.startswith(ERASED):
        return session.removeprefix(ERASED)
    name = {"tenant": tenant, "session": session}
    found = connection.scalar(_REFERENCE, name)
    if found is None:
        facts = {"reference": secrets.token_hex(8), **name, "at_ms": at_ms}
        add_once(connection, sessions, facts, ("tenant", "session"))
        found = connection.scalar(_REFERENCE, name)
    return str(found)


def with_sessions() -> Select[Any]:
    """A select of rows, with the name of each session as ``named``."""
    joined = rows.outerjoin(sessions, sessions.c.reference == rows.c.session)
    return select(*_ROW_COLUMNS, sessions.c.session.label("named")).select_from(joined)


def rows_from(found: Iterable[Any]) -> Iterator[Row]:
    """Rows of what ``with_sessions`` selected."""
    for each in found:
        facts = each._mapping
        named = facts["named"] or (ERASED + facts["session"] if facts["session"] else "")
        yield row_from(facts, named)


def find_row(connection: Connection, tenant: str, row: str) -> Row | None:
    """A row by its id, or None."""
    wanted = with_sessions().where(rows.c.id == row, rows.c.tenant == tenant)
    return next(rows_from(connection.execute(wanted).all()), None)


def chain(connection: Connection, tenant: str, row: str) -> list[Row]:
    """A row and what replaced it, in order."""
    found: list[Row] = []
    current = find_row(connection, tenant, row)
    while current is not None and len(found) < limits.LEDGER_CORRECTIONS:
        found.append(current)
        wanted = with_sessions().where(_REPLACES, rows.c.corrects == current.id, rows.c.tenant == tenant)
        current = next(rows_from(connection.execute(wanted).all()), None)
    return found


def closed_periods(connection: Connection) -> frozenset[tuple[str, str]]:
    """``(tenant, month)`` of every month that is closed."""
    return frozenset(
        (tenant, month) for tenant, month in connection.execute(select(periods.c.tenant, periods.c.period))
    )


def metered(connection: Connection, tenant: str, call: str) -> tuple[list[Row], list[Opening]]:
    """The rows of a call, or of an attempt, that the gateway metered, and its attempts that are open still."""
    found = rows_from(connection.execute(_METERED, {"name": call}))
    # asked for by its tenant, too, SQLite would look among all that the tenant has
    mine = [row for row in found if row.tenant == tenant and row.source == "gateway"]
    return mine, attempts_open(connection, tenant, call)


def attempts_open(connection: Connection, tenant: str, call: str) -> list[Opening]:
    """The attempts of a call, or the one attempt of this id, that are open."""
    found = map(_opening.decode, connection.scalars(_OPEN, {"name": call}))
    return [opening for opening in found if opening.call.caller.tenant == tenant]


_ITS_IDS: Final = union(*(select(rows.c.id).where(column == bindparam("name")) for column in (rows.c.call, rows.c.id)))
_METERED: Final = with_sessions().where(rows.c.id.in_(_ITS_IDS)).limit(limits.LEDGER_PAGE_ROWS)
_OPEN: Final = (
    select(openings.c.opening)
    .where(or_(openings.c.call == bindparam("name"), openings.c.id == bindparam("name")))
    .limit(limits.LEDGER_PAGE_ROWS)
)


def forget_session(connection: Connection, tenant: str, session: str) -> bool:
    """Let nothing lead from rows to a session any more. Whether anything did."""
    connection.execute(delete(links).where(links.c.tenant == tenant, links.c.session == session))
    removal = delete(sessions).where(sessions.c.tenant == tenant, sessions.c.session == session)
    return connection.execute(removal).rowcount > 0


def sessions_after(connection: Connection, last: str, limit: int) -> list[tuple[str, str, str, int]]:
    """``(reference, tenant, session, first used, Unix ms)`` of the next sessions that rows name, by reference."""
    wanted = select(sessions.c.reference, sessions.c.tenant, sessions.c.session, sessions.c.at_ms)
    found = connection.execute(wanted.where(sessions.c.reference > last).order_by(sessions.c.reference).limit(limit))
    return [(reference, tenant, session, at_ms) for reference, tenant, session, at_ms in found]


def session_reference(connection: Connection, tenant: str, session: str) -> str | None:
    """What stands for a session in rows, or None where none was named."""
    if session.startswith(ERASED):
        return session.removeprefix(ERASED)
    return connection.scalar(_REFERENCE, {"tenant": tenant, "session": session})


def session_names(connection: Connection, references: Collection[str]) -> dict[str, str]:
    """The names of sessions by what stands for them; one that was deleted has none."""
    wanted = select(sessions.c.reference, sessions.c.session).where(sessions.c.reference.in_(references))
    return {row.reference: row.session for row in connection.execute(wanted)}


# --- gaps
def add_gap(connection: Connection, id_: str, at_ms: int, after: str, until: str, detail: str) -> None:
    """Usage between two positions of the feed was missed."""
    add_once(connection, gaps, {"id": id_, "at_ms": at_ms, "after": after, "until": until, "detail": detail})


def list_gaps(connection: Connection) -> list[dict[str, Any]]:
    """Every gap, oldest first."""
    found = connection.execute(select(gaps).order_by(gaps.c.at_ms).limit(limits.LEDGER_PAGE_ROWS))
    return [dict(each._mapping) for each in found]


# --- the guards of PostgreSQL
def lock_rows(connection: Connection) -> None:
    """Let no row in until this transaction ends, and wait for those that are on their way. SQLite has one writer."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE ledger_rows, ledger_allocations IN SHARE ROW EXCLUSIVE MODE"))


def insert_period(connection: Connection, facts: dict[str, Any]) -> None:
    """A month is closed."""
    connection.execute(insert(periods), facts)
