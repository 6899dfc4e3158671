"""Who is logged in to the console."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from holdfast.governance.store import types

revision: Final = "oversight_0001"
down_revision: Final = None
branch_labels: Final = ("oversight",)
depends_on: Final = None


def upgrade() -> None:
    """Make the table of logins."""
    op.create_table(
        "console_logins",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("roles", types.Json(), nullable=False),
        sa.Column("began_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_console_logins")),
    )
    op.create_index(op.f("ix_console_logins_expires_ms"), "console_logins", ["expires_ms"])
