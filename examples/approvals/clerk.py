"""An agent that asks before it acts. While people think it holds no worker: its run waits in the log.

Run it with ``HOLDFAST_TOKEN`` of a token that acts for ``clerk``, then decide with ``holdfast approve SESSION ID``.
"""

import asyncio
import os

import holdfast

OUTBOX: list[str] = []


async def send_mail(to: str, text: str) -> str:
    """The act itself. It gets exactly the arguments that were approved."""
    OUTBOX.append(to)
    print(f"sent to {to}: {text}", flush=True)
    return "sent"


async def clerk(run: holdfast.RunContext) -> None:
    """Send what was asked for, if somebody allows it.

    With ``wait=True`` the worker is let go, and this function is called again from its top with the answer, perhaps in
    another process. So what comes before must be repeatable: the key keeps the first message from being said twice.
    """
    await run.say("I have a draft.", key="draft")
    try:
        await run.gated_tool("send_mail", {"to": "ann@example.com", "text": run.input.text}, send_mail, wait=True)
    except holdfast.ToolDenied as denied:
        await run.say(f"Not sent: {denied.approval.note or 'it was denied'}.")
        return
    await run.say("Sent.")


async def main() -> None:
    """Serve until told to stop."""
    url = os.environ.get("HOLDFAST_URL", "http://127.0.0.1:7417")
    async with holdfast.connect(url, token=os.environ["HOLDFAST_TOKEN"]) as hf:
        hf.agent("clerk")(clerk)
        print("serving clerk", flush=True)
        await hf.serve(signals=True)


if __name__ == "__main__":
    asyncio.run(main())
