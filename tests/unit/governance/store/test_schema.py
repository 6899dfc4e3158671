"""The steps lead to exactly the tables of this version, on both databases, and to nothing that they do not know."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from sqlalchemy import Connection, text

from holdfast.errors import HoldfastError
from holdfast.governance.store import schema
from holdfast.governance.store.store import Store
from holdfast.testing import FakeClock

pytestmark = pytest.mark.anyio


async def test_the_steps_make_the_tables_that_the_domains_declare(store: Store) -> None:
    differences = await store.write(
        lambda connection: compare_metadata(schema.context(connection), schema.all_tables())
    )
    assert differences == [], "python -m docs.migration DOMAIN WORDS writes the missing step"


async def test_a_difference_would_be_found(store: Store) -> None:
    def drop(connection: Connection) -> list[object]:
        connection.execute(text("DROP TABLE store_facts"))
        return compare_metadata(schema.context(connection), schema.all_tables())

    assert await store.write(drop)


async def test_a_store_of_a_newer_version_is_refused_and_stays_as_it_is(database: str, clock: FakeClock) -> None:
    store = await Store.open(database, clock.wall_ms)
    await store.write(lambda c: c.execute(text("INSERT INTO store_versions VALUES ('budgets_0007')")) and None)
    await store.close()
    for _ in range(2):
        with pytest.raises(HoldfastError, match="newer version, which knows budgets_0007") as refused:
            await Store.open(database, clock.wall_ms)
        assert refused.value.code == "engine.version"


async def test_a_database_with_tables_of_somebody_else_is_refused(database: str, clock: FakeClock) -> None:
    store = await Store.open(database, clock.wall_ms)
    await store.write(lambda c: c.execute(text("DROP TABLE store_versions")) and None)
    await store.close()
    with pytest.raises(HoldfastError, match=r"has a table \w+ already"):
        await Store.open(database, clock.wall_ms)


async def test_a_session_log_is_no_store(tmp_path: Path, clock: FakeClock) -> None:
    from holdfast.engines.sqlite.engine import SqliteEngine

    log = tmp_path / "log.db"
    engine = SqliteEngine(str(log), reserve_bytes=0)
    await engine.open()
    await engine.close()
    before = log.read_bytes()
    with pytest.raises(HoldfastError, match="another SQLite database"):
        await Store.open(str(log), clock.wall_ms)
    assert log.read_bytes() == before


def test_every_step_is_named_like_its_file_and_has_no_way_back() -> None:
    folder = Path(schema.__file__).parent / "migrations" / "versions"
    steps = list(schema.steps().walk_revisions())
    assert {f"{step.revision}.py" for step in steps} | {"__init__.py"} == {path.name for path in folder.glob("*.py")}
    for step in steps:
        domain, number = step.revision.rsplit("_", 1)
        assert step.down_revision == (f"{domain}_{int(number) - 1:04}" if int(number) > 1 else None), step.revision
        assert not hasattr(step.module, "downgrade")
    assert len(schema.steps().get_heads()) == len({step.revision.rsplit("_", 1)[0] for step in steps})
