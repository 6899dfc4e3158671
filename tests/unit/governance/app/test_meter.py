"""From a call with a key to a row with a cost, on both databases, beside a session server and alone."""

from __future__ import annotations

import asyncio

import httpx
import openai
import pytest

from holdfast.errors import Unavailable
from holdfast.governance.ledger import dates
from holdfast.governance.ledger.bookkeeping import Bookkeeper
from holdfast.governance.ledger.verify import LedgerVerifier
from holdfast.testing import FakeClock
from tests.fake_upstream.process import FakeUpstream
from tests.unit.governance.app.conftest import Serve, Served, upstream

pytestmark = pytest.mark.anyio

HELLO = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hello"}]}


def client(served: Served, key: str = "") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=key or served.key, max_retries=0)


async def ask(served: Served, model: str = "gpt-5-mini") -> str:
    async with client(served) as ours:
        answer = await ours.chat.completions.create(model=model, messages=[{"role": "user", "content": "hello"}])
    return answer.choices[0].message.content or ""


async def test_every_answer_has_a_name_and_a_cost(serve: Serve, fake: FakeUpstream) -> None:
    async with serve(upstream(fake, "input=1000,cached=600,reasoning=30")) as served:
        await ask(served)
        (row,) = await served.rows(1)
        assert (row.workflow, row.team, row.task, row.usage) == ("refunds", "support", "answer", "headless")
        assert (row.basis, row.outcome, row.model) == ("exact", "served", "gpt-5-mini")
        used = {name: count for name, count in row.counts.items() if count}
        assert used == {"input": 1000, "cache_read": 600, "output": 20, "reasoning": 30}
        # $0.25 a million plain, $0.025 read from a cache, $2 out
        assert row.list_nano == 1000 * 250 + 600 * 25 + 50 * 2000
        assert row.price and row.catalogue


async def test_fail_over_is_two_attempts_and_the_first_is_not_billed(serve: Serve, fake: FakeUpstream) -> None:
    broken = upstream(fake, "status=503", retries=0) | {"name": "first"}
    async with serve(broken, upstream(fake)) as served:
        await ask(served)
        first, second = await served.rows(2)
        assert (first.upstream, first.outcome, first.list_nano) == ("first", "refused", 0)
        assert (second.upstream, second.outcome, second.basis) == ("openai", "served", "exact")
        assert first.call == second.call


async def test_a_model_without_a_price_is_refused_until_somebody_waives_it(serve: Serve, fake: FakeUpstream) -> None:
    async with serve(upstream(fake)) as served:
        with pytest.raises(openai.APIStatusError) as caught:
            await ask(served, "odd-1")
        assert (caught.value.status_code, caught.value.code) == (402, "price.missing")
        assert not fake.stats().requests, "nobody was asked"
        prices = served.governance.prices
        day_ms = 86_400_000
        await prices.waive(
            model="odd-1", by="user:ann", why="we try it", until_ms=served.governance.clock.wall_ms() + 3 * day_ms
        )
        await ask(served, "odd-1")
        (row,) = await served.rows(1)
        assert row.waiver and row.list_nano is None, "unknown is not free"


async def test_a_store_that_is_down_spends_nothing(
    serve: Serve, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(upstream(fake)) as served:
        await ask(served)
        before = len(fake.stats().requests)

        async def down(*_: object, **__: object) -> None:
            raise Unavailable("store.unavailable", "the disk is gone")

        monkeypatch.setattr(served.governance.store, "insert", down)
        with pytest.raises(openai.APIStatusError) as caught:
            await ask(served)
        assert (caught.value.status_code, caught.value.code) == (503, "store.unavailable")
        assert len(fake.stats().requests) == before, "nobody was asked"
        monkeypatch.undo()
        await ask(served)
        await served.rows(2)


async def test_what_was_served_while_the_store_is_away_is_on_record_later(
    serve: Serve, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(upstream(fake)) as served:
        store, gone = served.governance.store, asyncio.Event()

        async def away(*_: object) -> None:
            gone.set()
            raise Unavailable("store.unavailable", "the disk is gone")

        monkeypatch.setattr(store, "write", away)
        assert await ask(served), "the answer was paid for: it is given"
        await gone.wait()
        await served.governance.gateway.settled()
        assert served.governance.ledger.unsettled == 1
        monkeypatch.undo()
        await served.governance.ledger.flush()
        (row,) = await served.rows(1)
        assert row.basis == "exact"


async def test_an_unknown_caller_is_refused_and_listed(serve: Serve, fake: FakeUpstream) -> None:
    async with serve(upstream(fake)) as served:
        async with httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
            headers = {"authorization": "Bearer sk-an-old-key-of-somebody-else", "user-agent": "billing-job/1"}
            for path in ("/v1/chat/completions", "/v1/responses", "/v1/messages"):
                answer = await http.post(path, json=HELLO, headers=headers)
                assert answer.status_code == 401
                assert "sk-an-old" not in answer.text
        found = await served.governance.keys.unknown()
        assert [(one.agent, one.calls, set(one.paths)) for one in found] == [
            ("billing-job/1", 3, {"/v1/chat/completions", "/v1/responses", "/v1/messages"})
        ]


async def test_a_key_is_refused_as_soon_as_it_is_revoked(serve: Serve, fake: FakeUpstream) -> None:
    async with serve(upstream(fake)) as served:
        (key,) = served.governance.keys.rows()
        await served.governance.keys.revoke(key.id, by="user:ann")
        with pytest.raises(openai.AuthenticationError) as caught:
            await ask(served)
        assert caught.value.code == "key.revoked"


async def test_a_clock_that_is_a_month_off_loses_nothing_and_opens_no_closed_month(
    serve: Serve, fake: FakeUpstream, clock: FakeClock
) -> None:
    """As after a restart with a wrong clock, either way."""
    async with serve(upstream(fake)) as served:
        ledger = served.governance.ledger
        zone, began_ms = ledger.organisation.zone("default"), clock.wall_ms()
        await ask(served)
        (first,) = await served.rows(1)
        clock.advance(40 * 86_400)
        await ask(served)
        (ahead,) = await served.rows(1)
        assert first.month < ahead.month == ahead.period
        await Bookkeeper(ledger).close("default", first.month, "user:ann")
        clock.advance(-40 * 86_400)
        await ask(served)
        (late,) = {row.id: row for row in await served.rows(2) if row.id != first.id}.values()
        assert (late.month, late.period) == (first.month, dates.next_month(first.month))
        assert late.day == dates.day_of(began_ms, zone)
        found = await LedgerVerifier(ledger).run("default")
        assert (found.rows, found.periods, found.findings) == (3, 1, ())
