"""SUB-1 to SUB-5 at the hub: whoever joins, pauses, leaves and comes back while the log grows ends exact.

Hypothesis chooses what readers do and when commits fail, on virtual time with a slow disk; the same is played on the
SQLite engine with its threads, where the order of things is the machine's.
"""

from __future__ import annotations

import asyncio
import os
import random
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.errors import Unavailable
from holdfast.hub import operations
from holdfast.hub.compacting import compact
from holdfast.hub.hub import Hub
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Draft, Event
from holdfast.protocol.fold import View
from holdfast.protocol.frames import decode_frame
from holdfast.session import run as runs
from holdfast.session.access import full_access
from tests.property.follower import KEY, Follower, Log, drain
from tests.sim.engine import SlowEngine
from tests.sim.loop import SimClock, SimLoop

WRITER = full_access("acme", "user:writer", ("writer",))
WORDS = ("tide ", "🌊", "é", "long " * 20)
EXAMPLES = int(os.environ.get("HOLDFAST_EXAMPLES", "80"))


async def running(hub: Hub) -> tuple[dict[str, Any], int]:
    """A run that executes for ever, and the tail: usage is said inside runs only."""
    said = await operations.execute(hub, WRITER, wire.Send(session="s1", text="go", agent="writer"))
    claim = runs.Claim(session="s1", run=said["run"], worker="w", lease_s=1e9)
    started = await hub.sessions.hot(KEY).submit(claim, "system:hub")
    return {"run": said["run"], "generation": started["generation"]}, started["last"]


async def write(hub: Hub, run: dict[str, Any], count: int, seed: int) -> list[int]:
    """Appends to a run, with retries until each is stored; returns the positions that were acknowledged."""
    rng, acknowledged, opened = random.Random(seed), [], False
    for n in range(1, count + 1):
        drafts = [] if opened else [Draft(e.TEXT_START, {"messageId": f"text{seed}"})]
        drafts += [
            Draft(e.TEXT_CONTENT, {"messageId": f"text{seed}", "delta": rng.choice(WORDS)})
            for _ in range(rng.randrange(1, 5))
        ]
        if rng.random() < 0.2:
            drafts.insert(rng.randrange(len(drafts)), Draft(e.USAGE_RECORDED, {"model": "m"}))
        opened = True
        op = wire.Append(session="s1", events=drafts, producer=wire.AppendId(f"p{seed}", 1, n), **run)
        while True:
            try:
                answer = await operations.execute(hub, WRITER, op)
            except Unavailable:
                await asyncio.sleep(0.003)
                continue
            acknowledged += range(answer["first"], answer["last"] + 1)
            break
    return acknowledged


def whole(log: list[Event]) -> View:
    view = View()
    for event in log:
        assert view.apply(event)
    return view


Act = tuple[str, int, int]
acts = st.lists(
    st.tuples(
        st.sampled_from(["pause", "drain", "leave", "again", "snapshot", "cursor", "fail", "compact", "wait", "store"]),
        st.integers(0, 2), st.integers(0, 20),
    ),
    max_size=40,
)  # fmt: skip


async def act(hub: Hub, engine: Any, followers: list[Follower], step: Act) -> None:
    what, who, much = step
    follower = followers[who]
    if what == "pause":
        follower.paused = True
    elif what == "drain":
        follower.drain()
    elif what == "leave" and follower.open:
        await follower.leave()
    elif what == "again" and not follower.open:
        await follower.again()
    elif what == "snapshot":
        await follower.join("snapshot")
    elif what == "cursor" and follower.incarnation:
        await follower.join(wire.Cursor(follower.incarnation, 0))
    elif what == "fail" and isinstance(engine, SlowEngine):
        engine.failures = ((0.3, 0.3, 0.3), (0.0, 0.0, 0.5), (0.0, 0.0, 0.0))[much % 3]
    elif what in ("compact", "store"):
        session = hub.sessions.get(KEY)
        if session is not None and session.state is not None and session.idle:
            if what == "store":
                session.snapshotter.store()
            elif isinstance(engine, SqliteEngine):
                await compact(session, hub.engine)
    await asyncio.sleep(much * 0.001)


BOUNDS = {
    "RING_BYTES": 600,
    "PAGE_BYTES": 900,
    "FRAME_BYTES": 500,
    "SNAPSHOT_EVERY_EVENTS": 25,
    "SLOW_READER_SNAPSHOT_BYTES": 3_000,
}


async def play(hub: Hub, engine: Any, log: Log, steps: list[Act], appends: int) -> None:
    await operations.execute(hub, WRITER, wire.Create(session="s1"))
    run, before_all = await running(hub)
    if isinstance(engine, SlowEngine) and appends % 2:
        engine.failures = (0.1, 0.1, 0.1)
    followers = [Follower(hub, log, operator=n != 1) for n in range(3)]
    for follower in followers:
        await follower.again()
    writing = [asyncio.ensure_future(write(hub, run, appends, seed)) for seed in (1, 2)]
    for step in steps:
        await act(hub, engine, followers, step)
    if isinstance(engine, SlowEngine):
        engine.failures = (0.0, 0.0, 0.0)
    acknowledged = [position for writer in await asyncio.gather(*writing) for position in writer]
    await drain(followers, hub)
    events = log()
    assert sorted(acknowledged) == list(range(before_all + 1, len(events) + 1)), (
        "each append is stored once, and acknowledged"
    )
    view = encode(whole(events).export())
    for follower in followers:
        assert encode(follower.view.export()) == view
    before = encode(hub.sessions[KEY].view.export())
    assert before == view
    for follower in followers:
        await follower.leave()


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(acts, st.integers(0, 1_000), st.integers(1, 12))
def test_readers_end_exact_on_a_slow_disk_that_fails(steps: list[Act], seed: int, appends: int) -> None:
    loop = SimLoop()

    async def work() -> None:
        engine = SlowEngine(seed)
        hub = Hub(engine, clock=SimClock(loop))  # type: ignore[arg-type]
        await hub.open()
        await play(hub, engine, lambda: engine.originals.get(KEY, []), steps, appends)
        await hub.close(drain_s=1.0)

    with mock.patch.multiple(limits, **BOUNDS):
        loop.run(work())


@pytest.mark.parametrize("seed", range(6))
def test_readers_end_exact_on_sqlite(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    kinds = ["pause", "drain", "leave", "again", "snapshot", "cursor", "wait", "store", "drain"]
    steps = [(rng.choice(kinds), rng.randrange(3), rng.randrange(6)) for _ in range(120)]

    async def work() -> None:
        engine = RecordingEngine(str(tmp_path / "a.db"))
        hub = Hub(engine)
        await hub.open()
        await play(hub, engine, lambda: engine.log, steps, 150)
        await hub.close(drain_s=5.0)

    with mock.patch.multiple(limits, **BOUNDS):
        asyncio.run(work())


class RecordingEngine(SqliteEngine):
    """SQLite, noting what is durable before anybody is told."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.log: list[Event] = []

    async def append(self, append: Any) -> None:
        await super().append(append)
        for frame in append.frames:
            self.log += decode_frame(frame.payload).events


# --- memory -----------------------------------------------------------------------------------------------------------
def with_sqlite(path: Path, work: Callable[[Hub], Awaitable[None]]) -> None:
    async def run() -> None:
        hub = Hub(SqliteEngine(str(path)))
        await hub.open()
        try:
            await work(hub)
        finally:
            await hub.close(drain_s=5.0)

    asyncio.run(run())


def test_a_reader_that_stands_still_costs_bounded_memory_while_50_mb_pass(tmp_path: Path) -> None:
    """SUB-4, measured: what the hub holds for it does not grow with what passes."""

    async def work(hub: Hub) -> None:
        await operations.execute(hub, WRITER, wire.Create(session="s1"))
        stuck = [Follower(hub, None) for _ in range(5)]
        for follower in stuck:
            await follower.again()
            follower.paused = True
        big = Draft(e.CUSTOM, {"name": "n", "value": "x" * 200_000})
        sizes = []
        tracemalloc.start()
        try:
            for n in range(260):
                await operations.execute(hub, WRITER, wire.Append(session="s1", events=[big]))
                if n % 20 == 19:
                    sizes.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        assert sum(f.cursor for f in stuck) == len(stuck), "nothing was written to who does not read"
        assert max(sizes) < 3 * limits.RING_BYTES + limits.SNAPSHOT_EVERY_BYTES + (4 << 20), sizes
        assert sizes[-1] < sizes[2] + (2 << 20), f"it grows: {sizes}"
        await drain(stuck, hub)
        assert all(f.resets == 1 for f in stuck), "too far behind: a snapshot, not 50 MB"

    with_sqlite(tmp_path / "a.db", work)


def test_a_million_events_behind_resumes_exactly_with_flat_memory(tmp_path: Path) -> None:
    """SUB-3 (twenty thousand here): a cursor however old reads the log page by page."""

    async def work(hub: Hub) -> None:
        await operations.execute(hub, WRITER, wire.Create(session="s1"))
        drafts = [Draft(e.CUSTOM, {"value": n}) for n in range(1_000)]
        for _ in range(20):
            await operations.execute(hub, WRITER, wire.Append(session="s1", events=drafts))
        reader = Follower(hub, None)
        reader.incarnation = hub.sessions[KEY].incarnation
        hub.sessions[KEY].ring.clear()
        await reader.again()
        await drain([reader], hub)
        assert reader.resets == 0 and reader.cursor == 20_001

    with_sqlite(tmp_path / "a.db", work)


# --- windows -----------------------------------------------------------------------------------------------------------
def test_windows_and_pages_hold_the_whole_conversation(tmp_path: Path) -> None:
    """SUB-5: a snapshot within its bound, and pages back to the first word; also after a restart."""
    path = tmp_path / "a.db"
    total = 60

    async def talk(hub: Hub) -> None:
        await operations.execute(hub, WRITER, wire.Create(session="s1"))
        for n in range(total):
            text = f"{n} " + "word " * 200
            await operations.execute(hub, WRITER, wire.Send(session="s1", text=text, key=f"k{n}"))
            drafts = [
                Draft(e.TEXT_START, {"messageId": f"m.{n}"}),
                Draft(e.TEXT_CONTENT, {"messageId": f"m.{n}", "delta": text.upper()}),
                Draft(e.TEXT_END, {"messageId": f"m.{n}"}),
                Draft(e.ACTIVITY_SNAPSHOT, {"messageId": f"a.{n}", "activityType": "plan", "content": {"text": text}}),
            ]
            await operations.execute(hub, WRITER, wire.Append(session="s1", events=drafts))
        await conversation(hub)

    async def conversation(hub: Hub) -> None:
        _, _, view = await hub.snapshot(WRITER, "s1")
        assert len(view) < 4 * limits.SNAPSHOT_BYTES
        window = msgspec.json.decode(view)
        assert window["older"] > 2
        items = window["items"]
        for page in range(window["older"], 0, -1):
            answer = await operations.execute(hub, WRITER, wire.History(session="s1", page=page))
            assert answer["older"] == page - 1
            items = msgspec.json.decode(encode(answer["page"]))["items"] + items
        texts = [item["text"] for item in items if item["kind"] == "message"]
        expected = [text for n in range(total) for text in (f"{n} " + "word " * 200, (f"{n} " + "word " * 200).upper())]
        assert texts == expected
        assert [item["id"] for item in items if item["kind"] == "activity"] == [f"a.{n}" for n in range(total)]

    with mock.patch.multiple(limits, SNAPSHOT_BYTES=8_000, SNAPSHOT_EVERY_EVENTS=50):
        with_sqlite(path, talk)
        with_sqlite(path, conversation)


def test_whatever_an_agent_shows_counts_for_the_window(tmp_path: Path) -> None:
    """Activities, steers and tool results fill a view as words do."""

    async def work(hub: Hub) -> None:
        await operations.execute(hub, WRITER, wire.Create(session="s1"))
        for n in range(60):
            content = {"text": "x" * 1_000}
            drafts = [Draft(e.ACTIVITY_SNAPSHOT, {"messageId": f"a{n}", "activityType": "plan", "content": content})]
            await operations.execute(hub, WRITER, wire.Append(session="s1", events=drafts))
        _, _, view = await hub.snapshot(WRITER, "s1")
        assert len(view) < 4 * limits.SNAPSHOT_BYTES

    with mock.patch.multiple(limits, SNAPSHOT_BYTES=8_000):
        with_sqlite(tmp_path / "a.db", work)
