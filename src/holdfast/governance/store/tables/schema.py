"""All tables of this version, and how a database gets them."""

from __future__ import annotations

from sqlalchemy import Connection, MetaData

from holdfast.governance.store.tables import facts, ledger

DOMAINS = (facts, ledger)
metadata: MetaData = facts.store_facts.metadata
"""Complete once this module is imported: a domain's tables are named in its imports."""


def prepare(connection: Connection) -> None:
    """Give a database the tables, in the caller's transaction."""
    metadata.create_all(connection)
