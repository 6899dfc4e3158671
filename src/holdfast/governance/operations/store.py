"""Statements of operations: functions of a connection, each in the transaction of whoever calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Table, func, select, update

from holdfast.governance import limits
from holdfast.governance.ledger.store import add_once, reference_of, session_names
from holdfast.governance.operations.model import Incident, StopOrder, StopReceipt
from holdfast.governance.store.changes import count_change
from holdfast.governance.store.tables.operations import operation_incidents as incidents
from holdfast.governance.store.tables.operations import operation_stop_runs as runs
from holdfast.governance.store.tables.operations import operation_stop_sessions as sessions
from holdfast.governance.store.tables.operations import operation_stops as stops

DOMAIN = "operations"


class FoundRun(NamedTuple):
    """A run in the scope of a stop: ``found`` is how it stands."""

    run: str
    agent: str
    workflow: str
    found: str
    queued_ms: int


class FoundSession(NamedTuple):
    """A session in which there are some, and the people who take part in it."""

    session: str
    people: tuple[str, ...]
    runs: tuple[FoundRun, ...]


def _columns(table: Table, kind: type[msgspec.Struct]) -> list[Any]:
    return [table.c[name] for name in kind.__struct_fields__]


# --- stops
def holding(connection: Connection) -> list[StopOrder]:
    """The stops that hold, of all tenants, oldest first."""
    wanted = select(*_columns(stops, StopOrder)).where(stops.c.state != "lifted")
    return [StopOrder(*row) for row in connection.execute(wanted.order_by(stops.c.at_ms, stops.c.id))]


def list_stops(connection: Connection, tenant: str, limit: int, *, lifted: bool) -> list[StopOrder]:
    """Stops, the newest first; those that were lifted too, if wanted."""
    wanted = select(*_columns(stops, StopOrder)).where(stops.c.tenant == tenant)
    if not lifted:
        wanted = wanted.where(stops.c.state != "lifted")
    found = connection.execute(wanted.order_by(stops.c.at_ms.desc(), stops.c.id.desc()).limit(limit))
    return [StopOrder(*row) for row in found]


def find(connection: Connection, tenant: str, ident: str) -> StopOrder | None:
    """One stop."""
    wanted = select(*_columns(stops, StopOrder)).where(stops.c.tenant == tenant, stops.c.id == ident)
    row = connection.execute(wanted).one_or_none()
    return StopOrder(*row) if row is not None else None


def same(connection: Connection, stop: StopOrder) -> StopOrder | None:
    """The stop of the same that holds already."""
    where = [stops.c[name] == getattr(stop, name) for name in ("tenant", "scope", "subject")]
    wanted = select(*_columns(stops, StopOrder)).where(*where, stops.c.state != "lifted")
    row = connection.execute(wanted.order_by(stops.c.at_ms).limit(1)).one_or_none()
    return StopOrder(*row) if row is not None else None


def count_holding(connection: Connection, tenant: str) -> int:
    """How many stops of a tenant hold."""
    wanted = select(func.count()).select_from(stops).where(stops.c.tenant == tenant, stops.c.state != "lifted")
    return connection.scalar(wanted) or 0


def add(connection: Connection, stop: StopOrder) -> None:
    """A stop holds from now on."""
    connection.execute(stops.insert(), msgspec.structs.asdict(stop))
    count_change(connection, DOMAIN)


def lift(connection: Connection, stop: StopOrder, by: str, reason: str, now_ms: int) -> bool:
    """A stop holds no more; whether it did."""
    values = {"state": "lifted", "lifted_ms": now_ms, "lifted_by": by, "lifted_reason": reason}
    where = stops.c.id == stop.id, stops.c.state != "lifted"
    done = connection.execute(update(stops).where(*where).values(values)).rowcount
    if done:
        count_change(connection, DOMAIN)
    return bool(done)


def put_left(connection: Connection, ident: str, left: int) -> None:
    """How many runs a stop has left."""
    connection.execute(update(stops).where(stops.c.id == ident).values(left=left))


def finish(connection: Connection, ident: str, now_ms: int) -> bool:
    """No run of a stop is left; whether that was new."""
    where = stops.c.id == ident, stops.c.state == "stopping"
    values = {"state": "stopped", "done_ms": now_ms, "left": 0}
    done = connection.execute(update(stops).where(*where).values(values)).rowcount
    if done:
        count_change(connection, DOMAIN)
    return bool(done)


def count_more(connection: Connection, more: Mapping[str, Mapping[str, int]]) -> None:
    """Add to ``refused`` or ``calls`` of stops."""
    for ident, counts in more.items():
        values = {stops.c[name]: stops.c[name] + count for name, count in counts.items()}
        connection.execute(update(stops).where(stops.c.id == ident).values(values))


# --- what a stop found
def record(connection: Connection, stop: StopOrder, found: Sequence[FoundSession], now_ms: int) -> None:
    """Put runs that were found on record, before they are ended: each once, as it stood when it was first seen."""
    for one in found:
        reference = reference_of(connection, stop.tenant, one.session, now_ms)
        people = {"stop": stop.id, "session": reference, "people": sorted(one.people)}
        add_once(connection, sessions, people)
        facts = [{"stop": stop.id, "session": reference, "forced": False, **run._asdict()} for run in one.runs]
        if facts:
            add_once(connection, runs, facts)


def mark_forced(connection: Connection, stop: StopOrder, forced: Sequence[tuple[str, str]], now_ms: int) -> None:
    """These ``(session, run)`` were ended without their agents."""
    for session, run in forced:
        reference = reference_of(connection, stop.tenant, session, now_ms)
        where = runs.c.stop == stop.id, runs.c.session == reference, runs.c.run == run
        connection.execute(update(runs).where(*where).values(forced=True))


def receipt(connection: Connection, stop: StopOrder, limit: int) -> StopReceipt:
    """What a stop has done so far."""
    counted = select(runs.c.found, func.count().label("number")).where(runs.c.stop == stop.id).group_by(runs.c.found)
    counts: dict[str, int] = {row.found: row.number for row in connection.execute(counted)}
    forced = select(func.count()).select_from(runs).where(runs.c.stop == stop.id, runs.c.forced.is_(True))
    people: set[str] = set()
    number = 0
    for row in connection.execute(select(sessions.c.people).where(sessions.c.stop == stop.id)):
        people.update(row.people)
        number += 1
    return StopReceipt(
        stop, counts.get("running", 0), counts.get("queued", 0), counts.get("waiting", 0), connection.scalar(forced) or 0,
        number, len(people), stop.done_ms - stop.at_ms if stop.done_ms is not None else None,
        tuple(_listed(connection, stop, limit)),
    )  # fmt: skip


def _listed(connection: Connection, stop: StopOrder, limit: int) -> list[dict[str, Any]]:
    wanted = (
        select(sessions.c.session, sessions.c.people).where(sessions.c.stop == stop.id).order_by(sessions.c.session)
    )
    rows = connection.execute(wanted.limit(limit)).all()
    references = [row.session for row in rows]
    names = session_names(connection, references)
    listed: dict[str, dict[str, Any]] = {
        row.session: {"session": names.get(row.session, ""), "people": len(row.people), "runs": []} for row in rows
    }
    of_these = select(runs.c.session, runs.c.run, runs.c.agent, runs.c.found, runs.c.forced).where(
        runs.c.stop == stop.id, runs.c.session.in_(references)
    )
    for row in connection.execute(of_these.order_by(runs.c.session, runs.c.run)):
        one = {"run": row.run, "agent": row.agent, "found": row.found, "forced": bool(row.forced)}
        if len(listed[row.session]["runs"]) < limits.STOP_ROWS:
            listed[row.session]["runs"].append(one)
    return list(listed.values())


def earliest_ms(connection: Connection, stop: StopOrder) -> int:
    """When the first of the runs that a stop has ended was queued; its own time where there were none."""
    found = connection.scalar(select(func.min(runs.c.queued_ms)).where(runs.c.stop == stop.id))
    return min(found, stop.at_ms) if found is not None else stop.at_ms


# --- incidents
def put_incident(connection: Connection, incident: Incident) -> None:
    """Record an incident, or what is known of it now."""
    values = msgspec.structs.asdict(incident)
    if not connection.execute(update(incidents).where(incidents.c.id == incident.id).values(values)).rowcount:
        connection.execute(incidents.insert(), values)


def list_incidents(connection: Connection, tenant: str, limit: int, workflow: str = "") -> list[Incident]:
    """Incidents, the newest first."""
    where = [incidents.c.tenant == tenant, *([incidents.c.workflow == workflow] if workflow else [])]
    wanted = select(*_columns(incidents, Incident)).where(*where)
    found = connection.execute(wanted.order_by(incidents.c.from_ms.desc(), incidents.c.id).limit(limit))
    return [Incident(*row) for row in found]


def find_incident(connection: Connection, tenant: str, ident: str) -> Incident | None:
    """One incident."""
    wanted = select(*_columns(incidents, Incident)).where(incidents.c.tenant == tenant, incidents.c.id == ident)
    row = connection.execute(wanted).one_or_none()
    return Incident(*row) if row is not None else None
