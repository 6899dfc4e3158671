"""The statements on budgets, what is spent and what is held; each in the transaction of whoever calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, select, text, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from holdfast.governance.budgets.model import BrakeRule, Budget
from holdfast.governance.budgets.whereabouts import BudgetSet
from holdfast.governance.store.changes import change_number
from holdfast.governance.store.tables.budgets import (
    budget_brakes,
    budget_refusals,
    budget_requests,
    budgets,
)
from holdfast.governance.store.tables.budgets import (
    budget_holds as holds,
)
from holdfast.governance.store.tables.budgets import (
    budget_spent as spent,
)

DOMAIN: Final = "budgets"
"""Whose changes are counted."""
_AT_ONCE: Final = 500


class Spent(NamedTuple):
    """What was spent on an account in a window, nano-USD."""

    spent_nano: int = 0
    settled_nano: int = 0
    returned_nano: int = 0
    refused: int = 0
    observed: int = 0


class HeldMoney(NamedTuple):
    """What attempts hold of an account, and how many they are."""

    nano: int = 0
    attempts: int = 0


class HoldLine(NamedTuple):
    """What one attempt holds of one account."""

    budget: str
    subject: str
    attempt: str
    nano: int
    input_tokens: int
    output_tokens: int
    at_ms: int


class SpentLine(NamedTuple):
    """What is added to a bucket of an account."""

    budget: str
    subject: str
    bucket_ms: int
    spent_nano: int = 0
    settled_nano: int = 0
    returned_nano: int = 0
    rows: int = 0
    refused: int = 0
    observed: int = 0


# --- definitions
def read_budgets(connection: Connection) -> BudgetSet:
    """The budgets that hold, of all tenants."""
    version = change_number(connection, DOMAIN)
    found = connection.execute(select(budgets).where(budgets.c.ended_ms.is_(None)))
    return BudgetSet((budget_from(dict(row._mapping)) for row in found), version)


def current(connection: Connection, before: BudgetSet) -> BudgetSet:
    """The budgets as read before, unless another process has changed it since."""
    return before if change_number(connection, DOMAIN) == before.version else read_budgets(connection)


def budget_from(found: Mapping[str, Any]) -> Budget:
    """A budget from its row."""
    facts = dict(found)
    facts["alerts"] = tuple(facts["alerts"])
    return Budget(**facts)


def put_budget(connection: Connection, budget: Budget) -> None:
    """Write a budget, new or changed."""
    facts = msgspec.structs.asdict(budget) | {"alerts": list(budget.alerts)}
    if not connection.execute(update(budgets).where(budgets.c.id == budget.id).values(**facts)).rowcount:
        connection.execute(insert(budgets), facts)


def read_brakes(connection: Connection) -> dict[tuple[str, str], BrakeRule]:
    """What becomes of running answers, by tenant and workflow."""
    found: dict[tuple[str, str], BrakeRule] = {}
    for row in connection.execute(select(budget_brakes)):
        facts = dict(row._mapping)
        tenant = facts.pop("tenant")
        found[tenant, facts["workflow"]] = BrakeRule(**facts)
    return found


# --- what is spent
_ADDED: Final = ("spent_nano", "settled_nano", "returned_nano", "rows", "refused", "observed")


def add_spent(connection: Connection, lines: Iterable[SpentLine], now_ms: int) -> None:
    """Add to buckets; those that are not there begin with it."""
    facts = [{**line._asdict(), "touched_ms": now_ms} for line in lines]
    if facts:
        connection.execute(_add(connection.dialect.name), facts)


def _add(dialect: str) -> Any:
    statement: Any = _ADD.get(dialect)
    if statement is None:
        made: Any = (postgresql if dialect == "postgresql" else sqlite).insert(spent)
        sums = {name: spent.c[name] + made.excluded[name] for name in _ADDED}
        statement = _ADD[dialect] = made.on_conflict_do_update(
            index_elements=["budget", "subject", "bucket_ms"], set_=sums | {"touched_ms": made.excluded.touched_ms}
        )
    return statement


_ADD: dict[str, Any] = {}

_SPENT: Final = (
    select(spent.c.subject, *(func.sum(spent.c[name]) for name in _ADDED if name != "rows"))
    .where(
        spent.c.budget == bindparam("budget"),
        spent.c.subject.in_(bindparam("subjects", expanding=True)),
        spent.c.bucket_ms >= bindparam("since"),
    )
    .group_by(spent.c.subject)
)  # fmt: skip
_HELD: Final = (
    select(holds.c.subject, func.sum(holds.c.nano), func.count())
    .where(holds.c.budget == bindparam("budget"), holds.c.subject.in_(bindparam("subjects", expanding=True)))
    .group_by(holds.c.subject)
)


def read_spent(connection: Connection, budget: str, subjects: Sequence[str], since_ms: int) -> dict[str, Spent]:
    """What was spent from a bucket on, by subject; absent where nothing was."""
    found: dict[str, Spent] = {}
    for some in _chunks(subjects):
        for subject, *sums in connection.execute(_SPENT, {"budget": budget, "subjects": some, "since": since_ms}):
            found[subject] = Spent(*(int(each or 0) for each in sums))
    return found


def read_parts(connection: Connection, budget: str, subject: str, since_ms: int) -> list[tuple[int, int]]:
    """``(bucket, spent)`` of an account, from a bucket on, the oldest first."""
    wanted = select(spent.c.bucket_ms, spent.c.spent_nano).where(
        spent.c.budget == budget, spent.c.subject == subject, spent.c.bucket_ms >= since_ms
    )
    return [(bucket, int(nano)) for bucket, nano in connection.execute(wanted.order_by(spent.c.bucket_ms))]


def read_subjects(connection: Connection, budget: str, since_ms: int, limit: int) -> list[str]:
    """Subjects of a budget in a window: those that spent most, and those that hold something."""
    wanted = (
        select(spent.c.subject)
        .where(spent.c.budget == budget, spent.c.bucket_ms >= since_ms)
        .group_by(spent.c.subject)
        .order_by(func.sum(spent.c.spent_nano).desc(), spent.c.subject)
        .limit(limit)
    )
    holding = select(holds.c.subject).where(holds.c.budget == budget).distinct().limit(limit)
    return list(dict.fromkeys([*connection.scalars(wanted), *connection.scalars(holding)]))


def exhausted(
    connection: Connection, budget: str, since_ms: int, cap_nano: int, limit: int, touched_ms: int = 0
) -> list[tuple[str, int]]:
    """``(subject, spent)`` of the accounts of a budget that have spent all they may, of those that were touched since."""
    total = func.sum(spent.c.spent_nano)
    wanted = (
        select(spent.c.subject, total)
        .where(spent.c.budget == budget, spent.c.bucket_ms >= since_ms, spent.c.touched_ms >= touched_ms)
        .group_by(spent.c.subject)
        .having(total >= cap_nano)
        .limit(limit)
    )
    return [(subject, int(nano)) for subject, nano in connection.execute(wanted)]


def clear_spent(connection: Connection, budget: str) -> None:
    """Forget what was counted on a budget: it is counted anew from the ledger. What did not fit stays counted."""
    zero = dict.fromkeys(("spent_nano", "settled_nano", "returned_nano", "rows"), 0)
    connection.execute(update(spent).where(spent.c.budget == budget).values(**zero))


def read_buckets(connection: Connection, budget: str) -> dict[tuple[str, int], int]:
    """What was counted as spent, by subject and bucket."""
    found = connection.execute(
        select(spent.c.subject, spent.c.bucket_ms, spent.c.spent_nano).where(spent.c.budget == budget)
    )
    return {(subject, bucket): int(nano) for subject, bucket, nano in found}


def forget_spent(
    connection: Connection,
    budget: str,
    limit: int,
    *,
    untouched_since_ms: int | None = None,
    before_ms: int | None = None,
) -> int:
    """Forget some buckets of a budget that nothing touched since, or that began before; how many those were."""
    old = [spent.c.touched_ms < untouched_since_ms] if untouched_since_ms is not None else []
    old += [spent.c.bucket_ms < before_ms] if before_ms is not None else []
    key = spent.c.subject, spent.c.bucket_ms
    some = select(*key).where(spent.c.budget == budget, *old).limit(limit)
    return connection.execute(delete(spent).where(spent.c.budget == budget, tuple_(*key).in_(some))).rowcount


# --- what is held
def lock(connection: Connection) -> None:
    """Let nobody else reserve or settle until this transaction ends; first in it. SQLite has one writer."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE budget_holds IN EXCLUSIVE MODE"))


def read_held(connection: Connection, budget: str, subjects: Sequence[str]) -> dict[str, HeldMoney]:
    """What attempts hold, by subject; absent where nobody holds anything."""
    found: dict[str, HeldMoney] = {}
    for some in _chunks(subjects):
        for subject, nano, count in connection.execute(_HELD, {"budget": budget, "subjects": some}):
            found[subject] = HeldMoney(int(nano), int(count))
    return found


def holders(connection: Connection, budget: str, subject: str, limit: int) -> list[str]:
    """The attempts that hold money of an account."""
    wanted = select(holds.c.attempt).where(holds.c.budget == budget, holds.c.subject == subject)
    return list(connection.scalars(wanted.order_by(holds.c.attempt).limit(limit)))


def add_holds(connection: Connection, lines: Sequence[HoldLine]) -> None:
    """Attempts begin to hold money."""
    if lines:
        # of what is written most: as tuples, for SQLAlchemy takes as long to sort out names as SQLite to write
        marks = ", ".join(f"${n + 1}" if connection.dialect.name == "postgresql" else "?" for n in range(len(_HOLD)))
        connection.exec_driver_sql(f"INSERT INTO budget_holds ({', '.join(_HOLD)}) VALUES ({marks})", list(lines))


def raise_holds(connection: Connection, raised: Sequence[tuple[str, int, int]]) -> None:
    """``(attempt, nano, output tokens)``: attempts hold more from now on, on all of their accounts."""
    if raised:
        facts = [{"of": attempt, "nano": nano, "output_tokens": tokens} for attempt, nano, tokens in raised]
        connection.execute(_RAISE_HOLD, facts)


def holds_of(connection: Connection, attempts: Sequence[str]) -> Iterator[HoldLine]:
    """What attempts hold."""
    for some in _chunks(attempts):
        for row in connection.execute(_HOLDS_OF, {"attempts": some}):
            yield HoldLine(*row)


def attempts_holding(connection: Connection) -> list[str]:
    """All attempts that hold money of anything."""
    return list(connection.scalars(select(holds.c.attempt).distinct().order_by(holds.c.attempt)))


def clear_holds(connection: Connection, budget: str) -> None:
    """Nobody holds money of this budget any more."""
    connection.execute(delete(holds).where(holds.c.budget == budget))


def end_holds(connection: Connection, attempts: Sequence[str]) -> None:
    """Attempts hold nothing any more."""
    for some in _chunks(attempts):
        connection.execute(_END_HOLDS, {"attempts": some})


def list_holds(connection: Connection, tenant: str, limit: int) -> list[HoldLine]:
    """What is held of the budgets of a tenant, the oldest first."""
    columns = [holds.c[name] for name in HoldLine._fields]
    wanted = select(*columns).join(budgets, budgets.c.id == holds.c.budget).where(budgets.c.tenant == tenant)
    return [HoldLine(*row) for row in connection.execute(wanted.order_by(holds.c.at_ms, holds.c.attempt).limit(limit))]


_HOLD: Final = HoldLine._fields
_RAISE_HOLD: Final = (
    update(holds)
    .where(holds.c.attempt == bindparam("of"))
    .values(nano=bindparam("nano"), output_tokens=bindparam("output_tokens"))
)
_HOLDS_OF: Final = select(*(holds.c[name] for name in HoldLine._fields)).where(
    holds.c.attempt.in_(bindparam("attempts", expanding=True))
)
_END_HOLDS: Final = delete(holds).where(holds.c.attempt.in_(bindparam("attempts", expanding=True)))


# --- what did not fit
def add_refusals(connection: Connection, facts: Sequence[Mapping[str, Any]]) -> None:
    """Put on record what did not fit."""
    if facts:
        connection.execute(insert(budget_refusals), list(facts))


def forget_refusals(connection: Connection, before_ms: int, limit: int) -> int:
    """Forget some of the refusals of before; how many those were."""
    found = 0
    for tenant in connection.scalars(select(budgets.c.tenant).distinct()).all():
        old = budget_refusals.c.tenant == tenant, budget_refusals.c.at_ms < before_ms
        some = select(budget_refusals.c.id).where(*old).limit(limit)
        found += connection.execute(delete(budget_refusals).where(budget_refusals.c.id.in_(some))).rowcount
    return found


def forget_session(connection: Connection, tenant: str, session: str) -> None:
    """Let no request lead to a session that was deleted."""
    mine = budget_requests.c.tenant == tenant, budget_requests.c.session == session
    connection.execute(update(budget_requests).where(*mine).values(session="", run=""))


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(names), _AT_ONCE):
        yield names[first : first + _AT_ONCE]
