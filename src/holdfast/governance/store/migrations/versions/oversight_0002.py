"""When somebody showed the identity provider who they are."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "oversight_0002"
down_revision: Final = "oversight_0001"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Add the column: logins that were begun before do not say."""
    with op.batch_alter_table("console_logins", schema=None) as batch_op:
        batch_op.add_column(sa.Column("signed_in_ms", sa.BigInteger(), nullable=True))
