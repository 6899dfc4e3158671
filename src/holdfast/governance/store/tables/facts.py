"""What the store knows of itself: its identity, and the session log that it belongs to."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, String, Table, Text

from holdfast.governance.store.tables.base import metadata

store_facts: Final = Table(
    "store_facts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
