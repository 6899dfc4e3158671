"""An answer that is written into a run as it comes: what the model says becomes the run's messages."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.agents.output import TextOut
from holdfast.agents.run import RunContext
from holdfast.errors import Unavailable
from holdfast.gateway.answers import CallerAnswer, Headers
from holdfast.gateway.incoming import Incoming
from holdfast.protocol import events as e
from holdfast.protocol import limits
from holdfast.providers.dialects import STREAM_DIALECTS
from holdfast.providers.errors import MalformedStream
from holdfast.providers.pieces import ArgumentsDelta, CallStart, Piece, ReasoningDelta, RefusalDelta, TextDelta, merge
from holdfast.visible import logger

log = logger("holdfast.gateway")


class RunAnswer:
    """An answer that is written into a run, and given to the caller as long as it waits."""

    def __init__(self, incoming: Incoming, answer: CallerAnswer, run: RunContext, left: Callable[[], bool]) -> None:
        self._answer = answer
        self._run = run
        self._left = left
        self._dialect = STREAM_DIALECTS[incoming.wire.name] if incoming.wire.streams else None
        self._decoder = self._dialect.decoder() if self._dialect is not None else None
        self._text_kind = ""
        self._text_out: TextOut | None = None
        self._calls: dict[int, str] = {}
        self._has_text = False

    @property
    def started(self) -> bool:
        """Another upstream would say something else."""
        return self._has_text or self._answer.started

    def restart(self) -> None:
        """See ``CallerAnswer``."""
        self._answer.restart()
        self._decoder = self._dialect.decoder() if self._dialect is not None else None

    async def feed(self, data: bytes, headers: Headers) -> None:
        """See ``CallerAnswer``."""
        if not self._left():
            await self._answer.feed(data, headers)
        if self._decoder is not None:
            try:
                pieces = self._decoder.feed(data)
            except MalformedStream as error:
                log.warning("call in run %s: %s", self._run.id, error.detail)
                self._decoder = None
                return
            for piece in merge(pieces):
                await self._write(piece)

    async def _write(self, piece: Piece) -> None:
        if isinstance(piece, (TextDelta, RefusalDelta)):
            await self._say("message", piece.text)
        elif isinstance(piece, ReasoningDelta):
            await self._say("reasoning", piece.text)
        elif isinstance(piece, CallStart):
            self._calls[piece.item] = ident = f"{self._run.id}.{piece.id or piece.item}"[: limits.ENTITY_ID_CHARS]
            await self._run.emit(e.TOOL_START, {"toolCallId": ident, "toolCallName": piece.name or "tool"})
        elif isinstance(piece, ArgumentsDelta) and piece.item in self._calls:
            await self._run.emit(e.TOOL_ARGS, {"toolCallId": self._calls[piece.item], "delta": piece.text})

    async def _say(self, kind: str, words: str) -> None:
        self._has_text = True
        if self._text_kind != kind:
            await self._close_text()
            self._text_kind, text = kind, self._run.message() if kind == "message" else self._run.reasoning()
            self._text_out = await text.__aenter__()
        assert self._text_out is not None
        await self._text_out.write(words)

    async def _close_text(self) -> None:
        if self._text_out is not None:
            await self._text_out.close()
        self._text_kind, self._text_out = "", None

    async def close(self) -> None:
        """Nothing more comes: what is open is closed."""
        for ident in self._calls.values():
            await self._run.emit(e.TOOL_END, {"toolCallId": ident})
        await self._close_text()

    async def end(self, headers: Headers) -> None:
        """See ``CallerAnswer``."""
        if not self._left():
            await self._answer.end(headers)

    async def fail(self, ending: bytes) -> None:
        """See ``CallerAnswer``."""
        if not self._left():
            await self._answer.fail(ending)

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """See ``CallerAnswer``."""
        if not self._left():
            await self._answer.whole(status, headers, body)
        if status >= 400:
            raise Unavailable("upstream.failed", f"the upstream answered {status}")
