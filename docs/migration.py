"""``python -m docs.migration DOMAIN WORDS…`` writes the next step of a domain's tables, from how they differ now.

It compares the tables in ``governance/store/tables/DOMAIN.py`` with what the steps so far make of an empty SQLite file.
The result is a draft: read it, and say in it what no comparison can know, such as where the data of a new column comes from.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Table

from holdfast.governance.store import schema
from holdfast.governance.store.sqlite_file import SqliteFile, close, raw

VERSIONS = Path(schema.__file__).parent / "migrations" / "versions"
STEP = '''"""{words}"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from holdfast.governance.store import types

revision: Final = "{domain}_{number:04}"
down_revision: Final = {before}
branch_labels: Final = {labels}
depends_on: Final = None


def upgrade() -> None:
    """{words}"""
    {body}
'''


def tables_of(domain: str) -> set[str]:
    """The names of the tables of a domain's module."""
    module = importlib.import_module(f"holdfast.governance.store.tables.{domain}")
    return {value.name for value in vars(module).values() if isinstance(value, Table)}


def body(connection: Connection, domain: str) -> str:
    """What is to be done to the tables of a domain, as Python; ``pass`` when nothing is."""
    mine = tables_of(domain)
    options = {
        "version_table": schema.VERSION_TABLE,
        "target_metadata": schema.all_tables(),
        "compare_server_default": True,
        "include_name": lambda name, kind, _: kind != "table" or name in mine,
        "include_object": lambda entry, name, kind, reflected, _: kind != "table" or name in mine,
    }
    context = MigrationContext.configure(connection, opts=options)
    script = produce_migrations(context, schema.all_tables())
    assert script.upgrade_ops is not None
    code = render_python_code(
        script.upgrade_ops, render_as_batch=True, user_module_prefix="types.", migration_context=context
    )
    lines = [line for line in code.splitlines() if not line.lstrip().startswith("# ###")]
    return "\n".join(lines).strip()


def draft(domain: str, words: str) -> Path:
    """Write the next step; answers where."""
    before = sorted(path.stem for path in VERSIONS.glob(f"{domain}_????.py"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        path.touch()  # whoever owns a file has made it
        connection = SqliteFile(str(path)).connect(write=True)
        raw(connection).execute("BEGIN")
        schema.prepare(connection)
        text = STEP.format(
            words=words,
            domain=domain,
            number=len(before) + 1,
            before=f'"{before[-1]}"' if before else None,
            labels=None if before else f'("{domain}",)',
            body=body(connection, domain),
        )
        close(connection)
    target = VERSIONS / f"{domain}_{len(before) + 1:04}.py"
    target.write_text(text)
    for command in (("check", "--fix", "-q", "--ignore", "E501"), ("format", "-q")):
        subprocess.run([Path(sys.executable).with_name("ruff"), *command, target], check=False)
    return target


if __name__ == "__main__":
    sys.stdout.write(f"{draft(sys.argv[1], ' '.join(sys.argv[2:]))}\n")
