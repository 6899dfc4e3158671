"""OpenAI's Responses.

In an agent: ``await openai_responses.converse(run, client, model="gpt-5", tools=[…])``, or ``relay`` for one stream.
What its events say is in ``providers/responses_decoder.py``.
"""

from __future__ import annotations

from typing import Any

from holdfast.agents.adapters.answer import ModelAnswer, ProviderStream, RunWriter, open_stream
from holdfast.agents.adapters.conversation import CallResult, Conversation, FileContent, PastMessage, Rules, ToolSpecs
from holdfast.agents.adapters.functions import Function
from holdfast.agents.adapters.piece_writer import PieceWriter, count
from holdfast.agents.run import RunContext
from holdfast.providers import pieces as p
from holdfast.providers.responses_decoder import ResponsesDecoder
from holdfast.providers.usage import TokenUsage

__all__ = ["converse", "relay"]


async def relay(run: RunContext, stream: ProviderStream) -> ModelAnswer:
    """Write a stream of response events into the run as it comes: text, reasoning, refusal, tool calls, sources, usage.

    Tools that OpenAI runs itself (web search, code interpreter, MCP …) are shown with what they were given and gave.

    Args:
        stream: what ``client.responses.create(stream=True)`` gives, awaited or not, or any async iterable of such
            events, as objects or dicts. It is closed when this ends.

    Raises:
        ProviderFailed: the provider refused, failed or broke off.
    """
    return await _read(RunWriter(run, _Requests.name), stream)


async def _read(writer: RunWriter, stream: ProviderStream) -> ModelAnswer:
    pieces = _EventWriter(writer)
    try:
        async with open_stream(stream) as events:
            async for event in events:
                await pieces.event(event)
        await pieces.close()
    finally:
        await writer.record()
    return await writer.complete()


async def converse(
    run: RunContext,
    client: Any,
    *,
    model: str,
    tools: ToolSpecs = (),
    prompt: str | None = None,
    rules: Rules | None = None,
    **options: Any,
) -> ModelAnswer:
    """ModelAnswer the run's input: ask the model, make the tool calls it asks for, and so on until it has answered.

    The conversation comes from the session. A later attempt goes on where a lost one was: what the model said is kept,
    and no tool is called twice. Steers come before the next request.

    Args:
        client: an ``openai.AsyncOpenAI``, or what looks like one.
        tools: Python functions; ``functions.Function`` where the schema is to be another; as dicts, tools that
            OpenAI runs itself.
        prompt: what to answer instead of the run's input and its attachments.
        rules: which tools people are asked about, which may run twice, and how often the model may be asked. Approvals
            that an MCP server requires are asked of people in any case.
        options: of ``client.responses.create``: ``instructions``, ``reasoning``, ``text`` …

    Raises:
        ProviderFailed: the provider refused, failed or broke off.
        ToolOutcomeUnknown: an attempt was lost inside a tool that is not ``idempotent``.
        Refused: ``config.invalid``, ``rules`` name a tool that is not there; ``agent.failed``, the model was asked
            ``rules.requests`` times.
    """
    provider = _Requests(client, model, options)
    return await Conversation(run, provider, tools, rules or Rules(), prompt).converse()


class _Requests:
    name, text_part = "openai_responses", "input_text"

    def __init__(self, client: Any, model: str, options: dict[str, Any]) -> None:
        self._client = client
        self._options = {"model": model, **options, "stream": True}
        if options.get("store") is False:  # then reasoning has to travel with the calls it led to
            self._options["include"] = [*{*options.get("include", ()), "reasoning.encrypted_content"}]

    def history(self, past: list[PastMessage]) -> list[Any]:
        items: list[Any] = []
        for piece in past:
            if piece.text:
                items.append({"role": piece.role, "content": piece.text})
            for turn in piece.calls:
                items.append({"type": "function_call", "call_id": turn.id, "name": turn.name, "arguments": turn.args})
                items.append({"type": "function_call_output", "call_id": turn.id, "output": turn.text})
        return items

    def file_part(self, file: FileContent) -> dict[str, Any]:
        if file.media_type.startswith("image/"):
            return {"type": "input_image", "image_url": file.url, "detail": "auto"}
        return {"type": "input_file", "filename": file.name, "file_data": file.url}

    def tool_schema(self, function: Function) -> dict[str, Any]:
        return {
            "type": "function",
            "name": function.name,
            "description": function.description,
            "parameters": function.parameters,
            "strict": False,
        }

    def request(self, messages: list[Any], tools: list[dict[str, Any]]) -> ProviderStream:
        tool_options = {"tools": tools} if tools else {}
        stream: ProviderStream = self._client.responses.create(input=messages, **tool_options, **self._options)
        return stream

    async def read(self, writer: RunWriter, stream: ProviderStream) -> ModelAnswer:
        return await _read(writer, stream)

    def answer_messages(self, answer: ModelAnswer) -> list[Any]:
        return answer.content

    def result_messages(self, results: list[CallResult]) -> list[Any]:
        return [_call_output(result) for result in results]


def _call_output(result: CallResult) -> dict[str, Any]:
    if result.call.kind == "function":
        return {"type": "function_call_output", "call_id": result.call.upstream, "output": result.text}
    answer = {"approval_request_id": result.call.upstream, "approve": not result.failed}
    return {"type": "mcp_approval_response", **answer, **({"reason": result.text} if result.text else {})}


class _EventWriter(PieceWriter):
    def __init__(self, writer: RunWriter) -> None:
        super().__init__(writer, ResponsesDecoder())

    def usage_counts(self, usage: TokenUsage) -> dict[str, int | None]:
        reported = usage.reported
        return {
            "input_tokens": count(reported, "input_tokens"),
            "output_tokens": count(reported, "output_tokens"),
            "cache_read_tokens": count(reported, "cached_tokens", "input_tokens_details"),
            "reasoning_tokens": count(reported, "reasoning_tokens", "output_tokens_details"),
        }

    async def write_reasoning(self, piece: p.ReasoningDelta) -> None:
        await self.writer.write_reasoning((piece.item, piece.summary, piece.part), piece.text)

    async def record_result(self, piece: p.ProviderCallResult) -> None:
        if self.writer.find_call(piece.item) is not None:
            await super().record_result(piece)
        elif piece.id in self.writer.pending_calls:
            await self.writer.record_result(piece.id, piece.value, piece.error)

    async def end_item(self, piece: p.ItemEnd) -> None:
        self.writer.answer.content.append(piece.native)
        if piece.native["type"] in ("message", "reasoning"):
            self.writer.end_text(piece.item)

    async def finish(self, piece: p.AnswerFinish) -> None:
        if piece.reason == "completed":
            await self.writer.complete_pending()
        await super().finish(piece)
