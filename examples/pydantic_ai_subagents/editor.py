"""A Pydantic AI agent with three sub-agents that work at the same time, each in its own voice.

Run it with ``HOLDFAST_TOKEN`` of a token that acts for ``editor``.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from pydantic_ai import Agent, ModelMessage, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

import holdfast
from holdfast.agents.adapters import pydantic_ai

TOPICS = ("tides", "winds", "stars")


async def look(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
    """Stands in for a model, so that the example needs no key: says a sentence word by word."""
    for word in f"I looked at {messages[-1].parts[-1].content}.".split(" "):
        await asyncio.sleep(0.01)
        yield f"{word} "


async def edit(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
    """Another: calls the tool three times at once, then puts together what came back."""
    found = [str(part.content) for message in messages for part in message.parts if isinstance(part, ToolReturnPart)]
    if found and messages[-1].parts[0].part_kind == "tool-return":
        yield "All together: " + "".join(found)
    else:
        for number, topic in enumerate(TOPICS):
            yield {number: DeltaToolCall(name="scout_out", json_args=f'{{"topic": "{topic}"}}')}


scout = Agent(FunctionModel(stream_function=look), name="scout")
chief = Agent(FunctionModel(stream_function=edit), name="editor")


@chief.tool_plain
async def scout_out(topic: str) -> str:
    """Let a scout look at a topic."""
    return str(await pydantic_ai.sub(scout, topic, name=topic))


async def editor(run: holdfast.RunContext) -> None:
    """The agent: Pydantic AI's, made durable. Scouts may be sent again, should the worker die while they are out."""
    await pydantic_ai.run(run, chief, idempotent=["scout_out"])


async def main() -> None:
    """Serve until told to stop."""
    url = os.environ.get("HOLDFAST_URL", "http://127.0.0.1:7417")
    async with holdfast.connect(url, token=os.environ["HOLDFAST_TOKEN"]) as hf:
        hf.agent("editor")(editor)
        print("serving editor", flush=True)
        await hf.serve(signals=True)


if __name__ == "__main__":
    asyncio.run(main())
