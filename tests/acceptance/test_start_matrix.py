"""Nothing begins that may not, on whatever way it comes: every reason on every way, on one running server.

Each cell is asked twice: with the reason it is refused, by its code, no run begins and no provider is asked; without it the
same is begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from holdfast.governance.app import Governance
from holdfast.governance.budgets.definitions import BudgetTerms
from holdfast.governance.ledger.reader import LedgerReader
from holdfast.governance.operations.model import StopOrder
from holdfast.governance.operations.port import GateFailure
from holdfast.governance.operations.rules import StopBook
from holdfast.governance.organisation.document import parse
from holdfast.governance.workflows.model import WorkflowManifest, WorkflowState
from tests.acceptance.start_ways import WAYS, WORKFLOW, House, house
from tests.fake_upstream.process import FakeUpstream

pytestmark = [pytest.mark.anyio, pytest.mark.process]
OWNER = GateFailure("6.a", "its owner has left", "Customer care", "Name another owner.", 5)
STAGE = GateFailure("1.a", "it runs without a person, and is declared a chat", "ann", "Declare its stage.", 5)


class Standings:
    """A workflow's standing at its gates, as a test wants it."""

    def __init__(self) -> None:
        self.failure: GateFailure | None = None

    def failing(self, tenant: str, workflow: str) -> GateFailure | None:
        return self.failure if workflow == WORKFLOW else None


def gate(failure: GateFailure | None) -> Callable[[Governance], Awaitable[None]]:
    async def on(governance: Governance) -> None:
        standings = governance.rules.standings
        assert isinstance(standings, Standings)
        standings.failure = failure

    return on


def stop(*, holds: bool) -> Callable[[Governance], Awaitable[None]]:
    """The stop itself, without the ending of what runs, which is a test of its own."""

    async def on(governance: Governance) -> None:
        order = StopOrder("st-1", "default", "workflow", WORKFLOW, "it pays twice", "user:kim", 5, 1_000)
        governance.rules.stops = StopBook([order] if holds else [])

    return on


def states(*some: WorkflowState) -> Callable[[Governance], Awaitable[None]]:
    async def on(governance: Governance) -> None:
        for state in some:
            await governance.workflows.set_state("default", WORKFLOW, state, by="user:bea", reason="a test")

    return on


async def spend(governance: Governance) -> None:
    """A hard cap that is spent: of everything, so that work without labels is within it."""
    terms = BudgetTerms(usd="0.000001", per="total", scope={}, mode="enforce", decider="user:bea")
    await governance.budget_desk.set("default", "all", terms, by="user:bea")
    await governance.budgets.look()


async def refill(governance: Governance) -> None:
    await governance.budget_desk.end("default", "all", by="user:bea")
    await governance.budgets.look()


On = Callable[[Governance], Awaitable[None]]
REASONS: Final[dict[str, tuple[str, On, On]]] = {
    "no owner": ("workflow.gate", gate(OWNER), gate(None)),
    "beyond its stage": ("workflow.gate", gate(STAGE), gate(None)),
    "over its hard cap": ("budget.exceeded", spend, refill),
    "stopped": ("workflow.stopped", stop(holds=True), stop(holds=False)),
    "retired": ("workflow.retired", states("retired"), states("registered", "pilot", "production")),
    "not launched": ("workflow.launch", states("pilot", "registered"), states("pilot", "production")),
}
"""The code, and how it comes about and goes."""


WIRE_CODES: Final = {"budget.exceeded": "budget_exceeded"}
"""What providers' wires have another word for."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as found:
        yield found


@pytest.fixture(scope="module")
async def it(fake: FakeUpstream, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[House]:
    folder: Path = tmp_path_factory.mktemp("stores")
    async with house(fake, (str(folder / "one.db"), str(folder / "two.db"))) as made:
        for governance in made.governances:
            governance.rules.standings = Standings()
            await governance.organisation.change(parse(b"teams: [{name: support}]", "yaml"), by="user:bea")
            manifest = WorkflowManifest(
                workflow=WORKFLOW, unit="support", owner="ann", deputy="bob", stage="stateful", mode="enforce",
                agents=("writer", "chief"),
            )  # fmt: skip
            await governance.workflows.apply(manifest, by="user:bea")
            await states("pilot", "production")(governance)
        for name in ("gateway chat", "gateway messages"):
            assert await (await WAYS[name](made))() == "", "something is spent"
        await made.governance.gateway.settled()
        await (await made.embedded.session("spending").start("spender", "hi")).finished()
        for governance in made.governances:
            await spent(governance)
        yield made


async def spent(governance: Governance) -> None:
    """Wait until the ledger has something that was paid for."""
    today = governance.organisation.today().isoformat()
    async with asyncio.timeout(30):
        while not any(
            row.billed_nano for row in (await LedgerReader(governance.store).rows("default", today, today)).rows
        ):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("reason", REASONS)
async def test_nothing_begins_on_any_way(it: House, reason: str) -> None:
    code, on, off = REASONS[reason]
    asked = {way: await prepare(it) for way, prepare in WAYS.items()}
    again = {way: await prepare(it) for way, prepare in WAYS.items()}
    expected = {way: WIRE_CODES.get(code, code) if way.startswith(("gateway", "agent")) else code for way in WAYS}
    before = it.begun()
    for governance in it.governances:
        await on(governance)
    try:
        heard = {way: await act() for way, act in asked.items()}
        begun = it.begun()
    finally:
        for governance in it.governances:
            await off(governance)
    assert heard == expected
    assert begun == before, "no run began and no provider was asked"
    for way, act in again.items():
        before = it.begun()
        assert await act() == "", f"{way}: without the reason it begins"
        assert it.begun() > before, way
