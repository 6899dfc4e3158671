"""Agents that call providers themselves, braked at their next append: on a real hub, with workers and people who watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from holdfast.agents.run import RunContext
from holdfast.client.session import Session
from holdfast.errors import HoldfastError, Refused
from holdfast.governance.budgets.braked_agents import BrakedAgents, ClaimsOf
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Draft, Event
from holdfast.session.composed_policy import compose
from tests.unit.agents.conftest import House, items, refusal, seen

pytestmark = pytest.mark.anyio

SENTENCE = "the budget 'support-month' (paid by Customer care) is spent: $25.00 of $25.00"
FIELDS = {
    "budget": "support-month", "payer": "Customer care", "decider": "user:bea", "spent_usd": "25.00", "cap_usd": "25.00",
    "reopens_ms": 1_800_000_000_000,
}  # fmt: skip


class Spent:
    """Says what is spent, as a test wants it; remembers what it was asked."""

    def __init__(self) -> None:
        self.team = ""
        self.some = True  # elsewhere, if not here
        self.age = 0.0
        self.asked: list[tuple[str, str, str]] = []

    def age_s(self) -> float:
        return self.age

    def any_spent(self) -> bool:
        return self.some

    def refusal(self, tenant: str, labels: Mapping[str, str], session: str, run: str) -> Refused | None:
        self.asked.append((tenant, session, run))
        return Refused("budget.exceeded", SENTENCE, **FIELDS) if self.team and labels.get("team") == self.team else None


@asynccontextmanager
async def braked(
    team: str = "support", claims_of: ClaimsOf | None = None
) -> AsyncIterator[tuple[House, Spent, Session]]:
    """A house with the policy, and a session of a person of the team."""
    spent = Spent()
    house = House(30.0, compose([BrakedAgents(spent, claims_of=claims_of)]))
    await house.hub.open()
    try:
        person = await house.client("user:ann", labels={"team": team})
        async with asyncio.timeout(30):
            yield house, spent, await person.create("s1", agent="writer")
    finally:
        await house.close()


async def events_of(session: Session, until: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Actor, type and data of the log, up to the first of a type; operators read all of it."""
    found = []
    life = (await session.create(agent="writer"))["incarnation"]
    async for event in session.events(wire.Cursor(life, 0)):
        assert isinstance(event, Event)
        found.append((event.actor, event.type, event.data))
        if event.type == until:
            break
    return found


async def test_an_agent_without_a_label_is_braked_by_the_budget_of_whoever_it_works_for() -> None:
    def claims_of(tenant: str, labels: Mapping[str, str], agent: str) -> Mapping[str, str]:
        return {**labels, "team": "support"} if (tenant, agent) == ("t", "writer") else labels

    async with braked("nobody", claims_of) as (house, spent, session):
        worker = await house.worker()
        spent.team = "support"

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            await run.say("on and on")

        house.serve(worker)
        run = await session.send("hi")
        assert (await run.finished())["status"] == "cancelled"


async def test_while_nothing_is_spent_nobody_asks_whose_an_append_is() -> None:
    async with braked(claims_of=lambda *_: pytest.fail("looked up for every token")) as (house, spent, session):
        spent.some = False
        worker = await house.worker()

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            await run.say("on and on")

        house.serve(worker)
        run = await session.send("hi")
        assert (await run.finished())["status"] == "completed" and spent.asked == []


async def test_an_agent_whose_budget_is_spent_is_stopped_at_its_next_append_and_everybody_sees_why() -> None:
    async with braked() as (house, spent, session):
        worker = await house.worker()
        begun, go = asyncio.Event(), asyncio.Event()

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            async with run.message() as out:
                await out.write("so far")
                await run.flush()
                begun.set()
                await go.wait()
                await run.usage("m", input_tokens=7, output_tokens=9)
                await out.write(" and no further")
                await run.flush()
                await asyncio.Event().wait()

        house.serve(worker)
        run = await session.send("hi")
        await begun.wait()
        spent.team = "support"
        go.set()
        over = await run.finished()
        assert over["status"] == "cancelled"
        assert over["cancel"]["by"] == "policy:budget" and over["cancel"]["reason"] == SENTENCE
        view = await session.state()
        assert [item["text"] for item in items(view, "message")] == ["hi", "so far"]
        (shown,) = items(view, "activity")
        assert (shown["name"], shown["actor"], shown["run"]) == ("budget", "policy:budget", run.id)
        assert shown["content"] == {
            "stage": "ended",
            "policy": "error",
            "code": "budget.exceeded",
            "text": SENTENCE,
            **FIELDS,
        }
        log = await events_of(session, e.RUN_ENDED)
        used = [(actor, data) for actor, type_, data in log if type_ == e.USAGE_RECORDED]
        assert used == [("agent:writer", {"model": "m", "input_tokens": 7, "output_tokens": 9})], (
            "what it used is on record"
        )
        types = [type_ for _, type_, _ in log]
        assert types.index(e.ACTIVITY_SNAPSHOT) + 1 == types.index(e.CANCEL_REQUESTED)
        assert ("t", "s1", run.id) in spent.asked


async def test_an_agent_that_only_reports_usage_is_stopped_too_and_its_report_is_taken() -> None:
    async with braked() as (house, spent, session):
        worker = await house.worker()

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            spent.team = "support"
            await run.usage("m", output_tokens=9)
            await run.flush()
            await asyncio.Event().wait()

        house.serve(worker)
        run = await session.send("hi")
        assert (await run.finished())["status"] == "cancelled"
        log = await events_of(session, e.RUN_ENDED)
        assert [data["output_tokens"] for _, type_, data in log if type_ == e.USAGE_RECORDED] == [9]


async def test_a_run_ends_with_all_that_is_below_and_above_it_and_is_told_once() -> None:
    async with braked() as (house, spent, session):
        worker = await house.worker()

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            await (await run.spawn("reader", "look")).finished()

        @worker.agent("reader")
        async def read(run: RunContext) -> None:
            spent.team = "support"
            await run.say("words")

        house.serve(worker)
        run = await session.send("hi")
        assert (await run.finished())["status"] == "cancelled"
        view = await session.state()
        assert [row["status"] for row in view.runs.values()] == ["cancelled", "cancelled"]
        (shown,) = items(view, "activity")
        assert shown["run"] == run.id, "at the run that people asked for"
        assert set(spent.asked) == {("t", "s1", run.id)}, "a sub-run is of the topmost run"


async def test_no_sub_run_is_started_on_a_spent_budget_and_whoever_asks_hears_whose_it_is() -> None:
    async with braked() as (house, spent, session):
        worker = await house.worker()

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            await asyncio.Event().wait()

        house.serve(worker)
        run = await session.send("hi")
        await seen(session, lambda view: view.runs[run.id]["status"] == "running")
        spent.team = "support"
        client = await house.client("agent:writer", agents=("writer",))
        spawn = wire.Spawn(session="s1", run=run.id, generation=1, agent="reader", name="r", input={"text": "look"})
        refused = await refusal(client.connection.request(spawn))
        assert (refused.code, refused.detail) == ("budget.exceeded", SENTENCE)
        assert refused.stopping and {name: refused.fields[name] for name in FIELDS} == FIELDS
        assert (await run.finished())["status"] == "cancelled"
        assert len((await session.state()).runs) == 1


async def test_others_go_on_and_so_do_runs_that_a_gateway_meters() -> None:
    async with braked() as (house, spent, session):
        spent.team = "support"
        worker = await house.worker()

        @worker.agent("writer")
        @worker.agent("model")
        async def write(run: RunContext) -> None:
            await run.say("words")

        house.serve(worker)
        assert (await (await session.send("hi", agent="model")).finished())["status"] == "completed"
        spent.team = "sales"
        assert (await (await session.send("hi")).finished())["status"] == "completed"


async def test_while_nothing_is_known_agents_wait_and_nobody_else() -> None:
    async with braked() as (house, spent, session):
        worker = await house.worker()
        begun, go = asyncio.Event(), asyncio.Event()

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            async with run.message() as out:
                await out.write("so far")
                await run.flush()
                begun.set()
                await go.wait()
                await out.write(" and on")

        house.serve(worker)
        run = await session.send("hi")
        await begun.wait()
        client = await house.client("agent:writer", agents=("writer",))

        async def append(*events: Draft) -> Any:
            op = wire.Append(session="s1", events=list(events), run=run.id, generation=1)
            outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            client.connection.post(op, outcome.set_result)
            return await outcome

        words, used = Draft("CUSTOM", {"name": "n"}), Draft(e.USAGE_RECORDED, {"model": "m", "output_tokens": 3})
        spent.age = limits.POLICY_FACTS_S
        assert (await append(words))["first"]
        spent.age += 0.1
        refused = await append(words)
        assert isinstance(refused, HoldfastError) and refused.code == "policy.unavailable"
        assert (await append(used))["first"]
        await session.rename("people act")
        go.set()
        spent.age = 0.0
        assert (await run.finished())["status"] == "completed"
        assert items(await session.state(), "message")[-1]["text"] == "so far and on"


async def test_a_run_is_stopped_by_people_while_nothing_is_known() -> None:
    async with braked() as (house, spent, session):
        worker = await house.worker()

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            await run.say("so far")
            await run.flush()
            await asyncio.Event().wait()

        house.serve(worker)
        run = await session.send("hi")
        await seen(session, lambda view: bool(items(view, "message")[1:]))
        spent.age = 3_600.0
        await run.cancel()
        assert (await run.finished())["cancel"]["by"] == "user:ann"


async def test_an_attempt_that_lost_its_run_is_fenced_as_ever_and_stops_nobody() -> None:
    async with braked() as (house, spent, session):
        worker = await house.worker()

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            await asyncio.Event().wait()

        house.serve(worker)
        run = await session.send("hi")
        await seen(session, lambda view: view.runs[run.id]["status"] == "running")
        spent.team = "support"
        client = await house.client("agent:old", agents=("*",))
        words = wire.Append(session="s1", events=[Draft("CUSTOM", {"name": "n"})], run=run.id, generation=2)
        assert (await refusal(client.connection.request(words))).code == "run.fenced"
        assert (await session.state()).runs[run.id]["status"] == "running"
