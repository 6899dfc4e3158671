"""OpenAI's own client and a background response that outlives its connection: start, be cut, go on exactly, ask again.

Run it with ``HOLDFAST_TOKEN`` of a token that may speak and acts for ``teller``. It needs ``pip install openai``.
"""

import asyncio
import os

from openai import AsyncOpenAI

import holdfast

URL = os.environ.get("HOLDFAST_URL", "http://127.0.0.1:7417")
TOKEN = os.environ["HOLDFAST_TOKEN"]


async def teller(run: holdfast.RunContext) -> None:
    """An agent that takes its time. ``model="teller"`` reaches it, whatever process serves it."""
    async with run.message() as out:
        for hour in range(24):
            await out.write(f"{hour} o'clock: {'high' if hour % 12 < 6 else 'low'} water. ")
            await asyncio.sleep(0.05)


async def read(client: AsyncOpenAI) -> None:
    """Start a response, lose the connection in the middle, and go on after the last event received."""
    text, last, response = "", -1, ""
    stream = await client.responses.create(model="teller", input="When is high water?", stream=True, background=True)
    async for event in stream:
        last = event.sequence_number
        if event.type == "response.created":
            response = event.response.id
        elif event.type == "response.output_text.delta":
            text += event.delta
            if len(text) > 100:
                break
    await stream.close()
    print(f"cut after {len(text)} characters", flush=True)

    async for event in await client.responses.retrieve(response, stream=True, starting_after=last):
        if event.type == "response.output_text.delta":
            text += event.delta
    whole = await client.responses.retrieve(response)
    print(f"{whole.status}: {text == whole.output_text}, {len(text)} characters", flush=True)


async def main() -> None:
    """Serve the agent and be its client, in one process for brevity."""
    client = AsyncOpenAI(base_url=f"{URL}/v1", api_key=TOKEN)
    async with holdfast.connect(URL, token=TOKEN) as hf, client:
        hf.agent("teller")(teller)
        serving = asyncio.create_task(hf.serve())
        await read(client)
        serving.cancel()


if __name__ == "__main__":
    asyncio.run(main())
