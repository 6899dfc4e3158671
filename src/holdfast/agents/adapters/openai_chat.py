"""OpenAI's chat completions, and whatever speaks like them: ``await openai_chat.relay(run, stream)`` in an agent.

Chunks as documented at https://platform.openai.com/docs/api-reference/chat-streaming, with what compatible servers add:
``reasoning_content`` and ``reasoning``, content in typed parts (Mistral), an ``error`` in a chunk (OpenRouter, Groq).
"""

from __future__ import annotations

from typing import Any

from holdfast.agents.adapters.answer import Answer, Scribe, Stream, told, upstream
from holdfast.agents.run import RunContext

_KEY = 0  # of the one message of an answer


async def relay(run: RunContext, stream: Stream) -> Answer:
    """Write a stream of chat completion chunks into the run as it comes: text, reasoning, refusal, tool calls, usage.

    Args:
        stream: what ``client.chat.completions.create(stream=True)`` gives, awaited or not, or any async iterable of
            such chunks, as objects or dicts. Of several choices the first is told. It is closed when this ends.

    Raises:
        ProviderFailed: the provider refused, failed or broke off.
    """
    scribe = Scribe(run)
    chat = _Chat(scribe)
    try:
        async with upstream(stream) as chunks:
            async for chunk in chunks:
                await chat.chunk(chunk)
    finally:
        await scribe.record()
    scribe.answer.content = [chat.message()]
    return await scribe.complete()


class _Chat:
    def __init__(self, scribe: Scribe) -> None:
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
        if chunk.get("error"):
            raise told(chunk)
        if usage and not chunk.get("choices"):  # the last chunk; not every server says why it stopped
            answer.finish = answer.finish or "stop"
        for choice in chunk.get("choices") or []:
            if choice.get("index", 0) == 0:
                await self._delta(choice.get("delta") or {})
                answer.finish = choice.get("finish_reason") or answer.finish

    async def _delta(self, delta: dict[str, Any]) -> None:
        scribe = self._scribe
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thought, str):
            await scribe.reasoning(_KEY, thought)
        content: Any = delta.get("content")
        parts: list[dict[str, Any]] = content if isinstance(content, list) else [{"text": content}]
        for part in parts:
            if part.get("type") == "thinking":
                for piece in part.get("thinking") or []:
                    await scribe.reasoning(_KEY, piece.get("text") or "")
            elif part.get("text"):
                scribe.texts.end("reasoning", _KEY)
                await scribe.text(_KEY, part["text"])
        if delta.get("refusal"):
            await scribe.refusal(_KEY, delta["refusal"])
        for note in delta.get("annotations") or []:
            cited = note.get("url_citation") or {}
            await scribe.source(_KEY, cited.get("url") or "", cited.get("title") or "")
        for piece in delta.get("tool_calls") or []:
            await self._call(piece)

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
                {
                    "id": call.upstream, "type": "function",
                    "function": {"name": call.name, "arguments": call.args or "{}"}, **self._extra.get(number, {}),
                }
                for number, call in enumerate(answer.calls)
            ]  # fmt: skip
        return message
