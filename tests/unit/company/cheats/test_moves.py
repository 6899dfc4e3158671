"""Every way to cheat: an ordinary dashboard is green, the plan never passes, and the company's own store stays as it is."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.company.cheats.catalogue import MOVES
from holdfast.company.cheats.move import CheatMove
from holdfast.company.cheats.rehearsal import COMPANY, rehearsing
from holdfast.errors import Refused
from holdfast.governance.directory.model import Person
from holdfast.governance.directory.service import Directory
from holdfast.governance.organisation.document import parse
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.rollout.registry import BY_NAME
from holdfast.governance.store.store import Store
from holdfast.testing import FakeClock

pytestmark = pytest.mark.anyio
TEAMS = b"organisation: {name: Acme, time_zone: Europe/Berlin}\nteams: [{name: crew}, {name: two}]\n"
CREW = ("ada", "ben", "cleo", "dora", "emil")
AFTER = {
    "write-called-read": "customers.update has a side effect",
    "service-as-person": "30 runs have no person who signed in behind them",
    "synthetic-runs": "20 runs, of 28 days and 200 runs",
    "netting": "$1.33 of $20.00",
    "dumping": "unassigned, unknown or rounding",
    "endless-cap": "more than 2 times the",
    "high-floor": "94.4% of its work is accepted where 94.4% is asked for",
    "alias": "gpt-5.4-mini-2026-03-17 served",
    "divided": "and that fails: 20 of 20 attempts: gpt-5.4-mini-2026-03-17 served",
    "shared-mailbox": "ai-team-mailbox signed in never",
    "bulk-closing": "0 of 6 items were done in time",
    "seated-key": "200 of 260 seated calls have nobody behind them",
    "staging-report": "the newest report is of staging-build",
    "smaller-unit": "became 'a paragraph'",
}
"""Of what the plan says: it fails for the move, and for nothing else."""
HONEST = {"write-called-read", "service-as-person", "endless-cap", "alias", "divided", "shared-mailbox", "smaller-unit"}
"""Moves that are themselves what is wrong; the others hide something that was wrong before."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def company(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[tuple[Store, Path]]:
    """The store of a company that is a month old, with its people."""
    path, clock = tmp_path_factory.mktemp("company") / "company.db", FakeClock()
    store = await Store.open(str(path), clock.wall_ms)
    organisation, directory = Organisation(store, clock.wall_ms), Directory(store, clock.wall_ms)
    await organisation.refresh()
    await organisation.change(parse(TEAMS, "yaml"), by="user:root")
    people = [Person(name, unit="crew") for name in CREW] + [Person("left", unit="two", active=False)]
    await directory.bring(COMPANY, people)
    clock.advance(30 * 86_400)
    yield store, path
    await store.close()


def everything(path: Path) -> list[str]:
    """The store, row by row, as somebody else reads its file."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.facts.name)
async def test_a_dashboard_is_green_and_the_plan_never_passes(
    company: tuple[Store, Path], move: type[CheatMove]
) -> None:
    store, path = company
    before = everything(path)
    async with rehearsing(store) as rehearsal:
        played = await move(rehearsal).play()
        assert rehearsal.store.where != store.where
        copy = Path(rehearsal.store.where)
        assert copy.exists()
    assert played.naive.green, played.naive.reason
    assert played.after.verdict in ("fail", "unknown"), played.after.reason
    assert AFTER[move.facts.name] in played.after.reason
    assert played.after.fix
    assert (played.before.verdict == "pass") == (move.facts.name in HONEST), played.before.reason
    assert everything(path) == before, "the company itself was touched"
    assert not copy.parent.exists(), "the copy is gone"


def test_each_move_is_told_and_has_a_gate_that_is_built() -> None:
    names = [move.facts.name for move in MOVES]
    assert len(set(names)) == len(names) == len(AFTER)
    for move in MOVES:
        assert BY_NAME[move.facts.gate].decide is not None
        assert all((move.facts.title, move.facts.does, move.facts.counter, move.facts.setting))


async def test_without_enough_people_in_a_team_nobody_is_made_up(tmp_path: Path) -> None:
    store = await Store.open(str(tmp_path / "empty.db"), FakeClock().wall_ms)
    async with rehearsing(store) as rehearsal:
        with pytest.raises(Refused):
            await rehearsal.company_place()
    await store.close()
