"""An agent the tests talk to: what it does follows from the first word of the input. Arguments: address, token."""

from __future__ import annotations

import asyncio
import json
import sys

import holdfast
from holdfast.agents.errors import ToolFailed


async def main() -> None:
    async with holdfast.connect(sys.argv[1], token=sys.argv[2]) as hf:

        @hf.agent("writer")
        async def writer(run: holdfast.RunContext) -> None:
            word, _, rest = run.input.text.partition(" ")
            if word == "count":
                async with run.message() as out:
                    for number in range(int(rest)):
                        await out.write(f"{number} ")
                        await asyncio.sleep(0.002)
            elif word == "wait":  # until it is told what to say, or stopped
                async with run.message() as out:
                    await out.write("waiting ")
                    async for steer in run.steers():
                        await out.write(steer.text)
                        break
            elif word == "browser":  # the rest is what to call, as JSON
                try:
                    result = json.dumps(await run.browser_tool(**json.loads(rest)))
                    await run.say(f"{len(result)} {result[:100]}")
                except ToolFailed as failed:
                    await run.say(failed.detail)
            elif word == "mail":
                yes = await run.approve("mail", {"to": rest})
                await run.say("sent" if yes else "not sent")
            else:
                await run.say(f"you said {run.input.text}")

        sys.stdout.write("serving\n")
        sys.stdout.flush()
        await hf.serve(slots=32)


asyncio.run(main())
