"""OpenAI's chat completions, and whatever speaks like them.

In an agent: ``await openai_chat.converse(run, client, model="gpt-5", tools=[…])``, or ``relay`` for one stream.

Chunks as documented at https://platform.openai.com/docs/api-reference/chat-streaming, with what compatible servers add:
``reasoning_content`` and ``reasoning``, content in typed parts (Mistral), an ``error`` in a chunk (OpenRouter, Groq), tools
that the server runs (Groq's ``executed_tools``), sources (``annotations``; ``citations`` of Perplexity and xAI).
"""

from __future__ import annotations

from typing import Any

from holdfast.agents.adapters.answer import Answer, RunWriter, Stream, told, upstream
from holdfast.agents.adapters.conversation import CallResult, Conversation, FileContent, PastMessage, Rules, Tools
from holdfast.agents.adapters.functions import Function
from holdfast.agents.run import RunContext

_KEY = 0  # of the one message of an answer
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
"""The fields that are read, or say nothing to people."""
_EXECUTED = frozenset({"index", "type", "name", "id", "arguments"})


async def relay(run: RunContext, stream: Stream) -> Answer:
    """Write a stream of chat completion chunks into the run as it comes: text, reasoning, refusal, tool calls, usage.

    Args:
        stream: what ``client.chat.completions.create(stream=True)`` gives, awaited or not, or any async iterable of
            such chunks, as objects or dicts. Of several choices the first is told. It is closed when this ends.

    Raises:
        ProviderFailed: the provider refused, failed or broke off.
    """
    return await _read(RunWriter(run, _Completions.name), stream)


async def _read(scribe: RunWriter, stream: Stream) -> Answer:
    chat = _Chat(scribe)
    try:
        async with upstream(stream) as chunks:
            async for chunk in chunks:
                await chat.chunk(chunk)
    finally:
        await scribe.record()
    if scribe.answer.finish:
        await scribe.settle_rest()
    scribe.answer.content = [chat.message()]
    return await scribe.complete()


async def converse(
    run: RunContext,
    client: Any,
    *,
    model: str,
    tools: Tools = (),
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
    return await Conversation(run, provider, tools, rules or Rules(), prompt).go()


class _Completions:
    name, text_part = "openai_chat", "text"

    def __init__(self, client: Any, model: str, system: str, options: dict[str, Any]) -> None:
        self._client = client
        self._options = {"model": model, "stream_options": {"include_usage": True}, **options, "stream": True}
        self._head = [{"role": "system", "content": system}] if system else []

    def past(self, said: list[PastMessage]) -> list[Any]:
        messages: list[Any] = []
        for piece in said:
            message: dict[str, Any] = {"role": piece.role, "content": piece.text or None}
            if piece.calls:
                message["tool_calls"] = [_called(turn.id, turn.name, turn.args) for turn in piece.calls]
            messages += [message, *(_result(turn.id, turn.text) for turn in piece.calls)]
        return messages

    def file(self, attached: FileContent) -> dict[str, Any]:
        if attached.media_type.startswith("image/"):
            return {"type": "image_url", "image_url": {"url": attached.url}}
        return {"type": "file", "file": {"filename": attached.name, "file_data": attached.url}}

    def tool(self, function: Function) -> dict[str, Any]:
        told = {"name": function.name, "description": function.description, "parameters": function.parameters}
        return {"type": "function", "function": told}

    def ask(self, messages: list[Any], tools: list[dict[str, Any]]) -> Stream:
        offered = {"tools": tools} if tools else {}
        stream: Stream = self._client.chat.completions.create(
            messages=[*self._head, *messages], **offered, **self._options
        )
        return stream

    async def read(self, scribe: RunWriter, stream: Stream) -> Answer:
        return await _read(scribe, stream)

    def heard(self, answer: Answer) -> list[Any]:
        return answer.content if answer.text or answer.refusal or answer.calls else []

    def results(self, returned: list[CallResult]) -> list[Any]:
        return [_result(one.call.upstream, one.text) for one in returned]


def _called(ident: str, name: str, args: str) -> dict[str, Any]:
    return {"id": ident, "type": "function", "function": {"name": name, "arguments": args or "{}"}}


def _result(ident: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": ident, "content": text}


class _Chat:
    def __init__(self, scribe: RunWriter) -> None:
        self._scribe = scribe
        self._at: dict[int, int] = {}  # which call is being written at an index: some servers use one index for all
        self._extra: dict[int, dict[str, Any]] = {}

    async def chunk(self, chunk: dict[str, Any]) -> None:
        answer = self._scribe.answer
        answer.model = chunk.get("model") or answer.model
        usage = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage") or {}
        self._scribe.used(
            input_tokens=usage.get("prompt_tokens"), output_tokens=usage.get("completion_tokens"),
            cache_read_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
            reasoning_tokens=(usage.get("completion_tokens_details") or {}).get("reasoning_tokens"),
        )  # fmt: skip
        self._look("chunk", chunk, _CHUNK)
        if chunk.get("error"):
            raise told(chunk)
        if usage and not chunk.get("choices"):  # the last chunk; not every server says why it stopped
            answer.finish = answer.finish or "stop"
        for choice in chunk.get("choices") or []:
            if choice.get("index", 0) != 0:
                self._scribe.unknown.met("another choice")
                continue
            self._look("choice", choice, _CHOICE)
            await self._delta(choice.get("delta") or {})
            answer.finish = choice.get("finish_reason") or answer.finish
        await self._found(chunk)

    def _look(self, where: str, said: dict[str, Any], known: frozenset[str]) -> None:
        """Count what is not known, unless it says nothing."""
        for name in said.keys() - known:
            if _says(said[name]):
                self._scribe.unknown.met(f"{where}.{name}")

    async def _delta(self, delta: dict[str, Any]) -> None:
        scribe = self._scribe
        self._look("delta", delta, _DELTA)
        await self._think(delta)
        content: Any = delta.get("content")
        for part in content if isinstance(content, list) else [{"type": "text", "text": content}]:
            await self._part(part)
        audio = delta.get("audio")
        if isinstance(audio, dict) and audio.get("transcript"):
            await scribe.text(_KEY, audio["transcript"])
        if delta.get("refusal"):
            await scribe.refusal(_KEY, delta["refusal"])
        for note in delta.get("annotations") or []:
            cited = note.get("url_citation") or note
            await scribe.source(_KEY, cited.get("url") or "", cited.get("title") or "")
        for tool in delta.get("executed_tools") or []:
            await self._executed(tool)
        for piece in delta.get("tool_calls") or []:
            await self._call(piece)

    async def _think(self, delta: dict[str, Any]) -> None:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if not isinstance(thought, str):
            details = [d for d in delta.get("reasoning_details") or [] if isinstance(d, dict)]
            thought = "".join(str(d.get("text") or d.get("summary") or "") for d in details)
        await self._scribe.reasoning(_KEY, thought)

    async def _part(self, part: dict[str, Any]) -> None:
        scribe, kind = self._scribe, part.get("type")
        if kind == "thinking":
            for piece in part.get("thinking") or []:
                await scribe.reasoning(_KEY, piece.get("text") or "")
        elif part.get("text"):
            scribe.texts.end("reasoning", _KEY)
            await scribe.text(_KEY, part["text"])
        elif part.get("url"):  # Mistral's references
            await scribe.source(_KEY, str(part["url"]), str(part.get("title") or ""))
        elif kind not in ("text", None):
            scribe.unknown.met(f"content.{kind}")

    async def _found(self, chunk: dict[str, Any]) -> None:
        """What a server that searches says it found, beside the choices and again with each of them."""
        results = [r for r in chunk.get("search_results") or [] if isinstance(r, dict)]
        for found in results or [{"url": url} for url in chunk.get("citations") or [] if isinstance(url, str)]:
            await self._scribe.source(_KEY, str(found.get("url") or ""), str(found.get("title") or ""))

    async def _executed(self, tool: dict[str, Any]) -> None:
        """A tool that the server ran: told when it begins, and again, with its outcome, when it ended."""
        key = ("executed", tool.get("index") or 0)
        known = self._scribe.known(key)
        if known is None:
            name = str(tool.get("name") or tool.get("type") or "tool")
            await self._scribe.theirs(key, str(tool.get("id") or f"executed-{key[1]}"), name)
        if tool.get("arguments") and (known is None or not known.args):
            await self._scribe.args(key, str(tool["arguments"]))
        outcome = {name: tool[name] for name in tool if name not in _EXECUTED and _says(tool[name])}
        if outcome:
            await self._scribe.settle(key, next(iter(outcome.values())) if len(outcome) == 1 else outcome)

    async def _call(self, piece: dict[str, Any]) -> None:
        index = piece.get("index") or 0
        function = piece.get("function") or {}
        ident, name = piece.get("id") or "", function.get("name") or ""
        known = self._scribe.known(self._at.get(index))
        if known is None or (ident and name and ident != known.upstream):
            self._at[index] = len(self._scribe.answer.calls)
            await self._scribe.call(self._at[index], ident or f"call-{self._at[index]}", name)
        await self._scribe.args(self._at[index], function.get("arguments") or "")
        if piece.get("extra_content"):
            self._extra[self._at[index]] = {"extra_content": piece["extra_content"]}

    def message(self) -> dict[str, Any]:
        """The answer as a message of the next request."""
        answer = self._scribe.answer
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
        if answer.refusal:
            message["refusal"] = answer.refusal
        if answer.calls:
            message["tool_calls"] = [
                _called(call.upstream, call.name, call.args) | self._extra.get(number, {})
                for number, call in enumerate(answer.calls)
            ]
        return message


def _says(value: Any) -> bool:
    """Whether a value holds anything."""
    if isinstance(value, dict):
        return any(map(_says, value.values()))
    if isinstance(value, list):
        return any(map(_says, value))
    return value not in (None, "", False)
