"""Who is logged in to the console. What is in the cookie is not in here: only its hash is."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from holdfast.governance.store.tables.base import metadata
from holdfast.governance.store.types import Json

console_logins: Final = Table(
    "console_logins",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("token_id", String(64), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("actor", Text, nullable=False),
    Column("roles", Json, nullable=False),
    Column("began_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("signed_in_ms", BigInteger),
)
Index(None, console_logins.c.expires_ms)
