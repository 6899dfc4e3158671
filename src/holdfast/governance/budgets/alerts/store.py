"""Statements about alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from holdfast.governance.budgets.alerts.model import Alert, Delivery
from holdfast.governance.store.tables.budgets import budget_alerts as alerts


def add(connection: Connection, found: Sequence[Alert]) -> list[Alert]:
    """Keep those that are not there yet; which these were."""
    there = existing(connection, [alert.id for alert in found])
    fresh = [alert for alert in found if alert.id not in there]
    if fresh:
        connection.execute(alerts.insert(), [msgspec.to_builtins(alert) for alert in fresh])
    return fresh


def existing(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Which of these alerts are there already."""
    return set(connection.execute(select(alerts.c.id).where(alerts.c.id.in_(ids))).scalars())


def list_alerts(connection: Connection, tenant: str, limit: int) -> list[Alert]:
    """Alerts of a tenant, the newest first."""
    wanted = select(alerts).where(alerts.c.tenant == tenant).order_by(alerts.c.at_ms.desc(), alerts.c.id).limit(limit)
    return [_alert(row) for row in connection.execute(wanted).mappings()]


def due(connection: Connection, since_ms: int, now_ms: int, limit: int) -> list[tuple[Alert, str]]:
    """Alerts since a time, each with a way by which it has still to be delivery, and may now; the oldest first."""
    wanted = select(alerts).where(alerts.c.at_ms >= since_ms).order_by(alerts.c.at_ms, alerts.c.id)
    found: list[tuple[Alert, str]] = []
    for row in connection.execute(wanted).mappings():
        alert = _alert(row)
        found += [
            (alert, way)
            for way, delivery in alert.sent.items()
            if delivery.state == "waiting" and delivery.due_ms <= now_ms
        ]
        if len(found) >= limit:
            break
    return found[:limit]


def claim(connection: Connection, ident: str, way: str, now_ms: int, until_ms: int) -> Delivery | None:
    """Take a try that is due, so that nobody else has it until then; None where somebody has."""
    row = connection.execute(select(alerts).where(alerts.c.id == ident).with_for_update()).mappings().first()
    delivery = None if row is None else _alert(row).sent.get(way)
    if row is None or delivery is None or delivery.state != "waiting" or delivery.due_ms > now_ms:
        return None
    taken = msgspec.structs.replace(delivery, tries=delivery.tries + 1, due_ms=until_ms)
    _put(connection, _alert(row), way, taken)
    return taken


def tell(connection: Connection, ident: str, way: str, delivery: Delivery) -> None:
    """Put on record what became of a try."""
    row = connection.execute(select(alerts).where(alerts.c.id == ident).with_for_update()).mappings().first()
    if row is not None:
        _put(connection, _alert(row), way, delivery)


def _put(connection: Connection, alert: Alert, way: str, delivery: Delivery) -> None:
    sent = msgspec.to_builtins({**alert.sent, way: delivery})
    connection.execute(update(alerts).where(alerts.c.id == alert.id).values(sent=sent))


def _alert(row: Mapping[Any, Any]) -> Alert:
    return msgspec.convert({name: row[name] for name in Alert.__struct_fields__}, Alert)
