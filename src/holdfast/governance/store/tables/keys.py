"""Tables of the keys of callers: what a key says, the hashes by which it is recognised, and who came without one."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, String, Table, Text

from holdfast.governance.store.tables.base import metadata
from holdfast.governance.store.types import Json

gateway_keys: Final = Table(
    "gateway_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("actor", Text, nullable=False),
    Column("labels", Json, nullable=False),
    Column("models", Json, nullable=False),
    Column("agents", Json, nullable=False),
    Column("session", String(128), nullable=False),
    Column("sessions", String(128), nullable=False),
    Column("adopted", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("revoked_ms", BigInteger),
    Column("revoked_by", Text, nullable=False),
)
Index(None, gateway_keys.c.tenant)

gateway_secrets: Final = Table(
    "gateway_secrets",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("key", String(32), ForeignKey("gateway_keys.id"), nullable=False, index=True),
    Column("hash", String(64), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger),
)

unknown_callers: Final = Table(
    "unknown_callers",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
    Column("agent", String(255), primary_key=True),
    Column("path", String(255), primary_key=True),
    Column("address", String(64), nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
)
