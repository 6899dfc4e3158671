"""OpenAI's chat completions, and whatever speaks like them.

In an agent: ``await openai_chat.converse(run, client, model="gpt-5", tools=[…])``, or ``relay`` for one stream.

What its chunks say is in ``providers/chat_decoder.py``.
"""

from __future__ import annotations

from typing import Any

from holdfast.agents.adapters.answer import ModelAnswer, ProviderStream, RunWriter, open_stream
from holdfast.agents.adapters.conversation import CallResult, Conversation, FileContent, PastMessage, Rules, ToolSpecs
from holdfast.agents.adapters.functions import Function
from holdfast.agents.adapters.piece_writer import PieceWriter, count
from holdfast.agents.run import RunContext
from holdfast.providers import pieces as p
from holdfast.providers.chat_decoder import ChatDecoder
from holdfast.providers.usage import TokenUsage

__all__ = ["converse", "relay"]

_TEXT_KEY = 0  # of the one message of an answer


async def relay(run: RunContext, stream: ProviderStream) -> ModelAnswer:
    """Write a stream of chat completion chunks into the run as it comes: text, reasoning, refusal, tool calls, usage.

    Args:
        stream: what ``client.chat.completions.create(stream=True)`` gives, awaited or not, or any async iterable of
            such chunks, as objects or dicts. Of several choices the first is written. It is closed when this ends.

    Raises:
        ProviderFailed: the provider refused, failed or broke off.
    """
    return await _read(RunWriter(run, _Completions.name), stream)


async def _read(writer: RunWriter, stream: ProviderStream) -> ModelAnswer:
    pieces = _ChunkWriter(writer)
    try:
        async with open_stream(stream) as chunks:
            async for chunk in chunks:
                await pieces.event(chunk)
        await pieces.close()
    finally:
        await writer.record()
    if writer.answer.finish:
        await writer.complete_pending()
    writer.answer.content = [pieces.answer_message()]
    return await writer.complete()


async def converse(
    run: RunContext,
    client: Any,
    *,
    model: str,
    tools: ToolSpecs = (),
    system: str = "",
    prompt: str | None = None,
    rules: Rules | None = None,
    **options: Any,
) -> ModelAnswer:
    """ModelAnswer the run's input: ask the model, make the tool calls it asks for, and so on until it has answered.

    The conversation comes from the session. A later attempt goes on where a lost one was: what the model said is kept,
    and no tool is called twice. Steers come before the next request.

    Args:
        client: an ``openai.AsyncOpenAI``, or what looks like one.
        tools: Python functions; ``functions.Function`` where the schema is to be another.
        system: instructions, before the conversation.
        prompt: what to answer instead of the run's input and its attachments.
        rules: which tools people are asked about, which may run twice, and how often the model may be asked.
        options: of ``client.chat.completions.create``: ``temperature``, ``reasoning_effort``, ``extra_body`` …

    Raises:
        ProviderFailed: the provider refused, failed or broke off.
        ToolOutcomeUnknown: an attempt was lost inside a tool that is not ``idempotent``.
        Refused: ``config.invalid``, ``rules`` name a tool that is not there; ``agent.failed``, the model was asked
            ``rules.requests`` times.
    """
    provider = _Completions(client, model, system, options)
    return await Conversation(run, provider, tools, rules or Rules(), prompt).converse()


class _Completions:
    name, text_part = "openai_chat", "text"

    def __init__(self, client: Any, model: str, system: str, options: dict[str, Any]) -> None:
        self._client = client
        self._options = {"model": model, "stream_options": {"include_usage": True}, **options, "stream": True}
        self._system = [{"role": "system", "content": system}] if system else []

    def history(self, past: list[PastMessage]) -> list[Any]:
        messages: list[Any] = []
        for piece in past:
            message: dict[str, Any] = {"role": piece.role, "content": piece.text or None}
            if piece.calls:
                message["tool_calls"] = [_tool_call(turn.id, turn.name, turn.args) for turn in piece.calls]
            messages += [message, *(_tool_result(turn.id, turn.text) for turn in piece.calls)]
        return messages

    def file_part(self, file: FileContent) -> dict[str, Any]:
        if file.media_type.startswith("image/"):
            return {"type": "image_url", "image_url": {"url": file.url}}
        return {"type": "file", "file": {"filename": file.name, "file_data": file.url}}

    def tool_schema(self, function: Function) -> dict[str, Any]:
        schema = {"name": function.name, "description": function.description, "parameters": function.parameters}
        return {"type": "function", "function": schema}

    def request(self, messages: list[Any], tools: list[dict[str, Any]]) -> ProviderStream:
        tool_options = {"tools": tools} if tools else {}
        stream: ProviderStream = self._client.chat.completions.create(
            messages=[*self._system, *messages], **tool_options, **self._options
        )
        return stream

    async def read(self, writer: RunWriter, stream: ProviderStream) -> ModelAnswer:
        return await _read(writer, stream)

    def answer_messages(self, answer: ModelAnswer) -> list[Any]:
        return answer.content if answer.text or answer.refusal or answer.calls else []

    def result_messages(self, results: list[CallResult]) -> list[Any]:
        return [_tool_result(result.call.upstream, result.text) for result in results]


def _tool_call(ident: str, name: str, args: str) -> dict[str, Any]:
    return {"id": ident, "type": "function", "function": {"name": name, "arguments": args or "{}"}}


def _tool_result(ident: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": ident, "content": text}


class _ChunkWriter(PieceWriter):
    def __init__(self, writer: RunWriter) -> None:
        super().__init__(writer, ChatDecoder())
        self._items: list[int] = []  # of the calls, in their order
        self._extra: dict[int, dict[str, Any]] = {}

    def key(self, item: int, part: int = 0) -> int:
        return _TEXT_KEY

    def usage_counts(self, usage: TokenUsage) -> dict[str, int | None]:
        reported = usage.reported
        return {
            "input_tokens": count(reported, "prompt_tokens"),
            "output_tokens": count(reported, "completion_tokens"),
            "cache_read_tokens": count(reported, "cached_tokens", "prompt_tokens_details"),
            "reasoning_tokens": count(reported, "reasoning_tokens", "completion_tokens_details"),
        }

    async def write_text(self, piece: p.TextDelta) -> None:
        self.writer.texts.end("reasoning", _TEXT_KEY)
        await super().write_text(piece)

    async def start_call(self, piece: p.CallStart) -> None:
        self._items.append(piece.item)
        await super().start_call(piece)

    async def add_field(self, piece: p.OpaqueField) -> None:
        self._extra[piece.item] = {piece.name: piece.value}

    def answer_message(self) -> dict[str, Any]:
        """The answer as a message of the next request."""
        answer = self.writer.answer
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
        if answer.refusal:
            message["refusal"] = answer.refusal
        if answer.calls:
            message["tool_calls"] = [
                _tool_call(call.upstream, call.name, call.args) | self._extra.get(item, {})
                for item, call in zip(self._items, answer.calls, strict=True)
            ]
        return message
