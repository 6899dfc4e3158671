"""64 callers in 16 processes race for tight budgets while callers, gateways and the store's owner are killed.

Two promises are held together: never over a cap, at no instant and by the provider's own count; and no money is kept from
those who need it by reservations that nobody uses. ``HOLDFAST_BUDGET_ROUNDS=1000`` makes it long.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.acceptance.budget_race.race import OUTPUT_NANO, Race, Verdict
from tests.fake_upstream.process import FakeUpstream
from tests.unit.governance import postgres_server

pytestmark = [pytest.mark.anyio, pytest.mark.process]

ROUNDS = int(os.environ.get("HOLDFAST_BUDGET_ROUNDS", "12"))
SEED = int(os.environ.get("HOLDFAST_BUDGET_SEED", "1"))
SHARE = {"sqlite": 0.5, "postgres": 0.5}
"""Of the rounds, on each database."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def fake() -> AsyncIterator[FakeUpstream]:
    with FakeUpstream() as running:
        yield running


def tight(rng: random.Random) -> int:
    """From enough for a tenth of the calls to enough for most of them."""
    return rng.randint(3_000, 20_000) * OUTPUT_NANO


def kill_of(number: int) -> str:
    """What is killed in a round: a caller in every second, a gateway in every eighth."""
    return ("both" if number % 2 else "gateway") if number % 8 == 7 else "caller" if number % 2 else ""


async def address(kind: str, folder: Path) -> str:
    return f"sqlite:///{folder / 'store.db'}" if kind == "sqlite" else await postgres_server.empty_database()


async def raced(
    kind: str, folder: Path, fake: FakeUpstream, rounds: int, cap: Callable[[random.Random], int], meter: str = "budgets",
    kill: Callable[[int], str] = kill_of,
) -> tuple[list[Verdict], Race]:  # fmt: skip
    gateways = 1 if kind == "sqlite" else 2
    race = Race(folder, await address(kind, folder), fake, gateways=gateways, meter=meter, seed=SEED)
    await race.prepare(rounds, cap)
    verdicts = []
    async with race.running():
        for number in range(rounds):
            verdicts.append(await race.round(number, kill=kill(number)))
        lines = {line.name: line for line in await race.books.accounts()}
    children = sum(line.spent for name, line in lines.items() if name.startswith("race-"))
    assert lines["team"].spent == lines["all"].spent == lines["run"].spent == children, (
        "parents are not their children's sum"
    )
    return verdicts, race


@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_no_budget_is_passed_whoever_is_killed(
    kind: str, tmp_path: Path, fake: FakeUpstream, record_property: Callable[[str, object], None]
) -> None:
    rounds = max(1, round(ROUNDS * SHARE[kind]))
    verdicts, _ = await raced(kind, tmp_path, fake, rounds, tight)
    over = [v._replace(finished=()) for v in verdicts if v.over]
    assert not over, over
    assert all(v.left == 0 for v in verdicts), "a reservation outlived its attempt"
    answered = sum(one.status == 200 for v in verdicts for one in v.finished)
    refused = sum(one.status in (402, 429) for v in verdicts for one in v.finished)
    assert answered and refused, "a race that nobody wins, or that nobody loses, shows nothing"
    false = sum(len(v.falsely_refused) for v in verdicts)
    killed = sum(len(v.kills) for v in verdicts)
    record_property(
        "counted",
        f"{rounds} of {rounds} rounds on {kind} without an account over its cap, {answered} calls answered, {refused} "
        f"refused ({false} with hindsight falsely), {killed} kills",
    )


async def test_a_check_before_and_a_record_after_passes_the_cap(tmp_path: Path, fake: FakeUpstream) -> None:
    verdicts, _ = await raced("sqlite", tmp_path, fake, 2, lambda _: 3_000 * OUTPUT_NANO, "check", lambda _: "")
    assert any(v.over for v in verdicts), "the race does not catch the field's oldest fault"


async def test_a_reservation_of_the_worst_case_refuses_honest_calls(tmp_path: Path, fake: FakeUpstream) -> None:
    cap = 100_000 * OUTPUT_NANO  # more than all calls cost
    verdicts, _ = await raced("sqlite", tmp_path, fake, 1, lambda _: cap, "worst", lambda _: "")
    assert any(v.falsely_refused for v in verdicts), "the race does not catch the field's newest fault"
    (tmp_path / "ours").mkdir()
    ours, _ = await raced("sqlite", tmp_path / "ours", fake, 1, lambda _: cap, "budgets", lambda _: "")
    assert not any(one.status != 200 for v in ours for one in v.finished), "money was there for every call"
