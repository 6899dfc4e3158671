"""An agent in a process of its own: streams an answer, calls a tool, survives being killed.

Run it with ``HOLDFAST_TOKEN`` of a token that acts for ``reporter``; several of them share the work.
"""

import asyncio
import os

import holdfast

TEMPERATURES = {"oslo": -3, "bergen": 6}


async def look_up(city: str) -> dict[str, int]:
    """A tool. Its result is journalled: an attempt that repeats the call gets it without calling again."""
    await asyncio.sleep(0.05)
    print(f"looked up {city}", flush=True)
    return {"degrees": TEMPERATURES[city]}


async def report(run: holdfast.RunContext) -> None:
    """Answer with the temperature of a city. Cancelled like any asyncio task when somebody presses stop."""
    city = run.input.text.strip().lower()
    if city not in TEMPERATURES:
        await run.say(f"I know {' and '.join(TEMPERATURES)}.")
        return
    async with run.step("look up"):
        found = await run.tool("look_up", {"city": city}, look_up)
    async with run.message() as out:
        for word in f"It is {found['degrees']} degrees in {city.capitalize()}.".split(" "):
            await out.write(word + " ")
            await asyncio.sleep(0.02)


async def main() -> None:
    """Serve until told to stop; runs at hand are finished first."""
    url = os.environ.get("HOLDFAST_URL", "http://127.0.0.1:7417")
    async with holdfast.connect(url, token=os.environ["HOLDFAST_TOKEN"]) as hf:
        hf.agent("reporter")(report)
        print("serving reporter", flush=True)
        await hf.serve(slots=4, signals=True)


if __name__ == "__main__":
    asyncio.run(main())
