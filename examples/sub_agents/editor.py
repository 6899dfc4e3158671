"""A run that starts runs: two scouts look things up at the same time, each writing to the session as its own actor.

Run it with ``HOLDFAST_TOKEN`` of a token that acts for ``editor`` and ``scout``.
"""

import asyncio
import os

import holdfast

FACTS = {"tides": "The moon makes them.", "winds": "The sun makes them."}


async def editor(run: holdfast.RunContext) -> None:
    """Ask a scout about each topic, and put their answers together."""
    topics = [topic for topic in FACTS if topic in run.input.text.lower()]
    # Runs of another agent, for any worker that serves it. The name lets a later attempt find what has been done.
    scouts = [await run.spawn("scout", {"topic": topic}, name=f"scout:{topic}") for topic in topics]
    answers = await asyncio.gather(*(scout.text() for scout in scouts))
    # A sub-run in this very attempt: its own actor, its own cancel, no other worker.
    async with run.sub("checker") as checker:
        await checker.say(f"{len(answers)} answers, none empty." if all(answers) else "Something is missing.")
    await run.say(" ".join(answers))


async def scout(run: holdfast.RunContext) -> None:
    """Look one topic up. Stopping the editor's run stops this one as well."""
    async with run.message() as out:
        await asyncio.sleep(0.05)
        await out.write(FACTS[run.input.data["topic"]])


async def main() -> None:
    """Serve both agents until told to stop."""
    url = os.environ.get("HOLDFAST_URL", "http://127.0.0.1:7417")
    async with holdfast.connect(url, token=os.environ["HOLDFAST_TOKEN"]) as hf:
        hf.agent("editor")(editor)
        hf.agent("scout")(scout)
        print("serving editor and scout", flush=True)
        await hf.serve(slots=8, signals=True)


if __name__ == "__main__":
    asyncio.run(main())
