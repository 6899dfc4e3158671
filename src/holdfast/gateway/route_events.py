"""What a session's log says of its routes: ``route.decided`` with the reason, ``route.served`` when another model answered.

They are written by ``policy:routing``, beside the call and never in its way: a session that cannot be written loses the event,
and the decision's row has it all the same. A gateway alone has no such actor at its session server, and writes none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from holdfast.errors import HoldfastError
from holdfast.gateway.port import ModelCall, Route
from holdfast.gateway.sessions import LocalSessions, RemoteSessions
from holdfast.protocol import limits
from holdfast.visible import logger

log = logger("holdfast.gateway")
ACTOR: Final = "policy:routing"
DECIDED: Final = "route.decided"  # {call, run, decision, asked, model, kind, reason, propensity, experiment?}
SERVED: Final = "route.served"  # {call, run, decision, model, served, other, fell_back}


class RouteEvents:
    """Writes them.

    Args:
        sessions: where; nothing is written at a server elsewhere.
    """

    def __init__(self, sessions: LocalSessions | RemoteSessions | None) -> None:
        self._sessions = sessions if isinstance(sessions, LocalSessions) else None
        self._tasks: set[asyncio.Task[None]] = set()

    def decided(self, call: ModelCall, route: Route, requested: str) -> None:
        """A model was taken for a call of a run."""
        facts = {"asked": requested, "model": route.model, "kind": route.kind, "reason": route.reason}
        drawn = {"propensity": route.propensity, "experiment": route.experiment} if route.experiment else {}
        self._write(call, route, DECIDED, {**facts, **drawn})

    def served(self, call: ModelCall, route: Route, models: Sequence[str], *, other: bool, fell_back: bool) -> None:
        """Another model answered than was taken."""
        facts = {"model": route.model, "served": list(models), "other": other, "fell_back": fell_back}
        self._write(call, route, SERVED, facts)

    def _write(self, call: ModelCall, route: Route, type_: str, facts: dict[str, Any]) -> None:
        if self._sessions is None or not call.session or not route.id or len(self._tasks) >= limits.ROUTE_EVENTS:
            return
        data = {"call": call.id, "run": call.run, "decision": route.id, **facts}
        task = asyncio.ensure_future(self._append(self._sessions, call, type_, data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _append(self, sessions: LocalSessions, call: ModelCall, type_: str, data: dict[str, Any]) -> None:
        try:
            await sessions.record(call.caller.tenant, call.session, ACTOR, type_, data)
        except HoldfastError as error:
            log.info("%s of call %s is not in its session: %s", type_, call.id, error.code)

    async def settled(self) -> None:
        """Wait until those that were handed in are written, or lost."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))
