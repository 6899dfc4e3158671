"""Statements of the organisation: functions of a connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, select, update

from holdfast.governance.organisation.model import Period, Unit, Workflow
from holdfast.governance.organisation.planning import Key
from holdfast.governance.store.changes import count_change
from holdfast.governance.store.tables.organisation import org_people, org_units, workflows

DOMAIN = "organisation"


class Contents(NamedTuple):
    """Everything there is, by tenant. ``people``: person to pseudonym; ``pseudonyms``: pseudonym to person."""

    periods: Mapping[str, Sequence[Period]]
    workflows: Mapping[str, Mapping[str, Workflow]]
    people: Mapping[str, dict[str, str]]
    pseudonyms: Mapping[str, dict[str, str]]


def read_all(connection: Connection) -> Contents:
    """Everything."""
    periods: dict[str, list[Period]] = {}
    for row in connection.execute(select(org_units)).mappings():
        periods.setdefault(row["tenant"], []).append(_period(row))
    listed: dict[str, dict[str, Workflow]] = {}
    for row in connection.execute(select(workflows)).mappings():
        listed.setdefault(row["tenant"], {})[row["name"]] = _workflow(row)
    people: dict[str, dict[str, str]] = {}
    pseudonyms: dict[str, dict[str, str]] = {}
    rows = connection.execute(select(org_people).order_by(org_people.c.made_ms, org_people.c.pseudonym)).mappings()
    for row in rows:  # two processes may have seen somebody for the first time at once: the earliest counts
        people.setdefault(row["tenant"], {}).setdefault(row["person"], row["pseudonym"])
        pseudonyms.setdefault(row["tenant"], {})[row["pseudonym"]] = row["person"]
    return Contents(periods, listed, people, pseudonyms)


def _period(row: Mapping[Any, Any]) -> Period:
    unit = Unit(**{name: row[name] for name in Unit.__struct_fields__})
    return Period(unit, row["since_ms"], row["until_ms"], row["set_by"], row["set_ms"])


def _workflow(row: Mapping[Any, Any]) -> Workflow:
    return Workflow(**{name: row[name] for name in Workflow.__struct_fields__})


def put_timelines(connection: Connection, tenant: str, timelines: Mapping[Key, Sequence[Period]]) -> None:
    """Replace the periods of units by those they have now."""
    table = org_units
    for kind, name in timelines:
        connection.execute(delete(table).where(table.c.tenant == tenant, table.c.kind == kind, table.c.name == name))
    rows = [
        {
            "tenant": tenant,
            **msgspec.structs.asdict(period.unit),
            **{name: getattr(period, name) for name in ("since_ms", "until_ms", "set_by", "set_ms")},
        }
        for timeline in timelines.values()
        for period in timeline
    ]
    if rows:
        connection.execute(table.insert(), rows)


def put_workflows(connection: Connection, tenant: str, some: Iterable[Workflow]) -> None:
    """Replace what is known of workflows."""
    for workflow in some:
        connection.execute(delete(workflows).where(workflows.c.tenant == tenant, workflows.c.name == workflow.name))
        connection.execute(workflows.insert(), {"tenant": tenant, **msgspec.structs.asdict(workflow)})


def see_workflows(connection: Connection, tenant: str, seen: Mapping[str, int]) -> bool:
    """Note workflows that callers named and nobody declared, with when; whether there was a new one."""
    new = False
    for name, at_ms in seen.items():
        where = (workflows.c.tenant == tenant) & (workflows.c.name == name)
        if not connection.execute(update(workflows).where(where).values(last_ms=at_ms)).rowcount:
            row = Workflow(name, declared=False, first_ms=at_ms, last_ms=at_ms)
            connection.execute(workflows.insert(), {"tenant": tenant, **msgspec.structs.asdict(row)})
            new = True
    return new


def put_people(connection: Connection, tenant: str, people: Mapping[str, str], now_ms: int) -> None:
    """Note whose pseudonyms some are; ``people``: person to pseudonym. What is there already stays."""
    for person, pseudonym in people.items():
        where = (org_people.c.tenant == tenant) & (org_people.c.pseudonym == pseudonym)
        if connection.execute(select(org_people.c.person).where(where)).first() is None:
            connection.execute(
                org_people.insert(),
                {"tenant": tenant, "pseudonym": pseudonym, "person": person, "made_ms": now_ms},
            )


def pseudonym_of(connection: Connection, tenant: str, person: str) -> str | None:
    """The pseudonym of somebody, the earliest if there are several; None for nobody who is there."""
    table = org_people
    statement = (
        select(table.c.pseudonym)
        .where(table.c.tenant == tenant, table.c.person == person)
        .order_by(table.c.made_ms, table.c.pseudonym)
    )
    found: str | None = connection.execute(statement.limit(1)).scalar_one_or_none()
    return found


def forget(connection: Connection, tenant: str, person: str) -> int:
    """Take somebody's name out of everything here; how many pseudonyms were theirs."""
    deleted = connection.execute(
        delete(org_people).where(org_people.c.tenant == tenant, org_people.c.person == person)
    ).rowcount
    for column in (workflows.c.owner, workflows.c.deputy):
        connection.execute(
            update(workflows).where(workflows.c.tenant == tenant, column == person).values({column.name: ""})
        )
    connection.execute(
        update(org_units).where(org_units.c.tenant == tenant, org_units.c.set_by == f"user:{person}").values(set_by="")
    )
    return deleted


def changed(connection: Connection) -> None:
    """Let the other processes see that something changed."""
    count_change(connection, DOMAIN)
