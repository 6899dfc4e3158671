"""How often each domain has changed: what a process looks at to see that another one changed something."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, String, Table

from holdfast.governance.store.tables.base import metadata

store_changes: Final = Table(
    "store_changes",
    metadata,
    Column("domain", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
