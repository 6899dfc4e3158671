"""The organisation: its units, its workflows, and who is behind a pseudonym."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from holdfast.governance.store import types

revision: Final = "organisation_0001"
down_revision: Final = None
branch_labels: Final = ("organisation",)
depends_on: Final = None


def upgrade() -> None:
    """Make the three tables."""
    op.create_table(
        "org_units",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger()),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("parent", sa.String(length=128), nullable=False),
        sa.Column("cost_centre", sa.String(length=128), nullable=False),
        sa.Column("tags", types.Json(), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("currency", sa.String(length=8), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("set_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kind", "name", "since_ms", name=op.f("pk_org_units")),
    )
    op.create_table(
        "workflows",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("deputy", sa.String(length=128), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("declared", sa.Boolean(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", name=op.f("pk_workflows")),
    )
    op.create_table(
        "org_people",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("pseudonym", sa.String(length=32), nullable=False),
        sa.Column("person", sa.String(length=128), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "pseudonym", name=op.f("pk_org_people")),
    )
    op.create_index(op.f("ix_org_people_tenant_person"), "org_people", ["tenant", "person"])
