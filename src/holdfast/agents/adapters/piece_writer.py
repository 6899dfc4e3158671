"""Writes what a provider's codec read into a run: the pieces of an answer, which are the same for all dialects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any

from holdfast.agents.adapters.answer import RunWriter, provider_error
from holdfast.providers import pieces as p
from holdfast.providers.decoder import StreamDecoder
from holdfast.providers.usage import TokenUsage


class PieceWriter:
    """Reads the events of one stream with a decoder, and writes their pieces.

    What differs between dialects is in subclasses: which texts are one message (``key``), where calls of the provider's own
    are found again, and what is sent back to it.
    """

    def __init__(self, writer: RunWriter, decoder: StreamDecoder) -> None:
        self.writer = writer
        self._decoder = decoder
        self._handlers: dict[type, Callable[[Any], Awaitable[object]]] = {
            p.AnswerStart: self.start_answer,
            p.ItemStart: self.start_item,
            p.ItemEnd: self.end_item,
            p.TextDelta: self.write_text,
            p.RefusalDelta: self._write_refusal,
            p.ReasoningDelta: self.write_reasoning,
            p.CallStart: self.start_call,
            p.ProviderCallStart: self.start_provider_call,
            p.ArgumentsDelta: self.append_args,
            p.ProviderCallResult: self.record_result,
            p.SourceCited: self.cite,
            p.OpaqueField: self.add_field,
            TokenUsage: self._set_usage,
            p.AnswerFinish: self.finish,
            p.AnswerFailure: self._fail,
            p.AnswerEnd: self.end,
            p.UnknownPart: self._count,
        }

    async def event(self, event: dict[str, Any]) -> None:
        """Write one event of the stream.

        Raises:
            ProviderFailed: it says that the provider failed.
            MalformedStream: it is no event of the dialect.
        """
        for piece in self._decoder.event(event):
            await self._handlers[type(piece)](piece)

    async def close(self) -> None:
        """Write what is certain now that nothing more comes."""
        for piece in self._decoder.close():
            await self._handlers[type(piece)](piece)

    def key(self, item: int, part: int = 0) -> Hashable:
        """The key of a text; texts whose keys begin with the same are one message."""
        return item, part

    def usage_counts(self, usage: TokenUsage) -> dict[str, int | None]:
        """Tokens named as in ``run.usage``, each as the provider counts it."""
        raise NotImplementedError

    # --- pieces
    async def start_answer(self, piece: p.AnswerStart) -> None:
        """The model is named."""
        self.writer.answer.model = piece.model or self.writer.answer.model

    async def start_item(self, piece: p.ItemStart) -> None:
        """Reasoning stands between two messages."""
        if piece.kind == "reasoning":
            self.writer.texts.break_message()

    async def end_item(self, piece: p.ItemEnd) -> None:
        """Nothing more comes of an item."""

    async def write_text(self, piece: p.TextDelta) -> None:
        """Append to a message."""
        await self.writer.write_text(self.key(piece.item, piece.part), piece.text)

    async def _write_refusal(self, piece: p.RefusalDelta) -> None:
        await self.writer.write_refusal(self.key(piece.item, piece.part), piece.text)

    async def write_reasoning(self, piece: p.ReasoningDelta) -> None:
        """Append to a piece of reasoning."""
        await self.writer.write_reasoning(self.key(piece.item, piece.part), piece.text)

    async def start_call(self, piece: p.CallStart) -> None:
        """A call for the run to make."""
        await self.writer.start_call(piece.item, piece.id, piece.name, piece.form)

    async def start_provider_call(self, piece: p.ProviderCallStart) -> None:
        """A call that the provider makes."""
        await self.writer.start_provider_call(piece.item, piece.id, piece.name)

    async def append_args(self, piece: p.ArgumentsDelta) -> None:
        """Append to the arguments of a call."""
        await self.writer.append_args(piece.item, piece.text)

    async def record_result(self, piece: p.ProviderCallResult) -> None:
        """What came of a call that the provider made."""
        await self.writer.record_result(piece.item, piece.value, piece.error)

    async def cite(self, piece: p.SourceCited) -> None:
        """Cite a source."""
        await self.writer.cite(self.key(piece.item, piece.part), piece.uri, piece.title, piece.quote)

    async def add_field(self, piece: p.OpaqueField) -> None:
        """What the provider wants back, and nobody else."""

    async def finish(self, piece: p.AnswerFinish) -> None:
        """Why the model stopped."""
        self.writer.answer.finish = piece.reason

    async def end(self, piece: p.AnswerEnd) -> None:
        """The stream said that it ends."""

    async def _set_usage(self, usage: TokenUsage) -> None:
        self.writer.set_usage(**self.usage_counts(usage))
        self.writer.answer.classes = usage.billed_classes
        self.writer.answer.tier = usage.tier

    async def _fail(self, piece: p.AnswerFailure) -> None:
        raise provider_error({"code": piece.code, "type": piece.type, "message": piece.message})

    async def _count(self, piece: p.UnknownPart) -> None:
        self.writer.unknown.count(piece.name)


def count(reported: dict[str, Any], name: str, inside: str = "") -> int | None:
    """A count as the provider reported it, also where it stands in an object inside."""
    fields = reported.get(inside) or {} if inside else reported
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if isinstance(value, int) else None
