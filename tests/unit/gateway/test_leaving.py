"""Callers who go before the end: their upstream is cut or drained, and what was served is billed either way."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import anthropic
import httpx
import openai
import pytest

from holdfast.protocol import limits
from tests.fake_upstream.process import FakeUpstream

from .bills import billed_exactly
from .conftest import KEY, served, upstreams_of

pytestmark = [pytest.mark.anyio, pytest.mark.process]

SAID: Any = [{"role": "user", "content": "Tell me something, " + "please, " * 50}]
PATHS = ["chat/completions", "responses", "messages"]


@pytest.fixture(autouse=True)
def _anew(fake: FakeUpstream) -> None:
    fake.reset()
    fake.always(tokens=400, input=300, gap=5)


def body_of(path: str, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "claude-x" if path == "messages" else "gpt-5", **more}
    return body | ({"input": SAID[0]["content"]} if path == "responses" else {"messages": SAID, "max_tokens": 999})


async def read_until(http: httpx.AsyncClient, path: str, word: str) -> None:
    """Ask for a stream and close the connection when a word of it has come."""
    async with http.stream("POST", f"/v1/{path}", json=body_of(path, stream=True)) as answer:
        text = ""
        async for piece in answer.aiter_text():
            text += piece
            if word in text:
                return


@pytest.mark.parametrize("path", PATHS)
async def test_a_cut_is_estimated_from_what_was_sent_and_seen(fake: FakeUpstream, path: str) -> None:
    async with served(*upstreams_of(fake)) as site, site.http() as http:
        await read_until(http, path, "lazy")
        [one] = await site.meter.all_settled(1)
        [request] = fake.stats(ended=1).requests
    assert (one.outcome, one.reason) == ("cut", "caller.left") and not one.billed and one.estimated is not None
    assert request.outcome == "aborted" and request.generated < 400
    assert not one.estimated.reported and 8 <= one.estimated.total_output <= 2 * request.generated
    if path == "messages":
        assert one.estimated.total_input == 300, "message_start said so"
    else:
        assert one.estimated.total_input == pytest.approx(site.meter.opened[0].call.input_bytes / 4, abs=30)


@pytest.mark.parametrize("path", PATHS)
async def test_a_drained_stream_is_billed_as_the_provider_reports(fake: FakeUpstream, path: str) -> None:
    fake.always(tokens=60, input=300, gap=20)  # long enough that the caller has left before its end
    async with served(*upstreams_of(fake, on_leave="drain")) as site, site.http() as http:
        await read_until(http, path, "brown")
        [one] = await site.meter.all_settled(1)
        [request] = fake.stats(ended=1).requests
    assert (one.outcome, one.reason, request.outcome, request.generated) == ("drained", "caller.left", "done", 60)
    billed_exactly(one, request)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", PATHS)
async def test_the_prompt_is_paid_for_before_the_first_delta(fake: FakeUpstream, path: str, stream: bool) -> None:
    fake.always(tokens=5, input=300, hang=0)
    async with served(*upstreams_of(fake)) as site:
        async with site.http() as http:
            asking = asyncio.ensure_future(http.post(f"/v1/{path}", json=body_of(path, stream=stream)))
            await asyncio.to_thread(begun, fake)
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
        [one] = await site.meter.all_settled(1)
    assert (one.outcome, one.reason) == ("cut", "caller.left") and one.estimated is not None
    assert (one.estimated.counts["input"] > 50 and one.estimated.total_output == 0) or path == "messages"


def begun(fake: FakeUpstream) -> None:
    """Wait until a request has come."""
    while not fake.stats().started:
        pass


async def test_leaving_before_the_head_of_the_answer_ends_the_attempt(fake: FakeUpstream) -> None:
    """An upstream that has not even begun to answer is not waited for."""
    asked = asyncio.Event()
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()  # its body, and then that the gateway has gone
        gone.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server, served({"name": "silent", "url": url, "models": ["gpt-*"]}) as site:
        async with site.http() as http:
            asking = asyncio.ensure_future(http.post("/v1/chat/completions", json=body_of("chat/completions")))
            await asked.wait()
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
        [one] = await site.meter.all_settled(1)
        await gone.wait()
    assert one.outcome == "cut" and one.estimated is not None and one.estimated.counts["input"] > 50


async def test_official_clients_that_stop_reading_are_cut_and_billed(fake: FakeUpstream) -> None:
    async with served(*upstreams_of(fake)) as site:
        transport = openai.DefaultAsyncHttpxClient(trust_env=False)
        async with openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=KEY, http_client=transport) as chat:
            stream = await chat.chat.completions.create(model="gpt-5", messages=SAID, stream=True)
            async for _ in stream:
                break
            await stream.close()
            async with chat.responses.stream(model="gpt-5", input="Go.") as events:
                async for _ in events:
                    break
        request: Any = {"model": "claude-x", "max_tokens": 99, "messages": SAID}
        claude = anthropic.AsyncAnthropic(base_url=site.url, api_key=KEY)
        async with claude, claude.messages.stream(**request) as messages:
            async for _ in messages:
                break
        settled = await site.meter.all_settled(3)
    assert [one.outcome for one in settled] == ["cut"] * 3
    assert all(one.estimated is not None and one.estimated.total_input > 0 for one in settled)


async def test_clients_that_go_as_soon_as_they_have_read_the_end_were_served(fake: FakeUpstream) -> None:
    fake.always(tokens=5, input=40)
    async with served(*upstreams_of(fake)) as site, site.http() as http:
        for path, end in (
            ("chat/completions", "[DONE]"),
            ("responses", "response.completed"),
            ("messages", "message_stop"),
        ):
            await read_until(http, path, end)
        settled = await site.meter.all_settled(3)
        requests = fake.stats(ended=3).requests
    for one, request in zip(settled, requests, strict=True):
        assert one.outcome == "served"
        billed_exactly(one, request)


async def test_a_caller_that_takes_nothing_any_more_has_left(
    fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is there, but what it was sent fills all buffers: it holds no upstream for ever."""
    monkeypatch.setattr(limits, "CALLER_STALL_S", 0.2)
    fake.always(tokens=60_000, input=300)
    async with served(*upstreams_of(fake)) as site:
        raw = httpx.Request("POST", f"{site.url}/v1/chat/completions", json=body_of("chat/completions", stream=True))
        reader, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rsplit(":", 1)[1]), limit=1)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
        writer.write(f"{head}content-length: {len(raw.content)}\r\n\r\n".encode() + raw.content)
        [one] = await site.meter.all_settled(1)
        writer.transport.abort()
        assert reader is not None
    assert (one.outcome, one.reason) == ("cut", "caller.stalled") and one.estimated is not None
    assert one.estimated.total_output > 100
