"""What all adapters share: a state that outlives its worker, decisions about exactly one action, loops that end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.agents.adapters import conversation
from holdfast.agents.adapters.checkpoint import Checkpoint
from holdfast.agents.adapters.framework import Question, ask_all
from holdfast.agents.adapters.rounds import Rounds
from holdfast.agents.errors import CallNotMade
from holdfast.agents.run import RunContext
from holdfast.client.session import Session
from holdfast.embed import EmbeddedBlobs
from holdfast.errors import Refused, Unavailable
from holdfast.protocol import limits
from holdfast.session.access import full_access
from tests.adapters.conftest import converse_agent as an_agent
from tests.adapters.replay import Provider
from tests.adapters.scripts import ALL, streamed
from tests.adapters.workshop import Workshop, ended, logged
from tests.unit.agents.conftest import House, items, seen

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house(anyio_backend: str) -> AsyncIterator[House]:
    house = House(30.0)
    await house.hub.open()
    yield house
    await house.close()


@pytest.fixture
async def brief(anyio_backend: str) -> AsyncIterator[House]:
    """A house whose leases run out soon, for workers that are lost."""
    house = House(0.5)
    await house.hub.open()
    yield house
    await house.close()


async def working(house: House, agent: Any) -> tuple[Session, asyncio.Task[None]]:
    """A worker that has blobs and serves an agent, and a session for it."""
    worker = await house.worker()
    worker.blobs = EmbeddedBlobs(house.hub, full_access("t", "agent:worker", ("*",)))
    worker.add_agent("writer", agent)
    return await house.session(), house.serve(worker)


async def lost(task: asyncio.Task[None]) -> None:
    """The worker is gone; its lease runs out."""
    task.cancel()
    await asyncio.wait({task})


# --- the state
@pytest.mark.parametrize("size", [10, 100_000])
async def test_a_later_attempt_has_the_state(brief: House, size: int) -> None:
    state, saved, recalled = b"{" + b"tide " * size, asyncio.Event(), list[Any]()

    async def write(run: RunContext) -> None:
        mine = Checkpoint(run, "test")
        recalled.append(await mine.load())
        if run.attempt_number == 1:
            await mine.save(state)
            await run.flush()
            saved.set()
            await asyncio.Event().wait()

    session, task = await working(brief, write)
    run = await session.send("go")
    await saved.wait()
    await lost(task)
    worker = await brief.worker()
    worker.blobs = EmbeddedBlobs(brief.hub, full_access("t", "agent:worker", ("*",)))
    worker.add_agent("writer", write)
    brief.serve(worker)
    assert (await run.finished())["status"] == "completed"
    assert recalled == [None, state]


async def test_a_state_too_large_to_be_kept_does_not_lose_the_run(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on, and keeps its worker while people think; a later attempt says why it cannot go on."""
    monkeypatch.setattr(limits, "BLOB_BYTES", 64)
    approval_requested = asyncio.Event()

    async def write(run: RunContext) -> None:
        mine = Checkpoint(run, "test")
        await mine.load()
        await mine.save(b"small")
        assert mine.is_saved
        await mine.save(b"x" * 65)
        assert not mine.is_saved
        approval_requested.set()
        await ask_all(run, [Question("q", "go", {})], wait=mine.is_saved)
        await run.say("done")

    session, _ = await working(house, write)
    run = await session.send("go")
    view = await seen(session, lambda v: items(v, "approval"))
    assert view.runs[run.id]["status"] == "running"
    await session.approve(items(view, "approval")[0]["id"])
    assert (await run.finished())["status"] == "completed"


async def test_an_attempt_after_one_that_could_not_be_kept_does_nothing_twice(
    brief: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BLOB_BYTES", 64)
    saved, acted = asyncio.Event(), list[int]()

    async def write(run: RunContext) -> None:
        mine = Checkpoint(run, "test")
        await mine.load()
        acted.append(run.attempt_number)
        await mine.save(b"x" * 65)
        await run.flush()
        saved.set()
        await asyncio.Event().wait()

    session, task = await working(brief, write)
    run = await session.send("go")
    await saved.wait()
    await lost(task)
    worker = await brief.worker()
    worker.add_agent("writer", write)
    brief.serve(worker)
    over = await run.finished()
    assert (over["status"], over["error"]["code"], acted) == ("failed", "agent.not_kept", [1])


async def test_a_state_is_kept_over_an_outage(house: House) -> None:
    failures = [Unavailable("disk.full"), Unavailable("server.restarting")]

    async def write(run: RunContext) -> None:
        store = run.tools.store

        async def flaky(data: bytes) -> str:
            if failures:
                raise failures.pop()
            assert store is not None
            return await store(data)

        run.tools.store = flaky
        await Checkpoint(run, "test").save(b"state")

    session, _ = await working(house, write)
    run = await session.send("go")
    assert (await run.finished())["status"] == "completed" and not failures


# --- calls that only asked
async def test_a_call_that_asks_is_made_again_and_one_that_went_on_is_not(brief: House) -> None:
    """It asks, goes on, and its worker is lost: nobody knows. One that still asked may be made again."""
    reached, made = asyncio.Event(), list[str]()

    async def write(run: RunContext) -> None:
        await Checkpoint(run, "test").load()

        async def asks(**_: Any) -> str:
            made.append(f"asks {run.attempt_number}")
            if run.attempt_number == 1:
                raise CallNotMade("people")
            return "asked"

        async def goes_on(**_: Any) -> str:
            made.append(f"goes on {run.attempt_number}")
            if made.count("goes on 1") == 1:
                raise CallNotMade("people")
            reached.set()
            await asyncio.Event().wait()
            return ""

        calls = {"asks": asks, "goes on": goes_on}
        for name in ("asks", "goes on", "goes on"):
            try:
                await run.tool(name, {}, calls[name], call_id=f"{run.id}.{name.replace(' ', '')}")
            except CallNotMade:
                pass

    session, task = await working(brief, write)
    run = await session.send("go")
    await reached.wait()
    await lost(task)
    worker = await brief.worker()
    worker.add_agent("writer", write)
    brief.serve(worker)
    over = await run.finished()
    assert over["error"]["code"] == "tool.outcome_unknown", over
    assert made == ["asks 1", "goes on 1", "goes on 1", "asks 2"]
    calls = {c["name"]: (c["status"], c.get("result")) for c in items(await session.state(), "tool")}
    assert calls == {"asks": ("done", "asked"), "goes on": ("cut", None)}


# --- decisions
async def test_a_decision_about_another_action_is_none(house: House) -> None:
    """Were an id used again, for something else, it must not be taken for allowed."""
    received: list[Any] = []

    async def write(run: RunContext) -> None:
        received.extend(await ask_all(run, [Question("q", "pay", {"amount": 5})], wait=False))
        received.extend(await ask_all(run, [Question("q", "pay", {"amount": 5})], wait=False))
        received.extend(await ask_all(run, [Question("q", "pay", {"amount": 5_000})], wait=False))

    session, _ = await working(house, write)
    run = await session.send("go", attempts=1)
    view = await seen(session, lambda v: items(v, "approval"))
    await session.approve(items(view, "approval")[0]["id"])
    over = await run.finished()
    assert over["error"]["code"] == "content.exists", over
    assert [bool(approval) for approval in received] == [True, True]


async def test_two_questions_at_once_with_one_id_are_refused(house: House) -> None:
    async def write(run: RunContext) -> None:
        await ask_all(run, [Question("q", "pay", {"amount": n}) for n in (5, 5_000)], wait=False)

    session, _ = await working(house, write)
    over = await (await session.send("go", attempts=1)).finished()
    assert over["error"]["code"] == "content.exists" and not items(await session.state(), "approval")


@pytest.mark.parametrize(
    "args",
    [{"n": 1 << 60}, {"n": 1 << 90}, {"n": float("nan")}, {"n": b"\xff"}, {"n": object}, {"deep": None}, {"n": (1, 2)}],
)
async def test_arguments_that_an_approval_cannot_carry_are_told_as_text(house: House, args: dict[str, Any]) -> None:
    if "deep" in args:
        value: Any = []
        for _ in range(5_000):
            value = [value]
        args = {"deep": value}
    received: list[Any] = []

    async def write(run: RunContext) -> None:
        received.extend(await ask_all(run, [Question("q", "pay", args)], wait=False))

    session, _ = await working(house, write)
    run = await session.send("go", attempts=1)
    view = await seen(session, lambda v: items(v, "approval") or v.runs[run.id]["status"] == "failed")
    (approval,) = items(view, "approval")
    assert list(approval["args"]) == ["json"] and isinstance(approval["args"]["json"], str)
    await session.approve(approval["id"])
    assert (await run.finished())["status"] == "completed"
    assert received[0] and received[0].args is args


# --- rounds
async def test_rounds_that_get_nowhere_end(house: House) -> None:
    reached: list[int] = []

    async def write(run: RunContext) -> None:
        rounds = Rounds(run)
        for number in range(100):
            reached.append(number)
            rounds.next("the same", 1)
            await run.say("still here")

    session, _ = await working(house, write)
    over = await (await session.send("go", attempts=1)).finished()
    assert over["error"]["code"] == "agent.stalled"
    assert len(reached) == limits.STALLED_ROUNDS + 1


async def test_rounds_that_get_somewhere_go_on(house: House) -> None:
    async def write(run: RunContext) -> None:
        rounds = Rounds(run)
        for number in range(4 * limits.STALLED_ROUNDS):
            rounds.next(f"another {number}")
        for number in range(4 * limits.STALLED_ROUNDS):
            rounds.next("the same")
            await run.tool("look", {"n": number}, lambda n: n)

    session, _ = await working(house, write)
    assert (await (await session.send("go", attempts=1)).finished())["status"] == "completed"


@pytest.mark.parametrize("api", ALL)
async def test_a_conversation_that_gets_nowhere_ends(
    bench: Workshop, provider: Provider, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation.Conversation, "_request", lambda self, history: asyncio.sleep(0))
    provider.script = lambda _, request: streamed(api, "Hello.")
    await bench.worker(writer=an_agent(api, provider))
    session = await bench.session()
    run = await session.send("go", attempts=1)
    view = await ended(session, run.id)
    assert view.runs[run.id]["error"]["code"] == "agent.stalled", view.runs[run.id]
    assert len(await logged(session, "CUSTOM")) < 5


async def test_pydantic_ai_that_asks_the_same_again_ends(house: House) -> None:
    pytest.importorskip("pydantic_ai", reason="Pydantic AI is not installed")
    from types import SimpleNamespace

    from pydantic_ai import messages as m
    from pydantic_ai.tools import DeferredToolRequests

    from holdfast.agents.adapters.pydantic_ai import _Durable

    async def write(run: RunContext) -> None:
        durable = _Durable(run, Checkpoint(run, "pydantic_ai"), False, 60.0, ())
        requests = DeferredToolRequests(approvals=[m.ToolCallPart("pay", {"n": 1}, tool_call_id="c1")])
        for _ in range(100):
            await durable.handle_deferred_tool_calls(SimpleNamespace(messages=[]), requests=requests)  # type: ignore[arg-type]

    session, _ = await working(house, write)
    run = await session.send("go", attempts=1)
    view = await seen(session, lambda v: items(v, "approval"))
    await session.approve(items(view, "approval")[0]["id"])
    assert (await run.finished())["error"]["code"] == "agent.stalled"


def test_the_code_says_what_to_do() -> None:
    assert Refused("agent.stalled").fix and Refused("agent.not_kept").fix
