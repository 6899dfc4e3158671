"""OpenAI's chat completions, and whatever speaks like them.

In an agent: ``await openai_chat.converse(run, client, model="gpt-5", tools=[…])``, or ``relay`` for one stream.

Chunks as documented at https://platform.openai.com/docs/api-reference/chat-streaming, with what compatible servers add:
``reasoning_content`` and ``reasoning``, content in typed parts (Mistral), an ``error`` in a chunk (OpenRouter, Groq), tools
that the server runs (Groq's ``executed_tools``), sources (``annotations``; ``citations`` of Perplexity and xAI).
"""

from __future__ import annotations

from typing import Any

from holdfast.agents.adapters.answer import Answer, ProviderStream, RunWriter, open_stream, provider_error
from holdfast.agents.adapters.conversation import CallResult, Conversation, FileContent, PastMessage, Rules, ToolSpecs
from holdfast.agents.adapters.functions import Function
from holdfast.agents.run import RunContext

_TEXT_KEY = 0  # of the one message of an answer
_CHUNK = frozenset({
    "id", "object", "created", "model", "choices", "usage", "error", "x_groq", "citations", "search_results",
    "system_fingerprint", "service_tier", "provider", "obfuscation", "moderation", "prompt_filter_results", "timings",
})  # fmt: skip
_CHOICE = frozenset({
    "index", "delta", "finish_reason", "native_finish_reason", "logprobs", "text", "message", "seed", "stop_reason",
    "matched_stop", "token_ids", "content_filter_results", "content_filter_offsets",
})  # fmt: skip
_DELTA = frozenset({
    "role", "content", "refusal", "reasoning", "reasoning_content", "reasoning_details", "tool_calls", "annotations",
    "executed_tools", "audio", "index", "channel", "token_id",
})  # fmt: skip
"""The fields that are read, or mean nothing to people."""
_EXECUTED_FIELDS = frozenset({"index", "type", "name", "id", "arguments"})


async def relay(run: RunContext, stream: ProviderStream) -> Answer:
    """Write a stream of chat completion chunks into the run as it comes: text, reasoning, refusal, tool calls, usage.

    Args:
        stream: what ``client.chat.completions.create(stream=True)`` gives, awaited or not, or any async iterable of
            such chunks, as objects or dicts. Of several choices the first is written. It is closed when this ends.

    Raises:
        ProviderFailed: the provider refused, failed or broke off.
    """
    return await _read(RunWriter(run, _Completions.name), stream)


async def _read(writer: RunWriter, stream: ProviderStream) -> Answer:
    reader = _ChunkReader(writer)
    try:
        async with open_stream(stream) as chunks:
            async for chunk in chunks:
                await reader.chunk(chunk)
    finally:
        await writer.record()
    if writer.answer.finish:
        await writer.complete_pending()
    writer.answer.content = [reader.answer_message()]
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
) -> Answer:
    """Answer the run's input: ask the model, make the tool calls it asks for, and so on until it has answered.

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

    async def read(self, writer: RunWriter, stream: ProviderStream) -> Answer:
        return await _read(writer, stream)

    def answer_messages(self, answer: Answer) -> list[Any]:
        return answer.content if answer.text or answer.refusal or answer.calls else []

    def result_messages(self, results: list[CallResult]) -> list[Any]:
        return [_tool_result(result.call.upstream, result.text) for result in results]


def _tool_call(ident: str, name: str, args: str) -> dict[str, Any]:
    return {"id": ident, "type": "function", "function": {"name": name, "arguments": args or "{}"}}


def _tool_result(ident: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": ident, "content": text}


class _ChunkReader:
    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer
        self._call_number: dict[
            int, int
        ] = {}  # which call is being written at an index: some servers use one index for all
        self._extra: dict[int, dict[str, Any]] = {}

    async def chunk(self, chunk: dict[str, Any]) -> None:
        answer = self._writer.answer
        answer.model = chunk.get("model") or answer.model
        usage = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage") or {}
        self._writer.set_usage(
            input_tokens=usage.get("prompt_tokens"),
            output_tokens=usage.get("completion_tokens"),
            cache_read_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
            reasoning_tokens=(usage.get("completion_tokens_details") or {}).get("reasoning_tokens"),
        )
        self._count_unknown("chunk", chunk, _CHUNK)
        if chunk.get("error"):
            raise provider_error(chunk)
        if usage and not chunk.get("choices"):  # the last chunk; not every server says why it stopped
            answer.finish = answer.finish or "stop"
        for choice in chunk.get("choices") or []:
            if choice.get("index", 0) != 0:
                self._writer.unknown.count("another choice")
                continue
            self._count_unknown("choice", choice, _CHOICE)
            await self._read_delta(choice.get("delta") or {})
            answer.finish = choice.get("finish_reason") or answer.finish
        await self._cite_search_results(chunk)

    def _count_unknown(self, where: str, fields: dict[str, Any], known: frozenset[str]) -> None:
        """Count unknown fields, unless they are empty."""
        for name in fields.keys() - known:
            if _has_content(fields[name]):
                self._writer.unknown.count(f"{where}.{name}")

    async def _read_delta(self, delta: dict[str, Any]) -> None:
        writer = self._writer
        self._count_unknown("delta", delta, _DELTA)
        await self._write_reasoning(delta)
        content: Any = delta.get("content")
        for part in content if isinstance(content, list) else [{"type": "text", "text": content}]:
            await self._write_part(part)
        audio = delta.get("audio")
        if isinstance(audio, dict) and audio.get("transcript"):
            await writer.write_text(_TEXT_KEY, audio["transcript"])
        if delta.get("refusal"):
            await writer.write_refusal(_TEXT_KEY, delta["refusal"])
        for note in delta.get("annotations") or []:
            citation = note.get("url_citation") or note
            await writer.cite(_TEXT_KEY, citation.get("url") or "", citation.get("title") or "")
        for tool in delta.get("executed_tools") or []:
            await self._read_executed_tool(tool)
        for piece in delta.get("tool_calls") or []:
            await self._read_call(piece)

    async def _write_reasoning(self, delta: dict[str, Any]) -> None:
        text = delta.get("reasoning_content") or delta.get("reasoning")
        if not isinstance(text, str):
            details = [d for d in delta.get("reasoning_details") or [] if isinstance(d, dict)]
            text = "".join(str(d.get("text") or d.get("summary") or "") for d in details)
        await self._writer.write_reasoning(_TEXT_KEY, text)

    async def _write_part(self, part: dict[str, Any]) -> None:
        writer, kind = self._writer, part.get("type")
        if kind == "thinking":
            for piece in part.get("thinking") or []:
                await writer.write_reasoning(_TEXT_KEY, piece.get("text") or "")
        elif part.get("text"):
            writer.texts.end("reasoning", _TEXT_KEY)
            await writer.write_text(_TEXT_KEY, part["text"])
        elif part.get("url"):  # Mistral's references
            await writer.cite(_TEXT_KEY, str(part["url"]), str(part.get("title") or ""))
        elif kind not in ("text", None):
            writer.unknown.count(f"content.{kind}")

    async def _cite_search_results(self, chunk: dict[str, Any]) -> None:
        """What a server that searches says it found, beside the choices and again with each of them."""
        results = [r for r in chunk.get("search_results") or [] if isinstance(r, dict)]
        for result in results or [{"url": url} for url in chunk.get("citations") or [] if isinstance(url, str)]:
            await self._writer.cite(_TEXT_KEY, str(result.get("url") or ""), str(result.get("title") or ""))

    async def _read_executed_tool(self, tool: dict[str, Any]) -> None:
        """A tool that the server ran: it comes when it begins, and again, with its outcome, when it ended."""
        key = ("executed", tool.get("index") or 0)
        call = self._writer.find_call(key)
        if call is None:
            name = str(tool.get("name") or tool.get("type") or "tool")
            await self._writer.start_provider_call(key, str(tool.get("id") or f"executed-{key[1]}"), name)
        if tool.get("arguments") and (call is None or not call.args):
            await self._writer.append_args(key, str(tool["arguments"]))
        outcome = {name: tool[name] for name in tool if name not in _EXECUTED_FIELDS and _has_content(tool[name])}
        if outcome:
            await self._writer.record_result(key, next(iter(outcome.values())) if len(outcome) == 1 else outcome)

    async def _read_call(self, piece: dict[str, Any]) -> None:
        index = piece.get("index") or 0
        function = piece.get("function") or {}
        ident, name = piece.get("id") or "", function.get("name") or ""
        call = self._writer.find_call(self._call_number.get(index))
        if call is None or (ident and name and ident != call.upstream):
            self._call_number[index] = len(self._writer.answer.calls)
            await self._writer.start_call(self._call_number[index], ident or f"call-{self._call_number[index]}", name)
        await self._writer.append_args(self._call_number[index], function.get("arguments") or "")
        if piece.get("extra_content"):
            self._extra[self._call_number[index]] = {"extra_content": piece["extra_content"]}

    def answer_message(self) -> dict[str, Any]:
        """The answer as a message of the next request."""
        answer = self._writer.answer
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
        if answer.refusal:
            message["refusal"] = answer.refusal
        if answer.calls:
            message["tool_calls"] = [
                _tool_call(call.upstream, call.name, call.args) | self._extra.get(number, {})
                for number, call in enumerate(answer.calls)
            ]
        return message


def _has_content(value: Any) -> bool:
    """Whether a value holds anything."""
    if isinstance(value, dict):
        return any(map(_has_content, value.values()))
    if isinstance(value, list):
        return any(map(_has_content, value))
    return value not in (None, "", False)
