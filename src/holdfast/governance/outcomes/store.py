"""Statements of outcomes: functions of a connection, each in the transaction of whoever calls."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, update

from holdfast.governance import limits
from holdfast.governance.ledger import store as ledger
from holdfast.governance.ledger import work
from holdfast.governance.outcomes.model import OutcomeQuestion, OutcomeTally, TallyKey, WorkOutcome, standing
from holdfast.governance.store.changes import count_change
from holdfast.governance.store.tables.outcomes import outcome_proxies as proxies
from holdfast.governance.store.tables.outcomes import outcomes

DOMAIN = "outcomes"
_FIELDS = [outcomes.c[name] for name in WorkOutcome.__struct_fields__]


def _of(row: Any) -> WorkOutcome:
    return WorkOutcome(**dict(zip(WorkOutcome.__struct_fields__, row, strict=True)))


def add(connection: Connection, outcome: WorkOutcome, session: str) -> WorkOutcome:
    """Put an outcome on record, and say which of its work counts. One that is there already is answered as it is.

    Args:
        session: its name; what is kept of it is a reference.
    """
    found = connection.execute(select(*_FIELDS).where(outcomes.c.id == outcome.id)).first()
    if found is not None:
        return _of(found)
    reference = ledger.reference_of(connection, outcome.tenant, session, outcome.at_ms)
    new = _joined(connection, outcome.tenant, [msgspec.structs.replace(outcome, session=reference)])[0]
    connection.execute(outcomes.insert(), msgspec.structs.asdict(new))
    _settle(connection, new)
    count_change(connection, DOMAIN)
    return _of(connection.execute(select(*_FIELDS).where(outcomes.c.id == new.id)).one())


def _subject(outcome: WorkOutcome) -> ColumnElement[bool]:
    if outcome.run:
        return and_(outcomes.c.session == outcome.session, outcomes.c.run == outcome.run)
    return and_(outcomes.c.call == outcome.call, outcomes.c.run == "")


def _settle(connection: Connection, outcome: WorkOutcome) -> None:
    """Of all that was said of the same work, one counts."""
    same = outcomes.c.tenant == outcome.tenant, _subject(outcome)
    last = standing(_of(row) for row in connection.execute(select(*_FIELDS).where(*same)))
    connection.execute(update(outcomes).where(*same).values(counts=False))
    connection.execute(update(outcomes).where(outcomes.c.id == last.id).values(counts=True))


def _joined(connection: Connection, tenant: str, some: Sequence[WorkOutcome]) -> list[WorkOutcome]:
    """With what the ledger has of their work. What is said of a call of a run is said of the run."""
    calls = work.of_calls(connection, tenant, [one.call for one in some if one.call and not one.run])
    placed = []
    for one in some:
        found = calls.get(one.call) if one.call and not one.run else None
        if found is not None and found.run:
            one = msgspec.structs.replace(one, session=found.session, run=found.run)
        placed.append(one)
    runs = work.of_runs(connection, tenant, [(one.session, one.run) for one in placed if one.run])
    answered = []
    for one in placed:
        found = runs.get((one.session, one.run)) if one.run else calls.get(one.call)
        if found is not None:
            one = msgspec.structs.replace(
                one, workflow=found.workflow, task=found.task, model=found.model, cost_nano=found.cost_nano,
                work_ms=found.at_ms,
            )  # fmt: skip
        answered.append(one)
    return answered


def waits(connection: Connection, since_ms: int) -> bool:
    """Whether an outcome since a moment has no word of the ledger yet."""
    wanted = select(outcomes.c.id).where(outcomes.c.at_ms >= since_ms, outcomes.c.work_ms == 0)
    return connection.execute(wanted.limit(1)).first() is not None


def join(connection: Connection, since_ms: int) -> int:
    """Have the ledger's word for outcomes since a moment that had none. How many found theirs."""
    wanted = select(*_FIELDS).where(outcomes.c.at_ms >= since_ms, outcomes.c.work_ms == 0)
    waiting = [_of(row) for row in connection.execute(wanted.limit(limits.OUTCOME_JOIN_ROWS))]
    count = 0
    for tenant in sorted({one.tenant for one in waiting}):
        mine = [one for one in waiting if one.tenant == tenant]
        for before, after in zip(mine, _joined(connection, tenant, mine), strict=True):
            if not after.work_ms:
                continue
            values = msgspec.structs.asdict(after)
            names = ("session", "run", "workflow", "task", "model", "cost_nano", "work_ms")
            changed = {name: values[name] for name in names}
            connection.execute(update(outcomes).where(outcomes.c.id == after.id).values(changed))
            if after.subject != before.subject:
                _settle(connection, after)
            count += 1
    if count:
        count_change(connection, DOMAIN)
    return count


def renew(connection: Connection, tenant: str, since_ms: int) -> None:
    """Have the ledger's present word for all outcomes since a moment: costs are corrected after they were written."""
    after, page = "", limits.OUTCOME_JOIN_ROWS
    while True:
        mine = outcomes.c.tenant == tenant, outcomes.c.at_ms >= since_ms, outcomes.c.id > after
        found = connection.execute(select(*_FIELDS).where(*mine).order_by(outcomes.c.id).limit(page)).all()
        some = [_of(row) for row in found]
        for before, now in zip(some, _joined(connection, tenant, some), strict=True):
            if now.cost_nano != before.cost_nano:
                connection.execute(update(outcomes).where(outcomes.c.id == now.id).values(cost_nano=now.cost_nano))
        if len(some) < page:
            return
        after = some[-1].id


def tallies(connection: Connection, tenant: str, since_ms: int) -> dict[TallyKey, OutcomeTally]:
    """The outcomes that count since a moment, by workflow, task and model. Work of which the ledger has nothing yet, and work
    that several models did, is nobody's."""
    of = outcomes.c
    verdicts = [func.count().filter(of.verdict == one) for one in ("accepted", "rejected", "escalated")]
    costs = [
        func.coalesce(func.sum(of.cost_nano), 0),
        func.count(of.cost_nano),
        func.coalesce(func.sum(of.value_nano), 0),
    ]
    by = (of.workflow, of.task, of.model)
    wanted = select(*by, *verdicts, *costs).where(
        of.tenant == tenant, of.at_ms >= since_ms, of.counts.is_(True), of.work_ms > 0, of.model != ""
    )
    return {
        TallyKey(*found[:3]): OutcomeTally(*(int(number) for number in found[3:]))
        for found in connection.execute(wanted.group_by(*by))
    }


def of_model(
    connection: Connection, tenant: str, workflow: str, task: str, model: str, since_ms: int
) -> tuple[int, int]:
    """``(outcomes, accepted)`` of work that a model began since a moment; an empty task for all of the workflow."""
    of = outcomes.c
    where = [
        of.tenant == tenant,
        of.workflow == workflow,
        of.model == model,
        of.work_ms >= since_ms,
        of.counts.is_(True),
    ]
    if task:
        where.append(of.task == task)
    counted = select(func.count(), func.count().filter(of.verdict == "accepted")).where(*where)
    n, accepted = connection.execute(counted).one()
    return int(n), int(accepted)


def of_workflow(connection: Connection, tenant: str, workflow: str, since_ms: int, until_ms: int) -> tuple[int, int]:
    """``(outcomes, accepted)`` of work of a workflow that began in a time."""
    of = outcomes.c
    where = of.tenant == tenant, of.workflow == workflow, of.work_ms >= since_ms, of.work_ms < until_ms
    counted = select(func.count(), func.count().filter(of.verdict == "accepted")).where(*where, of.counts.is_(True))
    n, accepted = connection.execute(counted).one()
    return int(n), int(accepted)


def page(connection: Connection, tenant: str, limit: int, question: OutcomeQuestion) -> list[WorkOutcome]:
    """Outcomes, the newest first."""
    wanted = select(*_FIELDS).where(outcomes.c.tenant == tenant, outcomes.c.at_ms >= question.since_ms)
    if not question.superseded:
        wanted = wanted.where(outcomes.c.counts.is_(True))
    if question.until_ms is not None:
        wanted = wanted.where(outcomes.c.at_ms < question.until_ms)
    for name in ("workflow", "task", "model"):
        if value := getattr(question, name):
            wanted = wanted.where(outcomes.c[name] == value)
    found = connection.execute(wanted.order_by(outcomes.c.at_ms.desc(), outcomes.c.id.desc()).limit(limit))
    return [_of(row) for row in found]


def session_names(connection: Connection, references: Collection[str]) -> dict[str, str]:
    """The names of sessions, by their references."""
    return ledger.session_names(connection, references)


def tenants(connection: Connection) -> list[str]:
    """Those that have outcomes."""
    return list(connection.scalars(select(outcomes.c.tenant).distinct()))


# --- proxies
def note_run(
    connection: Connection, tenant: str, session: str, run: str, input_: str, edits: str, at_ms: int, oldest_ms: int
) -> None:
    """A person asked for a run. Another run of the same input was asked again; a run of the input that this one edits was
    edited."""
    reference = ledger.reference_of(connection, tenant, session, at_ms)
    here = proxies.c.tenant == tenant, proxies.c.session == reference
    connection.execute(
        update(proxies).where(*here, proxies.c.input == input_, proxies.c.run != run).values(regenerated=True)
    )
    if edits:
        connection.execute(update(proxies).where(*here, proxies.c.input == edits).values(edited=True))
    facts = {"tenant": tenant, "session": reference, "run": run, "input": input_, "at_ms": at_ms}
    ledger.add_once(connection, proxies, {**facts, "edited": False, "regenerated": False})
    connection.execute(delete(proxies).where(proxies.c.at_ms < oldest_ms))


def crossed(connection: Connection, tenant: str, since_ms: int) -> list[tuple[bool, bool, bool, int]]:
    """``(edited, regenerated, accepted, count)`` of runs that have an outcome."""
    accepted = (outcomes.c.verdict == "accepted").label("accepted")
    same = and_(
        proxies.c.tenant == outcomes.c.tenant, proxies.c.session == outcomes.c.session, proxies.c.run == outcomes.c.run
    )
    wanted = (
        select(proxies.c.edited, proxies.c.regenerated, accepted, func.count())
        .select_from(proxies.join(outcomes, same))
        .where(outcomes.c.tenant == tenant, outcomes.c.counts.is_(True), outcomes.c.at_ms >= since_ms)
        .group_by(proxies.c.edited, proxies.c.regenerated, accepted)
    )
    return [(bool(e), bool(r), bool(a), int(n)) for e, r, a, n in connection.execute(wanted)]
