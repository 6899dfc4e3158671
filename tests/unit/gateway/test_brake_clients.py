"""A budget refuses, or ends an answer in the middle, and OpenAI's and Anthropic's Python clients, unchanged, hear of it: the
text up to there, the usage, an exception of their own, and they do not come again unless that helps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anthropic
import openai
import pytest

from holdfast.errors import Code, Refused
from tests.fake_upstream.process import FakeUpstream

from .conftest import KEY, Site, served, upstreams_of
from .test_brake import CAP, SAID, bounded

pytestmark = [pytest.mark.anyio, pytest.mark.process]
Clients = tuple[Site, openai.AsyncOpenAI, anthropic.AsyncAnthropic]
Heard = tuple[str, int]
"""What a client was told before the exception: the text, and the output tokens that were used."""
USAGE: Any = {"include_usage": True}


@pytest.fixture
async def clients(fake: FakeUpstream) -> AsyncIterator[Clients]:
    fake.reset()
    fake.always(tokens=400, input=30)
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with (
        served(*upstreams_of(fake)) as site,
        openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=KEY, http_client=http) as chat,
        anthropic.AsyncAnthropic(base_url=site.url, api_key=KEY) as claude,
    ):
        yield site, chat, claude


async def chat_raw(chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, heard: list[Any]) -> None:
    async for chunk in await chat.chat.completions.create(
        model="gpt-5", messages=SAID, stream=True, stream_options=USAGE
    ):
        heard += [choice.delta.content or "" for choice in chunk.choices]
        heard += [chunk.usage.completion_tokens] if chunk.usage else []


async def chat_helper(chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, heard: list[Any]) -> None:
    async with chat.chat.completions.stream(model="gpt-5", messages=SAID, stream_options=USAGE) as stream:
        async for event in stream:
            if event.type == "chunk":
                heard += [choice.delta.content or "" for choice in event.chunk.choices]
                heard += [event.chunk.usage.completion_tokens] if event.chunk.usage else []
        await stream.get_final_completion()


async def response_raw(chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, heard: list[Any]) -> None:
    async for event in await chat.responses.create(model="gpt-5", input="Go.", stream=True):
        _hear(event, heard)


async def response_helper(chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, heard: list[Any]) -> None:
    async with chat.responses.stream(model="gpt-5", input="Go.") as stream:
        async for event in stream:
            _hear(event, heard)
        await stream.get_final_response()


def _hear(event: Any, heard: list[Any]) -> None:
    if event.type == "response.output_text.delta":
        heard.append(event.delta)
    elif event.type == "response.incomplete":
        heard.append(event.response.usage.output_tokens)


async def message_raw(chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, heard: list[Any]) -> None:
    async for event in await claude.messages.create(model="claude-x", max_tokens=999, messages=SAID, stream=True):
        _hear_message(event, heard)


async def message_helper(chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, heard: list[Any]) -> None:
    async with claude.messages.stream(model="claude-x", max_tokens=999, messages=SAID) as stream:
        async for event in stream:
            _hear_message(event, heard)
        await stream.get_final_message()


def _hear_message(event: Any, heard: list[Any]) -> None:
    if event.type == "content_block_delta":
        heard.append(event.delta.text)
    elif event.type == "message_delta":
        heard.append(event.usage.output_tokens)


Ask = Callable[[openai.AsyncOpenAI, anthropic.AsyncAnthropic, list[Any]], Awaitable[None]]
ASKS: list[Ask] = [chat_raw, chat_helper, response_raw, response_helper, message_raw, message_helper]


@pytest.mark.parametrize("ask", ASKS)
async def test_a_braked_stream_raises_in_the_clients_own_class(clients: Clients, ask: Ask) -> None:
    site, chat, claude = clients
    bounded(site)
    heard: list[Any] = []
    # the helper for Responses raises on the `response.incomplete` that tells the usage, one event before the error
    with pytest.raises((openai.APIError, anthropic.APIStatusError, RuntimeError)) as caught:
        await ask(chat, claude, heard)
    text, used = (
        "".join(each for each in heard if isinstance(each, str)),
        [each for each in heard if isinstance(each, int)],
    )
    assert text.startswith("the quick brown fox") and len(text) <= CAP * 3
    if ask is response_helper:
        assert "incomplete" in str(caught.value) or caught.value.code == "budget_exceeded"  # type: ignore[union-attr]
    else:
        assert used and used[-1] > 0, "usage was told"
        if isinstance(caught.value, openai.APIError):
            assert (caught.value.code, caught.value.type)[0] == "budget_exceeded"
        else:
            assert isinstance(caught.value, anthropic.APIStatusError) and caught.value.status_code == 200
            assert caught.value.error_code == "budget_exceeded" and caught.value.type == "billing_error"  # type: ignore[attr-defined]
    assert site.meter.asked == 1, "they do not come again"


@pytest.mark.parametrize("ask", [chat_raw, response_raw, message_raw, message_helper])
async def test_a_truncated_stream_raises_nothing(clients: Clients, ask: Ask) -> None:
    site, chat, claude = clients
    bounded(site, on_brake="truncate")
    heard: list[Any] = []
    await ask(chat, claude, heard)
    assert [each for each in heard if isinstance(each, int)][-1] > 0 and site.meter.asked == 1


REFUSALS: list[tuple[Code, int, int, str]] = [
    ("budget.exceeded", 402, 1, "budget_exceeded"),
    ("budget.unbounded", 402, 1, "budget.unbounded"),
    ("budget.reopens", 429, 3, "budget_exceeded"),
    ("budget.spent", 429, 1, "budget_exceeded"),
]


@pytest.mark.parametrize("ask", [chat_raw, response_helper, message_raw])
@pytest.mark.parametrize(("code", "status", "requests", "told"), REFUSALS)
async def test_what_is_refused_is_asked_again_only_where_that_helps(
    clients: Clients, ask: Ask, code: Code, status: int, requests: int, told: str
) -> None:
    site, chat, claude = clients
    site.meter.error = Refused(code, "no money", retry_after_s=0.2)
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as caught:
        await ask(chat, claude, [])
    error: Any = caught.value
    assert (error.status_code, site.meter.asked) == (status, requests)
    headers = error.response.headers
    assert headers.get("retry-after") == ("1" if code == "budget.reopens" else None)
    assert headers.get("x-should-retry") == (None if code == "budget.reopens" else "false")
    if ask is message_raw:
        assert error.error_code == told and error.type == ("billing_error" if status == 402 else "rate_limit_error")
    else:
        assert error.code == told and (error.type == "budget_exceeded") == (told == "budget_exceeded")


async def test_a_refusal_by_a_budget_is_no_reason_to_ask_the_next_upstream(fake: FakeUpstream) -> None:
    fake.reset()
    both = [upstreams_of(fake)[0] | {"name": name} for name in ("a", "b")]
    async with served(*both) as site, site.http() as http:
        site.meter.error = Refused("budget.exceeded", "no money")
        answer = await http.post("/v1/chat/completions", json={"model": "gpt-5", "messages": SAID})
        assert answer.status_code == 402 and site.meter.asked == 1


async def test_a_braked_answer_is_not_asked_for_elsewhere(fake: FakeUpstream) -> None:
    fake.reset()
    fake.always(tokens=400)
    both = [upstreams_of(fake)[0] | {"name": name} for name in ("a", "b")]
    async with served(*both) as site, site.http() as http:
        bounded(site)
        answer = await http.post("/v1/chat/completions", json={"model": "gpt-5", "messages": SAID})
        assert answer.status_code == 402 and site.meter.asked == 1


async def test_embeddings_are_bounded_before_they_are_asked_for_and_not_after(fake: FakeUpstream) -> None:
    fake.reset()
    async with served(*upstreams_of(fake)) as site, site.http() as http:
        bounded(site, cap=1)
        answer = await http.post("/v1/embeddings", json={"model": "text-embedding-3-small", "input": ["a"] * 200})
        assert answer.status_code == 200
