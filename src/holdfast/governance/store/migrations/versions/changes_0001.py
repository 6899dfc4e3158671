"""The counters by which processes see what others changed."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "changes_0001"
down_revision: Final = None
branch_labels: Final = ("changes",)
depends_on: Final = None


def upgrade() -> None:
    """Make the table of counters."""
    op.create_table(
        "store_changes",
        sa.Column("domain", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_store_changes")),
    )
