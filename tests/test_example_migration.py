"""``examples/fastapi_migration``: three lines between an answer that a reload loses and one that it does not."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import holdfast
from holdfast.edge import auth

FOLDER = Path(__file__).parents[1] / "examples" / "fastapi_migration"
WHOLE = "".join(f"tide {number}, " for number in range(1, 61))
pytestmark = [pytest.mark.anyio, pytest.mark.process]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextlib.asynccontextmanager
async def uvicorn_of(module: str, data: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The application in a process of its own, as its page starts it, with its files in ``data``."""
    command = [sys.executable, "-m", "uvicorn", f"{module}:app", "--port", "0", "--app-dir", str(FOLDER)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=data, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            url = None
            while url is None:
                line = (await process.stderr.readline()).decode()
                assert line, "the application did not start"
                url = re.search(r"http://\S+", line)
        reading = asyncio.create_task(process.stderr.read())
        async with httpx.AsyncClient(base_url=url[0], trust_env=False, timeout=30) as http:
            yield http
        process.terminate()
        async with asyncio.timeout(20):
            await reading
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()


async def cut(http: httpx.AsyncClient, chat: str) -> str:
    """Ask, and go away after a few words."""
    heard = ""
    async with http.stream("POST", f"/chat/{chat}", params={"text": "tide"}) as response:
        async for piece in response.aiter_text():
            heard += piece
            if "tide 5," in heard:
                break
    assert WHOLE.startswith(heard) and heard != WHOLE
    return heard


def connected(http: httpx.AsyncClient, data: Path) -> holdfast.Holdfast:
    secret = auth.read_secret(str(data / "chat.db"))
    assert secret is not None
    return holdfast.connect(str(http.base_url), token=auth.mint(secret, subject="user:ann"))


def test_three_lines_differ() -> None:
    before, after = ((FOLDER / name).read_text().splitlines() for name in ("before.py", "after.py"))
    told = [line for line in difflib.ndiff(before, after) if line[:2] in ("+ ", "- ") and line[2:].strip()]
    assert len([line for line in told if line[0] == "+"]) == 3
    assert [line[2:].strip() for line in told if line[0] == "-"] == [
        'return StreamingResponse(answer(text), media_type="text/plain")'
    ]


async def test_the_endpoint_keeps_its_shape(tmp_path: Path) -> None:
    answers = []
    for module in ("before", "after"):
        async with uvicorn_of(module, tmp_path) as http:
            response = await http.post("/chat/first", params={"text": "tide"})
            answers.append((response.status_code, response.headers["content-type"], response.text))
    assert answers == [(200, "text/plain; charset=utf-8", WHOLE)] * 2


async def test_before_a_cut_loses_the_answer_and_after_it_does_not(tmp_path: Path) -> None:
    async with uvicorn_of("after", tmp_path) as http:
        heard = await cut(http, "first")
        async with connected(http, tmp_path) as hf, connected(http, tmp_path) as other:
            session = hf.session("first")
            async with session.live() as live, other.session("first").live() as second:
                (run,) = live.view.runs.values()
                assert run["status"] == "running", "the answer goes on without its reader"
                assert WHOLE.startswith(heard) and second.view.items[-1]["text"] in WHOLE
                for view in (live, second):
                    await view.until(lambda view: view.runs[run["id"]]["status"] == "completed")
                    assert [item["text"] for item in view.view.items] == ["tide", WHOLE]
            pieces = [piece async for piece in session.run(run["id"]).stream()]
            assert "".join(pieces) == WHOLE


async def test_a_reader_resumes_over_sse_where_it_was_cut(tmp_path: Path) -> None:
    async with uvicorn_of("after", tmp_path) as http:
        await cut(http, "first")
        secret = auth.read_secret(str(tmp_path / "chat.db"))
        assert secret is not None
        headers = {"authorization": f"Bearer {auth.mint(secret, subject='user:ann')}", "accept": "text/event-stream"}
        said, connections, over = "", 0, False
        while not over:
            connections += 1
            async with http.stream("GET", "/v1/sessions/first/events", headers=headers) as response:
                assert response.status_code == 200
                left = 9  # then it is cut again
                async for line in response.aiter_lines():
                    if line.startswith("id: "):
                        headers["last-event-id"] = line.removeprefix("id: ")
                    elif line.startswith("data: "):
                        message = json.loads(line.removeprefix("data: "))
                        said = told(said, message)
                        over = any(event["type"] == "run.ended" for event in message.get("events", []))
                        left -= 1
                    elif not line and (over or left <= 0):
                        break
        assert said == WHOLE
        assert connections > 2


def told(said: str, message: dict[str, Any]) -> str:
    """The answer after one more message of the session."""
    if message["op"] == "snapshot":
        return "".join(item["text"] for item in message["view"]["items"] if item["role"] != "user")
    events = message.get("events", [])
    return said + "".join(event["data"]["delta"] for event in events if event["type"] == "TEXT_MESSAGE_CONTENT")


async def test_stop_stops_it_and_the_response_ends(tmp_path: Path) -> None:
    async with uvicorn_of("after", tmp_path) as http:
        async with http.stream("POST", "/chat/first", params={"text": "tide"}) as response:
            heard = ""
            async with connected(http, tmp_path) as hf:
                session = hf.session("first")
                stopped = False
                async for piece in response.aiter_text():
                    heard += piece
                    if not stopped and "tide 3," in heard:
                        stopped = True
                        await session.cancel(scope="all")
                (run,) = (await session.state()).runs.values()
        assert run["status"] == "cancelled"
        assert WHOLE.startswith(heard) and heard != WHOLE
