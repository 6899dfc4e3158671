"""Holdfast itself: a server, and an agent in the same process. Leaves a token for people in ``.token``."""

import asyncio
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI

import holdfast

app = FastAPI()
hub = holdfast.Hub("memory:")
app.include_router(hub.router)


@hub.agent("writer")
async def write(run):
    async with run.message() as out:
        for number in range(60):
            await out.write(f"{str(run.input)[:4]}{number} ")
            await asyncio.sleep(0.04)


async def main(port: int) -> None:
    Path(__file__).with_name(".token").write_text(hub.token("user:audit"))
    await uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning")).serve()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
