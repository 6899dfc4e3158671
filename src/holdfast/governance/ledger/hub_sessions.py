"""What the ledger asks of the hub in its process: the runs of a session, and which sessions are gone."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.engines.port import Key
from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.ledger import store
from holdfast.governance.ledger.cost_tree import RunTimes
from holdfast.governance.ledger.service import Ledger
from holdfast.hub.hub import Hub
from holdfast.session.access import full_access


class HubSessions:
    """The sessions of a hub; a ``cost_tree.SessionRuns``."""

    def __init__(self, hub: Hub, ledger: Ledger) -> None:
        self._hub = hub
        self._ledger = ledger
        self._last = ""  # the reference after which the next sweep begins

    async def runs(self, tenant: str, session: str) -> Sequence[RunTimes]:
        """See ``SessionRuns``. Runs that the view has trimmed away are not among them."""
        if await self._hub.engine.head(Key(tenant, session)) is None:
            return []  # looking at costs makes no session
        try:
            _, _, view = await self._hub.view(full_access(tenant, "system:ledger"), session)
        except Refused:
            return []
        return [
            RunTimes(
                id=run["id"], agent=run["agent"], parent=run.get("parent", ""), status=run["status"],
                attempts=run["attempt"], queued_ms=run["queued_ts"], started_ms=run.get("started_ts"),
                ended_ms=run.get("ended_ts"),
            )
            for run in view.runs.values()
        ]  # fmt: skip

    async def sweep(self) -> int:
        """Let nothing lead from rows to sessions that were deleted: the next few are looked for. How many were gone.

        A session of that name that was made after the rows were is another one. There is no notice of a deletion in the
        feed, so somebody has to look now and then.
        """
        found = await self._ledger.store.read(
            lambda connection: store.sessions_after(connection, self._last, limits.LEDGER_SWEEP_SESSIONS)
        )
        count = 0
        for _, tenant, session, at_ms in found:
            head = await self._hub.engine.head(Key(tenant, session))
            if head is None or head.deleted or head.created_ms > at_ms:
                count += await self._ledger.forget_session(tenant, session)
        self._last = found[-1][0] if len(found) == limits.LEDGER_SWEEP_SESSIONS else ""
        return count
