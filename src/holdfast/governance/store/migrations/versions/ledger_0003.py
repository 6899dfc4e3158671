"""A seal of each row of the ledger: what was changed or removed behind its back has a name."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from alembic import op

revision: Final = "ledger_0003"
down_revision: Final = "ledger_0002"
branch_labels: Final = None
depends_on: Final = None

PAGE: Final = 500
JSON: Final = ("counts", "raw", "parts", "tags")
TABLE: Final = "ledger_seals"


def upgrade() -> None:
    """Make the table, seal the rows that are there, and let nobody change a seal."""
    columns = [sa.Column(name, sa.Text(), nullable=False) for name in ("row", "tenant", "seal")]
    op.create_table(TABLE, *columns, sa.PrimaryKeyConstraint("row", name=op.f(f"pk_{TABLE}")))
    connection = op.get_bind()
    _seal_all(connection)
    for statement in postgresql() if connection.dialect.name == "postgresql" else sqlite():
        connection.exec_driver_sql(statement)


def _seal_all(connection: sa.Connection) -> None:
    """Rows that were written before there were seals: they count as they stand."""
    table = sa.table(TABLE, *(sa.column(name, sa.Text) for name in ("row", "tenant", "seal")))
    wanted = sa.text("SELECT * FROM ledger_rows WHERE id > :after ORDER BY id LIMIT :page")
    after = ""
    while found := connection.execute(wanted, {"after": after, "page": PAGE}).mappings().all():
        sealed = [{"row": row["id"], "tenant": row["tenant"], "seal": _seal(dict(row))} for row in found]
        connection.execute(sa.insert(table), sealed)
        after = found[-1]["id"]


def _seal(facts: dict[str, Any]) -> str:
    """As ``ledger/record.py`` had it when this step was written."""
    for name in JSON:
        facts[name] = msgspec.json.decode(facts[name])
    return hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()


def sqlite() -> list[str]:
    """The triggers of SQLite."""
    return [
        f"CREATE TRIGGER {TABLE}_no_{verb} BEFORE {verb} ON {TABLE} BEGIN"
        f" SELECT RAISE(ABORT, 'ledger.append_only: {TABLE} takes no {verb}'); END"
        for verb in ("update", "delete")
    ] + [  # INSERT OR REPLACE deletes without asking the trigger above
        f"CREATE TRIGGER {TABLE}_once BEFORE INSERT ON {TABLE} WHEN EXISTS"
        f" (SELECT 1 FROM {TABLE} s WHERE s.row = NEW.row) BEGIN SELECT RAISE(IGNORE); END"
    ]


def postgresql() -> list[str]:
    """The triggers of PostgreSQL."""
    return [
        f"CREATE TRIGGER {TABLE}_kept BEFORE UPDATE OR DELETE ON {TABLE}"
        f" FOR EACH ROW EXECUTE FUNCTION ledger_append_only()",
        f"CREATE TRIGGER {TABLE}_whole BEFORE TRUNCATE ON {TABLE}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()",
    ]
