"""A key is revoked while its calls run: what runs under it ends, in the words of its dialect, and is billed."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import openai
import pytest
from msgspec import structs

import holdfast
from holdfast.gateway.sessions import LocalSessions
from tests.fake_upstream.process import FakeUpstream

from .conftest import KEY, Site, served, upstreams_of

pytestmark = [pytest.mark.anyio, pytest.mark.process]

TEXT_EVENT = 5  # one of its text, in each dialect
SAID: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def _anew(fake: FakeUpstream) -> None:
    fake.reset()
    fake.always(tokens=40, input=300, hang=5)


def openai_of(site: Site) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=KEY, max_retries=0)


async def heard(stream: Any, site: Site, after: int = 1) -> None:
    """Read a stream, and revoke its key after so many events."""
    events = 0
    async for _ in stream:
        events += 1
        if events == after:
            site.keys.revoked("k1")


async def test_a_stream_ends_and_its_upstream_is_cut_though_it_would_be_drained(fake: FakeUpstream) -> None:
    async with served(*upstreams_of(fake, on_leave="drain")) as site:
        async with openai_of(site) as chat:
            stream = await chat.chat.completions.create(model="gpt-5", messages=SAID, stream=True)
            with pytest.raises(openai.APIError) as of_chat:
                await heard(stream, site, TEXT_EVENT)
            events = await chat.responses.create(model="gpt-5", input="hello", stream=True)
            with pytest.raises(openai.APIError) as of_response:
                await heard(events, site, TEXT_EVENT)
        async with anthropic.AsyncAnthropic(base_url=site.url, api_key=KEY, max_retries=0) as claude:
            messages = await claude.messages.create(model="claude-x", max_tokens=99, messages=SAID, stream=True)
            with pytest.raises(anthropic.APIStatusError) as of_message:
                await heard(messages, site, TEXT_EVENT)
        found = await site.meter.all_settled(3)
    assert (of_chat.value.code, of_response.value.code) == ("key.revoked", "key.revoked")
    assert "key.revoked" in str(of_message.value.body)
    assert [(one.outcome, one.reason) for one in found] == [("cut", "key.revoked")] * 3
    assert all(one.estimated is not None and one.estimated.total_output >= 1 for one in found)


async def test_whoever_waits_for_the_whole_is_refused(fake: FakeUpstream) -> None:
    async with served(*upstreams_of(fake)) as site, openai_of(site) as chat:
        asking = asyncio.ensure_future(chat.chat.completions.create(model="gpt-5", messages=SAID))
        await asyncio.to_thread(fake_has, fake)
        site.keys.revoked("another")
        site.keys.revoked("k1")
        with pytest.raises(openai.AuthenticationError) as caught:
            await asking
    assert caught.value.code == "key.revoked"


def fake_has(fake: FakeUpstream) -> None:
    while not fake.stats().started:
        pass


async def test_the_run_of_a_call_ends_also_when_its_caller_has_left(fake: FakeUpstream) -> None:
    hub = holdfast.EmbeddedHub("memory:")
    async with hub, served(*upstreams_of(fake), sessions=LocalSessions(hub.hub)) as site:
        site.keys.callers[KEY] = structs.replace(site.keys.callers[KEY], session="desk-1")
        async with openai_of(site) as chat:
            stream = await chat.chat.completions.create(model="gpt-5", messages=SAID, stream=True)
            async for _ in stream:
                break
            await stream.close()
        session = await hub.session("desk-1").client()
        (run,) = (await session.state()).runs
        while len(site.gateway._running._of_key):  # its caller has left, and the run goes on
            await asyncio.sleep(0)
        site.keys.revoked("k1")
        entry = await session.run(run).finished()
        (one,) = await site.meter.all_settled(1)
    assert entry["status"] == "failed" and entry["error"]["code"] == "key.revoked"
    assert (one.outcome, one.reason) == ("cut", "key.revoked")


async def test_an_agent_is_heard_no_more_and_its_run_goes_on(fake: FakeUpstream) -> None:
    hub, go_on = holdfast.EmbeddedHub("memory:"), asyncio.Event()

    @hub.agent("librarian")
    async def librarian(run: holdfast.RunContext) -> None:
        async with run.message() as out:
            await out.write("first")
            await go_on.wait()
            await out.write(", second")

    async with hub, served(sessions=LocalSessions(hub.hub)) as site:
        site.keys.callers[KEY] = structs.replace(
            site.keys.callers[KEY], agents=frozenset({"librarian"}), session="desk-2"
        )
        async with openai_of(site) as chat:
            stream = await chat.chat.completions.create(model="agent/librarian", messages=SAID, stream=True)
            with pytest.raises(openai.APIError) as caught:
                await heard(stream, site)
        assert caught.value.code == "key.revoked"
        session = await hub.session("desk-2").client()
        (run,) = (await session.state()).runs
        go_on.set()
        assert (await session.run(run).finished())["status"] == "completed"
