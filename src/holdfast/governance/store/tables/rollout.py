"""The tables of the plan: verdicts with the evidence they stand on, waivers, and versions of the thresholds."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from holdfast.governance.store.tables.base import metadata
from holdfast.governance.store.types import Json


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, default="")


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, default=0)


rollout_verdicts: Final = Table(
    "rollout_verdicts",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("tenant", "gate", "workflow", "profile")),
    Column("version", Integer, nullable=False),
    Column("thresholds", Json, nullable=False),
    *map(_text, ("verdict", "cause", "reason", "fix")),
    *map(_number, ("n", "as_of_ms", "valid_until_ms", "computed_ms", "since_ms")),
    _text("evidence"),
    Column("answers", Json, nullable=False),
    Column("newest", Boolean, nullable=False),
    Column("stands", Boolean, nullable=False),
)
"""Verdicts (``rollout/model.py``). Only ``newest`` (the last of its gate, workflow and profile version) and ``stands`` (the last
of them that was not for want of a source) are ever changed. ``answers`` is the evidence, and ``evidence`` its digest."""
_of = rollout_verdicts.c
Index("ix_rollout_verdicts_gate", _of.tenant, _of.workflow, _of.gate, _of.computed_ms)
Index("ix_rollout_verdicts_newest", _of.tenant, _of.newest, _of.stands)

rollout_waivers: Final = Table(
    "rollout_waivers",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("tenant", "gate", "workflow", "by", "office", "reason")),
    *map(_number, ("at_ms", "until_ms")),
    _text("renews"),
    Column("ended_ms", BigInteger),
    _text("ended_by"),
)
"""Waivers: whose, why, until when. ``office``: ``sponsor`` or ``risk``; ``renews``: the one before it."""
Index("ix_rollout_waivers_gate", rollout_waivers.c.tenant, rollout_waivers.c.workflow, rollout_waivers.c.gate)

rollout_profiles: Final = Table(
    "rollout_profiles",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    _text("base"),
    Column("thresholds", Json, nullable=False),
    *map(_text, ("by", "reason")),
    _number("at_ms"),
)
"""Versions of the thresholds; the last one holds, and the one before it is shown beside it for 90 days."""

rollout_posts: Final = Table(
    "rollout_posts",
    metadata,
    Column("id", Text, primary_key=True),
    *map(_text, ("tenant", "subject", "text", "html")),
    _number("at_ms"),
    Column("sent", Json, nullable=False),
)
"""The Monday page as it was mailed: ``id`` says whose and of which week, so that nobody is mailed twice; ``sent`` is what became
of each way."""
