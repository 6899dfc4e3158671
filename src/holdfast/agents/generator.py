"""Agents made of generators, as applications have them that stream a response: text in, pieces of text out."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import cast

from holdfast.agents.execution import Agent
from holdfast.agents.run import RunContext

Generator = Callable[[str], AsyncIterator[str] | Iterator[str]]
"""A function of the input's words that yields the answer piece by piece, with or without ``async``."""


def as_agent(function: Agent | Generator) -> Agent:
    """The function itself, or, of a generator, the agent that answers with one message: what the generator yields.

    A generator without ``async`` runs in a thread; stopping the run takes effect between two of its pieces.
    """
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        return _message_agent(function)
    return cast(Agent, function)


@functools.cache  # the same generator is the same agent
def _message_agent(generator: Generator) -> Agent:
    @functools.wraps(generator)
    async def answer(run: RunContext) -> None:
        pieces = generator(run.input.text)
        async with run.message() as message:
            async for piece in pieces if isinstance(pieces, AsyncIterator) else _iterate_in_thread(pieces):
                await message.write(piece)

    return answer


async def _iterate_in_thread(pieces: Iterator[str]) -> AsyncIterator[str]:
    context = contextvars.copy_context()  # one for all pieces, as the generator would have it
    next_piece = functools.partial(next, pieces, None)
    while (piece := await asyncio.to_thread(context.run, next_piece)) is not None:
        yield piece
