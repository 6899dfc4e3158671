"""Keys of callers, their secrets' hashes, and who came without one."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from holdfast.governance.store import types

revision: Final = "keys_0001"
down_revision: Final = None
branch_labels: Final = ("keys",)
depends_on: Final = None


def upgrade() -> None:
    """Make the three tables."""
    op.create_table(
        "gateway_keys",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("labels", types.Json(), nullable=False),
        sa.Column("models", types.Json(), nullable=False),
        sa.Column("agents", types.Json(), nullable=False),
        sa.Column("session", sa.String(length=128), nullable=False),
        sa.Column("sessions", sa.String(length=128), nullable=False),
        sa.Column("adopted", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger()),
        sa.Column("revoked_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gateway_keys")),
    )
    op.create_index(op.f("ix_gateway_keys_tenant"), "gateway_keys", ["tenant"])
    op.create_table(
        "gateway_secrets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gateway_secrets")),
        sa.ForeignKeyConstraint(["key"], ["gateway_keys.id"], name=op.f("fk_gateway_secrets_key_gateway_keys")),
    )
    op.create_index(op.f("ix_gateway_secrets_key"), "gateway_secrets", ["key"])
    op.create_table(
        "unknown_callers",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.String(length=255), nullable=False),
        sa.Column("path", sa.String(length=255), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "fingerprint", "agent", "path", name=op.f("pk_unknown_callers")),
    )
