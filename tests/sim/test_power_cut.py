"""Power cuts under the real SQLite engine: nothing acknowledged, and nothing a reader saw, is ever lost (LOG-3, LOG-4).

A seed chooses the workload and the moments of the cuts. Each life of the database takes several images of its disk, at
random disk operations and right after random acknowledgements, each with what had been promised by then. Every image is
opened, read and verified; the last one becomes the next life, so recovery itself is cut, too.

``HOLDFAST_POWER_CUTS=10000`` makes it long. Threads make runs of one seed differ in detail; what is checked does not.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from holdfast.engines.port import Index, Key, LogAppend
from holdfast.engines.sqlite.check import Problem, verify
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.engines.sqlite.store import Store
from holdfast.errors import HoldfastError
from holdfast.protocol.events import Event
from holdfast.protocol.frames import Frame, ProducerKey, decode_frame, encode_frame
from tests.sim.crash_vfs import CrashVFS, Cut, Disk

CUTS = int(os.environ.get("HOLDFAST_POWER_CUTS", "300"))
PART = 1_000  # cuts in one test, so that several processes may share the work
SESSIONS = [Key("acme", f"s{n}") for n in range(5)]
EVERYTHING = 64 << 20

_names = itertools.count()


@dataclass
class Promise:
    """What one session may no longer lose: its life, whether it was deleted, and its events by seq."""

    life: int = 0
    deleted: bool = False
    events: dict[int, int] = field(default_factory=dict)

    def copy(self) -> Promise:
        return Promise(self.life, self.deleted, dict(self.events))


Promises = dict[Key, Promise]


@dataclass
class Image:
    files: dict[str, bytes]
    disk: Disk
    promises: Promises
    facts: dict[str, bytes]


@dataclass
class Tally:
    cuts: int = 0
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


class Life:
    """One life of the database, from an image of the one before until it is closed."""

    def __init__(self, before: Image, seed: int, kinds: tuple[Cut, ...]) -> None:
        self.rng = random.Random(seed)
        self.disk = before.disk
        self.files = before.files
        self.promises = {key: promise.copy() for key, promise in before.promises.items()}
        self.facts = dict(before.facts)
        self.kinds = kinds
        self.images: list[Image] = []
        self.at_operation = self.rng.randint(1, 60)

    def cut(self) -> None:
        """Take an image now. The promises are copied first: whatever is added meanwhile is not held against it."""
        promises = {key: promise.copy() for key, promise in list(self.promises.items())}
        facts = dict(self.facts)
        self.images.append(Image(*self.disk.image(self.rng, self.rng.choice(self.kinds)), promises, facts))

    def on_operation(self, kind: str, name: str) -> None:
        if self.disk.operations >= self.at_operation and len(self.images) < 12:
            self.at_operation = self.disk.operations + self.rng.randint(1, 120)
            self.cut()

    async def run(self, directory: Path, synchronous: str) -> None:
        for name, data in self.files.items():
            (directory / name).write_bytes(data)
        name = f"crash{next(_names)}"
        vfs = CrashVFS(name, self.disk)
        self.disk.operations = 0
        self.disk.on_operation = self.on_operation
        engine = SqliteEngine(
            str(directory / "x.db"), vfs=name, synchronous=synchronous, reserve_bytes=0, readers=1,
            checkpoint_s=0.004, checkpoint_pages=20,
        )  # fmt: skip
        await engine.open()
        try:
            for key in SESSIONS:
                await self.see(engine, key)
            self.cut()
            await asyncio.gather(*(self.work(engine, key) for key in SESSIONS))
        finally:
            self.disk.on_operation = None
            await engine.close()
            vfs.unregister()

    # --- the workload
    async def work(self, engine: SqliteEngine, key: Key) -> None:
        for _ in range(self.rng.randint(3, 14)):
            promise = self.promises.get(key)
            if promise is None or promise.deleted:
                await self.create(engine, key, promise.life + 1 if promise else 1)
            elif self.rng.random() < 0.04:
                await engine.delete(key, f"i{promise.life}", 5, Index())
                if self.rng.random() < 0.5:
                    await engine.wait_until_erased(key, f"i{promise.life}")
                self.promises[key] = Promise(promise.life, True)
            else:
                await self.append(engine, key, promise)
            if self.rng.random() < 0.1:
                await engine.put_fact(key.session, b"%d" % self.rng.randrange(1_000))
            if len(self.images) < 12 and self.rng.random() < 0.1:
                self.cut()

    async def see(self, engine: SqliteEngine, key: Key) -> None:
        """What a reader is shown after a recovery is a promise as well (LOG-4)."""
        head = await engine.head(key)
        if head is not None:
            self.promises[key] = Promise(int(head.incarnation[1:]), head.deleted, await stored_events(engine, key))

    async def create(self, engine: SqliteEngine, key: Key, life: int) -> None:
        await engine.create(key, f"i{life}", 1, Index(participants=("ada",), title=key.session, due_ms=life))
        self.promises[key] = Promise(life)

    async def append(self, engine: SqliteEngine, key: Key, promise: Promise) -> None:
        tail = len(promise.events)
        events = {tail + n: self.rng.getrandbits(40) for n in range(1, self.rng.randint(2, 8))}
        frame = build(key, events, self.rng.choice([0, 0, 0, 900, 5_000]))
        index = Index(title=str(tail), queued=("writer",)) if self.rng.random() < 0.2 else None
        incarnation = f"i{promise.life}"
        await engine.append(
            LogAppend(key, incarnation, tail, [frame], 2 + tail, index, [{"tail": tail}] if index else [])
        )
        promise.events.update(events)
        if self.rng.random() < 0.1:
            await engine.compact(key, incarnation, 1, len(promise.events), [build(key, promise.events, 0)])
        if self.rng.random() < 0.1:
            await engine.put_snapshot(key, incarnation, len(promise.events), b"state" * 50, {0: b"page"})


def build(key: Key, events: dict[int, int], padding: int) -> Frame:
    listed = [Event(seq, 1, "agent:a", "RAW", {"event": value, "pad": "x" * padding}) for seq, value in events.items()]
    frame = encode_frame(key.session, listed)
    frame.keys = [ProducerKey("p", 1, listed[0].seq, "d", frame.first, frame.last, 1)]
    return frame


async def stored_events(engine: SqliteEngine, key: Key) -> dict[int, int]:
    frames = await engine.read(key, 0, max_bytes=EVERYTHING)
    return {event.seq: event.data["event"] for frame in frames for event in decode_frame(frame.payload).events}


# --- looking at what is left --------------------------------------------------------------------------------------
async def look(image: Image, directory: Path, tally: Tally) -> None:
    for name, data in image.files.items():
        (directory / name).write_bytes(data)
    path = str(directory / "x.db")
    engine = SqliteEngine(path, reserve_bytes=0, readers=1)
    try:
        await engine.open()
    except HoldfastError as error:
        tally.damaged.append(str(error))
        return
    try:
        for key, promise in image.promises.items():
            await compare(engine, key, promise, tally)
        facts = await engine.facts("")
        tally.lost += [f"fact {name}" for name in image.facts if name not in facts]
    except HoldfastError as error:
        tally.damaged.append(str(error))
    finally:
        await engine.close()
    tally.damaged += [str(found) for found in verify(path) if isinstance(found, Problem)]
    tally.cuts += 1
    tally.acknowledged += sum(len(promise.events) for promise in image.promises.values())


async def compare(engine: SqliteEngine, key: Key, promise: Promise, tally: Tally) -> None:
    head = await engine.head(key)
    life = 0 if head is None else int(head.incarnation[1:])
    if head is None or life < promise.life or (life == promise.life and promise.deleted and not head.deleted):
        tally.lost.append(f"{key.session} as promised: {promise.life} deleted={promise.deleted}")
    elif life == promise.life and not head.deleted:
        events = await stored_events(engine, key)
        if list(events) != list(range(1, len(events) + 1)) or len(events) != head.tail:
            tally.damaged.append(f"{key.session}: events {list(events)}, tail {head.tail}")
        if any(events.get(seq) != value for seq, value in promise.events.items()):
            tally.lost.append(f"{key.session}: promised up to {len(promise.events)}, found {len(events)}")


async def cut_power(seed: int, cuts: int, *, synchronous: str = "FULL", kinds: tuple[Cut, ...]) -> Tally:
    """Live through about ``cuts`` power cuts."""
    tally = Tally()
    rng = random.Random(seed)
    base = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    try:
        while tally.cuts < cuts:
            image = Image({}, Disk(), {}, {})
            for _ in range(rng.randint(1, 4)):
                life = Life(image, rng.getrandbits(64), kinds)
                with fresh(base) as directory:
                    await life.run(directory, synchronous)
                for image in life.images:
                    with fresh(base) as directory:
                        await look(image, directory, tally)
                if tally.damaged or not life.images:
                    break
    finally:
        shutil.rmtree(base)
    return tally


class fresh:
    """A new directory, removed again."""

    def __init__(self, base: Path) -> None:
        self._path = base / f"d{next(_names)}"

    def __enter__(self) -> Path:
        self._path.mkdir()
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path)


# --- the tests ----------------------------------------------------------------------------------------------------
ALL_KINDS: tuple[Cut, ...] = ("lose", "tear", "kill")


@pytest.mark.timeout(120 + PART // 5)
@pytest.mark.parametrize("seed", range(1, 1 + -(-CUTS // PART)))
def test_nothing_acknowledged_or_seen_is_lost(seed: int, record_property: Callable[[str, object], None]) -> None:
    tally = asyncio.run(cut_power(seed, min(PART, CUTS), kinds=ALL_KINDS))
    record_property("seed", seed)
    record_property("power cuts", tally.cuts)
    record_property("acknowledged appends", tally.acknowledged)
    assert tally.damaged == []
    assert tally.lost == []
    assert tally.acknowledged > tally.cuts  # the cuts hit databases that had something to lose


def test_control_weaker_syncing_loses_acknowledged_events() -> None:
    tally = asyncio.run(cut_power(2, 40, synchronous="NORMAL", kinds=("lose", "tear")))
    assert tally.lost
    assert tally.damaged == []


@pytest.mark.parametrize("recovery", ["as it is", "without syncing"])
def test_a_recovered_tail_is_durable_before_it_is_shown(recovery: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process killed between writing and syncing leaves a commit in the page cache: shown once, it must stay."""
    if recovery == "without syncing":
        monkeypatch.setattr(Store, "_make_durable", lambda self, connection: None)
    shown, kept = asyncio.run(kill_then_cut())
    assert shown == 3
    assert (kept == shown) == (recovery == "as it is")


async def kill_then_cut() -> tuple[int, int]:
    """Tails shown after a kill in the middle of a commit, and after the power cut that follows at once."""
    image: list[tuple[dict[str, bytes], Disk]] = []
    rng = random.Random(1)
    key = SESSIONS[0]

    async def live(files: dict[str, bytes], disk: Disk, work: Callable[[SqliteEngine], Awaitable[int]]) -> int:
        with tempfile.TemporaryDirectory() as directory:
            for name, data in files.items():
                (Path(directory) / name).write_bytes(data)
            name = f"crash{next(_names)}"
            vfs = CrashVFS(name, disk)
            engine = SqliteEngine(f"{directory}/x.db", vfs=name, reserve_bytes=0, readers=1)
            await engine.open()
            try:
                return await work(engine)
            finally:
                await engine.close()
                vfs.unregister()

    async def append(engine: SqliteEngine) -> int:
        await engine.create(key, "i1", 1, Index())
        disk.on_operation = lambda kind, name: image.append(disk.image(rng, "kill")) if kind == "sync" else None
        await engine.append(LogAppend(key, "i1", 0, [build(key, {1: 1, 2: 2, 3: 3}, 0)], 1))
        disk.on_operation = None
        return 3

    async def show(engine: SqliteEngine) -> int:
        head = await engine.head(key)
        image[:] = [image[0][1].image(rng, "lose")]
        return head.tail if head else 0

    async def count(engine: SqliteEngine) -> int:
        head = await engine.head(key)
        return head.tail if head else 0

    disk = Disk()
    await live({}, disk, append)
    shown = await live(*image[0], show)
    return shown, await live(*image[0], count)
