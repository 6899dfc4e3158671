"""Random sequences of verbs give the same answers and the same refusals as on the reference engine, verb by verb."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast.engines.memory import MemoryEngine
from holdfast.engines.port import Engine, Index, Key, LogAppend
from holdfast.errors import HoldfastError
from holdfast.protocol.frames import Frame, ProducerKey
from tests.contract.asking import frame
from tests.contract.conftest import Store

pytestmark = pytest.mark.anyio

KEYS = [Key(tenant, session) for tenant in ("acme", "globex") for session in ("a", "b", "c")]
NAMES = ("ada", "bob", "writer")
Verb = Callable[[Engine], Awaitable[Any]]


class Script:
    """Draws verbs; guesses tails and incarnations well enough that about half of them succeed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.tails = dict.fromkeys(KEYS, 0)
        self.lives = dict.fromkeys(KEYS, 0)
        self.now_ms = 0

    def _some(self) -> tuple[str, ...]:
        return tuple(sorted(self.rng.sample(NAMES, self.rng.randint(0, 3))))

    def _index(self) -> Index:
        due_ms = self.rng.choice([None, self.rng.randint(1, 99)])
        return Index(due_ms, self._some(), self._some(), self.rng.choice(["", "Ebb", "FLOW"]), {"n": [*self._some()]})

    def _frames(self, first: int, audience: int = 0) -> list[Frame]:
        frames = []
        for _ in range(self.rng.randint(1, 3)):
            frames.append(frame(KEYS[0], first, self.rng.randint(1, 5), audience=audience))
            first = frames[-1].last + 1
        frames[0].keys = [ProducerKey("p", 1, first, "d", frames[0].first, frames[0].last, 1)]
        return frames

    def draw(self) -> tuple[str, Verb]:
        key = self.rng.choice(KEYS)
        name = self.rng.choices(
            ["append", "create", "delete", "compact", "snapshot", "blob", "fact", "mark", "read", "find", "consumer"],
            [40, 8, 3, 6, 5, 4, 3, 4, 20, 15, 4],
        )[0]
        self.now_ms += self.rng.randint(0, 2)
        return f"{name} {key}", getattr(self, f"_{name}")(key)

    def _incarnation(self, key: Key) -> str:
        return f"i{self.lives[key] - (self.rng.random() < 0.05)}"

    def _append(self, key: Key) -> Verb:
        expected = self.tails[key] + self.rng.choice([0] * 9 + [1])
        frames = self._frames(expected + 1) if self.rng.random() < 0.95 else []
        index = self._index() if self.rng.random() < 0.3 else None
        what = LogAppend(key, self._incarnation(key), expected, frames, self.now_ms, index, [{"n": 1}] if index else [])

        async def verb(engine: Engine) -> None:
            await engine.append(what)
            self.tails[key] = frames[-1].last if frames else expected

        return verb

    def _create(self, key: Key) -> Verb:
        incarnation, now_ms, index = f"i{self.lives[key] + 1}", self.now_ms, self._index()

        async def verb(engine: Engine) -> object:
            head = await engine.create(key, incarnation, now_ms, index)
            self.lives[key], self.tails[key] = int(head.incarnation[1:]), head.tail
            return head

        return verb

    def _delete(self, key: Key) -> Verb:
        incarnation, now_ms = self._incarnation(key), self.now_ms
        index = self.rng.choice([Index(), Index(card={"why": "asked"})])
        return lambda engine: engine.delete(key, incarnation, now_ms, index)

    def _compact(self, key: Key) -> Verb:
        first = self.rng.randint(1, max(1, self.tails[key] // 4))
        first = self.rng.choice([1, first])
        last = self.rng.choice([self.tails[key], self.rng.randint(first, first + 9)])
        if last < first:
            last = first
        merged = [frame(key, first, last - first + 1, text="merged")]
        incarnation = self._incarnation(key)
        return lambda engine: engine.compact(key, incarnation, first, last, merged)

    def _snapshot(self, key: Key) -> Verb:
        seq, data = self.rng.randint(0, self.tails[key]), self.rng.randbytes(20)
        pages = {self.rng.randint(0, 3): self.rng.randbytes(9)}
        incarnation = self._incarnation(key)
        return lambda engine: engine.put_snapshot(key, incarnation, seq, data, pages)

    def _blob(self, key: Key) -> Verb:
        blob, data = self.rng.choice("xyz"), self.rng.choice([b"", b"1", b"2"])
        incarnation = self._incarnation(key)
        return lambda engine: engine.put_blob(key, incarnation, blob, "text/plain", data)

    def _fact(self, key: Key) -> Verb:
        name, data = self.rng.choice(["a", "a/b", "a/c", "b"]), self.rng.choice([None, b"", b"1"])
        return lambda engine: engine.put_fact(name, data)

    def _consumer(self, key: Key) -> Verb:
        name, count = self.rng.choice(NAMES), self.rng.choice([None, *range(30)])

        async def verb(engine: Engine) -> object:
            if count is None:
                return await engine.release(name)
            await engine.advance(name, (await engine.feed("", count)).position)
            return None

        return verb

    def _mark(self, key: Key) -> Verb:
        user, seq = self.rng.choice(NAMES), self.rng.randint(0, 50)
        incarnation = self._incarnation(key)
        return lambda engine: engine.mark_read(key, incarnation, user, seq)

    def _read(self, key: Key) -> Verb:
        named = self.rng.choice([None, self._incarnation(key)])
        incarnation = self._incarnation(key)
        after, max_bytes = self.rng.randint(0, self.tails[key] + 2), self.rng.choice([1, 500, 3_000, 1 << 20])

        async def verb(engine: Engine) -> object:
            return [
                await engine.head(key), await engine.get_snapshot(key), await engine.get_page(key, incarnation, 1),
                await engine.get_blob(key, incarnation, "x"),
                await engine.read(key, after, max_bytes=max_bytes, incarnation=named),
            ]  # fmt: skip

        return verb

    def _find(self, key: Key) -> Verb:
        user = self.rng.choice([None, *NAMES])
        before = self.rng.choice([None, (self.rng.randint(0, self.now_ms + 1), "b")])
        search, limit, now_ms = self.rng.choice(["", "ebb", "flow", "writer"]), self.rng.randint(1, 5), 60
        after = self.rng.randint(0, 30)
        names = self.rng.choice([None, ("a", "c"), ("b*",), ("*",)])

        async def listed(engine: Engine) -> object:
            page = await engine.list(key.tenant, user=user, names=names, search=search, before=before, limit=limit)
            return list(page.rows), page.before

        async def verb(engine: Engine) -> object:
            feed = [(notice.key, notice.data) for notice in (await engine.feed("", 1_000)).notices]
            return [
                await listed(engine), list(await engine.due(now_ms, limit)),
                list((await engine.queued(key.tenant, "writer", names=names)).keys),
                feed, await beyond(engine, after, limit), await engine.facts("a/"),
            ]  # fmt: skip

        return verb


async def beyond(engine: Engine, count: int, limit: int) -> object:
    """How many notices stand beyond the first few, and who has read how far: positions are each engine's own."""
    after = (await engine.feed("", count)).position
    consumers = [(consumer.name, consumer.unread, consumer.oldest_ms) for consumer in await engine.consumers()]
    return len((await engine.feed(after, limit)).notices), consumers


async def outcome(verb: Verb, engine: Engine) -> object:
    try:
        return await verb(engine)
    except HoldfastError as error:
        return (error.code, error.fields)


@pytest.mark.parametrize("seed", range(6))
async def test_every_engine_answers_as_the_reference_does(store: Store, seed: int) -> None:
    reference = MemoryEngine()
    script = Script(seed)
    refusals: set[str] = set()
    for step in range(400):
        name, verb = script.draw()
        expected = await outcome(verb, reference)
        assert await outcome(verb, store.engine) == expected, (seed, step, name)
        if isinstance(expected, tuple):
            refusals.add(expected[0])
        if step % 150 == 149:
            await store.reopen()
    assert {"session.tail", "session.incarnation", "session.not_found"} <= refusals
