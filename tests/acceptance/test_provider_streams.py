"""Recorded provider streams, served by a local server in pieces, through an agent into a session: the fold holds the text.

The recordings stand beside the checkout in ``../shared/data/provider-streams`` and are not part of it.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from holdfast.agents.holdfast import Holdfast
from holdfast.agents.run import RunContext
from holdfast.client.client import Client
from holdfast.demo.models import Model

from .conftest import Site

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "provider-streams"
if not FOLDER.is_dir():
    pytest.skip("the recorded streams are not beside this checkout", allow_module_level=True)

APIS = {"openai.chat": "openai", "anthropic.messages": "anthropic"}


def recordings() -> list[dict[str, Any]]:
    """Every recorded server-sent stream of the two APIs the demo speaks."""
    read = (json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json")))
    return [r for r in read if r["streaming"] and r["framing"] == "sse" and r["api"] in APIS]


def text_of(recording: dict[str, Any]) -> str:
    """The answer's text, read from the recording in another way than the client under test does."""
    found = []
    for block in recording["response_body"].replace("\r\n", "\n").split("\n\n"):
        for line in block.split("\n"):
            if line.startswith("data:") and line[5:].strip() not in ("", "[DONE]"):
                event = json.loads(line[5:])
                if recording["api"] == "anthropic.messages":
                    if event.get("type") == "content_block_delta" and event["delta"]["type"] == "text_delta":
                        found.append(event["delta"]["text"])
                else:
                    for choice in event.get("choices", []):
                        content = choice.get("delta", {}).get("content")
                        if choice["index"] == 0 and isinstance(content, str):
                            found.append(content)
    return "".join(found)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


class Replay:
    """A provider's server that plays one recording, cut where a network might cut it."""

    def __init__(self) -> None:
        self.recording: dict[str, Any] = {}
        self.asked: list[dict[str, Any]] = []
        routes = [Route(path, self.stream, methods=["POST"]) for path in ("/chat/completions", "/v1/messages")]
        self.server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_config=None, port=0))

    async def stream(self, request: Request) -> Response:
        self.asked.append(await request.json())
        body = self.recording["response_body"].encode()
        dice = random.Random(len(body))

        async def pieces() -> AsyncIterator[bytes]:
            at = 0
            while at < len(body):
                size = dice.randint(1, 400)
                yield body[at : at + size]
                at += size
                await asyncio.sleep(0)

        return StreamingResponse(pieces(), self.recording["response_status"], media_type="text/event-stream")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"


async def test_every_recorded_stream_folds_to_its_text(site: Site) -> None:
    replay = Replay()
    serving = asyncio.create_task(replay.server.serve())
    while not replay.server.started:
        assert not serving.done()
        await asyncio.sleep(0.01)

    async def agent(run: RunContext) -> None:
        model = Model(APIS[replay.recording["api"]], "key", replay.url, "recorded")
        async with run.message() as out:
            async for piece in model.stream(run, run.input.text, "passages"):
                await out.write(piece)

    found = recordings()
    assert len(found) > 40
    empty = 0
    async with (
        Holdfast(site.url, site.token("agent:model", agents=["model"])) as worker,
        Client(site.url, site.token()) as hf,
    ):
        worker.add_agent("model", agent)
        working = asyncio.create_task(worker.serve())
        for number, replay.recording in enumerate(found):
            session = await hf.create(f"r{number}")
            run = await session.send("go", agent="model")
            outcome = await asyncio.wait_for(run.finished(), 20)
            view = await session.state()
            said = [i for i in view.items if i["kind"] == "message" and i["role"] == "assistant"]
            expected = text_of(replay.recording)
            assert outcome["status"] == "completed", (replay.recording["id"], outcome)
            assert [m["text"] for m in said] == [expected], replay.recording["id"]
            assert [m["status"] for m in said] == ["complete"]
            empty += not expected
        working.cancel()
    assert empty < len(found) / 2  # tool calls alone carry no text
    assert all(asked["stream"] for asked in replay.asked)
    replay.server.should_exit = True
    await serving
