"""With the frameworks' real clients: a stop closes the connection to the provider, and several questions wait together."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("agents", reason="the OpenAI Agents SDK is not installed")
pytest.importorskip("pydantic_ai", reason="Pydantic AI is not installed")

import agents
import pydantic_ai as pai
from openai import AsyncOpenAI
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from holdfast.agents.adapters import openai_agents, pydantic_ai
from holdfast.agents.run import RunContext
from tests.adapters.workshop import Workshop, answers, ended, items, open_workshop, seen

pytestmark = [pytest.mark.anyio, pytest.mark.process]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def shop(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Workshop]:
    async with open_workshop(tmp_path) as shop:
        yield shop


class Provider:
    """Chat completions over HTTP: answers with a status, else streams without end until the client goes away."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.status = 200
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(x.split(b":")[1]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length"))
        await reader.readexactly(length)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await (self._stream(reader, writer) if self.status == 200 else self._refuse(writer))
        writer.close()

    async def _refuse(self, writer: asyncio.StreamWriter) -> None:
        body = b'{"error":{"message":"no more for you","type":"insufficient_quota"}}'
        head = f"HTTP/1.1 {self.status} No\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        writer.write(head.encode() + b"connection: close\r\n\r\n" + body)
        await writer.drain()

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        disconnected = asyncio.ensure_future(reader.read(1))
        delta = {"role": "assistant", "content": "on and "}
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
        while not disconnected.done():
            writer.write(f"data: {json.dumps(chunk)}\n\n".encode())
            await writer.drain()
            await asyncio.wait({disconnected}, timeout=0.01)
        self.left.set()


@pytest.fixture
async def provider(anyio_backend: str) -> AsyncIterator[Provider]:
    provider = Provider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    yield provider
    server.close()


def with_pydantic_ai(client: AsyncOpenAI) -> Any:
    agent = pai.Agent(OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client)))

    async def writer(run: RunContext) -> None:
        await pydantic_ai.run(run, agent)

    return writer


def with_openai_agents(client: AsyncOpenAI) -> Any:
    agent = agents.Agent(name="a", model=agents.OpenAIChatCompletionsModel("m", client))

    async def writer(run: RunContext) -> None:
        await openai_agents.run(run, agent, run_config=agents.RunConfig(tracing_disabled=True))

    return writer


FRAMEWORKS = [with_pydantic_ai, with_openai_agents]


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_a_stop_closes_the_connection_to_the_provider(
    shop: Workshop, provider: Provider, framework: Callable[[AsyncOpenAI], Any]
) -> None:
    async with AsyncOpenAI(base_url=provider.url, api_key="none", max_retries=0) as client:
        await shop.worker(writer=framework(client))
        session = await shop.session()
        run = await session.send("Go on")
        await seen(session, lambda view: "on and on" in str(view.export()["items"]))
        await run.cancel()
        async with asyncio.timeout(20):
            await provider.left.wait()
        view = await ended(session, run.id)
        assert (view.runs[run.id]["status"], items(view, "message", run=run.id)[0]["status"]) == ("cancelled", "cut")


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_what_the_provider_refuses_is_the_runs_error(
    shop: Workshop, provider: Provider, framework: Callable[[AsyncOpenAI], Any]
) -> None:
    provider.status = 429
    async with AsyncOpenAI(base_url=provider.url, api_key="secret-key", max_retries=0) as client:
        await shop.worker(writer=framework(client))
        session = await shop.session()
        run = await session.send("Go on", attempts=1)
        view = await ended(session, run.id)
        assert view.runs[run.id]["status"] == "failed"
        error = str(view.runs[run.id]["error"])
        assert "429" in error and "no more for you" in error
        assert "secret-key" not in error and provider.url not in error


async def test_several_approvals_wait_together_and_are_decided_in_any_order(shop: Workshop) -> None:
    from pydantic_ai import messages as m
    from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

    acted: list[str] = []

    async def model(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        results = [p for message in messages for p in message.parts if isinstance(p, m.ToolReturnPart)]
        if results:
            yield ", ".join(f"{p.tool_name} {p.content}" for p in results)
        else:
            for n, name in enumerate(("mail", "pay", "note")):
                yield {n: DeltaToolCall(name=name, json_args="{}", tool_call_id=f"c{n}")}

    def act(name: str) -> Callable[[], str]:
        def tool() -> str:
            acted.append(name)
            return "done"

        return tool

    tools = [pai.Tool(act(name), name=name, requires_approval=name != "note") for name in ("mail", "pay", "note")]
    agent = pai.Agent(FunctionModel(stream_function=model), tools=tools)

    async def writer(run: RunContext) -> None:
        await pydantic_ai.run(run, agent)

    await shop.worker(writer=writer)
    session = await shop.session()
    run = await session.send("Do it all")
    view = await seen(session, lambda view: view.runs[run.id]["status"] == "waiting")
    assert acted == ["note"]
    mail, pay = items(view, "approval")
    await session.approve(pay["id"])
    assert (await session.state()).runs[run.id]["status"] == "waiting"
    await session.deny(mail["id"], note="not now")
    view = await ended(session, run.id)
    assert acted == ["note", "pay"]
    assert sorted(answers(view, run.id)[0].split(", ")) == ["mail not now", "note done", "pay done"]
