"""Statements of the keys: functions of a connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, func, select, update

from holdfast.governance import limits
from holdfast.governance.keys.model import GatewayKey, Secret
from holdfast.governance.keys.strangers import Count, StrangerKey
from holdfast.governance.store.changes import count_change
from holdfast.governance.store.tables.keys import gateway_keys, gateway_secrets, unknown_callers

DOMAIN = "keys"


class Unknown(NamedTuple):
    """A caller without a known key: by what it was told apart, how often it came, from when to when, and for what."""

    fingerprint: str
    agent: str
    calls: int
    first_ms: int
    last_ms: int
    paths: tuple[str, ...]


def read_all(connection: Connection) -> tuple[list[GatewayKey], list[Secret]]:
    """All keys and their secrets."""
    keys = [_key(row) for row in connection.execute(select(gateway_keys)).mappings()]
    rows = connection.execute(select(gateway_secrets)).mappings()
    return keys, [Secret(**row) for row in rows]


def _key(row: Mapping[Any, Any]) -> GatewayKey:
    values = {str(name): value for name, value in row.items()}
    return GatewayKey(**{**values, "models": tuple(values["models"]), "agents": tuple(values["agents"])})


def add_key(connection: Connection, key: GatewayKey, secret: Secret) -> None:
    """A new key with its first secret."""
    row = msgspec.structs.asdict(key)
    connection.execute(gateway_keys.insert(), {**row, "models": list(key.models), "agents": list(key.agents)})
    connection.execute(gateway_secrets.insert(), msgspec.structs.asdict(secret))
    count_change(connection, DOMAIN)


def find(connection: Connection, tenant: str, ident: str) -> tuple[GatewayKey, list[Secret]] | None:
    """A key of a tenant with its secrets; None for one that is not there."""
    statement = select(gateway_keys).where(gateway_keys.c.tenant == tenant, gateway_keys.c.id == ident)
    row = connection.execute(statement).mappings().first()
    if row is None:
        return None
    rows = connection.execute(select(gateway_secrets).where(gateway_secrets.c.key == ident)).mappings()
    return _key(row), [Secret(**one) for one in rows]


def has_secret(connection: Connection, ident: str) -> bool:
    """Whether a secret, or an adopted fingerprint, is somebody's."""
    return connection.execute(select(gateway_secrets.c.id).where(gateway_secrets.c.id == ident)).first() is not None


def add_secret(connection: Connection, secret: Secret, until_ms: int) -> None:
    """Another secret of a key; the former ones are good until a moment at most."""
    table = gateway_secrets
    connection.execute(
        update(table).where(table.c.key == secret.key, table.c.expires_ms > until_ms).values(expires_ms=until_ms)
    )
    connection.execute(table.insert(), msgspec.structs.asdict(secret))
    count_change(connection, DOMAIN)


def put_labels(connection: Connection, ident: str, claims: dict[str, str]) -> None:
    """What a key says of its calls from now on."""
    connection.execute(update(gateway_keys).where(gateway_keys.c.id == ident).values(labels=claims))
    count_change(connection, DOMAIN)


def revoke(connection: Connection, ident: str, by: str, now_ms: int) -> None:
    """End a key; the first who does it counts."""
    table = gateway_keys
    where = (table.c.id == ident) & table.c.revoked_ms.is_(None)
    connection.execute(update(table).where(where).values(revoked_ms=now_ms, revoked_by=by))
    count_change(connection, DOMAIN)


def put_used(connection: Connection, used: Mapping[str, int]) -> None:
    """When secrets were used last; what another process wrote later stays."""
    table = gateway_secrets
    for ident, at_ms in used.items():
        older = table.c.used_ms.is_(None) | (table.c.used_ms < at_ms)
        connection.execute(update(table).where(table.c.id == ident, older).values(used_ms=at_ms))


def put_strangers(connection: Connection, counts: Mapping[StrangerKey, Count], oldest_day: str) -> None:
    """Add to the counts of unknown callers, and forget those before a day."""
    table = unknown_callers
    for kind, count in counts.items():
        where = (table.c.day == kind.day) & (table.c.fingerprint == kind.fingerprint)
        where &= (table.c.agent == kind.agent) & (table.c.path == kind.path)
        values = {"calls": table.c.calls + count.calls, "last_ms": count.last_ms, "address": count.address}
        if not connection.execute(update(table).where(where).values(values)).rowcount:
            connection.execute(table.insert(), {**kind._asdict(), **count._asdict()})
    connection.execute(delete(table).where(table.c.day < oldest_day))


def strangers(connection: Connection) -> Sequence[Unknown]:
    """Unknown callers, the most frequent first, as many as an answer holds."""
    table = unknown_callers
    calls = func.sum(table.c.calls)
    statement = (
        select(table.c.fingerprint, table.c.agent, calls, func.min(table.c.first_ms), func.max(table.c.last_ms))
        .group_by(table.c.fingerprint, table.c.agent)
        .order_by(calls.desc(), table.c.fingerprint, table.c.agent)
        .limit(limits.STRANGER_ROWS)
    )
    found = [tuple(row) for row in connection.execute(statement)]
    paths: dict[tuple[str, str], list[str]] = {}
    everything = select(table.c.fingerprint, table.c.agent, table.c.path).distinct().order_by(table.c.path)
    for fingerprint, agent, path in connection.execute(everything.limit(limits.STRANGERS_SEEN * 2)):
        paths.setdefault((fingerprint, agent), []).append(path)
    return [
        Unknown(fingerprint, agent, int(count), first, last, tuple(paths.get((fingerprint, agent), ())))
        for fingerprint, agent, count, first, last in found
    ]


def came(connection: Connection, fingerprint: str) -> bool:
    """Whether somebody came with what has this fingerprint."""
    statement = select(unknown_callers.c.day).where(unknown_callers.c.fingerprint == fingerprint)
    return connection.execute(statement.limit(1)).first() is not None
