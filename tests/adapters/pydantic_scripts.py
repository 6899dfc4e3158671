"""Scripted models for the tests of Pydantic AI agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel


def returned(messages: list[m.ModelMessage]) -> dict[str, Any]:
    """What the tools of a conversation returned so far."""
    parts = [part for message in messages for part in message.parts if isinstance(part, m.ToolReturnPart)]
    return {part.tool_name: part.content for part in parts}


def prompts(messages: list[m.ModelMessage]) -> list[str]:
    """What people said."""
    return [str(p.content) for message in messages for p in message.parts if isinstance(p, m.UserPromptPart)]


class Scripted:
    """A model that calls a tool and then answers with what came back; it counts its requests."""

    def __init__(self, tool: str, args: str, *, hold: asyncio.Event | None = None) -> None:
        self.tool, self.args, self.hold = tool, args, hold
        self.requests = 0
        self.holding = asyncio.Event()

    async def __call__(self, messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        self.requests += 1
        if self.tool not in returned(messages):
            yield "Let me "
            yield "see."
            half = len(self.args) // 2
            yield {1: DeltaToolCall(name=self.tool, tool_call_id="c1")}
            yield {1: DeltaToolCall(json_args=self.args[:half])}
            yield {1: DeltaToolCall(json_args=self.args[half:])}
            return
        yield "It came to: "
        if self.hold is not None:
            self.holding.set()
            await self.hold.wait()
        yield str(returned(messages)[self.tool])

    @property
    def model(self) -> FunctionModel:
        return FunctionModel(stream_function=self)
