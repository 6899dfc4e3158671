"""What the ledger has of a piece of work: which model did it, for which workflow and task, and what it cost.

A piece of work is a call, or a run with all its calls. It is known by the model that was asked for, which is the name that
routes and keys use; what the provider calls it stands in the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, and_, func, or_, select

from holdfast.governance.ledger.queries import last_ones
from holdfast.governance.store.tables.ledger import ledger_rows as rows

_DONE: Final = ("served", "drained", "cut")
"""How attempts end of which there is something."""


class Work(NamedTuple):
    """One piece of work.

    Attributes:
        call: id of the call; ``session`` (a reference) and ``run`` where it is of a run.
        model: that did it; empty where several did.
        cost_nano: of all its attempts; None where the cost of one is not known.
        at_ms: of its first row.
    """

    call: str
    session: str
    run: str
    workflow: str
    task: str
    model: str
    cost_nano: int | None
    at_ms: int


def of_calls(connection: Connection, tenant: str, calls: Sequence[str]) -> dict[str, Work]:
    """The work of calls, by their ids; those that have no row yet are left out."""
    found = _grouped(connection, tenant, rows.c.call.in_(calls), [rows.c.call])
    return {work.call: work for work in found} if calls else {}


def of_runs(connection: Connection, tenant: str, runs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Work]:
    """The work of runs, by references of sessions and ids of runs; those that have no row yet are left out."""
    if not runs:
        return {}
    wanted = or_(*(and_(rows.c.session == session, rows.c.run == run) for session, run in runs))
    found = _grouped(connection, tenant, wanted, [rows.c.session, rows.c.run])
    return {(work.session, work.run): work for work in found}


def served_between(connection: Connection, tenant: str, workflow: str, since_ms: int, until_ms: int) -> dict[str, int]:
    """Rows of a workflow in a time by the model that served, as the provider named it; empty where it named none."""
    where = rows.c.tenant == tenant, rows.c.workflow == workflow, rows.c.at_ms >= since_ms, rows.c.at_ms < until_ms
    wanted = select(rows.c.model, func.count()).where(*where, rows.c.outcome.in_(_DONE), last_ones())
    return {model: int(number) for model, number in connection.execute(wanted.group_by(rows.c.model))}


def _grouped(connection: Connection, tenant: str, wanted: Any, by: Sequence[Any]) -> list[Work]:
    done = rows.c.outcome.in_(_DONE)
    model = func.coalesce(func.nullif(rows.c.asked, ""), rows.c.model)
    whole = (
        select(
            func.max(rows.c.call), func.max(rows.c.session), func.max(rows.c.run), func.max(rows.c.workflow),
            func.max(rows.c.task), func.count(model.distinct()).filter(done), func.max(model).filter(done),
            func.count().filter(rows.c.billed_nano.is_(None)), func.sum(rows.c.billed_nano), func.min(rows.c.at_ms),
        )
        .where(rows.c.tenant == tenant, wanted, last_ones())
        .group_by(*by)
    )  # fmt: skip
    return [
        Work(call, session, run, workflow, task, (name or "") if models == 1 else "",
             None if unknown else int(cost or 0), at_ms)
        for call, session, run, workflow, task, models, name, unknown, cost, at_ms in connection.execute(whole)
    ]  # fmt: skip
