"""All tables of this version, and how a database gets them: the steps in ``migrations/versions``, run by Alembic.

Every domain has a line of steps of its own, so that two can be written at the same time; a database records the last step of
each line. There are no settings in a file and no steps back: what leads back is a backup.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from pathlib import Path
from typing import Final

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect

from holdfast.errors import HoldfastError
from holdfast.governance.store import tables
from holdfast.governance.store.tables.base import metadata
from holdfast.visible import logger

VERSION_TABLE: Final = "store_versions"
"""Where a database records the last step of each line."""

_FOLDER: Final = Path(__file__).parent / "migrations"

log = logger(__name__)


@functools.cache
def all_tables() -> MetaData:
    """The tables of every domain: each module of ``tables`` hangs its own on the one ``MetaData``."""
    for module in pkgutil.iter_modules(tables.__path__):
        importlib.import_module(f"{tables.__name__}.{module.name}")
    return metadata


def steps() -> ScriptDirectory:
    """The steps that this version knows."""
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("version_locations", str(_FOLDER / "versions").replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config


def context(connection: Connection) -> MigrationContext:
    """Alembic's view of a database."""
    options = {"version_table": VERSION_TABLE, "target_metadata": all_tables(), "compare_server_default": True}
    return MigrationContext.configure(connection, opts=options)


def prepare(connection: Connection) -> None:
    """Give an empty database the tables, bring an older one to this version, in the caller's transaction.

    Raises:
        HoldfastError: ``engine.version`` for a database of a newer version, and for one that holds other tables; nothing
            is changed then.
    """
    script = steps()
    applied = context(connection).get_current_heads()
    wanted = tuple(sorted(script.get_heads()))
    if tuple(sorted(applied)) == wanted:
        return
    _check(connection, script, applied)
    # what alembic.command.upgrade does, without the env.py that it would want
    with EnvironmentContext(_config(), script, fn=lambda at, _: script._upgrade_revs("heads", at)) as environment:
        environment.configure(connection=connection, version_table=VERSION_TABLE, target_metadata=all_tables())
        environment.run_migrations()
    if applied:
        log.warning(
            "the store was at %s and is at %s now; only a backup leads back", ", ".join(applied), ", ".join(wanted)
        )


def _check(connection: Connection, script: ScriptDirectory, applied: tuple[str, ...]) -> None:
    revisions = {step.revision for step in script.walk_revisions()}
    if unknown := sorted(set(applied) - revisions):
        raise HoldfastError(
            "engine.version",
            f"the store was made by a newer version, which knows {', '.join(unknown)}; nothing was changed",
            fix="Run the newer version, or restore a backup from before the upgrade.",
        )
    if not applied and (names := sorted(set(inspect(connection).get_table_names()) & set(all_tables().tables))):
        raise HoldfastError(
            "engine.version",
            f"the database has a table {names[0]} already that no version of the store made",
            fix="Give the store a database, or a schema, of its own.",
        )
