"""The tables of prices."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from holdfast.governance.store import types

revision: Final = "pricing_0001"
down_revision: Final = None
branch_labels: Final = ("pricing",)
depends_on: Final = None


def upgrade() -> None:
    """Make the tables of prices."""
    op.create_table(
        "price_bases",
        sa.Column("hash", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.Column("taken_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_price_bases")),
    )
    op.create_table(
        "price_cards",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("upstream", sa.String(length=200), nullable=False),
        sa.Column("card", types.Json(), nullable=False),
        sa.Column("approved_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_cards")),
    )
    op.create_table(
        "price_catalogues",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("hash", sa.String(length=32), nullable=False),
        sa.Column("base", sa.String(length=32), nullable=False),
        sa.Column("overrides", types.Json(), nullable=False),
        sa.Column("change", sa.String(length=40), nullable=False),
        sa.Column("approved_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_price_catalogues")),
    )
    op.create_index(op.f("ix_price_catalogues_hash"), "price_catalogues", ["hash"], unique=False)

    op.create_table(
        "price_changes",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("document", types.Json(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("against", sa.String(length=32), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("proposed_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("decided_by", sa.String(length=200), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("alone", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_changes")),
    )
    op.create_index(op.f("ix_price_changes_state_proposed_ms"), "price_changes", ["state", "proposed_ms"], unique=False)

    op.create_table(
        "price_currencies",
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("imported_ms", sa.BigInteger(), nullable=False),
        sa.Column("usd", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("currency", "day", "imported_ms", name=op.f("pk_price_currencies")),
    )
    op.create_table(
        "price_waivers",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("waiver", types.Json(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_waivers")),
    )
