"""Statements of routing: functions of a connection, each in the transaction of whoever calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, delete, func, select, update

from holdfast.governance import limits
from holdfast.governance.routing.experiment import Experiment, PeelStep, RouteDecision, RouteEnd
from holdfast.governance.routing.model import RoutingDocument, parse
from holdfast.governance.routing.peel import TRANSITIONS, State
from holdfast.governance.store.changes import count_change
from holdfast.governance.store.tables.routing import routing_decisions as decisions
from holdfast.governance.store.tables.routing import routing_documents as documents
from holdfast.governance.store.tables.routing import routing_experiments as experiments
from holdfast.governance.store.tables.routing import routing_sessions as sessions
from holdfast.governance.store.tables.routing import routing_steps as steps

DOMAIN = "routing"
SessionKey = tuple[str, str, str]
"""Tenant, hash of a session, route."""


def _columns(table: Table, kind: type[msgspec.Struct]) -> list[Any]:
    return [table.c[name] for name in kind.__struct_fields__]


def read_documents(connection: Connection) -> dict[str, RoutingDocument]:
    """The document of every tenant that has one."""
    last = select(documents.c.tenant, func.max(documents.c.version)).group_by(documents.c.tenant)
    found = {}
    for tenant, version in connection.execute(last).all():
        where = documents.c.tenant == tenant, documents.c.version == version
        found[tenant] = parse(connection.execute(select(documents.c.document).where(*where)).scalar_one())
    return found


def set_document(connection: Connection, tenant: str, document: Any, by: str, now_ms: int) -> int:
    """Set a tenant's document; which version it is."""
    last = connection.scalar(select(func.max(documents.c.version)).where(documents.c.tenant == tenant))
    facts = {"tenant": tenant, "version": (last or 0) + 1, "document": document, "by": by, "at_ms": now_ms}
    connection.execute(documents.insert(), facts)
    count_change(connection, DOMAIN)
    return int(facts["version"])


def versions(connection: Connection, tenant: str) -> list[dict[str, Any]]:
    """Who set which version, the last first."""
    wanted = select(documents.c.version, documents.c.by, documents.c.at_ms).where(documents.c.tenant == tenant)
    found = connection.execute(wanted.order_by(documents.c.version.desc()).limit(20))
    return [dict(row._mapping) for row in found]


# --- experiments
def read_experiments(connection: Connection, tenant: str | None = None) -> list[Experiment]:
    """Experiments, the newest first; of all tenants for None."""
    wanted = select(*_columns(experiments, Experiment)).order_by(experiments.c.since_ms.desc(), experiments.c.id)
    if tenant is not None:
        wanted = wanted.where(experiments.c.tenant == tenant)
    names = Experiment.__struct_fields__
    return [msgspec.convert(dict(zip(names, row, strict=True)), Experiment) for row in connection.execute(wanted)]


def read_steps(connection: Connection, experiment: str) -> list[PeelStep]:
    """The steps of an experiment, oldest first."""
    wanted = select(*_columns(steps, PeelStep)).where(steps.c.experiment == experiment)
    return [PeelStep(*row) for row in connection.execute(wanted.order_by(steps.c.at_ms, steps.c.id))]


def begin(connection: Connection, experiment: Experiment) -> None:
    """Start an experiment."""
    connection.execute(experiments.insert(), msgspec.to_builtins(experiment))
    _step(connection, experiment.id, "", experiment.state, "it begins", experiment.by, experiment.since_ms)
    count_change(connection, DOMAIN)


def _step(connection: Connection, experiment: str, before: str, after: str, why: str, by: str, now_ms: int) -> None:
    number = connection.scalar(select(func.count()).where(steps.c.experiment == experiment)) or 0
    facts = {"id": f"{experiment}/{number + 1}", "experiment": experiment, "before": before, "after": after}
    connection.execute(steps.insert(), {**facts, "why": why, "by": by, "at_ms": now_ms})


def move(
    connection: Connection, experiment: Experiment, to: State, why: str, by: str, now_ms: int, counts: Mapping[str, int]
) -> bool:
    """Take a step; False where the table of transitions has none, or another process has taken one meanwhile."""
    if to not in TRANSITIONS[experiment.state]:
        return False
    times = {"share_ms": now_ms} if to == "share" else {"ended_ms": now_ms}
    where = experiments.c.id == experiment.id, experiments.c.state == experiment.state
    moved = connection.execute(update(experiments).where(*where).values({"state": to, "why": why, **times, **counts}))
    if moved.rowcount:
        _step(connection, experiment.id, experiment.state, to, why, by, now_ms)
        count_change(connection, DOMAIN)
    return bool(moved.rowcount)


def count_shadows(connection: Connection, counts: Mapping[str, Mapping[str, int]]) -> None:
    """Add what became of shadows: by experiment, names of columns and how many more."""
    for ident, more in counts.items():
        values = {experiments.c[name]: experiments.c[name] + count for name, count in more.items()}
        connection.execute(update(experiments).where(experiments.c.id == ident).values(values))


def put_outcomes(connection: Connection, experiment: str, outcomes: int, accepted: int) -> None:
    """How many outcomes the cheaper model has now."""
    values = {"outcomes": outcomes, "accepted": accepted}
    connection.execute(update(experiments).where(experiments.c.id == experiment).values(values))


# --- decisions
def put_decisions(connection: Connection, some: Sequence[RouteDecision]) -> None:
    """Put decisions on record: new ones, and those of which the end is known by now."""
    for one in some:
        values = msgspec.structs.asdict(one)
        if not connection.execute(update(decisions).where(decisions.c.id == one.id).values(values)).rowcount:
            connection.execute(decisions.insert(), values)


def put_ends(connection: Connection, ends: Mapping[str, RouteEnd]) -> None:
    """What answered in the end, of decisions that are on record."""
    for ident, end in ends.items():
        connection.execute(update(decisions).where(decisions.c.id == ident).values(end._asdict()))


def forget(connection: Connection, tenant: str, oldest_ms: int) -> None:
    """Let decisions go that are too old, or too many."""
    of = decisions.c
    nth = select(of.at_ms).where(of.tenant == tenant).order_by(of.at_ms.desc())
    last = connection.scalar(nth.offset(limits.ROUTE_DECISION_ROWS).limit(1))
    connection.execute(delete(decisions).where(of.tenant == tenant, of.at_ms < oldest_ms))
    if last is not None:
        connection.execute(delete(decisions).where(of.tenant == tenant, of.at_ms <= last))


def read_decisions(connection: Connection, tenant: str, limit: int, filters: Mapping[str, Any]) -> list[RouteDecision]:
    """Decisions, the newest first."""
    where = [decisions.c.tenant == tenant, *(decisions.c[name] == value for name, value in filters.items())]
    wanted = select(*_columns(decisions, RouteDecision)).where(*where)
    found = connection.execute(wanted.order_by(decisions.c.at_ms.desc(), decisions.c.id.desc()).limit(limit))
    return [RouteDecision(**row._mapping) for row in found]


# --- which model a session has
def put_sessions(connection: Connection, models: Mapping[SessionKey, str], now_ms: int) -> None:
    """Remember which model sessions have."""
    for (tenant, session, route), model in models.items():
        where = sessions.c.tenant == tenant, sessions.c.session == session, sessions.c.route == route
        values = {"model": model, "at_ms": now_ms}
        if not connection.execute(update(sessions).where(*where).values(values)).rowcount:
            connection.execute(sessions.insert(), {"tenant": tenant, "session": session, "route": route, **values})


def read_sessions(connection: Connection) -> dict[SessionKey, str]:
    """Which model sessions have, those that were silent longest first."""
    wanted = select(sessions).order_by(sessions.c.at_ms.desc()).limit(limits.ROUTE_SESSIONS)
    found = [(row.tenant, row.session, row.route, row.model) for row in connection.execute(wanted)]
    return {(tenant, session, route): model for tenant, session, route, model in reversed(found)}


def forget_sessions(connection: Connection, oldest_ms: int) -> None:
    """Forget sessions that said nothing for long."""
    connection.execute(delete(sessions).where(sessions.c.at_ms < oldest_ms))
