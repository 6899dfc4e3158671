"""Statements of the logins: functions of a connection."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, select

from holdfast.governance.oversight.model import Login
from holdfast.governance.store.tables.oversight import console_logins


def add(connection: Connection, login: Login) -> None:
    """Somebody who is logged in; those whose time is over are forgotten."""
    connection.execute(delete(console_logins).where(console_logins.c.expires_ms <= login.began_ms))
    connection.execute(console_logins.insert(), {**msgspec.structs.asdict(login), "roles": list(login.roles)})


def find(connection: Connection, digest: str, now_ms: int) -> Login | None:
    """Who is logged in with what has this hash; None for nobody any more."""
    table = console_logins
    row = (
        connection.execute(select(table).where(table.c.hash == digest, table.c.expires_ms > now_ms)).mappings().first()
    )
    return None if row is None else Login(**{**row, "roles": tuple(row["roles"])})


def end(connection: Connection, digest: str) -> None:
    """Log somebody out."""
    connection.execute(delete(console_logins).where(console_logins.c.hash == digest))
