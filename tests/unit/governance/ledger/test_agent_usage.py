"""Usage of agents counts once: however often it is read, and whoever else has metered the same call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from sqlalchemy import func, select

from holdfast.engines.memory import MemoryEngine
from holdfast.engines.port import Index, Key, LogAppend
from holdfast.errors import Unavailable
from holdfast.gateway.port import Served
from holdfast.governance.ledger import store as statements
from holdfast.governance.ledger.agent_usage import AgentUsage, counts_of, provider_of
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.ledger import ledger_links, ledger_rows
from holdfast.protocol import limits
from holdfast.protocol.events import Event
from holdfast.protocol.frames import encode_frame
from tests.unit.governance.ledger.conftest import NOON, opening, used

pytestmark = pytest.mark.anyio

KEY = Key("default", "s1")
DATA = {"model": "m1", "input_tokens": 100, "output_tokens": 10}


class Log:
    """A session into which agents write usage, as the hub would have it stored."""

    def __init__(self, engine: MemoryEngine) -> None:
        self.engine = engine
        self.seq = 0

    async def used(self, data: dict[str, Any], **facts: Any) -> str:
        """One event; answers the id of its row."""
        self.seq += 1
        event = Event(self.seq, NOON, "agent:a", "usage.recorded", data, run="r1", attempt=2)
        notice = {
            "type": "usage.recorded", "session": KEY.session, "incarnation": "i1", "seq": self.seq, "ts": NOON,
            "actor": "agent:a", "run": "r1", "agent": "writer", "parent": "r0", "attempt": 2,
            "labels": {"workflow": "mail", "team": "sales"}, "model": data.get("model"),
            "numbers": {name: value for name, value in data.items() if isinstance(value, int)},
        } | facts  # fmt: skip
        frame = encode_frame(KEY.session, [event])
        await self.engine.append(LogAppend(KEY, "i1", self.seq - 1, [frame], NOON, notices=[notice]))
        return f"u-i1-{self.seq}"


@pytest.fixture
async def log() -> AsyncIterator[Log]:
    engine = MemoryEngine()
    await engine.open()
    await engine.create(KEY, "i1", NOON, Index())
    yield Log(engine)
    await engine.close()


async def rows(store: Store) -> int:
    return await store.read(lambda c: c.scalar(select(func.count()).select_from(ledger_rows)) or 0)


async def test_a_row_is_of_the_workflow_whose_manifest_names_the_agent(ledger: Ledger, log: Log) -> None:
    id_ = await log.used(DATA, labels={})

    def claims_of(tenant: str, labels: Mapping[str, str], agent: str) -> dict[str, str]:
        return {**labels, "team": "sales", "workflow": "mail"} if (tenant, agent) == ("default", "writer") else {}

    assert await AgentUsage(log.engine, ledger, claims_of).read() == 1
    (row,) = await ledger.row("default", id_)
    assert row.workflow == "mail"


async def test_what_an_agent_used_is_a_row_of_its_run(ledger: Ledger, log: Log) -> None:
    id_ = await log.used(DATA)
    assert await AgentUsage(log.engine, ledger).read() == 1
    (row,) = await ledger.row("default", id_)
    assert (row.source, row.basis, row.list_nano, row.counts) == (
        "agent",
        "exact",
        150_000,
        {"input": 100, "output": 10},
    )
    assert (row.session, row.run, row.run_attempt, row.parent_run, row.agent) == ("s1", "r1", 2, "r0", "writer")
    assert (row.workflow, row.team, row.day) == ("mail", "sales", "2026-10-21")


async def test_it_is_read_once_and_counted_once(ledger: Ledger, log: Log, store: Store) -> None:
    await log.used(DATA)
    reader = AgentUsage(log.engine, ledger)
    assert (await reader.read(), await reader.read()) == (1, 0)
    await log.engine.release("ledger")  # as if it had never read
    await reader.read()
    assert await rows(store) == 1
    await log.used(DATA)
    assert await AgentUsage(log.engine, ledger).read() == 1
    (consumer,) = await log.engine.consumers()
    assert (consumer.name, consumer.unread) == ("ledger", 0)


async def test_a_store_that_is_away_loses_nothing(ledger: Ledger, log: Log, store: Store, monkeypatch: Any) -> None:
    id_ = await log.used(DATA)
    reader = AgentUsage(log.engine, ledger)
    with monkeypatch.context() as away:

        async def failing(work: Any) -> Any:
            raise Unavailable("store.unavailable")

        away.setattr(store, "write", failing)
        with pytest.raises(Unavailable):
            await reader.read()
    assert await reader.read() == 1
    assert len(await ledger.row("default", id_)) == 1


@pytest.mark.parametrize("named", ["c-a1", "a1"])
async def test_what_the_gateway_metered_is_linked_and_not_counted_again(
    ledger: Ledger, log: Log, store: Store, named: str
) -> None:
    await ledger.open(opening("a1"))
    await ledger.settle(Served("a1", "served", [used()], at_ms=NOON))
    await log.used(DATA | {"call": named})
    reader = AgentUsage(log.engine, ledger)
    assert await reader.read() == 0
    first, linked = await ledger.row("default", "a1")
    assert (linked.session, linked.run, linked.list_nano) == ("s1", "r1", first.list_nano)
    assert (linked.corrects, linked.basis, linked.reason) == ("a1", "exact", ""), "only the run is new"
    await log.engine.release("ledger")
    await reader.read()
    assert await rows(store) == 2


@pytest.mark.parametrize("named", ["c-a1", "a2"])
async def test_a_call_that_is_still_open_is_linked_when_it_is_settled(
    ledger: Ledger, log: Log, store: Store, named: str
) -> None:
    """The agent has the answer a moment before the ledger has its row, so its event often comes first."""
    await ledger.open(opening("a1"))
    await ledger.settle(Served("a1", "failed", at_ms=NOON))
    await ledger.open(opening("a2", call="c-a1", number=2))
    await log.used(DATA | {"call": named})
    assert await AgentUsage(log.engine, ledger).read() == 0
    await ledger.settle(Served("a2", "served", [used()], at_ms=NOON))
    (row,) = await ledger.row("default", "a2")
    assert (row.session, row.run, row.run_attempt, row.parent_run, row.agent) == ("s1", "r1", 2, "r0", "writer")
    assert (row.basis, row.list_nano) == ("exact", 150_000), "named from the beginning, and not replaced"
    assert await rows(store) == (3 if named == "c-a1" else 2), "the failed attempt is of the same call"
    assert await store.read(lambda c: c.scalar(select(func.count()).select_from(ledger_links))) == 0


async def test_a_link_outlives_its_process_and_goes_with_its_session(ledger: Ledger, log: Log, store: Store) -> None:
    for id_ in ("a1", "a2"):
        await ledger.open(opening(id_))
        await log.used(DATA | {"call": f"c-{id_}"})
        assert await AgentUsage(log.engine, ledger).read() == 0
        if id_ == "a1":
            successor = Ledger(store, ledger.prices, ledger.organisation, ledger.clock)
            assert await successor.beat() == 1
            (lost,) = await ledger.row("default", "a1")
            assert (lost.reason, lost.run) == ("gateway.lost", "r1")
    await ledger.settle(Served("a1", "served", [used()], at_ms=NOON))
    *_, late = await ledger.row("default", "a1")
    assert (late.basis, late.run, late.list_nano) == ("corrected", "r1", 150_000)
    await ledger.forget_session("default", "s1")
    await ledger.settle(Served("a2", "served", [used()], at_ms=NOON))
    (row,) = await ledger.row("default", "a2")
    assert (row.session, row.run) == ("", "")


async def test_a_call_that_nobody_knows_is_counted_and_says_so(ledger: Ledger, log: Log) -> None:
    await ledger.open(opening("a1", tenant="other"))
    await ledger.settle(Served("a1", "served", [used()], at_ms=NOON))
    for call in ("nobody", "a1"):  # a call of another tenant is nobody's here
        id_ = await log.used(DATA | {"call": call})
        assert await AgentUsage(log.engine, ledger).read() == 1
        (row,) = await ledger.row("default", id_)
        assert (row.call, row.reason) == (call, "call.unknown")


async def test_of_a_session_that_is_gone_the_notice_still_counts(ledger: Ledger, log: Log) -> None:
    id_ = await log.used(DATA)
    await log.engine.delete(KEY, "i1", NOON, Index())
    assert await AgentUsage(log.engine, ledger).read() == 1
    (row,) = await ledger.row("default", id_)
    assert (row.basis, row.reason, row.session, row.list_nano) == ("estimated", "event.gone", "", 150_000)


async def test_a_gap_is_on_record(ledger: Ledger, log: Log, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await log.used(DATA)
    reader = AgentUsage(log.engine, ledger)
    await reader.read()
    await log.engine.release("ledger")
    position = (await log.engine.feed("", 10)).position
    monkeypatch.setattr(limits, "FEED_NOTICES", 2)
    for _ in range(5):
        await log.used(DATA)
    page = await log.engine.feed(position, 10)
    assert page.gap

    async def since() -> str:
        return position

    monkeypatch.setattr(reader, "_position", since)
    await reader.read()
    (gap,) = await store.read(statements.list_gaps)
    assert gap["after"] == position


@pytest.mark.parametrize(
    ("data", "model", "expected"),
    [
        ({"input_tokens": 100, "output_tokens": 10}, "m", ({"input": 100, "output": 10}, "exact", "")),
        ({"input_tokens": 100, "cache_read_tokens": 80, "output_tokens": 10, "reasoning_tokens": 4}, "gpt-5",
         ({"input": 20, "cache_read": 80, "output": 6, "reasoning": 4}, "exact", "")),
        ({"input_tokens": 3, "cache_write_tokens": 18_011, "output_tokens": 1}, "claude-x",
         ({"input": 3, "cache_write": 18_011, "output": 1}, "exact", "")),
        ({"input_tokens": 100, "cache_read_tokens": 80, "output_tokens": 1}, "claude-x",
         ({"input": 20, "cache_read": 80, "output": 1}, "estimated", "usage.ambiguous")),
        ({"classes": {"input": 5, "cache_write_1h": 7, "colour": 3, "output": -1}}, "claude-x",
         ({"input": 5, "cache_write_1h": 7}, "exact", "")),
        ({"input_tokens": 0, "output_tokens": 0}, "m", ({"input": 0, "output": 0}, "exact", "")),
        ({"input_tokens": "9", "output_tokens": True, "cache_read_tokens": -4}, "m", ({}, "exact", "")),
        ({"input_tokens": 9.0, "estimated": True}, "m", ({"input": 9}, "estimated", "")),
    ],
)  # fmt: skip
def test_what_an_event_counts(data: dict[str, Any], model: str, expected: Any) -> None:
    assert counts_of(data, model) == expected


def test_a_name_tells_whose_model_it_is() -> None:
    assert [provider_of(name) for name in ("claude-opus-4", "GPT-5", "o3", "gemini-3", "llama")] == [
        "anthropic", "openai", "openai", "google", "",
    ]  # fmt: skip
