"""Random histories of calls over random budgets, on a real store: never over, sums equal, nothing left."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import HoldfastError, Refused
from holdfast.gateway.port import Hold, Opening
from holdfast.gateway.settings import GatewaySettings
from holdfast.governance import limits
from holdfast.governance.app import Governance
from holdfast.governance.budgets import store as statements
from holdfast.governance.ledger import settling
from holdfast.governance.ledger import store as ledger_store
from holdfast.testing import FakeClock
from tests.unit.governance.budgets.conftest import COMPANY, INPUT_RATE, NANO, OUTPUT_RATE, Desk

pytestmark = pytest.mark.anyio
HISTORIES, STEPS = 6, 60
SCOPES: tuple[dict[str, str], ...] = (
    {},
    {"team": "care"},
    {"workflow": "refunds"},
    {"team": "support", "task": "answer"},
)


@pytest.fixture
def database(tmp_path: Path) -> str:
    """SQLite: what is tried here is in no database's hands."""
    return f"sqlite:///{tmp_path / 'store.db'}"


class History:
    """Calls as they come, and the simple model of them: what each holds, and what each came to."""

    def __init__(self, desk: Desk, chance: random.Random) -> None:
        self.desk, self.chance = desk, chance
        self.running: dict[str, tuple[Opening, Hold]] = {}
        self.costs: dict[str, int] = {}
        self.budgets: list[str] = []

    async def set_budget(self) -> None:
        """Another budget, for more than was spent by now, or one that is told apart by run."""
        chance, name = self.chance, f"n{len(self.budgets)}"
        each = chance.choice(("", "", "run"))
        spent = sum(self.costs.values()) + sum([hold.nano for hold in await self.desk.budgets.reservations("default")])
        usd = (spent if not each else 0) / NANO + chance.uniform(0.005, 0.02)
        await self.desk.set(name, usd=usd, span="total", scope=chance.choice(SCOPES), each=each)
        self.budgets.append(name)

    async def open(self) -> None:
        """Some calls at once."""
        openings = [self.desk.opening(self.chance.randrange(0, 900)) for _ in range(self.chance.randrange(1, 6))]
        found = await asyncio.gather(*(self.desk.open(each) for each in openings), return_exceptions=True)
        for opening, hold in zip(openings, found, strict=True):
            if isinstance(hold, BaseException):
                assert isinstance(hold, Refused), hold
            else:
                self.running[opening.id] = opening, hold

    async def extend(self) -> None:
        """Some want more, all at once."""
        some = [hold for _, hold in self.running.values() if self.chance.random() < 0.7]
        found = await asyncio.gather(*(hold.extend(hold.granted or 0) for hold in some), return_exceptions=True)
        assert all(each is None or isinstance(each, Refused) for each in found), found

    async def settle(self) -> None:
        """One comes to an end, for what it may have used at most or less."""
        if self.running:
            ident = self.chance.choice(sorted(self.running))
            opening, hold = self.running.pop(ident)
            given, got = (
                self.chance.randrange(opening.call.input_bytes + 1),
                self.chance.randrange((hold.granted or 0) + 1),
            )
            await self.desk.settle(opening, given, got)
            self.costs[ident] = given * INPUT_RATE + got * OUTPUT_RATE

    async def lose(self) -> None:
        """One is taken for lost; whoever had it says what it was, or never does."""
        if not self.running:
            return
        ident = self.chance.choice(sorted(self.running))
        opening, hold = self.running.pop(ident)
        ledger = self.desk.governance.ledger
        most = await self.desk.budgets.store.read(lambda connection: ledger.recorder.watch.most(connection, ident))
        await ledger._record(opening, settling.lost(opening, most))
        with pytest.raises(HoldfastError):
            await hold.extend(hold.granted or 0)
        if self.chance.random() < 0.5:
            await self.desk.settle(opening, 1, 1)
            self.costs[ident] = INPUT_RATE + OUTPUT_RATE
        else:
            self.costs[ident] = (await ledger.row("default", ident))[-1].billed_nano or 0

    async def correct(self) -> None:
        """A bill says that one was cheaper."""
        if self.costs:
            ident = self.chance.choice(sorted(self.costs))
            nano = self.costs[ident] // 2
            await self.desk.governance.ledger.correct("default", ident, why="the bill", billed_nano=nano)
            self.costs[ident] = nano

    async def leave(self) -> None:
        """A caller leaves while it waits."""
        leaving = asyncio.ensure_future(self.desk.open(self.desk.opening()))
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError, Refused):
            await leaving

    async def check(self) -> None:
        """What holds at every instant."""
        for account in await self.desk.budgets.accounts("default"):
            assert account.spent_nano + account.reserved_nano <= account.budget.cap_nano, account
            if not account.budget.each and account.budget.scope == {}:
                assert account.spent_nano == sum(self.costs.values())


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_never_over_and_nothing_left(
    seed: int, database: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BUDGET_WAIT_S", 0.0)
    governance = Governance(database, clock, GatewaySettings.of({"upstreams": []}, "test"))
    await governance.start()
    try:
        await governance.organisation.change(COMPANY, by="user:ann")
        chance = random.Random(seed)
        history = History(Desk(governance, clock), chance)
        await history.set_budget()
        await history.set_budget()
        acts: list[Any] = [history.open] * 3 + [history.extend] * 4 + [history.settle] * 3
        acts += [history.lose, history.correct, history.leave, history.set_budget]
        for _ in range(STEPS):
            await chance.choice(acts)()
            await history.check()
        while history.running:
            await history.settle()
        await governance.ledger.flush()
        assert await governance.budgets.reservations("default") == []
        assert await governance.store.read(ledger_store.open_attempts) == 0
        assert await governance.store.read(lambda connection: statements.attempts_holding(connection)) == []
        assert await governance.budgets.verify("default") == []
        await history.check()
    finally:
        await governance.stop()
