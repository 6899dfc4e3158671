"""The dialect inside somebody's own FastAPI application."""

from __future__ import annotations

import asyncio

import openai
import pytest
import uvicorn
from fastapi import FastAPI

import holdfast

from .test_python_client import WORDS, deltas, echo, teller

pytestmark = pytest.mark.anyio


async def test_an_application_that_includes_the_router_speaks_it() -> None:
    hub = holdfast.EmbeddedHub("memory:")
    hub.agent("teller")(teller)
    hub.agent("echo")(echo)
    app = FastAPI()
    app.include_router(hub.router)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=hub.token("user:ann"), max_retries=0)
    async with client:
        assert (await client.responses.create(model="echo", input="hello")).output_text == "You said: hello"
        read = [event async for event in await client.responses.create(model="teller", input="go", stream=True)]
        assert deltas(read) == "".join(WORDS) and read[-1].type == "response.completed"
    server.should_exit = True
    await serving
