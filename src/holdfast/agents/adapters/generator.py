"""Any async generator: ``await generator.stream(run, answer(run.input.text))`` makes what it yields durable.

It yields text, or objects with a ``type``:

=============  ====================================================================
``text``       ``text``: more of the answer
``reasoning``  ``text``
``source``     ``uri``, ``title?``, ``quote?``: for the message that is being written
``step``       ``name``: what it does from here on
``tool``       ``id``, ``name``, ``args?``: a call that the generator makes itself
``result``     ``id``, ``result`` or ``error``: what came of it
``usage``      ``model``, ``input_tokens``, ``output_tokens`` …
``state``      ``value``: the session's shared state
``activity``   ``name``, ``content``: something structured to be shown
``custom``     ``name``, ``value``
=============  ====================================================================
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import Any

from holdfast.agents.adapters.answer import ModelAnswer, RunWriter
from holdfast.agents.results import to_data
from holdfast.agents.run import RunContext
from holdfast.errors import Refused
from holdfast.protocol import events as e

__all__ = ["stream"]

_TEXT_KEY = 0


async def stream(run: RunContext, pieces: AsyncIterable[str | dict[str, Any]]) -> ModelAnswer:
    """Write what a generator yields into the run as it comes. A stop closes the generator: its ``finally`` runs.

    A later attempt calls the generator anew; the texts of a lost one stay, marked as cut.

    Raises:
        Refused: ``input.malformed``, an object without a known type or without what its type needs.
    """
    writer = _PieceWriter(run)
    try:
        async for piece in pieces:
            await writer.write({"type": "text", "text": piece} if isinstance(piece, str) else piece)
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
    return await writer.end()


class _PieceWriter:
    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._writer = RunWriter(run)
        self._step: contextlib.AsyncExitStack | None = None
        self._handlers: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "text": self._write_text,
            "reasoning": self._write_reasoning,
            "source": self._cite,
            "step": self._start_step,
            "tool": self._start_call,
            "result": self._record_result,
            "usage": self._record_usage,
            "state": self._set_state,
            "activity": self._show_activity,
            "custom": self._emit_custom,
        }

    async def write(self, piece: dict[str, Any]) -> None:
        kind = str(piece.get("type"))
        if kind not in self._handlers:
            raise Refused("input.malformed", f"the generator yielded an object of type {kind!r:.80}")
        try:
            await self._handlers[kind](piece)
        except KeyError as missing:
            raise Refused("input.malformed", f"the generator yielded a {kind} without {missing}") from None

    async def end(self) -> ModelAnswer:
        await self._end_step()
        self._writer.answer.finish = "stop"
        return await self._writer.complete()

    async def _write_text(self, piece: dict[str, Any]) -> None:
        await self._close_text("reasoning")
        await self._writer.write_text(_TEXT_KEY, piece["text"])

    async def _write_reasoning(self, piece: dict[str, Any]) -> None:
        await self._close_text("message")
        await self._writer.write_reasoning(_TEXT_KEY, piece["text"])

    async def _close_text(self, kind: str) -> None:
        texts = self._writer.texts
        texts.end(kind, _TEXT_KEY)
        for out in texts.take():
            await out.close()

    async def _cite(self, piece: dict[str, Any]) -> None:
        await self._writer.cite(_TEXT_KEY, piece["uri"], piece.get("title", ""), piece.get("quote", ""))

    async def _start_step(self, piece: dict[str, Any]) -> None:
        name = str(piece["name"])
        await self._end_step()
        self._step = contextlib.AsyncExitStack()
        await self._step.enter_async_context(self._run.step(name))

    async def _end_step(self) -> None:
        step, self._step = self._step, None
        if step is not None:
            await step.aclose()

    async def _start_call(self, piece: dict[str, Any]) -> None:
        ident, name = str(piece["id"]), str(piece["name"])
        await self._close_text("message")
        await self._writer.start_provider_call(ident, ident, name)
        await self._writer.append_args(ident, json.dumps(to_data(piece.get("args") or {}), ensure_ascii=False))

    async def _record_result(self, piece: dict[str, Any]) -> None:
        ident = str(piece["id"])
        if self._writer.find_call(ident) is None:
            raise Refused("input.malformed", f"the generator yielded a result of {ident!r:.80}, which it did not call")
        error = piece.get("error")
        await self._writer.record_result(ident, None if error else piece["result"], str(error or ""))

    async def _record_usage(self, piece: dict[str, Any]) -> None:
        await self._run.usage(**{name: value for name, value in piece.items() if name != "type"})

    async def _set_state(self, piece: dict[str, Any]) -> None:
        await self._run.state.set(piece["value"])

    async def _show_activity(self, piece: dict[str, Any]) -> None:
        await self._run.activity(str(piece["name"]), to_data(piece["content"]))

    async def _emit_custom(self, piece: dict[str, Any]) -> None:
        await self._run.emit(e.CUSTOM, {"name": str(piece["name"]), "value": to_data(piece["value"])})
