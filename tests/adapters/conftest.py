"""A workshop and a provider for every test of a provider's adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from holdfast.agents.adapters import anthropic_messages, openai_chat, openai_responses
from holdfast.agents.run import RunContext
from tests.adapters.replay import Provider
from tests.adapters.scripts import ALL, streamed
from tests.adapters.workshop import Workshop, open_workshop


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def bench(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Workshop]:
    async with open_workshop(tmp_path) as shop:
        yield shop


@pytest.fixture
async def provider(anyio_backend: str) -> AsyncIterator[Provider]:
    async with Provider().running() as provider:
        await warm(provider)
        yield provider
        for client in CLIENTS:
            await client.close()
        CLIENTS.clear()


CLIENTS: list[Any] = []
WARM: set[str] = set()


async def warm(provider: Provider) -> None:
    """Let the clients build their types, once: it takes OpenAI's a second of blocking, which is a whole lease here."""
    if WARM:
        return
    WARM.update(ALL)
    provider.script = lambda number, request: streamed(ALL[number], "Hello.", ("a", "look", {}))
    say: Any = [{"role": "user", "content": "hello"}]
    async with (
        openai.AsyncOpenAI(base_url=provider.url, api_key="sk-1") as gpt,
        anthropic.AsyncAnthropic(base_url=provider.url, api_key="sk-1") as claude,
    ):
        for stream in (
            await gpt.chat.completions.create(model="gpt", messages=say, stream=True),
            await gpt.responses.create(model="gpt", input=say, stream=True),
            await claude.messages.create(model="claude", max_tokens=9, messages=say, stream=True),
        ):
            assert [event async for event in stream]
    provider.requests.clear()


def converse_agent(api: str, provider: Provider, *tools: Any, **options: Any) -> Any:
    """An agent of one line, for each API."""
    gpt = openai.AsyncOpenAI(base_url=provider.url, api_key="sk-1", max_retries=0)
    claude = anthropic.AsyncAnthropic(base_url=provider.url, api_key="sk-1", max_retries=0)
    CLIENTS.extend((gpt, claude))

    async def chat(run: RunContext) -> None:
        await openai_chat.converse(run, gpt, model="gpt", tools=tools, **options)

    async def responses(run: RunContext) -> None:
        await openai_responses.converse(run, gpt, model="gpt", tools=tools, **options)

    async def messages(run: RunContext) -> None:
        await anthropic_messages.converse(run, claude, model="claude", max_tokens=100, tools=tools, **options)

    return {"openai.chat": chat, "openai.responses": responses, "anthropic.messages": messages}[api]
