"""Statements about alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from holdfast.governance.budgets.alerts.model import Alert
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
    return [alert_of(row) for row in connection.execute(wanted).mappings()]


def alert_of(row: Mapping[Any, Any]) -> Alert:
    """The alert that a row is."""
    return msgspec.convert({name: row[name] for name in Alert.__struct_fields__}, Alert)
