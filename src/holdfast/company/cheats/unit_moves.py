"""A move against gate 10.a: work becomes cheaper by becoming smaller."""

from __future__ import annotations

import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import select

from holdfast.company.cheats.move import CheatMove, MoveFacts, NaiveCheck
from holdfast.company.cheats.rehearsal import BOOKS, DAY_MS, NANO, CastPlace
from holdfast.governance.store.tables.ledger import ledger_rows
from holdfast.governance.store.tables.outcomes import outcomes

WEEKS: Final = 15
_DOLLARS: Final = 6


class SmallerUnit(CheatMove):
    """10.a: the unit of work is another one."""

    facts = MoveFacts(
        "smaller-unit", "10.a", "Redefining the unit of work",
        "Spend grows. The unit of work was “a letter”; from this week on it is “a paragraph”, and six of them are counted for each letter.",
        "Another unit of work is a break of the series: what it cost before and after is not compared, and the weeks count anew.",
        "Small books of its own: fifteen weeks of letters.",
    )  # fmt: skip

    async def set_up(self) -> CastPlace:
        """Weeks of letters."""
        now_ms = self.on.now_ms()
        today = datetime.datetime.fromtimestamp(now_ms / 1_000, ZoneInfo("Europe/Berlin"))
        monday = today.replace(hour=12, minute=0) - datetime.timedelta(days=today.weekday() + 7 * WEEKS)
        self.on.clock.pass_days((monday.timestamp() * 1_000 - now_ms) / DAY_MS)
        place = await self.on.books_place()
        await self.on.manifest(place, unit_of_work="a letter")
        for _ in range(WEEKS):
            await self._letters(place)
            self.on.clock.pass_days(7)
        self.on.clock.pass_days((now_ms - self.on.now_ms()) / DAY_MS - 0.5)
        await self._letters(place)
        self.on.clock.pass_days(0.5)
        return place.organisation

    async def _letters(self, place: CastPlace) -> None:
        await self.on.say(place, await self.on.spend(place, _DOLLARS), "accepted")

    async def cheat(self) -> None:
        """A paragraph is a unit, too."""
        people = CastPlace(BOOKS)
        self.on.clock.pass_days(-1)
        await self.on.manifest(people, unit_of_work="a paragraph")
        for _ in range(_DOLLARS):
            rows = await self.on.spend(people, 6, nano=NANO // 4)
            await self.on.say(people, rows, "accepted")
        self.on.clock.pass_days(1)

    async def naive(self) -> NaiveCheck:
        """Divides the money of the last seven days by what was done in them, and compares that with the week before."""
        now_ms = self.on.now_ms()
        costs = [await self._unit_cost(now_ms - weeks * 7 * DAY_MS) for weeks in (2, 1)]
        before, after = costs
        return NaiveCheck(
            after < before, f"cost of a unit of work: ${before:.2f} the week before, ${after:.2f} in the last one"
        )

    async def _unit_cost(self, since_ms: int) -> float:
        rows, done = ledger_rows.c, outcomes.c
        spent = select(rows.billed_nano).where(
            rows.tenant == BOOKS, rows.at_ms >= since_ms, rows.at_ms < since_ms + 7 * DAY_MS
        )
        units = select(done.id).where(done.tenant == BOOKS, done.at_ms >= since_ms, done.at_ms < since_ms + 7 * DAY_MS)
        nano, n = await self.on.store.read(
            lambda connection: (sum(connection.scalars(spent)), len(list(connection.scalars(units))))
        )
        return float(nano) / NANO / max(1, n)
