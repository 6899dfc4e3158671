"""What was used of every model, for those who show what a change of prices would cost: ``pricing.changes.UsageSource``."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from holdfast.governance.ledger.port import LedgerStore
from holdfast.governance.ledger.queries import last_ones
from holdfast.governance.pricing.model import UsedModel
from holdfast.governance.store.tables.ledger import ledger_rows as rows


class UsedModels:
    """Sums over the rows of all tenants that count and were priced by a catalogue.

    Classes are those that rows have sums of: input, what was read from and written to caches, output, reasoning. Lifetimes
    of caches, sounds and pictures are not told apart, so what a change costs is an estimate.
    """

    def __init__(self, database: LedgerStore) -> None:
        self._store = database

    async def used(self, since_ms: int, until_ms: int) -> Sequence[UsedModel]:
        """See ``UsageSource``. Raises ``store.unavailable``."""
        return await self._store.read(lambda connection: _used(connection, since_ms, until_ms))


def _used(connection: Connection, since_ms: int, until_ms: int) -> list[UsedModel]:
    by = [rows.c[name] for name in ("provider", "upstream", "model", "tier", "region", "speed")]
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    sums = [func.coalesce(func.sum(rows.c[name]), 0) for name in names]
    wanted = select(*by, func.count(), *sums).where(
        rows.c.at_ms >= since_ms, rows.c.at_ms < until_ms, rows.c.source != "import", last_ones()
    )
    found = []
    for provider, upstream, model, tier, region, speed, requests, *tokens in connection.execute(wanted.group_by(*by)):
        whole_input, whole_output, read, written, reasoning = map(int, tokens)
        counts = {
            "input": whole_input - read - written, "cache_read": read, "cache_write": written,
            "output": whole_output - reasoning, "reasoning": reasoning,
        }  # fmt: skip
        counts = {name: count for name, count in counts.items() if count > 0}
        if counts:
            found.append(UsedModel(provider, upstream, model, counts, requests, tier, region, speed))
    return found
