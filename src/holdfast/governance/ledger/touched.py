"""What work touched in a stretch of time: sessions, people, runs and money of one workflow, by the ledger's rows."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, case, func, select

from holdfast.governance.ledger.queries import last_ones
from holdfast.governance.store.tables.ledger import ledger_rows as rows


class TouchedWork(msgspec.Struct, frozen=True):
    """Counts over rows.

    Attributes:
        people: pseudonyms.
        cost_nano: nano-USD, effective; None where some row has no price.
    """

    sessions: int = 0
    people: int = 0
    runs: int = 0
    cost_nano: int | None = 0


def touched(connection: Connection, tenant: str, workflow: str, from_ms: int, to_ms: int) -> TouchedWork:
    """What a workflow's rows of a time touched; both ends are of it."""

    def distinct(value: Any, where: Any) -> Any:
        return func.count(func.distinct(case((where, value))))

    one_run = rows.c.session + ":" + rows.c.run
    wanted = select(
        distinct(rows.c.session, rows.c.session != ""), distinct(rows.c.person, rows.c.person != ""),
        distinct(one_run, rows.c.run != ""), func.sum(case((rows.c.effective_nano.is_(None), 1), else_=0)),
        func.sum(rows.c.effective_nano),
    )  # fmt: skip
    of = rows.c.tenant == tenant, rows.c.workflow == workflow, rows.c.at_ms >= from_ms, rows.c.at_ms <= to_ms
    sessions, people, runs, unpriced, nano = connection.execute(wanted.where(*of, last_ones())).one()
    return TouchedWork(int(sessions), int(people), int(runs), None if unpriced else int(nano or 0))
