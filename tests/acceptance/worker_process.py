"""A worker in a process of its own: ``python worker_process.py URL TOKEN MARKS``. What it does it writes to MARKS."""

from __future__ import annotations

import asyncio
import os
import sys
import time

import holdfast

URL, TOKEN, MARKS = sys.argv[1:4]


def mark(words: str) -> None:
    """Say something to the test, past any buffering."""
    with open(MARKS, "a") as file:
        file.write(f"{os.getpid()} {words}\n")


async def count(run: holdfast.RunContext) -> None:
    """Writes the numbers up to the one asked for, durably, one by one."""
    mark(f"start {run.attempt_number}")
    try:
        async with run.message() as out:
            for n in range(int(run.input.text)):
                await out.write(f"{n} ")
                await asyncio.sleep(0.005)
    except asyncio.CancelledError:
        mark(f"cancelled fenced={run.attempt.fenced}")
        raise
    mark("done")


async def once(run: holdfast.RunContext) -> None:
    """One side effect, then a long wait in the first attempt."""
    await run.tool("effect", {"n": 1}, lambda n: mark("effect"))
    if run.attempt_number == 1:
        mark("waiting")
        await asyncio.sleep(3_600)
    await run.say("after the effect")


async def block(run: holdfast.RunContext) -> None:
    """Blocks the whole loop in its first attempt."""
    await run.say(f"attempt {run.attempt_number}")
    await run.flush()
    if run.attempt_number == 1:
        mark("blocking")
        time.sleep(4)
        mark("unblocked")
        await run.say("too late")
        await run.flush()


async def swallow(run: holdfast.RunContext) -> None:
    """Does not stop when told to."""
    mark("swallowing")
    while True:
        try:
            try:
                async with run.message() as out:
                    await out.write("again ")
                    await asyncio.sleep(0.01)
            except holdfast.HoldfastError:
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            mark(f"swallowed fenced={run.attempt.fenced}")


async def main() -> None:
    async with holdfast.connect(URL, token=TOKEN) as hf:
        for agent in (count, once, block, swallow):
            hf.agent(agent.__name__)(agent)
        mark("serving")
        await hf.serve(slots=2, drain_s=60, signals=True)
    mark("drained")


asyncio.run(main())
