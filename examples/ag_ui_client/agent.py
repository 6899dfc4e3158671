"""An agent for the AG-UI client beside it: tells the hours, slowly enough to be cut off in between.

Run it with ``HOLDFAST_TOKEN`` of a token that acts for ``teller``.
"""

import asyncio
import os

import holdfast


async def tell(run: holdfast.RunContext) -> None:
    """Answer with twenty-four hours, one after the other."""
    async with run.message() as out:
        for hour in range(24):
            await out.write(f"{hour} o'clock. ")
            await asyncio.sleep(0.05)


async def main() -> None:
    """Serve until told to stop."""
    url = os.environ.get("HOLDFAST_URL", "http://127.0.0.1:7417")
    async with holdfast.connect(url, token=os.environ["HOLDFAST_TOKEN"]) as hf:
        hf.agent("teller")(tell)
        print("serving teller", flush=True)
        await hf.serve(signals=True)


if __name__ == "__main__":
    asyncio.run(main())
