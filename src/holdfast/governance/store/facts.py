"""What the store knows of itself: small values by name, in the caller's transaction."""

from __future__ import annotations

import secrets
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from holdfast.governance.store.tables.facts import store_facts

ID: Final = "store.id"
"""The life of this store."""

LOG: Final = "log.epoch"
"""The life of the session log that the store belongs to."""

_ID_BYTES: Final = 8


def get(connection: Connection, name: str) -> str:
    """A value; empty when there is none."""
    value = connection.execute(select(store_facts.c.value).where(store_facts.c.name == name)).scalar()
    return value or ""


def put(connection: Connection, name: str, value: str) -> None:
    """Set a value."""
    connection.execute(delete(store_facts).where(store_facts.c.name == name))
    connection.execute(insert(store_facts).values(name=name, value=value))


def identity(connection: Connection) -> str:
    """The id of this life of the store; a new store gets one."""
    return get(connection, ID) or renew(connection)


def renew(connection: Connection) -> str:
    """Another life begins: what belonged to the one before does not belong to this one by itself."""
    ident = secrets.token_hex(_ID_BYTES)
    put(connection, ID, ident)
    return ident
