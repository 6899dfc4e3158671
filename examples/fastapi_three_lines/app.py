"""A streaming FastAPI endpoint, made durable. The three lines are marked.

Start it with ``uvicorn app:app``; sessions are in ``sessions.db``.
"""

import asyncio
import os

from fastapi import FastAPI
from starlette.responses import Response

import holdfast

app = FastAPI()
hub = holdfast.EmbeddedHub(os.environ.get("SESSIONS", "sqlite:///sessions.db"))  # 1
app.include_router(hub.router)  # 2: REST, SSE and WebSocket under /v1; its lifespan opens and closes the hub


@hub.agent("writer")
async def write(run: holdfast.RunContext) -> None:
    """What used to be the body of a generator. Registered by name, it is taken up again after a restart."""
    async with run.message() as out:
        for word in f"You said: {run.input}".split(" "):
            await out.write(word + " ")
            await asyncio.sleep(0.02)


@app.post("/chat/{session}")
async def chat(session: str, text: str) -> Response:
    """The old endpoint still streams. The run goes on when its reader goes away."""
    run = await hub.session(session).start("writer", text)  # 3
    return run.sse()


@app.post("/login/{name}")
async def login(name: str) -> dict[str, str]:
    """A token for this person's browser. Put your own login here, and grant only what this person may see."""
    return {"token": hub.token(f"user:{name}", capabilities={"*": ["read", "append", "control", "presence"]})}
