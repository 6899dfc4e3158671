"""Honest calls are not refused while the money is there: 64 callers under a budget of which they use 50, 80, 95, 99 and 100 %.

A refusal is false when the cap, less what the ledger has, less what all calls under way really cost in the end, covers what
the refused call would have cost. None may be while the free money is at least ``callers × (input bound + tranche + tail)``;
below that the rate is published, and so is the stranded share. ``HOLDFAST_HONEST_CALLS=10000`` makes it long.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from holdfast.errors import Refused
from holdfast.gateway.settings import GatewaySettings
from holdfast.governance import limits
from holdfast.governance.app import Governance
from holdfast.testing import FakeClock
from tests.unit.governance.budgets.conftest import COMPANY, INPUT_RATE, NANO, OUTPUT_RATE, Desk

pytestmark = pytest.mark.anyio

CALLS: Final = int(os.environ.get("HOLDFAST_HONEST_CALLS", "600"))
CALLERS: Final = 64
MOST_BYTES: Final = 2_000
GUARANTEE: Final = CALLERS * (
    (MOST_BYTES + limits.BUDGET_INPUT_TOKENS) * INPUT_RATE
    + (limits.BUDGET_TRANCHE_TOKENS + limits.BUDGET_TAIL_TOKENS) * OUTPUT_RATE
)
"""Free money at which nobody may be refused falsely, nano-USD."""


class Work(NamedTuple):
    """One call: the bytes it sends, and the tokens it really uses."""

    size: int
    input: int
    output: int

    @property
    def cost(self) -> int:
        return self.input * INPUT_RATE + self.output * OUTPUT_RATE


class Outcome(NamedTuple):
    """What came of all calls. ``guaranteed``: false refusals at more free money than the promise asks for."""

    refused: int
    false: int
    guaranteed: int
    stranded: float
    over: bool


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def works(rng: random.Random, count: int) -> list[Work]:
    found = []
    for _ in range(count):
        size = rng.randint(40, MOST_BYTES)
        output = min(4_000, int(rng.lognormvariate(4.6, 1.1)) + 1)
        found.append(Work(size, size // 4, output))
    return found


async def honest(folder: Path, use: float, seed: int) -> Outcome:
    clock = FakeClock()
    governance = Governance(f"sqlite:///{folder / f'{use}.db'}", clock, GatewaySettings())
    await governance.start()
    try:
        await governance.organisation.change(COMPANY, by="user:ann")
        desk, rng = Desk(governance, clock), random.Random(f"{seed}/{use}")
        waiting = works(rng, CALLS)
        cap = round(sum(work.cost for work in waiting) / use)
        await desk.set("cap", usd=cap / NANO, span="month")
        await desk.set("team", usd=2 * cap / NANO, scope={"team": "care"})
        await desk.set("run", usd=cap / NANO, each="run", span="total")
        book = _Truth(cap)

        async def caller() -> None:
            while waiting:
                await _call(desk, waiting.pop(), book)

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        account = next(one for one in await desk.budgets.accounts("default") if one.budget.name == "cap")
        assert account.reserved_nano == 0 and account.spent_nano == book.spent
        stranded = account.returned_nano / max(1, account.returned_nano + account.settled_nano)
        return Outcome(book.refused, book.false, book.guaranteed, stranded, book.spent > cap)
    finally:
        await governance.stop()


class _Truth:
    """Who knows what every call really costs."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.spent = 0
        self.under_way: dict[str, int] = {}
        self.refused = self.false = self.guaranteed = 0

    def refuse(self, work: Work) -> None:
        free = self.cap - self.spent - sum(self.under_way.values())
        self.refused += 1
        self.false += free >= work.cost
        self.guaranteed += free >= GUARANTEE


async def _call(desk: Desk, work: Work, book: _Truth) -> None:
    """One call, tranche by tranche, until it has all or is refused."""
    opening = desk.opening(input_bytes=work.size)
    try:
        hold = await desk.open(opening)
    except Refused:
        book.refuse(work)
        return
    book.under_way[opening.id] = work.cost
    produced = 0
    while produced < work.output:
        produced = min(work.output, produced + 128)
        try:
            if hold.granted is not None and produced > hold.granted - limits.BUDGET_TRANCHE_TOKENS // 2:
                await hold.extend(produced)
        except Refused:
            del book.under_way[opening.id]
            book.refuse(work)
            break
        await asyncio.sleep(0)
    await desk.settle(opening, work.input, produced)
    book.under_way.pop(opening.id, None)
    book.spent += work.input * INPUT_RATE + produced * OUTPUT_RATE


@pytest.mark.timeout(1_800)
async def test_honest_calls_are_not_refused_while_the_money_is_there(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    for use in (0.5, 0.8, 0.95, 0.99, 1.0):
        found = await honest(tmp_path, use, seed=1)
        record_property(
            "counted",
            f"{CALLS - found.refused} of {CALLS} honest calls answered at {use:.0%} use: {found.false} falsely refused, "
            f"{found.guaranteed} of them where that is promised not to happen; {found.stranded:.0%} of what was reserved "
            f"was not needed",
        )
        assert found.guaranteed == 0, f"{use:.0%}: {found}"
        assert not found.over, f"{use:.0%}: {found}"
