"""What a budget refuses before a provider is asked, windows that turn over, sessions, and agents that call providers
themselves."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import anthropic
import httpx
import openai
import pytest

import holdfast
from holdfast.gateway.server import serving
from holdfast.governance.app import Governance
from holdfast.governance.keys.model import KeyRequest
from holdfast.governance.ledger.reader import LedgerReader
from holdfast.governance.money import parse
from holdfast.testing import FakeClock
from tests.fake_upstream.process import FakeUpstream
from tests.unit.gateway.test_brake_clients import chat_raw
from tests.unit.governance import postgres_server
from tests.unit.governance.app.conftest import NAMED, Serve, Served, beside, both_wires, settings_of, upstream
from tests.unit.governance.app.test_budgeted_calls import SAID, account, budget, clients, holds_together, words_of

pytestmark = [pytest.mark.anyio, pytest.mark.process]

DAY_MS = 86_400_000
ASK = {"model": "gpt-5", "messages": SAID, "max_tokens": 1_000}


def http_of(served: Served) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {served.key}"}
    return httpx.AsyncClient(base_url=served.url, headers=headers, trust_env=False, timeout=30)


@pytest.mark.parametrize(
    ("per", "before_end_ms", "status", "retry_after", "code"),
    [
        ("total", 0, 402, None, "budget.exceeded"),
        ("day", 30_000, 429, "30", "budget.reopens"),
        ("day", 30_001, 429, "31", "budget.reopens"),
        ("day", 7_200_000, 429, None, "budget.spent"),
    ],
)
async def test_a_call_without_money_is_refused_before_anybody_is_asked(
    serve: Serve, fake: FakeUpstream, clock: FakeClock, per: str, before_end_ms: int, status: int,
    retry_after: str | None, code: str,
) -> None:  # fmt: skip
    fake.always(tokens=700, input=30)
    clock.advance((DAY_MS - clock.wall_ms() % DAY_MS - before_end_ms) / 1_000 % 86_400)
    async with serve(*both_wires(fake)) as served, http_of(served) as http:
        assert (await http.post("/v1/chat/completions", json=ASK)).status_code == 200
        await served.rows(1)
        await budget(served, "0.0072", per=per, zone="UTC")  # what was spent before it was made counts
        for path in ("chat/completions", "responses", "messages"):
            claude = {"model": "claude-x"} if path == "messages" else {}
            body = ASK | claude | ({"input": "Go.", "messages": None} if path == "responses" else {})
            answer = await http.post(f"/v1/{path}", json={k: v for k, v in body.items() if v is not None})
            assert answer.status_code == status, (path, answer.text)
            assert answer.headers.get("retry-after") == retry_after
            assert answer.headers.get("x-should-retry") == (None if retry_after else "false")
            assert "'refunds'" in answer.text and "budget_exceeded" in answer.text
        assert len(fake.stats().requests) == 1, "nobody was asked"
        refusals = await served.governance.budget_desk.refusals("default")
        assert [one["reason"] for one in refusals["refusals"]] == [code] * 3
        assert (await account(served)).refused == 3


async def test_what_nobody_can_price_is_refused_by_a_budget_that_is_enforced_and_by_no_other(
    serve: Serve, fake: FakeUpstream
) -> None:
    """A cap that cannot be held is not ignored."""
    async with serve(upstream(fake)) as served, http_of(served) as http:
        until_ms = served.governance.clock.wall_ms() + 3 * DAY_MS
        await served.governance.prices.waive(model="odd-1", by="user:ann", why="we try it", until_ms=until_ms)
        await budget(served, "1")
        refused = await http.post("/v1/chat/completions", json=ASK | {"model": "odd-1"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (402, "budget.unbounded")
        assert not fake.stats().requests
        await budget(served, mode="observe")
        assert (await http.post("/v1/chat/completions", json=ASK | {"model": "odd-1"})).status_code == 200
        (row,) = await served.rows(1)
        assert row.waiver and row.billed_nano is None


async def test_unmodified_clients_do_not_come_again_where_no_time_brings_money(
    serve: Serve, fake: FakeUpstream
) -> None:
    async with serve(*both_wires(fake)) as served, clients(served) as (chat, claude):
        await budget(served, "0.0001")
        with pytest.raises(openai.APIStatusError) as refused:
            await chat.chat.completions.create(model="gpt-5", messages=SAID)
        assert (refused.value.status_code, refused.value.code) == (402, "budget_exceeded")
        with pytest.raises(anthropic.APIStatusError) as denied:
            await claude.messages.create(model="claude-x", max_tokens=99, messages=SAID)
        assert denied.value.status_code == 402
        assert (await account(served)).refused == 2 and not fake.stats().requests


async def test_a_client_that_comes_again_when_it_was_told_to_gets_its_answer(
    serve: Serve, fake: FakeUpstream, clock: FakeClock
) -> None:
    fake.always(tokens=700, input=30)
    clock.advance((DAY_MS - clock.wall_ms() % DAY_MS - 1_000) / 1_000)
    async with serve(upstream(fake)) as served, clients(served) as (chat, _):
        await chat.chat.completions.create(model="gpt-5", messages=SAID)
        await served.rows(1)
        await budget(served, "0.0072", per="day", zone="UTC")
        fake.always(tokens=20, input=30)
        again = asyncio.create_task(chat.chat.completions.create(model="gpt-5", messages=SAID))
        while not (await account(served)).refused:
            await asyncio.sleep(0.01)
        clock.advance(1)
        assert (await again).choices[0].message.content
        assert len(fake.stats().requests) == 2


async def test_a_window_turns_over_in_the_middle_of_an_answer(
    serve: Serve, fake: FakeUpstream, clock: FakeClock
) -> None:
    fake.always(tokens=700, input=30)
    async with serve(upstream(fake)) as served, clients(served) as (chat, _):
        await chat.chat.completions.create(model="gpt-5", messages=SAID)
        (first,) = await served.rows(1)
        await budget(served, "0.02", per="day", zone="UTC")
        fake.always(tokens=1_000, input=30, gap=1)  # what is left of this day's money is not enough for it
        heard = 0
        async for chunk in await chat.chat.completions.create(model="gpt-5", messages=SAID, stream=True):
            heard += bool(chunk.choices and chunk.choices[0].delta.content)
            if heard == 1:
                clock.advance((DAY_MS - clock.wall_ms() % DAY_MS) / 1_000)
        assert heard == 1_000
        await served.governance.gateway.settled()
        now = await account(served)
        assert 0 < now.spent_nano != first.billed_nano and now.refused == 0, "it counts where it ended"
        assert await served.governance.budgets.verify("default") == []


async def key_for_sessions(served: Served) -> None:
    request = KeyRequest(workflow="refunds", team="support", task="answer", sessions="desk-*", actor="user:ann")
    served.key = (await served.governance.keys.create(request, by="user:bea", declare=True)).secret


async def test_everybody_in_the_session_sees_why(database: str, clock: FakeClock, fake: FakeUpstream) -> None:
    fake.always(tokens=3_000, input=30)
    async with beside(database, clock, upstream(fake)) as served, clients(served) as (chat, _):
        await key_for_sessions(served)
        await budget(served)
        async with clients(served) as (chat, _):
            with pytest.raises(openai.APIError) as caught:
                async for _chunk in await chat.chat.completions.create(
                    model="gpt-5", messages=SAID, stream=True, extra_headers={"x-holdfast-session": "desk-1"}
                ):
                    pass
        assert caught.value.code == "budget_exceeded"
        assert served.site is not None
        async with holdfast.connect(served.site.url, token=served.site.token("user:eve", "default")) as watcher:
            session = watcher.session("desk-1")
            (run,) = (await session.state()).runs
            await session.run(run).finished()
            view = await session.state()
        over: Any = view.runs[run]
        assert (over["status"], over["cancel"]["by"]) == ("cancelled", "policy:budget")
        assert "'refunds'" in over["cancel"]["reason"]
        (shown,) = [item for item in view.items if item["kind"] == "activity"]
        content: Any = shown["content"]
        assert (content["stage"], content["budget"], content["decider"]) == ("ended", "refunds", "user:ann")
        assert content["cap_usd"] == "0.012" and content["text"] == over["cancel"]["reason"]
        (row,) = await served.rows(1)
        assert row.run == run and row.reason == "budget.exceeded"
        await holds_together(served, [row])


async def test_an_agent_that_calls_providers_itself_is_braked_at_its_next_append(
    database: str, clock: FakeClock, fake: FakeUpstream
) -> None:
    async with beside(database, clock, upstream(fake)) as served:
        assert served.site is not None
        await budget(served, "0.01")
        labels = {"workflow": "refunds", "team": "support", "task": "answer"}
        stopped = asyncio.Event()

        async def work(run: holdfast.RunContext) -> None:
            try:
                await run.say("at work")
                await run.usage("gpt-5", input_tokens=10, output_tokens=2_000)  # two cents
                while True:
                    await run.say("and on")
                    await run.flush()
                    await asyncio.sleep(0.02)
            finally:
                stopped.set()

        async with contextlib.AsyncExitStack() as stack:
            agents = await stack.enter_async_context(
                holdfast.connect(served.site.url, token=served.site.token("agent:writer", "default", agents=["*"]))
            )
            agents.add_agent("writer", work)
            serving_agents = asyncio.create_task(agents.serve(signals=False))
            stack.callback(serving_agents.cancel)
            token = served.site.token("user:ann", "default", labels=labels)
            person = await stack.enter_async_context(holdfast.connect(served.site.url, token=token))
            session = await person.create("s1", agent="writer")
            over: Any = await (await session.send("go")).finished()
            assert (over["status"], over["cancel"]["by"]) == ("cancelled", "policy:budget")
            assert "'refunds'" in over["cancel"]["reason"]
            await stopped.wait()
        (row,) = await served.rows(1)
        assert row.counts["output"] == 2_000 and (row.billed_nano or 0) > parse("0.01")
        assert (await account(served)).spent_nano == row.billed_nano, "it is the same budget"
        async with http_of(served) as http:
            assert (await http.post("/v1/chat/completions", json=ASK)).status_code == 402, "for callers, too"


async def test_two_gateways_share_one_cap(clock: FakeClock, fake: FakeUpstream) -> None:
    fake.always(tokens=3_000, input=30)
    database = await postgres_server.empty_database()
    async with contextlib.AsyncExitStack() as stack:
        both = []
        for _ in range(2):
            governance = Governance(database, clock, settings_of(upstream(fake)))
            await governance.start()
            stack.push_async_callback(governance.stop)
            server = await stack.enter_async_context(serving(governance.gateway, "127.0.0.1", 0))
            both.append(Served(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", governance, ""))
        secret = (await both[0].governance.keys.create(NAMED, by="user:ann", declare=True)).secret
        await budget(both[0], "0.05")
        for served in both:
            served.key = secret
            await served.governance.keys.refresh()
            await served.governance.organisation.refresh()
            await served.governance.budgets.refresh()

        async def ask(served: Served) -> int:
            heard: list[Any] = []
            async with clients(served) as (chat, claude):
                with pytest.raises(openai.APIError) as caught:
                    await chat_raw(chat, claude, heard)
            assert caught.value.code == "budget_exceeded"
            return words_of(heard)

        counts = await asyncio.gather(*(ask(served) for served in both for _ in range(4)))
        for served in both:
            await served.governance.gateway.settled()
        today = both[0].governance.organisation.today().isoformat()
        rows = (await LedgerReader(both[0].governance.store).rows("default", today, today)).rows
        found = await account(both[0])
        assert found.spent_nano == sum(row.billed_nano or 0 for row in rows) <= parse("0.05")
        assert (found.reserved_nano, found.attempts) == (0, 0)
        assert await both[1].governance.budgets.verify("default") == []
        assert sum(counts) > 0 and len(fake.stats().requests) == len([row for row in rows if row.outcome != "refused"])
