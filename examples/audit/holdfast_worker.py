"""A worker for holdfast_chat.py: ``python holdfast_worker.py URL writer|reader FOLDER``, its token in AUDIT_WORKER_TOKEN.

Notes its process id in FOLDER as ``.AGENT.pid``, for whoever wants to kill it.
"""

import asyncio
import os
import sys
from pathlib import Path

import holdfast


async def count(run, word, pace_s):
    async with run.message() as out:
        for number in range(60):
            await out.write(f"{word}{number} ")
            await asyncio.sleep(pace_s)


async def write(run):
    """Counts. Before that it asks for approval, or has a sub-agent read, when it is told to."""
    prompt = str(run.input)
    if "approval" in prompt:
        await run.approve("send", {"to": "ann"})
    if "agents" in prompt:
        reading = await run.spawn("reader", "read", attempts=3)
        await reading.finished()
    await count(run, prompt[:4], 0.04)


async def read(run):
    """The sub-agent."""
    await count(run, "page", 0.02)


async def main(url, agent, folder):
    async with holdfast.connect(url, token=os.environ["AUDIT_WORKER_TOKEN"]) as hf:
        hf.agent(agent)({"writer": write, "reader": read}[agent])
        (Path(folder) / f".{agent}.pid").write_text(str(os.getpid()))
        await hf.serve()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
