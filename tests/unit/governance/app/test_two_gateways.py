"""Two gateways on one PostgreSQL database, started at the same moment on an empty one."""

from __future__ import annotations

import asyncio
import contextlib

import openai
import pytest

from holdfast.gateway.server import serving
from holdfast.governance.app import Governance
from holdfast.governance.ledger.reader import LedgerReader
from holdfast.testing import FakeClock
from tests.fake_upstream.process import FakeUpstream
from tests.unit.governance import postgres_server
from tests.unit.governance.app.conftest import NAMED, settings_of, upstream

pytestmark = pytest.mark.anyio


async def ask(url: str, key: str) -> str:
    """The code with which a call is refused; empty when it is answered."""
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        try:
            await client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "hi"}])
        except openai.AuthenticationError as error:
            return str(error.code)
    return ""


async def test_both_count_and_a_key_is_known_and_revoked_in_both(clock: FakeClock, fake: FakeUpstream) -> None:
    database = await postgres_server.empty_database()
    both = [Governance(database, clock, settings_of(upstream(fake))) for _ in range(2)]
    await asyncio.gather(*(one.start() for one in both))  # the tables are made once
    async with contextlib.AsyncExitStack() as stack:
        urls = []
        for one in both:
            stack.push_async_callback(one.stop)
            server = await stack.enter_async_context(serving(one.gateway, "127.0.0.1", 0))
            urls.append(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
        made = await both[0].keys.create(NAMED, by="user:ann", declare=True)
        async with asyncio.timeout(20):  # within a second on a machine that does nothing else
            while await ask(urls[1], made.secret):
                await asyncio.sleep(0.02)
        await asyncio.gather(*(ask(url, made.secret) for url in urls for _ in range(4)))
        await both[1].keys.revoke(made.key.id, by="user:ann")
        async with asyncio.timeout(20):
            while await ask(urls[0], made.secret) != "key.revoked":
                await asyncio.sleep(0.02)
        for one in both:
            await one.gateway.settled()
        today = both[0].organisation.today().isoformat()
        rows = (await LedgerReader(both[0].store).rows("default", today, today)).rows
        asked = [
            row for row in rows if row.outcome != "refused"
        ]  # one may be between its opening and its provider just then
        assert len(asked) == len(fake.stats().requests) >= 9, "each call of either is a row, and once"
        assert len({row.id for row in rows}) == len(rows)
        assert all(row.basis == "exact" for row in rows if row.reason != "key.revoked"), (
            "the one that was cut is estimated"
        )
