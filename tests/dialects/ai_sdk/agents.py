"""The agents these tests talk to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import holdfast

WORDS = 120
PACE_S = 0.01


def words(count: int = WORDS) -> list[str]:
    """What the writer writes: every word another, so that a repeat or a gap shows."""
    return [f"word{number} " for number in range(count)]


def flood() -> list[str]:
    """More than any buffer on the way holds: 5 MB."""
    return [str(number).ljust(10_000) for number in range(500)]


class Pace:
    """How far the writer gets: as many words of each answer as a test lets it write."""

    def __init__(self) -> None:
        self._words = 0
        self._more = asyncio.Event()

    def let(self, words: int) -> None:
        """It may write so many words of an answer, those that it has written counted."""
        self._words = words
        self._more.set()

    def free(self) -> None:
        """It may write to the end."""
        self.let(sys.maxsize)

    async def turn(self, number: int) -> None:
        """Wait until the word of this number, from 0 on, may be written."""
        while number >= self._words:
            self._more.clear()
            await self._more.wait()


pace: Pace | None = None
"""Where a test has set one, the writer goes by it; else it writes a hundred words a second."""


async def writer(run: Any) -> None:
    """Writes for a while; longer when asked to; a flood at once."""
    async with run.message() as out:
        if run.input.text == "flood":
            for piece in flood():
                await out.write(piece)
            return
        for number, word in enumerate(words(1_000 if "long" in run.input.text else WORDS)):
            await (pace.turn(number) if pace is not None else asyncio.sleep(PACE_S))
            await out.write(word)


async def echo(run: Any) -> None:
    """Says what it was told."""
    await run.say(f"You said: {run.input.text}")


async def reader(run: Any) -> None:
    """Says what it was given to go by."""
    await run.say(" · ".join(f"{said['role']} {said['content']}" for said in run.history))


async def counter(run: Any) -> None:
    """Says a word, changes the shared state when it is told to, and says another."""
    word, _, value = run.input.text.partition(" ")
    await run.say("Before.", key="before")
    if value:
        await run.state.set({"n": value})
    if word == "hold":
        async for _ in run.steers():
            break
    await run.say("After.", key="after")


async def maker(run: Any) -> None:
    """Everything an agent may write: reasoning, a step, tools, sources, activities, state, custom events."""
    async with run.reasoning() as out:
        await out.write("Let me think.")
    async with run.step("search"):
        assert await run.tool("lookup", {"q": "tides"}, lambda q: {"found": q}) == {"found": "tides"}
    with contextlib.suppress(ValueError):
        await run.tool("broken", {"n": 1}, _broken)
    await run.activity("plan", {"steps": ["one", "two"]})
    await run.activity("file", {"url": "https://example.com/a.png", "mediaType": "image/png"})
    await run.state.set({"count": 1})
    await run.emit("CUSTOM", {"name": "ping", "value": {"n": 1}})
    async with run.message() as out:
        await out.write("Six o'clock 😀.")
        about = {"messageId": out.id, "sourceId": "s1", "uri": "https://example.com/tides", "title": "Tides"}
        await run.emit("source.cited", about)


def _broken(n: int) -> None:
    raise ValueError("no such thing")


async def clerk(run: Any) -> None:
    """Asks before it sends; with ``wait`` it lets its worker go meanwhile."""
    await run.say("I have a draft. ", key="draft")
    letter = {"to": "ann@example.com", "text": run.input.text}
    try:
        sent = await run.gated_tool("send_mail", letter, _send, wait="wait" in run.input.text)
    except holdfast.ToolDenied as error:
        await run.say(f"Not sent: {error.approval.note}.")
    else:
        await run.say(f"{sent}.")


def _send(to: str, text: str) -> str:
    return f"Sent to {to}"


goes_on: asyncio.Event | None = None
"""Where a test has set one, the editor's scouts wait for it in the middle of what they say."""


async def editor(run: Any) -> None:
    """Two sub-agents at the same time, then a word of its own."""

    async def scout(name: str) -> None:
        async with run.sub(name) as child, child.message() as out:
            for number, word in enumerate(words(40)):
                if number == 20 and goes_on is not None:
                    await goes_on.wait()
                await out.write(f"{name}-{word}")
                await asyncio.sleep(PACE_S)

    await run.say("Asking two. ")
    await asyncio.gather(scout("north"), scout("south"))
    await run.say("Both are back.")


async def failing(run: Any) -> None:
    """Fails in the middle of a message."""
    async with run.message() as out:
        await out.write("I try. ")
        await run.flush()
        raise RuntimeError("out of ink")


async def librarian(run: Any) -> None:
    """Calls tools in the browser: each as the input's JSON says, all at once, and says what came of them."""
    calls = json.loads(run.input.text)
    await run.say("I ask you. ", key="ask")

    async def call(about: dict[str, Any]) -> Any:
        try:
            return await run.browser_tool(**about)
        except holdfast.HoldfastError as error:
            return error.detail

    picked = await asyncio.gather(*map(call, calls)) if len(calls) > 1 else [await call(calls[0])]
    await run.say("Got " + json.dumps(picked) + ".", key="got")


async def notary(run: Any) -> None:
    """Has a file picked in the browser, and asks before it signs that."""
    picked = await run.browser_tool("pick_file", {})
    signed = await run.gated_tool("sign", {"file": picked}, lambda file: f"signed {file}")
    await run.say(f"Got {signed}.", key="got")


AGENTS = {f.__name__: f for f in (writer, echo, reader, counter, maker, clerk, editor, failing, librarian, notary)}


@contextlib.asynccontextmanager
async def serve(url: str, token: str) -> AsyncIterator[None]:
    """All of them on one connection."""
    async with holdfast.connect(url, token=token) as hf:
        for name, agent in AGENTS.items():
            hf.agent(name)(agent)
        task = asyncio.create_task(hf.serve())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
