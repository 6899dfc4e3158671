"""Evidence: queries that anybody can run again, each a file of its own, read in one consistent moment of the store."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select, text

from holdfast.governance import limits
from holdfast.governance.rollout.model import EvidenceAnswer, GateScope, digest_of
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.changes import store_changes

_PARAMETER: Final = re.compile(r"(?<![:\w]):([a-z_]+)")

Reckoning = Callable[[GateScope], Awaitable[tuple[Sequence[Mapping[str, Any]], Mapping[str, int | str]]]]
"""Evidence that no single query gives, such as a bill beside the ledger: its rows, and the parameters that it was made with."""


@cache
def query_text(name: str) -> str:
    """The SQL of a query, for SQLite and PostgreSQL alike. Raises ``FileNotFoundError``."""
    return resources.files("holdfast.governance.rollout").joinpath("queries", f"{name}.sql").read_text("utf-8")


@cache
def is_query(name: str) -> bool:
    """Whether evidence of this name is a query, and no reckoning."""
    return resources.files("holdfast.governance.rollout").joinpath("queries", f"{name}.sql").is_file()


class EvidenceReader:
    """Reads what gates ask for.

    Args:
        database: the store.
        reckonings: evidence that is no query, by name.
    """

    def __init__(self, database: Store, reckonings: Mapping[str, Reckoning]) -> None:
        self._store = database
        self._reckonings = reckonings

    def beside(self, reckonings: Mapping[str, Reckoning]) -> EvidenceReader:
        """One that makes other reckonings, too."""
        return EvidenceReader(self._store, {**self._reckonings, **reckonings})

    async def answer(self, names: Sequence[str], scope: GateScope) -> dict[str, EvidenceAnswer]:
        """What queries answer, all of one moment; reckonings are made just before it. What is neither a query nor a reckoning
        that this process makes is left out.

        Raises:
            Unavailable: of the store.
        """
        reckoned = {name: await self._reckoned(name, scope) for name in names if name in self._reckonings}
        queries = [name for name in names if name not in self._reckonings and is_query(name)]
        found = await self._store.read(lambda connection: _answers(connection, queries, scope, self._store.id))
        return {**found, **reckoned}

    async def _reckoned(self, name: str, scope: GateScope) -> EvidenceAnswer:
        rows, params = await self._reckonings[name](scope)
        return _answer(name, {**_params(scope), **params}, rows, {"store": self._store.id})


def _answers(connection: Connection, names: Sequence[str], scope: GateScope, life: str) -> dict[str, EvidenceAnswer]:
    numbers = connection.execute(select(store_changes.c.domain, store_changes.c.number))
    positions: dict[str, int | str] = {row.domain: row.number for row in numbers}
    positions["store"] = life
    found = {}
    for name in names:
        statement = query_text(name)
        values = _params(scope)
        params = {one: values[one] for one in _PARAMETER.findall(_without_comments(statement))}
        rows = connection.execute(text(statement), params).mappings().fetchmany(limits.EVIDENCE_ROWS + 1)
        found[name] = _answer(name, params, rows, positions)
    return found


def _without_comments(statement: str) -> str:
    return "\n".join(line for line in statement.splitlines() if not line.lstrip().startswith("--"))


def _params(scope: GateScope) -> dict[str, int | str]:
    return {
        "tenant": scope.tenant, "workflow": scope.workflow, "as_of_ms": scope.as_of_ms, "since_ms": scope.since_ms,
        "until_ms": scope.until_ms, "month": scope.month,
    }  # fmt: skip


def _answer(
    name: str, params: Mapping[str, int | str], rows: Sequence[Mapping[Any, Any]], positions: Mapping[str, int | str]
) -> EvidenceAnswer:
    plain = list[dict[str, int | str | None]]()
    size = 0
    for row in rows[: limits.EVIDENCE_ROWS]:
        plain.append({str(key): _plain(value) for key, value in row.items()})
        size += len(msgspec.json.encode(plain[-1]))
        if size > limits.EVIDENCE_BYTES:
            plain.pop()
            break
    cut = len(plain) < len(rows)
    return EvidenceAnswer(name, dict(params), tuple(plain), dict(positions), digest_of(plain), cut)


def _plain(value: Any) -> int | str | None:
    """What PostgreSQL's drivers give as decimals and truths are whole numbers here."""
    return value if value is None or isinstance(value, str) else int(value)
