"""Tables of the directory: people and groups as the identity provider has them, when they signed in, and who may write them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text

from holdfast.governance.store.tables.base import metadata
from holdfast.governance.store.types import Json


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, default="")


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, default=0)


directory_people: Final = Table(
    "directory_people",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    *map(_text, ("user_name", "name_key", "external_id", "email", "display", "user_type")),
    Column("active", Boolean, nullable=False),
    *map(_text, ("unit", "source")),
    Column("document", Json, nullable=False),
    *map(_number, ("created_ms", "changed_ms", "change")),
    Column("deleted", Boolean, nullable=False, default=False),
)
"""People. ``name_key`` is ``user_name`` as names are compared; ``change`` is the number of the directory's change that wrote
the row, by which other processes read what is new. One who was deleted leaves an empty row for a while, for them to see."""
Index("ix_directory_people_name", directory_people.c.tenant, directory_people.c.name_key, unique=True)
Index("ix_directory_people_external", directory_people.c.tenant, directory_people.c.external_id)
Index("ix_directory_people_change", directory_people.c.change)

directory_names: Final = Table(
    "directory_names",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name_key", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    *map(_number, ("change",)),
)
"""Names under which people are found (``directory/names.py``): those of their rows, written with each, and of their logins."""
Index("ix_directory_names_id", directory_names.c.tenant, directory_names.c.id)
Index("ix_directory_names_change", directory_names.c.change)

directory_groups: Final = Table(
    "directory_groups",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    *map(_text, ("display", "name_key", "external_id")),
    Column("document", Json, nullable=False),
    *map(_number, ("created_ms", "changed_ms", "change")),
)
"""Groups, with their members in the document. ``name_key`` is ``display`` as names are compared."""
Index("ix_directory_groups_name", directory_groups.c.tenant, directory_groups.c.name_key)

directory_sign_ins: Final = Table(
    "directory_sign_ins",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("person", Text, primary_key=True),
    *map(_number, ("at_ms", "change")),
)
"""When somebody signed in interactively last; ``person`` is a name as names are compared."""
Index("ix_directory_sign_ins_change", directory_sign_ins.c.change)

directory_tokens: Final = Table(
    "directory_tokens",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    *map(_text, ("hash", "created_by", "revoked_by")),
    *map(_number, ("created_ms", "expires_ms")),
    Column("revoked_ms", BigInteger),
)
"""With what identity providers come: of each token a hash."""

directory_syncs: Final = Table(
    "directory_syncs",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    _number("at_ms"),
)
"""When a source spoke last."""
