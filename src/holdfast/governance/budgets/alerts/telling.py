"""Tells what is on record by every way, again where a receiver is down. A try is taken before it is made, so that of
several processes one makes it; one whose process ended counts as failed after a while and is made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from msgspec.structs import replace

from holdfast.governance import limits
from holdfast.governance.budgets.alerts import store
from holdfast.governance.budgets.alerts.model import Alert, Delivery
from holdfast.governance.budgets.port import BudgetStore
from holdfast.visible import logger

log = logger("holdfast.budgets")
_LOOKED_AT_MS: Final = 2 * 86_400_000
"""How old an alert is that is still delivery: all tries together take a part of that."""


class Way(Protocol):
    """A way to tell people."""

    @property
    def name(self) -> str:
        """By which it stands in ``Alert.sent``."""

    async def tell(self, alert: Alert) -> str | None:
        """Try once; why it did not work, or None when it did. Never raises, and says nothing secret."""


class Teller:
    """Tells people.

    Args:
        database: where alerts stand.
        now_ms: the clock, Unix ms.
        ways: by which people are delivery.
    """

    def __init__(self, database: BudgetStore, now_ms: Callable[[], int], ways: Sequence[Way]) -> None:
        self._store = database
        self._now_ms = now_ms
        self._ways = {way.name: way for way in ways}

    def with_ways(self, alert: Alert) -> Alert:
        """The alert with the ways by which it is to be delivery."""
        return replace(alert, sent={name: Delivery(due_ms=alert.at_ms) for name in self._ways})

    async def tell(self) -> int:
        """Make the tries that are due; how many were taken. Raises ``store.unavailable``."""
        now_ms, taken = self._now_ms(), 0
        found = await self._store.read(
            lambda connection: store.due(connection, now_ms - _LOOKED_AT_MS, now_ms, limits.ALERT_AT_ONCE)
        )
        for alert, name in found:
            way = self._ways.get(name)
            if way is not None:
                taken += await self._try(alert, way)
        return taken

    async def _try(self, alert: Alert, way: Way) -> bool:
        now_ms = self._now_ms()
        lost_ms = now_ms + int(limits.ALERT_TIMEOUT_S * 2_000)
        delivery = await self._store.write(
            lambda connection: store.claim(connection, alert.id, way.name, now_ms, lost_ms)
        )
        if delivery is None:
            return False
        why = await way.tell(alert)
        done = _after(delivery, why, self._now_ms())
        if done.state == "given up":
            log.warning("alert %s could not be told by %s after %d tries: %s", alert.id, way.name, done.tries, why)
        await self._store.write(lambda connection: store.tell(connection, alert.id, way.name, done))
        return why is None


def _after(delivery: Delivery, why: str | None, now_ms: int) -> Delivery:
    if why is None:
        return replace(delivery, state="sent", due_ms=0, why="")
    if delivery.tries >= limits.ALERT_TRIES:
        return replace(delivery, state="given up", due_ms=0, why=why)
    wait_s = min(limits.ALERT_BACKOFF_MAX_S, limits.ALERT_BACKOFF_S * 4 ** (delivery.tries - 1))
    return replace(delivery, due_ms=now_ms + int(wait_s * 1_000), why=why)
