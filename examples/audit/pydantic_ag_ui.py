"""Pydantic AI's AG-UI server, as its documentation has it, over a model that counts."""

import asyncio

from pydantic_ai import Agent
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.ui.ag_ui import AGUIAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route


async def count(messages, info):
    for number in range(60):
        yield f"word{number} "
        await asyncio.sleep(0.04)


agent = Agent(FunctionModel(stream_function=count))


async def run(request: Request):
    return await AGUIAdapter.dispatch_request(request, agent=agent)


app = Starlette(routes=[Route("/", run, methods=["POST"])])
