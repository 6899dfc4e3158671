"""Which runs open calls are of."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "ledger_0002"
down_revision: Final = "ledger_0001"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Make the table."""
    table = "ledger_links"
    op.create_table(
        table,
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("tenant", "call", "session", "link")),
        sa.PrimaryKeyConstraint("tenant", "call", name=op.f(f"pk_{table}")),
    )
