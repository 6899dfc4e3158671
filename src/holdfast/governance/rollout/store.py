"""Statements of the plan: functions of a connection, each in the transaction of whoever calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, or_, select, update

from holdfast.governance.rollout.model import EvidenceAnswer, VerdictRow
from holdfast.governance.rollout.profiles import Profile
from holdfast.governance.rollout.standing import Records
from holdfast.governance.rollout.waivers import GateWaiver
from holdfast.governance.store.changes import count_change
from holdfast.governance.store.tables.rollout import rollout_profiles as profiles
from holdfast.governance.store.tables.rollout import rollout_verdicts as verdicts
from holdfast.governance.store.tables.rollout import rollout_waivers as waivers

DOMAIN = "rollout"
_FIELDS = [verdicts.c[name] for name in VerdictRow.__struct_fields__]
_WAIVER = [waivers.c[name] for name in GateWaiver.__struct_fields__]
Place = tuple[str, str, str]
"""Tenant, workflow and gate."""


class PlanContents(NamedTuple):
    """What the plan keeps in memory."""

    records: dict[Place, Records]
    waivers: dict[str, list[GateWaiver]]
    profiles: dict[str, list[Profile]]


def read_all(connection: Connection) -> PlanContents:
    """The verdicts that count, without their evidence; every waiver; every version of the thresholds, the newest first."""
    records: dict[Place, Records] = {}
    statement = select(*_FIELDS, verdicts.c.newest, verdicts.c.stands).where(or_(verdicts.c.newest, verdicts.c.stands))
    for *fields, newest, stands in connection.execute(statement):
        row = _verdict(fields)
        place = (row.tenant, row.workflow, row.gate)
        before = records.get(place, Records())
        records[place] = Records(row if newest else before.newest, row if stands else before.stands)
    waivers_by_tenant: dict[str, list[GateWaiver]] = {}
    for found in connection.execute(select(*_WAIVER).order_by(waivers.c.at_ms, waivers.c.id)):
        waiver = GateWaiver(**dict(zip(GateWaiver.__struct_fields__, found, strict=True)))
        waivers_by_tenant.setdefault(waiver.tenant, []).append(waiver)
    versions: dict[str, list[Profile]] = {}
    for version in connection.execute(select(profiles).order_by(profiles.c.version.desc())).mappings():
        profile = Profile(**{name: version[name] for name in Profile.__struct_fields__})
        versions.setdefault(version["tenant"], []).append(profile)
    return PlanContents(records, waivers_by_tenant, versions)


def _verdict(fields: Sequence[Any]) -> VerdictRow:
    return VerdictRow(**dict(zip(VerdictRow.__struct_fields__, fields, strict=True)))


def put(connection: Connection, rows: Sequence[tuple[VerdictRow, Sequence[EvidenceAnswer]]]) -> None:
    """Put verdicts on record, each with its evidence. One that is there already stays."""
    for row, answers in rows:
        same = (verdicts.c.tenant == row.tenant) & (verdicts.c.workflow == row.workflow) & (verdicts.c.gate == row.gate)
        if connection.execute(select(verdicts.c.id).where(verdicts.c.id == row.id)).first() is not None:
            continue
        connection.execute(update(verdicts).where(same, verdicts.c.newest).values(newest=False))
        stands = row.cause != "stale"
        if stands:
            connection.execute(update(verdicts).where(same, verdicts.c.stands).values(stands=False))
        answered = msgspec.to_builtins(list(answers))
        connection.execute(
            verdicts.insert(), {**msgspec.structs.asdict(row), "answers": answered, "newest": True, "stands": stands}
        )
    if rows:
        count_change(connection, DOMAIN)


def answers_of(connection: Connection, ident: str) -> tuple[EvidenceAnswer, ...]:
    """The evidence of a verdict; none for one that is not there."""
    found = connection.execute(select(verdicts.c.answers).where(verdicts.c.id == ident)).scalar_one_or_none()
    return msgspec.convert(found or [], tuple[EvidenceAnswer, ...])


def history(
    connection: Connection, tenant: str, workflow: str | None, gate: str | None, limit: int
) -> list[VerdictRow]:
    """Verdicts, the newest first."""
    statement = select(*_FIELDS).where(verdicts.c.tenant == tenant)
    if workflow is not None:
        statement = statement.where(verdicts.c.workflow == workflow)
    if gate is not None:
        statement = statement.where(verdicts.c.gate == gate)
    ordered = statement.order_by(verdicts.c.computed_ms.desc(), verdicts.c.id).limit(limit)
    return [_verdict(fields) for fields in connection.execute(ordered)]


def forget(connection: Connection, before_ms: int) -> int:
    """Delete verdicts that are too old to be kept and that none shows any more; how many."""
    old = (verdicts.c.computed_ms < before_ms) & ~verdicts.c.newest & ~verdicts.c.stands
    return connection.execute(delete(verdicts).where(old)).rowcount


def add_waiver(connection: Connection, waiver: GateWaiver) -> None:
    """Put a waiver on record."""
    connection.execute(waivers.insert(), msgspec.structs.asdict(waiver))
    count_change(connection, DOMAIN)


def waivers_of(connection: Connection, tenant: str, gate: str, workflow: str) -> list[GateWaiver]:
    """The waivers of a gate and workflow, the oldest first."""
    where = (waivers.c.tenant == tenant) & (waivers.c.gate == gate) & (waivers.c.workflow == workflow)
    rows = connection.execute(select(*_WAIVER).where(where).order_by(waivers.c.at_ms, waivers.c.id))
    return [GateWaiver(**dict(zip(GateWaiver.__struct_fields__, fields, strict=True))) for fields in rows]


def end_waiver(connection: Connection, tenant: str, ident: str, by: str, at_ms: int) -> bool:
    """Take a waiver back; whether there was one that held."""
    where = (
        (waivers.c.tenant == tenant)
        & (waivers.c.id == ident)
        & waivers.c.ended_ms.is_(None)
        & (waivers.c.until_ms > at_ms)
    )
    changed = connection.execute(update(waivers).where(where).values(ended_ms=at_ms, ended_by=by)).rowcount
    if changed:
        count_change(connection, DOMAIN)
    return bool(changed)


def add_profile(connection: Connection, tenant: str, profile: Profile) -> Profile:
    """Put a version of the thresholds on record; it has the next number."""
    last = connection.execute(
        select(profiles.c.version).where(profiles.c.tenant == tenant).order_by(profiles.c.version.desc()).limit(1)
    ).scalar_one_or_none()
    new = msgspec.structs.replace(profile, version=(last or 0) + 1)
    connection.execute(profiles.insert(), {"tenant": tenant, **msgspec.structs.asdict(new)})
    count_change(connection, DOMAIN)
    return new
