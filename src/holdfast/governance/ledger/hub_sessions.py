"""What the ledger asks of the sessions beside it: their runs, and which of them are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from holdfast.engines.port import Engine, Key
from holdfast.errors import Refused, Unavailable
from holdfast.governance import limits
from holdfast.governance.ledger import store
from holdfast.governance.ledger.cost_tree import RunTimes
from holdfast.governance.ledger.service import Ledger
from holdfast.hub.hub import Hub
from holdfast.session.access import full_access
from holdfast.visible import logger

log = logger("holdfast.ledger")


class HubRuns:
    """The runs of the sessions of a hub; a ``cost_tree.SessionRuns``."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def runs(self, tenant: str, session: str) -> Sequence[RunTimes]:
        """See ``SessionRuns``. Runs that the view has trimmed away are not among them."""
        head = await self._hub.engine.head(Key(tenant, session))
        if head is None or head.deleted:
            return []  # looking at costs makes no session
        try:
            _, _, view = await self._hub.view(full_access(tenant, "system:ledger"), session)
        except Refused:  # deleted in between
            return []
        return [
            RunTimes(
                id=run["id"], agent=run["agent"], parent=run.get("parent", ""), status=run["status"],
                attempts=run["attempt"], queued_ms=run["queued_ts"], started_ms=run.get("started_ts"),
                ended_ms=run.get("ended_ts"),
            )
            for run in view.runs.values()
        ]  # fmt: skip


class SessionSweep:
    """Looks for sessions that were deleted, and lets nothing lead to them from rows any more.

    The feed has no notice of a deletion, so somebody has to look. What was never a session of this log is one elsewhere, which
    an import names. A session of the same name that was made after the rows
    were is another one: rows of the old one lose their name, and so do the few of the new one that came before the look.

    Args:
        others: who forget a session (tenant, name) before the ledger does; each may be asked twice.
    """

    def __init__(
        self, engine: Engine, ledger: Ledger, others: Sequence[Callable[[str, str], Awaitable[object]]] = ()
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._others = others
        self._last = ""  # the reference after which the next look begins

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except Unavailable as error:
                log.warning("deleted sessions are looked for later: %s", error.code)
            await asyncio.sleep(limits.LEDGER_SWEEP_S)

    async def look(self) -> int:
        """Look at the next few sessions that rows name. How many of them were gone."""
        found = await self._ledger.store.read(
            lambda connection: store.sessions_after(connection, self._last, limits.LEDGER_SWEEP_SESSIONS)
        )
        count = 0
        for _, tenant, session, at_ms in found:
            head = await self._engine.head(Key(tenant, session))
            if head is not None and (head.deleted or head.created_ms > at_ms):
                for forget in self._others:
                    await forget(tenant, session)
                count += await self._ledger.forget_session(tenant, session)
        self._last = found[-1][0] if len(found) == limits.LEDGER_SWEEP_SESSIONS else ""
        return count
