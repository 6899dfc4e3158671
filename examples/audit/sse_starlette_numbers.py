"""sse-starlette's own example: an EventSourceResponse over a generator of numbers."""

import asyncio

from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.routing import Route


async def numbers(minimum, maximum):
    for number in range(minimum, maximum + 1):
        await asyncio.sleep(0.04)
        yield {"data": number}


async def sse(request):
    return EventSourceResponse(numbers(1, 60))


app = Starlette(routes=[Route("/", endpoint=sse)])
