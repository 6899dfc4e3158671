"""A small world: people, agents, a hub with its disk, the network between them, and somebody who breaks it.

Everything but the network, the disk and the clock is the real thing: hub, session program, client, agents' SDK. What
must hold is checked at every message and at the end, when all is calm again.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from typing import Any
from unittest import mock

import msgspec

from holdfast.agents.holdfast import Holdfast
from holdfast.agents.run import RunContext
from holdfast.client.events import Events
from holdfast.client.feed import Snapshot
from holdfast.client.live import LiveView
from holdfast.client.retry import Backoff
from holdfast.client.session import Session
from holdfast.engines.port import Key
from holdfast.errors import HoldfastError, Refused
from holdfast.hub.hub import Hub
from holdfast.protocol import limits, wire
from holdfast.protocol.codec import canonical, encode
from holdfast.protocol.compaction import merge
from holdfast.protocol.events import CUSTOM, Event
from holdfast.protocol.fold import View
from holdfast.protocol.frames import decode_frame
from holdfast.session.access import full_access
from tests.property.histories import RunModel
from tests.sim.engine import SlowEngine
from tests.sim.loop import SimClock, SimLoop
from tests.sim.network import Network

TENANT, SESSIONS = "acme", ("s1", "s2")
WORDS = ("tide ", "🌊", "é", "shore ", "𝒳")


class World:
    """Everything of one seed.

    Attributes:
        faults: how often each thing was broken.
        acknowledged: what the server told a producer is durable: session and value.
    """

    def __init__(self, loop: SimLoop, seed: int, *, calm_after_s: float = 25.0) -> None:
        self.loop = loop
        self.rng = random.Random(seed)
        self.engine = SlowEngine(self.rng.randrange(1 << 30))
        self.network = Network(random.Random(self.rng.randrange(1 << 30)), watch=self._watch)
        self.faults: Counter[str] = Counter()
        self.acknowledged: list[tuple[str, str]] = []
        self.calm_after_s = calm_after_s
        self.clients: list[Holdfast] = []
        self.readers: list[Watcher] = []
        self._tasks: list[asyncio.Task[Any]] = []

    # --- the hub
    async def start(self) -> None:
        self.hub = Hub(self.engine, clock=SimClock(self.loop))  # type: ignore[arg-type]
        await self.hub.open()
        self.network.hub = self.hub

    async def crash(self) -> None:
        """The process is killed and started again."""
        self.network.down()
        self.hub.maintenance.stop()
        for session in self.hub.sessions.values():
            session.close()
        self.engine = self.engine.crash()
        await asyncio.sleep(self.rng.uniform(0.01, 2.0))
        await self.start()

    async def client(self, actor: str, agents: tuple[str, ...] = ()) -> Holdfast:
        backoff = Backoff(0.05, 1.0, random.Random(self.rng.randrange(1 << 30)).uniform)
        client = Holdfast(self.network.dial(full_access(TENANT, actor, agents)), backoff=backoff, timeout_s=60.0)
        await client.connection.open(60.0)
        self.clients.append(client)
        return client

    # --- what must hold at every message
    def _watch(self, message: dict[str, Any]) -> None:
        """Whatever the hub hands to a connection is durable already, and is what is stored (LOG-4)."""
        if message["op"] == "events":
            log = self.log(message["session"])
            for event in message["events"]:
                first, last = event["seq"], event.get("to", event["seq"])
                assert last <= len(log), f"a reader sees {last} before it is durable"
                assert canonical(event) == stored(log[first - 1 : last]), f"{first} is not what was stored"
        elif message["op"] in ("snapshot", "live"):
            assert message["seq"] <= len(self.log(message["session"]))

    def log(self, session: str) -> list[Event]:
        """Every durable event of a session, as it was first stored."""
        return self.engine.originals.get(Key(TENANT, session), [])

    # --- the story
    async def play(self) -> None:
        await self.start()
        people = [await self.client(f"user:{name}") for name in ("ann", "bob", "cy")]
        for name in SESSIONS:
            await people[0].session(name).create(agent="writer")
        for number in range(2):
            await self._worker(number)
        for number, person in enumerate(people):
            for name in SESSIONS:
                self.readers.append(Watcher(self, person.session(name), number))
        lives = [self._begin(self._person(person, n)) for n, person in enumerate(people)]
        lives += [self._begin(self._evict_sessions())]
        lives += [self._begin(self._producer(person, n)) for n, person in enumerate(people[:2])]
        nemesis = self._begin(self._nemesis())
        try:
            async with asyncio.timeout(600):
                await asyncio.gather(*lives, nemesis)
                await self._wait_until_idle()
            self.check()
        finally:
            await self._close()

    def _begin(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        return task

    async def _worker(self, number: int) -> None:
        worker = await self.client(f"agent:worker{number}", ("*",))
        rng = random.Random(self.rng.randrange(1 << 30))

        async def write(run: RunContext) -> None:
            async with run.message() as out:
                for _ in range(rng.randrange(2, 12)):
                    await out.write(rng.choice(WORDS))
                    await asyncio.sleep(rng.expovariate(8))
            if rng.random() < 0.3:
                await run.say("may I?")
                await run.approve("send", {"to": run.id})
            await run.say("done")

        worker.add_agent("writer", write)
        self._begin(worker.serve(slots=3))

    async def _person(self, client: Holdfast, number: int) -> None:
        rng = random.Random(self.rng.randrange(1 << 30))
        while self.loop.now < self.calm_after_s:
            await asyncio.sleep(rng.expovariate(1.5))
            session = client.session(rng.choice(SESSIONS))
            live = next(r.live for r in self.readers if r.number == number and r.session.id == session.id)
            running = [r["id"] for r in live.view.runs.values() if r["status"] in ("running", "queued", "waiting")]
            waiting = [i["id"] for i in live.view.items if i["kind"] == "approval" and i["status"] == "pending"]
            try:
                choice = rng.randrange(10)
                if choice < 4 or not running:
                    await session.send(f"do {number}")
                elif choice == 4:
                    await session.cancel(rng.choice(running), force=rng.random() < 0.3)
                elif choice == 5:
                    await session.steer(rng.choice(running), "rather this")
                elif choice == 6:
                    await session.interrupt("no, that")
                elif waiting:
                    await session.approve(rng.choice(waiting))
            except Refused:
                pass  # somebody was faster
            except HoldfastError as error:
                self.faults[f"told {error.code}"] += 1

    async def _producer(self, client: Holdfast, number: int) -> None:
        """Numbered events outside any run, each exactly once."""
        rng = random.Random(self.rng.randrange(1 << 30))
        count, name = 0, SESSIONS[number % len(SESSIONS)]
        out = client.session(name).producer()
        while self.loop.now < self.calm_after_s:
            batch = [f"p{number}.{count + i}" for i in range(rng.randrange(1, 6))]
            for value in batch:
                await out.write(CUSTOM, {"name": "n", "value": value})
            await out.flush()
            self.acknowledged += [(name, value) for value in batch]
            count += len(batch)
            await asyncio.sleep(rng.expovariate(3))

    async def _nemesis(self) -> None:
        rng = random.Random(self.rng.randrange(1 << 30))
        while self.loop.now < self.calm_after_s:
            await asyncio.sleep(rng.expovariate(1.2))
            fault = rng.choice(("cut", "cut", "stall", "half_open", "crash", "commits", "commits"))
            self.faults[fault] += 1
            if fault == "crash":
                await self.crash()
            elif fault == "commits":
                self.engine.failures = tuple(rng.uniform(0.0, 0.3) for _ in range(3))  # type: ignore[assignment]
                await asyncio.sleep(rng.uniform(0.1, 1.5))
                self.engine.failures = (0.0, 0.0, 0.0)
            elif self.network.lines:
                line = rng.choice(self.network.lines)
                if fault == "stall":
                    line.stall(rng.uniform(0.1, 8.0))
                elif fault == "half_open":
                    line.half_open()
                else:
                    line.lose(1006)
        self.engine.failures = (0.0, 0.0, 0.0)

    async def _evict_sessions(self) -> None:
        """Now and then everybody leaves a session, long enough for the hub to let it go, and comes back."""
        rng = random.Random(self.rng.randrange(1 << 30))
        while self.loop.now < self.calm_after_s:
            await asyncio.sleep(rng.expovariate(0.3))
            name = rng.choice(SESSIONS)
            gone = [watcher for watcher in self.readers if watcher.session.id == name]
            for watcher in gone:
                watcher.leave()
            await asyncio.sleep(rng.uniform(0.5, 6.0))
            for watcher in gone:
                watcher.come_back()
            self.faults["left alone"] += 1

    async def _wait_until_idle(self) -> None:
        """Calm: approve what waits until every run has ended and every reader is at the tail."""
        ann = self.clients[0]
        async with asyncio.timeout(300):
            while True:
                await asyncio.sleep(1.0)
                open_runs = False
                for watcher in self.readers[: len(SESSIONS)]:
                    view = watcher.live.view
                    open_runs = open_runs or any(
                        r["status"] in ("running", "queued", "waiting") for r in view.runs.values()
                    )
                    for item in [i for i in view.items if i["kind"] == "approval" and i["status"] == "pending"]:
                        try:
                            await ann.session(watcher.session.id).approve(item["id"])
                        except HoldfastError:
                            pass
                if not open_runs and all(watcher.at_tail for watcher in self.readers):
                    return

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for watcher in self.readers:
            watcher.leave()
        for client in self.clients:
            await client.close()
        await self.hub.close(drain_s=1.0)

    # --- what must hold in the end
    def check(self) -> None:
        for name in SESSIONS:
            log = self.log(name)
            left = [event for p in self.engine.payloads(Key(TENANT, name)) for event in decode_frame(p).events]
            covered = [n for event in left for n in range(event.seq, event.last + 1)]
            assert covered == list(range(1, len(log) + 1)), "covers are contiguous (LOG-1, FOLD-5)"
            self.faults["events merged"] += len(log) - len(left)
            assert [event.ts for event in log] == sorted(event.ts for event in log)
            model = RunModel()
            for event in log:
                model.apply(event)
            assert set(model.status.values()) <= {"completed", "failed", "cancelled", "lost"}
            values = [event.data["value"] for event in log if event.type == CUSTOM]
            assert len(values) == len(set(values)), "an append was stored twice (LOG-5)"
            acknowledged = [value for session, value in self.acknowledged if session == name]
            assert set(acknowledged) <= set(values), "an acknowledged event is lost (LOG-3)"
            by_producer: dict[str, list[int]] = {}
            for value in values:
                producer, _, number = value[1:].partition(".")
                by_producer.setdefault(producer, []).append(int(number))
            assert all(numbers == sorted(numbers) for numbers in by_producer.values()), "order of a producer"
            whole = View()
            for event in log:
                assert whole.apply(event)
            for watcher in self.readers:
                if watcher.session.id == name:
                    watcher.check(log, whole)
        limit = limits.WRITE_HIGH_BYTES + 2 * limits.SNAPSHOT_BYTES + limits.PAGE_BYTES
        assert self.network.most_bytes < limit, f"{self.network.most_bytes} bytes waited for one reader (SUB-4)"


class Watcher:
    """A person who reads a session twice: event by event, and as a view."""

    def __init__(self, world: World, session: Session, number: int) -> None:
        self.world, self.session, self.number = world, session, number
        self.got: list[Event | Snapshot] = []
        self.position = 0
        self.cursor: wire.Cursor | None = None
        self.come_back()

    def come_back(self) -> None:
        """Read on from where it left."""
        self.live: LiveView = self.session.live()
        self.events: Events = self.session.events(self.cursor)
        self.world._begin(self._read(self.events))

    def leave(self) -> None:
        self.cursor = self.events.cursor
        self.events.close()
        self.live.close()

    async def _read(self, events: Events) -> None:
        async for item in events:
            if isinstance(item, Snapshot):
                assert item.seq >= self.position, f"thrown back from {self.position} to {item.seq}"
                self.position = item.seq
            else:
                assert item.seq == self.position + 1, f"{item.seq} after {self.position} (SUB-2)"
                self.position = item.last
            self.got.append(item)

    @property
    def at_tail(self) -> bool:
        tail = len(self.world.log(self.session.id))
        return self.position == tail == self.live.seq and self.live.live

    def check(self, log: list[Event], whole: View) -> None:
        for item in self.got:
            if isinstance(item, Event):
                assert canonical(msgspec.to_builtins(item)) == stored(log[item.seq - 1 : item.last])
        assert encode(self.live.view.export()) == encode(whole.export()), "the view is not the fold of the log"


def stored(events: list[Event]) -> bytes:
    """What readers may be given for these events: the event, or the cover that compaction makes of them."""
    merged = events if len(events) == 1 else merge(events)
    assert len(merged) == 1, "only deltas of one text are merged"
    return canonical(msgspec.to_builtins(merged[0]))


TIGHT = {
    "RING_BYTES": 1_500, "PAGE_BYTES": 3_000, "SNAPSHOT_EVERY_EVENTS": 40, "COMPACT_EVENTS": 30, "HOT_IDLE_S": 1.0,
    "SLOW_READER_SNAPSHOT_BYTES": 6_000, "WRITE_HIGH_BYTES": 4_000, "WRITE_LOW_BYTES": 1_000, "FRAME_BYTES": 1_000,
}  # fmt: skip
"""Bounds small enough to be met in every story."""


def run_world(seed: int, **options: Any) -> tuple[World, int]:
    """Play one seed; returns the world and the digest of the run."""
    loop = SimLoop()
    ids = random.Random(seed)
    random.seed(seed)  # clients' own jitter
    with mock.patch.object(secrets, "token_hex", lambda size=32: f"{ids.getrandbits(8 * size):0{2 * size}x}"):
        world = World(loop, seed, **options)
        tight = TIGHT if seed % 4 else {}
        with contextlib.ExitStack() as bounds:
            for name, value in tight.items():
                bounds.enter_context(mock.patch.object(limits, name, value))
            bounds.enter_context(no_collection())
            bounds.enter_context(no_log())
            loop.run(world.play())
    return world, loop.digest


@contextlib.contextmanager
def no_log() -> Iterator[None]:
    """Nothing is logged meanwhile of all the faults that are meant."""
    log = logging.getLogger("holdfast")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """No garbage cycle is found meanwhile: when one is depends on everything this process did before, and what is found
    then (a reader nobody holds any more) takes a step."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
