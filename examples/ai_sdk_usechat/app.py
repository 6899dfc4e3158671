"""The AI SDK's ``useChat`` over durable sessions: the agent, the login and the page in one application.

Start it with ``uvicorn app:app`` after ``npm ci && npm run build``; sessions are in ``sessions.db``.
"""

import asyncio
import os
from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

import holdfast

app = FastAPI()
hub = holdfast.EmbeddedHub(os.environ.get("SESSIONS", "sqlite:///sessions.db"))
app.include_router(hub.router)  # the AI SDK's endpoints are among its routes: /v1/ai-sdk/v7/writer
PACE_S = float(os.environ.get("PACE_S", "0.05"))


@hub.agent("writer")
async def write(run: holdfast.RunContext) -> None:
    """Counts as slowly as a model speaks; asks before it sends a mail. Its worker is let go while people think."""
    async with run.message(key="answer") as out:
        for number in range(1, 101):
            await out.write(f"{number} ")
            if not out.replayed:
                await asyncio.sleep(PACE_S)
    if "mail" in run.input.text:
        try:
            done = await run.gated_tool("send_mail", {"text": run.input.text}, send_mail, wait=True)
            await run.say(f"\n{done}")
        except holdfast.ToolDenied:
            await run.say("\nNot sent.")


def send_mail(text: str) -> str:
    """Stands for the real thing."""
    return f"Sent: {text}"


@app.post("/login")
async def login() -> dict[str, str]:
    """A token for this person's browser. Put your own login here, and grant only what this person may see."""
    return {"token": hub.token("user:ann", capabilities={"chat-*": ["read", "append", "control", "approve"]})}


app.mount("/", StaticFiles(directory=Path(__file__).parent / "dist", html=True, check_dir=False))
