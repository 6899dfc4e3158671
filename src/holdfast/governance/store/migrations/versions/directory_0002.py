"""Names under which people are found."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "directory_0002"
down_revision: Final = "directory_0001"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Make the table, with the names that the rows of people have. Further addresses follow with the provider's next word of
    somebody, and names of logins with their next login."""
    op.create_table(
        "directory_names",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name_key", "kind", "id", name=op.f("pk_directory_names")),
    )
    with op.batch_alter_table("directory_names", schema=None) as batch_op:
        batch_op.create_index("ix_directory_names_change", ["change"], unique=False)
        batch_op.create_index("ix_directory_names_id", ["tenant", "id"], unique=False)
    fill(op.get_bind())


def fill(connection: sa.Connection) -> None:
    """Write the names that the rows of people have."""
    for column in ("user_name", "email", "external_id"):
        connection.execute(
            sa.text(
                "INSERT INTO directory_names (tenant, name_key, kind, id, change) "
                f"SELECT tenant, lower(trim({column})), '{column}', id, change FROM directory_people "
                f"WHERE NOT deleted AND trim({column}) <> ''"
            )
        )
