"""The store, read only, in one moment: by statements of the verifier's own and by the published queries. It opens the database
itself, and nothing of what keeps a store: it can write nothing, and needs no lock."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from holdfast.errors import CHECK_THE_PATH, HoldfastError, Unavailable
from holdfast.governance.store.address import FileAddress, parse
from holdfast.governance.verifier.documents import StatedPlan, StatedProfile, StatedVerdict, StatedWaiver
from holdfast.governance.verifier.published import ROWS

MOST: Final = 20_000
"""Rows that one statement of the verifier's own may answer."""

VERDICTS: Final = """SELECT id, tenant, gate, workflow, profile, version, thresholds, verdict, cause, n, reason, fix, as_of_ms,
valid_until_ms, computed_ms, since_ms, evidence, answers FROM rollout_verdicts"""
WAIVERS: Final = """SELECT id, tenant, gate, workflow, "by", office, reason, at_ms, until_ms, renews, ended_ms, ended_by
FROM rollout_waivers WHERE tenant = :tenant ORDER BY at_ms, id"""
PROFILES: Final = """SELECT base, version, thresholds, "by", reason, at_ms
FROM rollout_profiles WHERE tenant = :tenant ORDER BY version"""

NEWEST: Final = """tenant = :tenant AND newest AND (workflow = '' OR workflow IN (
SELECT workflow FROM workflow_current WHERE tenant = :tenant AND state <> 'retired'))"""
ZONES: Final = """SELECT zone FROM org_units WHERE tenant = :tenant AND kind = 'organisation' AND until_ms IS NULL
ORDER BY since_ms DESC"""


class PlanRows(Protocol):
    """Whoever answers statements in one moment of the store."""

    async def rows(self, statement: str, params: Mapping[str, Any], most: int = MOST) -> list[dict[str, Any]]:
        """What a statement answers. Raises ``store.unavailable``."""


class SqliteRows:
    """Rows of a file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def rows(self, statement: str, params: Mapping[str, Any], most: int = MOST) -> list[dict[str, Any]]:
        """See ``PlanRows``."""
        try:
            cursor = self._connection.execute(statement, dict(params))
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(most)]
        except sqlite3.Error as error:
            raise Unavailable("store.unavailable", f"the store cannot be read: {error}") from None


class PostgresRows:
    """Rows of a server."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def rows(self, statement: str, params: Mapping[str, Any], most: int = MOST) -> list[dict[str, Any]]:
        """See ``PlanRows``."""
        try:
            found = await self._connection.execute(text(statement), dict(params))
            return [{str(name): value for name, value in row.items()} for row in found.mappings().fetchmany(most)]
        except (SQLAlchemyError, OSError) as error:
            raise Unavailable("store.unavailable", f"the store cannot be read: {type(error).__name__}") from None


@contextlib.asynccontextmanager
async def opened(address: str) -> AsyncIterator[PlanRows]:
    """A store to read, in one moment for as long as the context lasts.

    Raises:
        HoldfastError: ``config.invalid`` for what is no store.
        Unavailable: ``store.unavailable``.
    """
    found = parse(address)
    if isinstance(found, FileAddress):
        with contextlib.closing(_file(found)) as connection:
            yield SqliteRows(connection)
        return
    engine = create_async_engine(found.url, hide_parameters=True).execution_options(
        isolation_level="REPEATABLE READ", postgresql_readonly=True
    )
    try:
        try:
            session = await engine.connect()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise Unavailable("store.unavailable", f"cannot open the store: {type(error).__name__}") from None
        try:
            yield PostgresRows(session)
        finally:
            await session.close()
    finally:
        await engine.dispose()


def _file(address: FileAddress) -> sqlite3.Connection:
    path = Path(address.path)
    if not path.is_file():
        raise HoldfastError("config.invalid", f"there is no store {address.where}", fix=CHECK_THE_PATH)
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        connection.execute("PRAGMA query_only = 1")
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM store_facts").fetchone()
    except sqlite3.Error as error:
        raise HoldfastError("config.invalid", f"{address.where} is no store: {error}", fix=CHECK_THE_PATH) from None
    return connection


async def answer(
    store: PlanRows, sql: str, params: Mapping[str, Any]
) -> tuple[tuple[dict[str, int | str | None], ...], bool]:
    """What a published query answers, as evidence has it, and whether that is cut short."""
    found = await store.rows(sql, params, ROWS + 1)
    plain = tuple({name: _plain(value) for name, value in row.items()} for row in found[:ROWS])
    return plain, len(found) > ROWS


def _plain(value: Any) -> int | str | None:
    return value if value is None or isinstance(value, str) else int(value)


async def stated_verdicts(
    store: PlanRows, where: str, params: Mapping[str, Any]
) -> tuple[list[StatedVerdict], list[str]]:
    """Verdicts on record, and what stands there and is none."""
    found, unreadable = [], []
    for row in await store.rows(f"{VERDICTS} WHERE {where}", params):
        try:
            facts = {
                **row,
                "thresholds": msgspec.json.decode(row["thresholds"]),
                "answers": msgspec.json.decode(row["answers"]),
            }
            found.append(msgspec.convert(facts, StatedVerdict))
        except msgspec.DecodeError as error:
            unreadable.append(f"{row['gate']!s:.8} {row['workflow']!s:.140}: {error}")
    return found, unreadable


async def stated_waivers(store: PlanRows, tenant: str) -> tuple[StatedWaiver, ...]:
    """Every waiver on record, the oldest first."""
    return msgspec.convert(await store.rows(WAIVERS, {"tenant": tenant}), tuple[StatedWaiver, ...])


async def stated_profiles(store: PlanRows, tenant: str) -> tuple[StatedProfile, ...]:
    """Every version of the numbers on record."""
    rows = await store.rows(PROFILES, {"tenant": tenant})
    facts = [{**row, "thresholds": msgspec.json.decode(row["thresholds"])} for row in rows]
    return msgspec.convert(facts, tuple[StatedProfile, ...])


async def recorded_plan(store: PlanRows, tenant: str, now_ms: int) -> StatedPlan:
    """The plan as the store has it on record now: of each gate and workflow the newest verdict."""
    verdicts, unreadable = await stated_verdicts(store, f"{NEWEST} ORDER BY workflow, gate", {"tenant": tenant})
    return StatedPlan(
        tenant, now_ms, await recorded_zone(store, tenant), tuple(verdicts), tuple(unreadable),
        await stated_waivers(store, tenant), await stated_profiles(store, tenant),
    )  # fmt: skip


async def recorded_zone(store: PlanRows, tenant: str) -> str:
    """The time zone of the organisation's days now."""
    found = await store.rows(ZONES, {"tenant": tenant})
    return str(found[0]["zone"]) if found else "UTC"
