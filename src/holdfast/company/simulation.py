"""Ninety days, one after the other: the clock is moved, the office acts, the workplace works, the providers bill."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from holdfast.client.client import Client
from holdfast.company import brake, calendar
from holdfast.company.clock import CompanyClock
from holdfast.company.description import Company, Staff
from holdfast.company.office import PLATFORM, Office
from holdfast.company.plan import Planner
from holdfast.company.plants import Plants
from holdfast.company.provider.bill import ProviderBill
from holdfast.company.provider.books import Books, PriceSheet
from holdfast.company.provider.server import Outage, Replacement
from holdfast.company.server import CompanyServer, provider_keys, serving, write_gateway
from holdfast.company.site import Begin, Site
from holdfast.company.steering import Steering
from holdfast.company.stewards import Stewards
from holdfast.company.workplace import Access, Played
from holdfast.edge import auth

BILLED = ("anthropic", "openai")
"""Providers that send a bill."""
MANIFESTS = "manifests"
"""In the company's folder: the manifest of each workflow, as its owner has it."""
_OUTAGE = (9.0, 12.5)
_EVENING = 22.75
_END_HOUR = 23.0
_TOKEN_S = 60.0


class Simulated(msgspec.Struct):
    """What came of it. ``sessions``: those in which a plant shows, by its name; ``ends``: how experiments ended, and when."""

    played: Played
    server: CompanyServer
    site: Site
    bills: dict[str, ProviderBill] = {}
    sessions: dict[str, set[str]] = {}
    ends: dict[str, str] = {}

    def truth(self) -> dict[str, Any]:
        """What came of the plants: amounts in the bills, nano-USD by provider, and the sessions that show the others."""
        bills = {
            provider: {"total": bill.total(), "cut_streams": bill.cut, **bill.planted} | bill.missed()
            for provider, bill in self.bills.items()
        }
        sessions = {plant: sorted(names) for plant, names in sorted(self.sessions.items())}
        played = msgspec.to_builtins(self.played)
        return {"played": played, "bills": bills, "sessions": sessions, "experiments": self.ends}


class Simulation:
    """See the module.

    Args:
        folder: for the databases, the bills and the truth; empty.
        share: how much of everything that is not planted happens.
    """

    def __init__(self, company: Company, plants: Plants, seed: int, folder: Path, *, share: float = 1.0) -> None:
        self.company, self.plants, self.seed, self.folder = company, plants, seed, folder
        self.staff = Staff(company, seed)
        self._zone = ZoneInfo(company.time_zone)
        self.clock = CompanyClock(calendar.at(company.first_day, 0, self._zone))
        self._planner = Planner(company, self.staff, plants, seed, share)

    def _begin(self) -> Begin:
        out, replaced = self.plants.outage, self.plants.replacement
        first_ms, last_ms = (calendar.at(out.day, hour, self._zone) for hour in _OUTAGE)
        since_ms = calendar.at(replaced.since, 0, self._zone)
        return Begin(
            self.company, provider_keys(self.company, self.plants.outside.key),
            [Outage(out.key, first_ms, last_ms, out.status)],
            [Replacement(replaced.alias, replaced.first, 0), Replacement(replaced.alias, replaced.then, since_ms)],
            self.clock.wall_ms(),
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def running(
        self, host: str = "127.0.0.1", port: int = 0, *, pages: bool = False,
        say: Callable[[datetime.date, Played], None] = lambda day, played: None,
    ) -> AsyncIterator[Simulated]:  # fmt: skip
        """Simulate all days; then the server serves, and the time stands still, while the context lasts."""
        begin = self._begin()
        async with Site(begin) as site:
            write_gateway(self.folder, self.company, site.providers, begin.keys)
            async with serving(self.folder, self.clock, host, port, pages=pages) as server:
                office = Office(self.company, self.staff, self.plants, server.governance)
                names = {name: secret for secret, (_, name) in begin.keys.items()}
                await site.open(Access(server.url, site.providers, server.secret, await office.open(), names))
                steering = Steering(self.plants, server.governance, server.edge.hub.engine, self.seed)
                await steering.open()
                stewards = Stewards(self.company, self.staff, self.plants, server.governance, server.edge.hub.engine)
                await stewards.open()
                found = Simulated(Played(), server, site)
                for number in range(self.company.days):
                    day = self.company.first_day + datetime.timedelta(days=number)
                    await self._day(day, office, steering, stewards, found)
                    say(day, found.played)
                self._move(calendar.at(self.company.last_day, _END_HOUR, self._zone))
                await steering.settled()
                found.ends = steering.ends
                await steering.close()
                await stewards.close(self.folder / MANIFESTS)
                await _open_watched(server)
                yield found

    async def _day(
        self, day: datetime.date, office: Office, steering: Steering, stewards: Stewards, found: Simulated
    ) -> None:  # fmt: skip
        self._move(calendar.at(day, 1.0, self._zone))
        await office.morning(day)
        await steering.morning(day)
        await stewards.morning(day)
        if day == self.plants.bill.until + datetime.timedelta(days=3):
            await self._bill(office, found)
        for each in self._planner.rounds(day):
            self._move(each.at_ms, each.most_ms)
            for turn in (turn for talk in each.talks for turn in talk if turn.plant):
                found.sessions.setdefault(turn.plant, set()).add(turn.session)
            found.played.add(await found.site.play(each))
        self._move(calendar.at(day, _EVENING, self._zone))
        await steering.evening(day)
        await stewards.evening(day)

    async def _bill(self, office: Office, found: Simulated) -> None:
        sheet, books = PriceSheet(self.company.rates), Books(await found.site.books())
        for provider in BILLED:
            bill = found.bills[provider] = ProviderBill(provider, books, sheet, self.plants)
            report = bill.report()
            (self.folder / f"{provider}-costs.json").write_bytes(report)
            await office.import_bill(provider, report)

    def _move(self, to_ms: int, most_ms: int = 0) -> None:
        self.clock.move(max(to_ms, self.clock.wall_ms()), most_ms)


async def _open_watched(server: CompanyServer) -> None:
    """Make the sessions in which a budget can be watched while it brakes."""
    token = auth.mint(server.secret, subject=PLATFORM, capabilities={"*": ["read", "append"]}, ttl_s=_TOKEN_S)
    async with Client(server.url, token) as client:
        for workflow in brake.POLICIES:
            await client.session(workflow).create(title=brake.title_of(workflow), agent=workflow)
