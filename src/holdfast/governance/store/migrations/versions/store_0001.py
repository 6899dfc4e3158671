"""The facts of the store itself."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "store_0001"
down_revision: Final = None
branch_labels: Final = ("store",)
depends_on: Final = None


def upgrade() -> None:
    """Make the table of facts."""
    op.create_table(
        "store_facts",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_store_facts")),
    )
