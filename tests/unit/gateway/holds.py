"""A hold that grants what a test says: tranche by tranche up to a cap, and then it refuses."""

from __future__ import annotations

import asyncio
from typing import Any

from holdfast.errors import Refused, Unavailable
from holdfast.gateway.port import BrakePolicy

FIELDS: dict[str, Any] = {
    "budget": "support in November", "payer": "it", "decider": "user:ada", "spent_usd": "24.99", "cap_usd": "25",
}  # fmt: skip


class ScriptedHold:
    """See ``Hold``.

    Attributes:
        cap: the most tokens that are granted in all.
        granted_to: what was granted, one after the other.
        extended: with how many tokens seen more was asked for.
        gate: where set, an extension waits for it.
        away: so many extensions fail because the store is away.
        asked: set when a person is asked; ``answer`` decides: True raises the cap by ``raised``, False denies.
    """

    def __init__(
        self, granted: int, *, tranche: int = 0, cap: int = 0, on_brake: BrakePolicy = "error", code: str = "budget.exceeded"
    ) -> None:  # fmt: skip
        self.granted: int | None = granted
        self.granted_to = [granted]
        self.tranche, self.cap, self.on_brake = tranche or granted, cap or granted, on_brake
        self.refusal = Refused(code, "the budget has no money left", **FIELDS)  # type: ignore[arg-type]
        self.extended: list[int] = []
        self.gate: asyncio.Event | None = None
        self.away = 0
        self.raised = 1_000
        self.asked = asyncio.Event()
        self.answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.given_up = False

    async def extend(self, seen: int) -> None:
        self.extended.append(seen)
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.given_up = True
            raise
        if self.away:
            self.away -= 1
            raise Unavailable("store.unavailable", "the store is away")
        assert self.granted is not None
        most = min(max(self.granted, seen) + self.tranche, self.cap)
        if most <= max(self.granted, seen):
            raise self.refusal
        self.granted = most
        self.granted_to.append(most)

    async def ask(self, refused: Refused, seen: int) -> None:
        self.asked.set()
        try:
            agreed = await asyncio.shield(self.answer)
        except asyncio.CancelledError:
            self.given_up = True
            raise
        if not agreed:
            raise refused
        self.cap += self.raised
        await self.extend(seen)
