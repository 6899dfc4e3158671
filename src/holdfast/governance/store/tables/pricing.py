"""What is kept of prices: published catalogues, the versions of ours, changes with who decided them, cards, waivers, rates."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, String, Table, Text

from holdfast.governance.store.tables.base import metadata
from holdfast.governance.store.types import Json, RowId

price_bases: Final = Table(
    "price_bases",
    metadata,
    Column("hash", String(32), primary_key=True),
    Column("source", String(200), nullable=False),
    Column("packed", LargeBinary, nullable=False),
    Column("taken_ms", BigInteger, nullable=False),
)
"""Published catalogues as they were, so that an old row can be reckoned again after an upgrade."""

price_catalogues: Final = Table(
    "price_catalogues",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=True),
    Column("hash", String(32), nullable=False, index=True),
    Column("base", String(32), nullable=False),
    Column("overrides", Json, nullable=False),
    Column("change", String(40), nullable=False),
    Column("approved_ms", BigInteger, nullable=False),
)
"""Versions of the catalogue; the last one counts."""

price_changes: Final = Table(
    "price_changes",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("document", Json, nullable=False),
    Column("why", Text, nullable=False),
    Column("against", String(32), nullable=False),
    Column("by", String(200), nullable=False),
    Column("proposed_ms", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("decided_by", String(200), nullable=False),
    Column("decided_ms", BigInteger),
    Column("words", Text, nullable=False),
    Column("alone", Boolean, nullable=False),
    Index(None, "state", "proposed_ms"),
)
"""Changes that were proposed: who, why, against which state of prices, and what was decided."""

price_cards: Final = Table(
    "price_cards",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("upstream", String(200), nullable=False),
    Column("card", Json, nullable=False),
    Column("approved_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
)
"""Rate cards that were approved; ``ended_ms``: from when one does not hold any more, whatever it says itself."""

price_waivers: Final = Table(
    "price_waivers",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("waiver", Json, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
    Column("revoked_by", String(200), nullable=False),
)
"""Waivers that were given."""

price_currencies: Final = Table(
    "price_currencies",
    metadata,
    Column("currency", String(3), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("imported_ms", BigInteger, primary_key=True),
    Column("usd", String(32), nullable=False),
    Column("source", String(200), nullable=False),
)
"""Rates of currencies; of two for one day the one that was imported last counts, and both stay."""
