"""The money of one attempt, as the gateway has it: extended tranche by tranche, and asked for where there is no more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from holdfast.errors import Refused
from holdfast.gateway.port import BrakePolicy, Opening
from holdfast.governance import limits
from holdfast.governance.budgets.book import Bound, Grant
from holdfast.governance.budgets.model import BrakeRule
from holdfast.governance.budgets.reserving import Reservation
from holdfast.governance.budgets.whereabouts import Whereabouts
from holdfast.providers.billing.model import BilledAttempt

Ask = Callable[[Opening, Whereabouts, Refused], Awaitable[None]]
"""Asks a person to raise the budget that refused. Answered when its cap is another; raises the refusal when it stays."""
Reserve = Callable[[Reservation], Awaitable[Grant]]


class AttemptHold:
    """See ``gateway.port.Hold``."""

    def __init__(
        self, reserve: Reserve, ask: Ask, opening: Opening, where: Callable[[Opening], Whereabouts], bound: Bound, rule: BrakeRule,
        now_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self._reserve = reserve
        self._ask = ask
        self._opening = opening
        self._where = where
        self._bound = bound
        self._rule = rule
        self._now_ms = now_ms
        self._grant = Grant(0, 0)

    @property
    def granted(self) -> int | None:
        """See ``Hold``: where all is granted that the caller's own limit allows, there is no other bound."""
        limit = self._bound.limit
        return None if limit is not None and self._grant.tokens >= limit else self._grant.tokens

    @property
    def on_brake(self) -> BrakePolicy:
        """See ``Hold``."""
        return self._rule.policy

    def with_tail(self, used: BilledAttempt) -> BilledAttempt:
        """What was seen of it, where it was cut, and what may have been generated and was not seen."""
        return self._bound.with_tail(used, self._grant.tokens)

    async def begin(self) -> None:
        """Reserve the first of it. Raises as ``Meter.open`` does."""
        await self._more(0, extends=False)

    async def extend(self, seen: int) -> None:
        """See ``Hold``. A refusal after which a person is asked says until when (``until_ms``)."""
        try:
            await self._more(seen, extends=True)
        except Refused as error:
            if self._rule.policy == "ask":
                error.fields["until_ms"] = self._now_ms() + self._rule.wait_s * 1_000
            raise

    async def ask(self, refused: Refused, seen: int) -> None:
        """See ``Hold``."""
        while True:
            await self._ask(self._opening, self._where(self._opening), refused)
            try:
                return await self._more(seen, extends=True)
            except Refused as error:  # it was raised, and not by enough, or others had it
                refused = error

    async def _more(self, seen: int, *, extends: bool) -> None:
        loop = asyncio.get_running_loop()
        least = max(seen, self._grant.tokens) + limits.BUDGET_TRANCHE_LEAST_TOKENS
        wanted = max(seen + limits.BUDGET_TRANCHE_TOKENS, least)
        if self._bound.limit is not None:
            least, wanted = min(least, self._bound.limit), min(wanted, self._bound.limit)
        if extends and self.granted is None:
            return
        self._grant = await self._reserve(
            Reservation(
                self._opening,
                self._where(self._opening),
                self._bound,
                least,
                wanted,
                loop.time() + limits.BUDGET_WAIT_S,
                loop.create_future(),
                extends,
                bool(self._grant.short),
                loop.time(),
            )
        )
