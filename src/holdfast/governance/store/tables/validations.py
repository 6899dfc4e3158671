"""The tables of what servers run, and of what was validated of it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from holdfast.governance.store.tables.base import metadata
from holdfast.governance.store.types import Json


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, default="")


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, default=0)


rollout_validations: Final = Table(
    "rollout_validations",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("tenant", "kind", "build", "target", "by")),
    *map(_number, ("began_ms", "recorded_ms")),
    *map(_text, ("resilient", "continuity", "control")),
    Column("absent", Integer, nullable=False, default=0),
    *map(_number, ("calls", "unloaded_ms", "loaded_ms")),
    Column("document", Json, nullable=False),
)
"""Reports of ``holdfast validate`` (``kind`` ``streaming``) and of load tests (``load``). ``id`` is a hash of everything else but
``document``. Only ever grows."""
_of = rollout_validations.c
Index("ix_rollout_validations_kind", _of.tenant, _of.kind, _of.began_ms)

rollout_builds: Final = Table(
    "rollout_builds",
    metadata,
    Column("build", Text, primary_key=True),
    *map(_number, ("first_ms", "last_ms")),
)
"""Which builds serve on this store, and when each said so last: of the server, and so of all tenants."""
