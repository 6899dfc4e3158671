"""A stop of a workflow: everything of it ends, in all sessions, by name and with the reason, and nothing of it begins."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast.agents.run import RunContext
from holdfast.client.session import Session
from holdfast.engines.port import Engine
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.operations.admission import RuleAdmission
from holdfast.governance.operations.hub_stops import HubStops
from holdfast.governance.operations.model import StopReceipt
from holdfast.governance.operations.service import Operations
from holdfast.governance.start_guard import StartGuard
from holdfast.governance.store.store import Store
from holdfast.hub.clock import Clock
from holdfast.protocol import wire
from holdfast.session.composed_policy import compose
from tests.unit.agents.conftest import House, refusal

from .conftest import REASON, Rules

pytestmark = pytest.mark.anyio

REFUNDS, OTHER = {"workflow": "refunds"}, {"workflow": "letters"}


class Site:
    """A house with operations over a store."""

    def __init__(self, house: House, rules: Rules, operations: Operations) -> None:
        self.house, self.rules, self.operations = house, rules, operations
        self.begun: list[str] = []
        self.hung = asyncio.Event()

    async def stop(self, scope: str = "workflow", subject: str = "refunds", grace_s: float = 2.0) -> StopReceipt:
        return await self.operations.stop("t", scope, subject, REASON, "user:kim", grace_s=grace_s)

    async def done(self, ident: str) -> StopReceipt:
        """The receipt, once no run is left."""
        while (found := await self.operations.receipt("t", ident)).stop.state == "stopping":
            await asyncio.sleep(0)
        return found

    async def serve(self) -> None:
        """A worker: ``writer`` waits to be told to stop, ``hung`` does not listen, ``asker`` waits for a person."""
        worker = await self.house.worker()

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            self.begun.append(run.id)
            await asyncio.Event().wait()

        @worker.agent("hung")
        async def hang(run: RunContext) -> None:
            self.begun.append(run.id)
            while not self.hung.is_set():
                try:
                    await self.hung.wait()
                except asyncio.CancelledError:
                    continue

        @worker.agent("asker")
        async def ask(run: RunContext) -> None:
            self.begun.append(run.id)
            await run.approve("pay", {"usd": 5}, wait=True)

        @worker.agent("chief")
        async def lead(run: RunContext) -> None:
            self.begun.append(run.id)
            await run.spawn("writer", "do")
            await asyncio.Event().wait()

        self.house.serve(worker)

    async def session(self, ident: str, labels: dict[str, str], actor: str = "user:ann") -> Session:
        person = await self.house.client(f"{actor}{len(self.house.dials)}", labels=labels)
        return await person.create(ident)

    async def until(self, running: int) -> None:
        while len(self.begun) < running:
            await asyncio.sleep(0)


@pytest.fixture
async def file_store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store in a file, for what has nothing to do with the kind of database."""
    opened = await Store.open(str(tmp_path / "store.db"), Clock().wall_ms)
    yield opened
    await opened.close()


@asynccontextmanager
async def site(store: Store, engine: Engine | None = None) -> AsyncIterator[Site]:
    rules = Rules()
    house = House(30.0, compose([StartGuard(rules)]), engine)
    await house.hub.open()
    operations = Operations(store, house.hub.clock.wall_ms, rules, RuleAdmission(rules), HubStops(house.hub, rules))
    await operations.refresh()
    operations.start()
    made = Site(house, rules, operations)
    try:
        async with asyncio.timeout(30):
            yield made
    finally:
        made.hung.set()
        await operations.close()
        await house.close()


async def test_all_of_a_workflow_ends_in_every_session_and_nothing_of_another(store: Store) -> None:
    async with site(store) as it:
        await it.serve()
        sessions = {
            name: await it.session(name, REFUNDS) for name in ("written", "asked", "led", "asleep")
        } | {"kept": await it.session("kept", OTHER)}  # fmt: skip
        runs = {
            "written": await sessions["written"].send("hi", agent="writer"),
            "asked": await sessions["asked"].send("hi", agent="asker"),
            "led": await sessions["led"].send("hi", agent="chief"),
            "asleep": await sessions["asleep"].send("hi", agent="nobody"),
            "kept": await sessions["kept"].send("hi", agent="writer"),
        }
        await it.until(5)
        async with sessions["asked"].live() as live:
            await live.until(lambda view: any(run["status"] == "waiting" for run in view.runs.values()))
        preview = await it.operations.preview("t", "workflow", "refunds")
        assert (preview.known, preview.running, preview.queued, preview.waiting) == (True, 3, 1, 1)
        assert (preview.sessions, preview.people) == (4, 4)
        receipt = await it.stop()
        assert (receipt.running, receipt.queued, receipt.waiting) == (3, 1, 1), "a preview promises what is done"
        for name in ("written", "asked", "led", "asleep"):
            over = await runs[name].finished()
            assert over["status"] == "cancelled", name
            assert over["cancel"]["by"] == "user:kim" and REASON in over["cancel"]["reason"], name
        done = await it.done(receipt.stop.id)
        assert (done.sessions, done.people, done.forced, done.stop.left) == (4, 4, 0, 0)
        assert done.took_ms is not None and done.stop.state == "stopped"
        assert Counter(run["found"] for one in done.listed for run in one["runs"]) == {
            "running": 3,
            "queued": 1,
            "waiting": 1,
        }
        assert {one["session"] for one in done.listed} == {"written", "asked", "led", "asleep"}
        kept = (await sessions["kept"].state()).runs[runs["kept"].id]
        assert kept["status"] == "running"
        for name in ("written", "asked", "led", "asleep"):
            error = await refusal(sessions[name].send("again", agent="writer"))
            assert error.code == "workflow.stopped" and error.fields["stop"] == receipt.stop.id
        await it.operations.flush()
        assert (await it.operations.receipt("t", receipt.stop.id)).stop.refused == 4
        assert (await it.stop()).stop.id == receipt.stop.id, "pressed twice it is one"
        lifted = await it.operations.lift("t", receipt.stop.id, "user:lee", "the amounts are right again")
        assert (lifted.stop.state, lifted.stop.lifted_by) == ("lifted", "user:lee")
        assert (await sessions["written"].send("again", agent="writer")).id
        assert (await it.stop()).stop.id != receipt.stop.id


async def test_who_does_not_listen_is_ended_without_being_asked_again(file_store: Store) -> None:
    async with site(file_store) as it:
        await it.serve()
        session = await it.session("s1", REFUNDS)
        runs = [await session.send("hi", agent="hung"), await session.send("hi", agent="writer")]
        await it.until(2)
        receipt = await it.stop(grace_s=0.2)
        assert [(await run.finished())["status"] for run in runs] == ["cancelled"] * 2
        done = await it.done(receipt.stop.id)
        (one,) = done.listed
        assert {run["run"]: run["forced"] for run in one["runs"]} == {runs[0].id: True, runs[1].id: False}
        assert done.forced == 1


async def test_without_a_grace_everything_is_ended_at_once(file_store: Store) -> None:
    async with site(file_store) as it:
        await it.serve()
        session = await it.session("s1", REFUNDS)
        run = await session.send("hi", agent="hung")
        await it.until(1)
        done = await it.done((await it.stop(grace_s=0)).stop.id)
        assert (done.forced, (await run.finished())["status"]) == (1, "cancelled")


async def test_sessions_that_are_not_in_memory_are_ended_too_and_no_worker_gets_them(
    file_store: Store, tmp_path: Path
) -> None:
    path = str(tmp_path / "log.db")
    async with site(file_store, SqliteEngine(path)) as it:
        for n in range(5):
            await (await it.session(f"s{n}", REFUNDS if n else OTHER)).send("hi", agent="writer")
        taken = await it.session("taken", REFUNDS)
        await taken.send("hi", agent="writer")
        await taken.connection.request(wire.Take(session="taken"))
    async with site(file_store, SqliteEngine(path)) as it:
        assert not it.house.hub.sessions
        receipt = await it.stop()
        assert (receipt.queued, receipt.sessions) == (5, 5), "also where a person had taken over"
        await it.done(receipt.stop.id)
        await it.serve()
        await it.until(1)
        session = await it.session("s0", OTHER)
        assert it.begun == list((await session.state()).runs), "only the other workflow's began"


async def test_what_was_not_done_is_done_by_the_next_process(file_store: Store, tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    rules = Rules()
    async with site(file_store, SqliteEngine(path)) as it:
        session = await it.session("s1", REFUNDS)
        await session.send("hi", agent="writer")
        elsewhere = Operations(file_store, it.house.hub.clock.wall_ms, rules)
        await it.operations.close()
        receipt = await elsewhere.stop("t", "workflow", "refunds", REASON, "user:kim")
        assert (receipt.stop.state, receipt.queued) == ("stopping", 0), "who has no sessions ends none"
        assert not (await elsewhere.preview("t", "workflow", "refunds")).known
    async with site(file_store, SqliteEngine(path)) as it:
        done = await it.done(receipt.stop.id)
        assert (done.queued, done.stop.by) == (1, "user:kim")
        session = await it.session("s1", REFUNDS)
        (run,) = (await session.state()).runs.values()
        assert (run["status"], run["cancel"]["by"]) == ("cancelled", "user:kim")


async def test_counts_are_of_all_lives_of_the_process_together(store: Store, tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    async with site(store, SqliteEngine(path)) as it:
        await it.serve()
        session = await it.session("s1", REFUNDS)
        await session.send("hi", agent="hung")
        await it.until(1)
        receipt = await it.stop(grace_s=1)
        assert receipt.running == 1 and receipt.stop.state == "stopping"
        await it.operations.close()  # as if it had died: the run goes on
    async with site(store, SqliteEngine(path)) as it:
        done = await it.done(receipt.stop.id)
        assert (done.running, done.queued, done.sessions) == (1, 0, 1)


@pytest.mark.parametrize(
    ("scope", "subject", "ended"),
    [("agent", "writer", {"alone", "below"}), ("everything", "", {"alone", "chief", "below", "other"}),
     ("tool", "pay", set()), ("model", "m", set()), ("agent", "write", set()), ("workflow", "letters", {"other"})],
)  # fmt: skip
async def test_each_scope_ends_its_own(file_store: Store, scope: str, subject: str, ended: set[str]) -> None:
    async with site(file_store) as it:
        await it.serve()
        first, second = await it.session("s1", REFUNDS), await it.session("s2", OTHER)
        runs = {
            "alone": (await first.send("hi", agent="writer")).id,
            "chief": (await first.send("hi", agent="chief")).id,
        }
        runs["other"] = (await second.send("hi", agent="hung")).id
        await it.until(4)
        runs["below"] = next(ident for ident, one in (await first.state()).runs.items() if one.get("parent"))
        done = await it.done((await it.stop(scope, subject, 0.2)).stop.id)
        found = {
            ident
            for ident, one in ((await first.state()).runs | (await second.state()).runs).items()
            if one["status"] != "running"
        }
        assert found == {runs[name] for name in ended}
        assert done.running == len(ended)


async def test_a_run_within_a_call_of_a_stopped_tool_ends(file_store: Store) -> None:
    async with site(file_store) as it:
        worker, calls = await it.house.worker(), asyncio.Event()

        @worker.agent("payer")
        async def pay(run: RunContext) -> None:
            async def slow(usd: int) -> None:
                calls.set()
                await asyncio.Event().wait()

            await run.tool("pay", {"usd": 5}, slow)

        it.house.serve(worker)
        run = await (await it.session("s1", REFUNDS)).send("hi", agent="payer")
        await calls.wait()
        await it.stop("tool", "pay")
        assert (await run.finished())["cancel"]["by"] == "user:kim"


async def test_a_stop_of_a_workflow_makes_an_incident_and_people_make_others(store: Store) -> None:
    async with site(store) as it:
        session = await it.session("s1", REFUNDS)
        await session.send("hi", agent="writer")
        done = await it.done((await it.stop()).stop.id)
        await it.stop("agent", "writer")
        (incident,) = await it.operations.incidents("t")
        assert (incident.id, incident.workflow, incident.by) == (done.stop.incident, "refunds", "user:kim")
        assert (incident.sessions, incident.people, incident.outputs, incident.cost_nano) == (1, 1, 1, 0)
        assert incident.stopped_ms == done.took_ms and incident.from_ms <= done.stop.at_ms
        now_ms = it.house.hub.clock.wall_ms()
        own = await it.operations.add_incident("t", "refunds", "user:lee", "two letters were wrong", now_ms - 1_000)
        closed = await it.operations.close_incident("t", own.id, "user:lee", "both were taken back", now_ms)
        assert closed.to_ms == now_ms and closed.notes.endswith("user:lee: both were taken back")
        assert {one.id for one in await it.operations.incidents("t", "refunds")} == {own.id, incident.id}
        assert await it.operations.incidents("t", "letters") == await it.operations.incidents("other") == []
        assert await it.operations.incident("t", own.id) == closed
        for wrong in ({"from_ms": now_ms + 60_000}, {"from_ms": 5, "to_ms": 4}):
            with pytest.raises(Refused, match="begins before"):
                await it.operations.add_incident("t", "refunds", "user:lee", "x", **wrong)


async def test_what_is_asked_wrongly_stops_nothing(file_store: Store) -> None:
    async with site(file_store) as it:
        wrong: list[dict[str, Any]] = [
            {"scope": "team"}, {"subject": ""}, {"scope": "everything"}, {"reason": " "}, {"reason": "two\nlines"},
            {"grace_s": limits.STOP_GRACE_MOST_S + 1}, {"subject": "x" * 200},
        ]  # fmt: skip
        for one in wrong:
            asked = {"scope": "workflow", "subject": "refunds", "reason": REASON, "by": "user:kim"} | one
            with pytest.raises(Refused) as caught:
                await it.operations.stop("t", **asked)
            assert caught.value.code == "input.malformed", one
        assert await it.operations.stops("t") == []
        for asking in (it.operations.receipt("t", "st-1"), it.operations.lift("t", "st-1", "user:kim", "x")):
            assert (await refusal(asking)).code == "stop.not_found"
        assert (await refusal(it.operations.incident("t", "in-1"))).code == "incident.not_found"
        other = (await it.stop()).stop.id
        assert (await refusal(it.operations.lift("other", other, "user:kim", "x"))).code == "stop.not_found"
