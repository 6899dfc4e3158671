"""Statements that read rows for people: sums, pages, whole sessions. Each is bounded, and uses an index of the table.

What counts is the last row of a chain of corrections: one that no other row replaces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Select, case, cast, func, literal, select, tuple_

from holdfast.governance import limits
from holdfast.governance.ledger import spend
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.spend import Figures, Group, Spend, SpendQuestion
from holdfast.governance.ledger.store import ERASED, rows_from, session_reference, with_sessions
from holdfast.governance.store.tables.ledger import ledger_rows as rows
from holdfast.governance.store.tables.ledger import ledger_sessions as sessions

Where = list[ColumnElement[bool]]


def last_ones() -> ColumnElement[bool]:
    """Rows that nothing replaces. The few corrections are looked up once for a statement."""
    replacing = rows.alias("replacing")
    return rows.c.id.not_in(select(replacing.c.corrects).where(replacing.c.corrects != ""))


def dimension(name: str, dialect: str) -> ColumnElement[str]:
    """The value of a dimension: empty where a row has none."""
    if not name.startswith("tag:"):
        return rows.c[name]
    tag = name.removeprefix("tag:")
    if dialect == "postgresql":
        return func.coalesce(cast(rows.c.tags, JSON)[tag].as_string(), "")
    return func.coalesce(func.json_extract(rows.c.tags, f'$."{tag}"'), "")


def figures() -> list[ColumnElement[Any]]:
    """The sums of ``spend.Figures``."""
    unknown = func.sum(case((rows.c.billed_nano.is_(None), 1), else_=0))
    estimated = func.sum(case((rows.c.basis == "estimated", 1), else_=0))
    sums = [func.sum(rows.c[name]) for name in (*spend.TOKENS, *spend.MONEY)]
    return [func.count(), unknown, estimated, *sums]


def figures_from(found: Sequence[Any]) -> Figures:
    """``Figures`` of what ``figures`` selected; a database may give its sums as decimals."""
    return Figures(*(int(value or 0) for value in found))


def where(connection: Connection, question: SpendQuestion) -> Where:
    """The rows a question is about."""
    found: Where = [
        rows.c.tenant == question.tenant, rows.c.day >= question.since, rows.c.day <= question.until, last_ones()
    ]  # fmt: skip
    return [*found, *filtered(connection, question.tenant, question.filters)]


def filtered(connection: Connection, tenant: str, filters: Mapping[str, Sequence[str]]) -> Where:
    """Rows that have one of the values of each dimension. Sessions are named as people know them."""
    found: Where = []
    for name, values in filters.items():
        wanted = list(values)
        if name == "session":
            wanted = [session_reference(connection, tenant, value) or "" if value else "" for value in values]
            wanted = [each for each, value in zip(wanted, values, strict=True) if each or not value]
        found.append(dimension(name, connection.dialect.name).in_(wanted))
    return found


def spend_of(connection: Connection, question: SpendQuestion) -> Spend:
    """Answer a question that ``spend.check`` has let pass."""
    dialect, conditions = connection.dialect.name, where(connection, question)
    by = [dimension(name, dialect).label(f"by{number}") for number, name in enumerate(question.by)]
    bucket = rows.c[question.bucket] if question.bucket else literal("")
    sums = figures()
    in_all = select(bucket, *sums).where(*conditions)
    in_all = in_all.group_by(bucket) if question.bucket else in_all
    totals = {each[0]: figures_from(each[1:]) for each in connection.execute(in_all).all()}
    groups: list[Group] = []
    if by:
        keys = [*by, *([bucket.label("bucket")] if question.bucket else [])]
        wanted = select(*by, bucket.label("bucket"), *sums).where(*conditions).group_by(*keys)
        costliest = func.coalesce(func.sum(rows.c.billed_nano), 0).desc()
        found = connection.execute(wanted.order_by(costliest, *keys).limit(question.limit)).all()
        groups = [
            Group(tuple(str(each[i]) for i in range(len(by))), each[len(by)], figures_from(each[len(by) + 1 :]))
            for each in found
        ]
        groups = _with_names(connection, question, groups)
    return Spend(question, tuple(_with_rest(question, groups, totals)), _sum(totals.values()))


def _sum(figures_: Any) -> Figures:
    total = Figures()
    for each in figures_:
        total = total.plus(each)
    return total


def _with_rest(question: SpendQuestion, groups: list[Group], totals: Mapping[str, Figures]) -> list[Group]:
    answered: list[Group] = []
    for bucket in sorted(totals):
        own = [group for group in groups if group.bucket == bucket]
        rest = totals[bucket].minus(_sum(group.figures for group in own))
        if rest.rows or not question.by:
            own.append(Group(("",) * len(question.by), bucket, rest, rest=bool(question.by)))
        answered += [group for group in own if group.figures.rows]
    return answered


def _with_names(connection: Connection, question: SpendQuestion, groups: list[Group]) -> list[Group]:
    """The groups, sessions named as people know them."""
    if "session" not in question.by:
        return groups
    at = question.by.index("session")
    references = sorted({group.values[at] for group in groups} - {""})
    names: dict[str, str] = {}
    for first in range(0, len(references), limits.LEDGER_GROUP_ROWS):
        page = references[first : first + limits.LEDGER_GROUP_ROWS]
        wanted = select(sessions.c.reference, sessions.c.session).where(sessions.c.reference.in_(page))
        names.update((reference, name) for reference, name in connection.execute(wanted))
    named = []
    for group in groups:
        reference = group.values[at]
        name = names.get(reference, ERASED + reference) if reference else ""
        named.append(Group((*group.values[:at], name, *group.values[at + 1 :]), group.bucket, group.figures))
    return named


def page_of(
    connection: Connection,
    question: SpendQuestion,
    before: tuple[int, str] | None,
    limit: int,
    *,
    replaced: bool = False,
) -> list[Row]:
    """Rows a question is about, newest first, beyond those of the pages before; with ``replaced`` also those that do not
    count any more."""
    conditions = where(connection, question)
    if replaced:
        conditions.pop(3)
    wanted: Select[Any] = with_sessions().where(*conditions)
    if before is not None:
        wanted = wanted.where(tuple_(rows.c.at_ms, rows.c.id) < tuple_(literal(before[0]), literal(before[1])))
    wanted = wanted.order_by(rows.c.at_ms.desc(), rows.c.id.desc()).limit(limit)
    return list(rows_from(connection.execute(wanted).all()))


def of_period(connection: Connection, tenant: str, period: str, after: str, limit: int) -> list[Row]:
    """The next rows in the books of a month, by id, replaced ones too."""
    wanted = with_sessions().where(rows.c.tenant == tenant, rows.c.period == period, rows.c.id > after)
    return list(rows_from(connection.execute(wanted.order_by(rows.c.id).limit(limit)).all()))


def of_session(connection: Connection, tenant: str, session: str) -> list[Row]:
    """The rows of a session that count, oldest first."""
    reference = session_reference(connection, tenant, session)
    if reference is None:
        return []
    wanted = with_sessions().where(rows.c.tenant == tenant, rows.c.session == reference, last_ones())
    wanted = wanted.order_by(rows.c.at_ms, rows.c.id).limit(limits.LEDGER_TREE_ROWS)
    return list(rows_from(connection.execute(wanted).all()))


def all_rows(connection: Connection, tenant: str | None, after: str, limit: int) -> list[Row]:
    """The next rows by id, replaced ones too, of one tenant or of all."""
    wanted = with_sessions().where(rows.c.id > after)
    if tenant is not None:
        wanted = wanted.where(rows.c.tenant == tenant)
    return list(rows_from(connection.execute(wanted.order_by(rows.c.id).limit(limit)).all()))


def placed_sums(
    connection: Connection, tenant: str, since_ms: int, until_ms: int | None, *, width_ms: int = 0, single: bool = False
) -> list[tuple[Row, int]]:
    """What rows that count sum to, by whose they are: a row for each place, with the sum as its ``billed_nano`` and the last
    of their times, and how many they were. One without a price counts for nothing.

    Args:
        since_ms, until_ms: from, and before; None for no end.
        width_ms: of the parts of time that are told apart; 0 for days only.
        single: tell sessions and runs apart.
    """
    run = case((rows.c.parent_run != "", rows.c.parent_run), (rows.c.run != "", rows.c.run), else_=rows.c.call)
    named = case((rows.c.session == "", ""), else_=func.coalesce(sessions.c.session, ERASED + rows.c.session))
    by: list[ColumnElement[Any]] = [
        rows.c[name] for name in ("organisation", "team", "workflow", "task", "person", "day")
    ]
    by += [rows.c.at_ms - rows.c.at_ms % width_ms] if width_ms else []
    by += [named, run] if single else []
    joined = rows.outerjoin(sessions, sessions.c.reference == rows.c.session)
    sums = func.max(rows.c.at_ms), func.coalesce(func.sum(rows.c.billed_nano), 0), func.count()
    wanted = select(*by, *sums).select_from(joined)
    wanted = wanted.where(rows.c.tenant == tenant, rows.c.at_ms >= since_ms, last_ones()).group_by(*by)
    if until_ms is not None:
        wanted = wanted.where(rows.c.at_ms < until_ms)
    found = []
    for organisation, team, workflow, task, person, day, *rest, at_ms, nano, count in connection.execute(wanted):
        session, of_run = rest[-2:] if single else ("", "")
        row = Row(
            id="", call=of_run, at_ms=int(at_ms), day=day, month=day[:7], tenant=tenant, organisation=organisation, team=team,
            workflow=workflow, task=task, person=person, session=session, billed_nano=int(nano),
        )  # fmt: skip
        found.append((row, int(count)))
    return found
