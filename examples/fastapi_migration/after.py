"""A chat endpoint that streams its answer as plain text."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

import holdfast

app = FastAPI()
hub = holdfast.EmbeddedHub("sqlite:///chat.db", app=app)


async def answer(text: str) -> AsyncIterator[str]:
    """Stands for a model: says something, piece by piece."""
    for number in range(1, 61):
        yield f"{text} {number}, "
        await asyncio.sleep(0.05)


@app.post("/chat/{chat}")
async def reply(chat: str, text: str) -> StreamingResponse:
    """The answer, while it is made."""
    return await hub.session(chat).stream(answer, text)
