"""The statements that every call brings with it are answered from an index: a ledger of a year is as fast as a new one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, event

from holdfast.governance.ledger import links, store
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.service import Ledger
from tests.unit.governance.ledger.conftest import NOON, opening

pytestmark = pytest.mark.anyio
ROW = Row(id="a1", call="c-a1", tenant="default", at_ms=NOON, day="", month="")
PER_CALL: dict[str, Callable[[Connection], object]] = {
    "metered": lambda connection: store.metered(connection, "default", "c-1"),
    "replaced": lambda connection: store.replaced(connection, ["a1", "a2"]),
    "keep": lambda connection: links.keep(connection, links.RunLink("default", "c-1", "s1")),
    "apply": lambda connection: links.apply(connection, opening("a1"), [ROW]),
    "present": lambda connection: store.present(connection, ["a1", "a2"]),
    "find_opening": lambda connection: store.find_opening(connection, "a1"),
    "session_reference": lambda connection: store.session_reference(connection, "default", "s1"),
}


def plans(connection: Connection, work: Callable[[Connection], object]) -> list[str]:
    """How SQLite finds what each statement of some work wants; nothing of another database, which plans by what is there."""
    if connection.dialect.name != "sqlite":
        pytest.skip("PostgreSQL plans by how many rows there are")
    asked: list[tuple[str, Any]] = []

    def hear(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        asked.append((statement, parameters))

    event.listen(connection.engine, "before_cursor_execute", hear)
    try:
        work(connection)
    finally:
        event.remove(connection.engine, "before_cursor_execute", hear)
    found = []
    for statement, parameters in asked:
        explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        found += [str(row[-1]) for row in explained]
    return found


@pytest.mark.parametrize("name", PER_CALL)
async def test_no_row_is_read_that_is_not_asked_for(ledger: Ledger, name: str) -> None:
    found = await ledger.store.read(lambda connection: plans(connection, PER_CALL[name]))
    tables = [plan for plan in found if "ledger_" in plan]
    assert tables, found
    everything = [plan for plan in tables if plan.startswith("SCAN") or plan.endswith("(tenant=?)")]
    assert everything == []
