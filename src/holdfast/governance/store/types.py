"""Types of columns that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Dialect, Integer, Text, TypeDecorator

RowId: Final = BigInteger().with_variant(Integer, "sqlite")
"""A primary key that counts by itself: SQLite does so only for ``INTEGER PRIMARY KEY``."""


class Json(TypeDecorator[Any]):
    """Any JSON value, kept as text: keys sorted, so that what is equal is stored equally.

    No database looks inside: PostgreSQL's own type would give other numbers and another order back than SQLite.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """The text; SQL's NULL for None."""
        return None if value is None else msgspec.json.encode(value, order="sorted").decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """The value; None for SQL's NULL."""
        return None if value is None else msgspec.json.decode(value)
