"""FastAPI's StreamingResponse, as its documentation shows it, with words instead of video bytes."""

import asyncio

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()


async def fake_answer():
    for number in range(60):
        yield f"word{number} "
        await asyncio.sleep(0.04)


@app.get("/")
async def main():
    return StreamingResponse(fake_answer(), media_type="text/plain")
