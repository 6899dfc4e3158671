"""A week of the company with a fifth of its work: everything that is planted in ninety days is in it, on other days."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from holdfast.company.description import Company, described
from holdfast.company.plants import Days, Plants, planted
from holdfast.company.simulation import Simulated, Simulation

FIRST: Final = datetime.date(2026, 9, 7)
"""A Monday."""
DAYS: Final = 7
SHARE: Final = 0.2
SEED: Final = 1
BUSY: Final = {
    "code-review": 5, "contract-review": 8, "account-research": 5, "image-captions": 6, "legal-chat": 16, "product-texts": 2,
}  # fmt: skip
"""What is planted in these workflows needs some of their work on every day to show."""


def day(number: int) -> datetime.date:
    return FIRST + datetime.timedelta(days=number)


def small() -> tuple[Company, Plants]:
    """The company and its plants: the bill is of the first four days and comes on the last one."""
    plants, span, company = planted(), {"since": FIRST, "until": day(3)}, described()
    company = replace(
        company, first_day=FIRST, days=DAYS,
        workflows=tuple(
            replace(
                one, daily=one.daily * BUSY.get(one.name, 1), since=day(4) if one.since else None,
                regulars=min(one.regulars, 2),
            )
            for one in company.workflows
        ),  # two people each: every one has a key and a connection of their own
        rates=tuple(replace(rate, since=day(5).isoformat() if rate.since else "") for rate in company.rates),
    )  # fmt: skip
    return company, replace(
        plants,
        bill=Days(**span),
        missed_day=replace(plants.missed_day, day=day(2)),
        netting_pair=replace(plants.netting_pair, day=day(1)),
        credit=replace(plants.credit, day=day(1)),
        outside=replace(plants.outside, days=(day(1), day(3))),
        cut_streams=replace(plants.cut_streams, since=FIRST, until=day(3), one_in=1),
        runaway=replace(plants.runaway, day=day(4), runs=24),
        broken_cache=replace(plants.broken_cache, since=day(4)),
        regenerated=replace(plants.regenerated, since=FIRST, until=day(6), one_in=1),
        oversized=replace(plants.oversized, since=FIRST, until=day(3), one_in=2),
        unread=replace(plants.unread, since=FIRST),
        outage=replace(plants.outage, day=day(4)),
        replacement=replace(plants.replacement, since=day(3)),
        own_model=replace(plants.own_model, proposed=day(1), tried=day(1), approved=day(4)),
        price_change=replace(plants.price_change, since=day(5), approved=day(4)),
        team_move=replace(plants.team_move, day=day(3)),
        strangers=replace(plants.strangers, days=(day(0), day(2))),
        overspend=replace(plants.overspend, since=FIRST, until=day(6), usd="0.10"),
        wrong_point=replace(plants.wrong_point, day=day(3), raised=day(5)),
        verdicts=tuple(
            replace(one, accepted={**one.accepted, "claude-haiku-4-5": 0.1}) if one.workflow == "legal-chat" else one
            for one in plants.verdicts
        ),  # so bad that few outcomes tell it
        returned=replace(plants.returned, since=FIRST, shadows=29),
        running=replace(plants.running, since=day(1), shadows=29),
        leaver=replace(plants.leaver, day=day(5)),
        deserted=replace(plants.deserted, day=day(3)),
        scripted=replace(plants.scripted, since=day(4), until=day(5)),
    )


@contextlib.asynccontextmanager
async def simulated(folder: Path, seed: int = SEED) -> AsyncIterator[Simulated]:
    """The week, simulated; then its server goes on while the context lasts."""
    async with Simulation(*small(), seed, folder, share=SHARE).running() as found:
        yield found
