"""What the ledger and the journal have of a workflow's last days, for its blast radius."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from sqlalchemy import Connection

from holdfast.governance.ledger.reader import LedgerReader
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.store.store import Store
from holdfast.governance.workflows import journal_store
from holdfast.governance.workflows.blast import DAYS, BlastRadius, blast_radius
from holdfast.governance.workflows.model import CurrentWorkflow, ToolEffect


async def blast_of(
    database: Store, organisation: Organisation, one: CurrentWorkflow, classes: Mapping[str, ToolEffect], now_ms: int
) -> BlastRadius:
    """The blast radius of a workflow as it was in the last 28 days, today among them. Raises of the store."""
    since, until = days(organisation, one.tenant)
    since_ms = since_of(organisation, one.tenant)

    def read(connection: Connection) -> tuple[int, dict[str, tuple[int, int]]]:
        agents = journal_store.agents_between(connection, one.tenant, one.workflow, since_ms, now_ms + 1)
        tools = journal_store.tools_between(connection, one.tenant, one.workflow, since_ms, now_ms + 1)
        return sum(number for number, _ in agents.values()), tools

    runs, tools = await database.read(read)
    spend = await LedgerReader(database).spend(one.tenant, since, until, filters={"workflow": (one.workflow,)})
    return blast_radius(
        one, classes, {tool: calls for tool, (_, calls) in tools.items()}, runs=runs,
        spend_nano=spend.total.billed_nano, unpriced=spend.total.unpriced,
    )  # fmt: skip


def days(organisation: Organisation, tenant: str) -> tuple[str, str]:
    """The first and the last of the last 28 days, today among them."""
    today = organisation.today(tenant)
    return (today - datetime.timedelta(days=DAYS - 1)).isoformat(), today.isoformat()


def since_of(organisation: Organisation, tenant: str) -> int:
    """Unix ms at which the first of these days begins."""
    return organisation.start_of(organisation.today(tenant) - datetime.timedelta(days=DAYS - 1), tenant)
