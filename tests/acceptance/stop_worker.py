"""A worker for stops, in a process of its own: ``python stop_worker.py URL TOKEN MARKS SLOTS``. Runs that begin stand in MARKS."""

from __future__ import annotations

import asyncio
import os
import sys

import holdfast

URL, TOKEN, MARKS, SLOTS = sys.argv[1:5]


def mark(words: str) -> None:
    """Say something to the test, past any buffering."""
    with open(MARKS, "a") as file:
        file.write(f"{os.getpid()} {words}\n")


async def listener(run: holdfast.RunContext) -> None:
    """Works until it is told to stop, and then stops."""
    mark(f"begun {run.session.id}")
    await run.say("so far")
    await asyncio.Event().wait()


async def hung(run: holdfast.RunContext) -> None:
    """Works on whatever it is told."""
    mark(f"begun {run.session.id}")
    await run.say("so far")
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


async def main() -> None:
    async with holdfast.connect(URL, token=TOKEN) as hf:
        hf.agent("listener")(listener)
        hf.agent("hung")(hung)
        mark("serving")
        await hf.serve(slots=int(SLOTS))


asyncio.run(main())
