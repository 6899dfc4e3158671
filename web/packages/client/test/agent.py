"""An agent the tests talk to: what it does follows from the first word of the input. Arguments: address, token."""

from __future__ import annotations

import asyncio
import json
import sys

import holdfast
from holdfast.agents import approvals
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
            elif word == "budget":  # what a gateway says of one that brakes the answer, as JSON
                async with run.message() as out:
                    await out.write("so far")
                    for content in json.loads(rest):
                        await run.emit(
                            "ACTIVITY_SNAPSHOT",
                            {
                                "messageId": f"{run.id}.budget",
                                "activityType": "budget",
                                "content": content,
                                "replace": True,
                            },
                        )
                    await run.flush()
                    await asyncio.Event().wait()
            elif word == "mail":
                yes = await run.approve("mail", {"to": rest})
                await run.say("sent" if yes else "not sent")
            elif word == "named":  # a name of the agent's own comes again in another life
                waits = {"wait": False, "deadline_s": 60.0, "default": "denied", "self_approve": False}
                yes = await approvals.ask(run.attempt, "sure", "mail", {"to": "bo"}, **waits)
                await run.say("sent" if yes else "not sent")
            elif word == "gated":  # a model's call, about which people are asked; the rest is whether the worker waits
                call, args = f"{run.id}.c1", {"to": "bo"}
                if run.attempt_number == 1:
                    await run.tools.announce(call, "mail")
                    await run.tools.append_args(call, json.dumps(args))
                approval = await run.approve("mail", args, call_id=call, wait=rest == "wait")
                if approval:
                    await run.say(await run.tool("mail", args, lambda to: f"sent to {to}", call_id=call))
                else:
                    error = {"code": "tool.denied", "message": approval.note}
                    await run.tools.record_result(call, "mail", args, "", error=error)
                    await run.say(f"not sent: {approval.note}")
            else:
                await run.say(f"you said {run.input.text}")

        sys.stdout.write("serving\n")
        sys.stdout.flush()
        await hf.serve(slots=32)


asyncio.run(main())
