"""Tables of the organisation: its units as they stood at each time, its workflows, and who is behind a pseudonym."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, String, Table, Text

from holdfast.governance.store.tables.base import metadata
from holdfast.governance.store.types import Json

org_units: Final = Table(
    "org_units",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("since_ms", BigInteger, primary_key=True),
    Column("until_ms", BigInteger),
    Column("title", Text, nullable=False),
    Column("parent", String(128), nullable=False),
    Column("cost_centre", String(128), nullable=False),
    Column("tags", Json, nullable=False),
    Column("zone", String(64), nullable=False),
    Column("currency", String(8), nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_ms", BigInteger, nullable=False),
)

workflows: Final = Table(
    "workflows",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("deputy", String(128), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("declared", Boolean, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
)

org_people: Final = Table(
    "org_people",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("pseudonym", String(32), primary_key=True),
    Column("person", String(128), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
)
Index(None, org_people.c.tenant, org_people.c.person)
