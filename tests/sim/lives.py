"""One session id through many lives: created, deleted, put back from backups, while workers freeze and wake, people and
readers stay, and ghosts act on what they read in lives that are over.

Whatever is said names the life it was said in. In the end nothing stands in a life that was said, or asked for, in another
one, but for what a backup brought (LIFE-1, LIFE-2).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections import Counter
from typing import Any
from unittest import mock

import msgspec

from holdfast.agents.holdfast import Holdfast
from holdfast.agents.run import RunContext
from holdfast.client.feed import Snapshot
from holdfast.client.retry import Backoff
from holdfast.engines.port import Head, Index, Key, LogAppend
from holdfast.errors import HoldfastError, Refused
from holdfast.hub import operations
from holdfast.hub.hub import Hub
from holdfast.protocol import events as e
from holdfast.protocol import wire
from holdfast.protocol.codec import canonical
from holdfast.protocol.events import Draft, Event
from holdfast.protocol.frames import decode_frame
from holdfast.session.access import full_access
from tests.sim.engine import SlowEngine
from tests.sim.loop import SimClock, SimLoop
from tests.sim.network import Network
from tests.sim.world import no_collection, no_log

KEY = Key("acme", "s1")
NAME = KEY.session
LEASE_S = 2.0


class Life:
    """What one life of the session holds: ``brought`` events by the backup it began with, and those since."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.brought = len(events)


class LivesEngine(SlowEngine):
    """Remembers every life."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.lives: dict[str, Life] = {}

    async def create(self, key: Key, incarnation: str, now_ms: int, index: Index) -> Head:
        await self._wait(self.commit_s)
        head = await super().create(key, incarnation, now_ms, index)
        if head.incarnation == incarnation:
            assert incarnation not in self.lives
            self.lives[incarnation] = Life([])
            self.originals[key] = []
        return head

    async def append(self, append: LogAppend) -> None:
        before = len(self.originals.get(append.key, []))
        try:
            await super().append(append)
        finally:
            fresh = self.originals.get(append.key, [])[before:]
            self.lives[append.incarnation].events += fresh

    async def delete(self, key: Key, incarnation: str, now_ms: int, index: Index) -> None:
        await self._wait(self.commit_s)
        await super().delete(key, incarnation, now_ms, index)
        await self._wait(self.commit_s)

    async def wait_until_erased(self, key: Key, incarnation: str) -> None:
        await self._wait(self.commit_s * 5)

    def put_back(self, copy: bytes) -> None:
        self.restore(copy)
        session = self._sessions[KEY]
        events = [event for frame in session.frames for event in decode_frame(frame.payload).events]
        self.lives[session.head.incarnation] = Life(list(events))
        self.originals[KEY] = list(events)


class Lives:
    """The story of one seed."""

    def __init__(self, loop: SimLoop, seed: int, *, seconds: float = 12.0) -> None:
        self.loop, self.seconds = loop, seconds
        self.rng = random.Random(seed)
        self.engine = LivesEngine(self.rng.randrange(1 << 30))
        self.network = Network(random.Random(self.rng.randrange(1 << 30)))
        self.counts: Counter[str] = Counter()
        self.seen: list[tuple[str, str]] = []  # (kind, id) as somebody read it once, with the life
        self.attempts: list[dict[str, Any]] = []
        self.clients: list[Holdfast] = []
        self.copies: list[bytes] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._ids = iter(range(1 << 30))

    # --- the house
    async def open(self) -> None:
        self.hub = Hub(self.engine, clock=SimClock(self.loop), lease_s=LEASE_S)  # type: ignore[arg-type]
        await self.hub.open()
        self.network.hub = self.hub

    async def put_back(self, copy: bytes) -> None:
        """The server stops, a backup is put back, a server starts; nobody else notices."""
        self.network.down()
        await self.hub.close(drain_s=0.5)
        self.engine.put_back(copy)
        await self.open()

    async def client(self, actor: str, agents: tuple[str, ...] = ()) -> Holdfast:
        backoff = Backoff(0.05, 0.5, random.Random(self.rng.randrange(1 << 30)).uniform)
        client = Holdfast(self.network.dial(full_access(KEY.tenant, actor, agents)), backoff=backoff, timeout_s=30.0)
        await client.connection.open(30.0)
        self.clients.append(client)
        return client

    def _begin(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        return task

    @property
    def going_on(self) -> bool:
        return self.loop.now < self.seconds

    # --- the story
    async def play(self) -> None:
        await self.open()
        keeper = await self.client("user:keeper")
        await keeper.session(NAME).create(agent="writer")
        for number in range(2):
            await self._worker(number)
        stories = [self._begin(self._person(await self.client(f"user:p{n}"))) for n in range(2)]
        stories += [self._begin(self._ghost()), self._begin(self._freezes()), self._begin(self._keeper(keeper))]
        readers = [self._begin(self._reader(await self.client(f"user:r{n}"))) for n in range(2)]
        try:
            async with asyncio.timeout(300):
                await asyncio.gather(*stories)
                await self._calm(keeper)
            self.check()
            for reader in readers:
                assert not reader.done(), reader.exception()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for client in self.clients:
                await client.close()
            await self.hub.close(drain_s=1.0)

    async def _keeper(self, client: Holdfast) -> None:
        rng = random.Random(self.rng.randrange(1 << 30))
        session = client.session(NAME)
        while self.going_on:
            await asyncio.sleep(rng.expovariate(1.2))
            choice = rng.choice(("delete", "delete", "copy", "put back"))
            with contextlib.suppress(HoldfastError):
                if choice == "delete":
                    deleting = self._begin(self._quietly(session.delete()))
                    await asyncio.sleep(rng.choice((0.0, 0.001, 0.01, 0.5)))
                    await client.session(NAME).create(agent="writer")
                    await deleting
                elif choice == "copy":
                    self.copies.append(self.engine.backup())
                elif self.copies:
                    await self.put_back(rng.choice(self.copies))
                self.counts[choice] += 1
        with contextlib.suppress(HoldfastError):
            await client.session(NAME).create(agent="writer")

    async def _quietly(self, work: Any) -> None:
        with contextlib.suppress(HoldfastError):
            await work

    async def _worker(self, number: int) -> None:
        worker = await self.client(f"agent:worker{number}", ("*",))
        rng = random.Random(self.rng.randrange(1 << 30))

        async def write(run: RunContext) -> None:
            life = run.attempt.incarnation
            attempt = {"session": NAME, "run": run.id, "generation": run.attempt.generation}
            self.attempts.append({**attempt, "incarnation": life})
            async with run.message() as out:
                for word in range(rng.randrange(1, 10)):
                    await out.write(f"{life}|{word} ")
                    await asyncio.sleep(rng.expovariate(10))
            if rng.random() < 0.3:
                await run.approve("send", {"life": life}, wait=rng.random() < 0.5)

        worker.add_agent("writer", write)
        self._begin(worker.serve(slots=2))

    async def _person(self, client: Holdfast) -> None:
        rng = random.Random(self.rng.randrange(1 << 30))
        while self.going_on:
            session = client.session(NAME)
            try:
                async with session.live() as live:
                    for _ in range(rng.randrange(1, 6)):
                        await asyncio.sleep(rng.expovariate(4))
                        await self._act(session, live, rng)
            except HoldfastError as error:
                self.counts[f"a person heard {error.code}"] += 1
                await asyncio.sleep(0.1)

    async def _act(self, session: Any, live: Any, rng: random.Random) -> None:
        await live.until(lambda view: True)  # raises once the session is gone: what is said then is for the next life
        life = live.incarnation
        running = [run["id"] for run in live.view.runs.values() if run["status"] in ("queued", "running", "waiting")]
        asked = [i["id"] for i in live.view.items if i["kind"] == "approval" and i["status"] == "pending"]
        self.seen += [("run", ident) for ident in live.view.runs] + [("approval", ident) for ident in asked]
        if asked and rng.random() < 0.5:
            await session.approve(rng.choice(asked))
        elif running and rng.random() < 0.2:
            await session.cancel(rng.choice(running))
        else:
            await session.send(f"{life}|hello", key=f"k{next(self._ids)}")

    async def _reader(self, client: Holdfast) -> None:
        """Follows the session by events through all its lives; each must be of the life that is read."""
        while True:
            try:
                async with client.session(NAME).events() as events:
                    async for item in events:
                        life = self.engine.lives[events.cursor.incarnation]
                        if isinstance(item, Snapshot):
                            assert item.seq <= len(life.events)
                        elif item.to is None:
                            stored = life.events[item.seq - 1]
                            assert canonical(msgspec.to_builtins(item)) == canonical(msgspec.to_builtins(stored))
            except HoldfastError:
                await asyncio.sleep(0.05)

    async def _ghost(self) -> None:
        """Acts on what was read once: in lives that are over it must be refused, and never do anything."""
        rng = random.Random(self.rng.randrange(1 << 30))
        while self.going_on:
            await asyncio.sleep(rng.expovariate(8))
            head = await self.engine.head(KEY)
            if head is None or self.engine.crashed:
                continue
            with contextlib.suppress(HoldfastError):
                await self._haunt(rng, head.incarnation)

    async def _haunt(self, rng: random.Random, life: str) -> None:
        old = [attempt for attempt in self.attempts if attempt["incarnation"] != life]
        if old and rng.random() < 0.7:
            attempt = dict(rng.choice(old))
            if rng.random() < 0.5:
                del attempt["incarnation"]
            worker = full_access(KEY.tenant, "agent:ghost", ("*",))
            words = Draft(e.CUSTOM, {"name": "ghost", "value": "boo"})
            op = rng.choice((wire.Append(**attempt, events=[words]), wire.End(**attempt, events=[words])))
            await self._refused(worker, op, life)
        elif self.seen:
            kind, ident = rng.choice(self.seen)
            mine = {
                "session": NAME,
                "incarnation": rng.choice([known for known in self.engine.lives if known != life] or ["x"]),
            }
            person = full_access(KEY.tenant, "user:ghost")
            if kind == "run":
                await self._refused(person, wire.Cancel(**mine, run=ident), life)
            else:
                await self._refused(person, wire.Resolve(**mine, approval=ident, decision="approved"), life)

    async def _refused(self, who: Any, op: wire.Op, life: str) -> None:
        try:
            await operations.execute(self.hub, who, op)
        except Refused as error:
            self.counts[f"a ghost heard {error.code}"] += 1
            return
        head = await self.engine.head(KEY)
        assert head is None or head.incarnation != life or op.incarnation == life, f"{op} was done in another life"  # type: ignore[attr-defined]

    async def _freezes(self) -> None:
        rng = random.Random(self.rng.randrange(1 << 30))
        while self.going_on:
            await asyncio.sleep(rng.expovariate(1.5))
            if self.network.lines:
                line = rng.choice(self.network.lines)
                fault = rng.choice(("freeze", "freeze", "cut"))
                self.counts[fault] += 1
                if fault == "freeze":
                    line.stall(rng.uniform(0.1, 5.0))
                else:
                    line.lose(1006)

    async def _calm(self, keeper: Holdfast) -> None:
        """Whatever waits is decided, until every run of the last life has ended."""
        session = keeper.session(NAME)
        while True:
            await asyncio.sleep(0.5)
            with contextlib.suppress(HoldfastError):
                async with session.live() as live:
                    for item in [i for i in live.view.items if i["kind"] == "approval" and i["status"] == "pending"]:
                        await session.approve(item["id"])
                    if all(run["status"] not in ("queued", "running", "waiting") for run in live.view.runs.values()):
                        return

    # --- what must hold
    def check(self) -> None:
        self.counts["lives"] += len(self.engine.lives)
        for incarnation, life in self.engine.lives.items():
            assert [event.seq for event in life.events] == list(range(1, len(life.events) + 1))
            texts: dict[str, str] = {}
            for event in life.events[life.brought :]:
                assert not event.actor.endswith(":ghost"), f"{event} in {incarnation}"
                assert event.data.get("name") != "ghost", f"{event} in {incarnation}"
                if event.type == e.RUN_STARTED:
                    assert event.data["incarnation"] == incarnation
                if event.type in (e.TEXT_CONTENT, e.INPUT_MESSAGE):
                    ident = event.data["messageId"]
                    texts[ident] = texts.get(ident, "") + (event.data.get("delta") or event.data.get("text") or "")
            for text in texts.values():
                assert all(word.startswith(f"{incarnation}|") for word in text.split()), f"{text!r} in {incarnation}"


def run_lives(seed: int, **options: Any) -> Lives:
    """Play one seed."""
    loop = SimLoop()
    ids = random.Random(seed)
    random.seed(seed)
    with mock.patch.object(secrets, "token_hex", lambda size=32: f"{ids.getrandbits(8 * size):0{2 * size}x}"):
        lives = Lives(loop, seed, **options)
        with no_collection(), no_log():
            loop.run(lives.play())
    return lives
