"""Bringing an older database to the format of this version: numbered steps, each in one transaction.

A step is history: once it was released it does not change, and it names what it finds as it was named then. What may be
brought from which format is stated in docs/howto/upgrade.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import apsw
import msgspec

OLDEST: Final = 1
"""The oldest format that can still be read and brought to the present one: that of version 0.1."""

Step = Callable[[apsw.Connection], None]

_CONSUMERS_AND_AGES: Final = """
ALTER TABLE notice ADD COLUMN ts_ms INTEGER NOT NULL DEFAULT 0;
UPDATE notice SET ts_ms = coalesce(CAST(json_extract(CAST(data AS TEXT), '$.ts') AS INTEGER), 0)
  WHERE json_valid(CAST(data AS TEXT));
CREATE TABLE feed (id INTEGER PRIMARY KEY CHECK (id = 1), epoch TEXT NOT NULL);
INSERT INTO feed VALUES (1, lower(hex(randomblob(6))));
CREATE TABLE consumer (name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO consumer SELECT 'webhooks', CAST(CAST(data AS TEXT) AS INTEGER) FROM fact WHERE name = 'webhooks:position';
DELETE FROM fact WHERE name = 'webhooks:position';
"""

_RETRY_PREFIX: Final = "webhooks:again:"


def _to_2(connection: apsw.Connection) -> None:
    """The feed has positions of its own, and named consumers; how far webhooks had read it was a fact."""
    connection.execute(_CONSUMERS_AND_AGES)
    statement = "SELECT name, data FROM fact WHERE name BETWEEN ?1 AND ?1 || char(0x10FFFF)"
    waiting: list[Any] = connection.execute(statement, (_RETRY_PREFIX,)).fetchall()
    for name, data in waiting:
        connection.execute("DELETE FROM fact WHERE name = ?", (name,))
        position = name.removeprefix(_RETRY_PREFIX)
        row: Any = connection.execute(
            "SELECT tenant, name, data FROM notice WHERE position = CAST(? AS INTEGER)", (position,)
        ).fetchone()
        if row is None:
            continue  # it was too old for the feed, so that version would not have sent it either
        tenant, session, notice = row
        try:
            facts = msgspec.json.decode(notice)
            stored = {**msgspec.json.decode(data), "tenant": tenant, "session": session, "notice": facts}
            ident = f"{_RETRY_PREFIX}msg_{facts['incarnation']}_{facts['seq']}"
        except (msgspec.DecodeError, LookupError, TypeError):
            continue  # damaged: no webhook can be made of it, and it stops no upgrade
        connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (ident, msgspec.json.encode(stored)))


STEPS: Final[dict[int, Step]] = {1: _to_2}
"""By the format that a step begins with; it ends with the next."""


def migrate(connection: apsw.Connection, version: int) -> list[int]:
    """Bring a database of an older format, not before ``OLDEST``, to ``version``; answers the formats it went through.

    Each step is one transaction with the number of the format: one that fails leaves the format it began with.
    """
    done: list[int] = []
    while (format_ := int(connection.pragma("user_version"))) < version:
        connection.execute("BEGIN IMMEDIATE")
        try:
            STEPS[format_](connection)
            connection.pragma("user_version", format_ + 1)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        done.append(format_ + 1)
    return done
