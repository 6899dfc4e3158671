"""Anthropic's Messages: ``await anthropic_messages.relay(run, stream)`` in an agent.

Events as documented at https://docs.anthropic.com/en/docs/build-with-claude/streaming.
"""

from __future__ import annotations

import json
from typing import Any

from holdfast.agents.adapters.answer import Answer, Scribe, Stream, told, upstream
from holdfast.agents.run import RunContext

_GROWS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})


async def relay(run: RunContext, stream: Stream) -> Answer:
    """Write a stream of message events into the run as it comes: text, thinking, tool calls, sources, usage.

    Tools that Anthropic runs itself (web search, code execution, MCP …) are shown with what they were given and gave.

    Args:
        stream: what ``client.messages.create(stream=True)`` gives, awaited or not, or any async iterable of such events,
            as objects or dicts. It is closed when this ends.

    Raises:
        ProviderFailed: the provider refused, failed or broke off.
    """
    scribe = Scribe(run)
    messages = _Messages(scribe)
    try:
        async with upstream(stream) as events:
            async for event in events:
                await messages.event(event)
    finally:
        await scribe.record()
    return await scribe.complete()


class _Messages:
    def __init__(self, scribe: Scribe) -> None:
        self._scribe = scribe
        self._number = 0  # of the message in the stream
        self._blocks: dict[Any, dict[str, Any]] = {}
        self._inputs: dict[Any, str] = {}
        self._reason = ""

    async def event(self, event: dict[str, Any]) -> None:
        kind, key = event.get("type"), (self._number, event.get("index"))
        if kind == "message_start":
            self._number += 1
            self._scribe.answer.model = event["message"].get("model") or ""
            self._used(event["message"].get("usage") or {})
        elif kind == "content_block_start":
            await self._begun(key, event["content_block"])
        elif kind == "content_block_delta":
            await self._grown(key, event["delta"])
        elif kind == "content_block_stop":
            self._whole(key)
        elif kind == "message_delta":
            self._reason = event["delta"].get("stop_reason") or self._reason
            self._used(event.get("usage") or {})
        elif kind == "message_stop":
            self._scribe.answer.finish = self._reason or "end_turn"
        elif kind == "error":
            raise told(event)

    def _used(self, usage: dict[str, Any]) -> None:
        self._scribe.used(
            input_tokens=usage.get("input_tokens"), output_tokens=usage.get("output_tokens"),
            cache_read_tokens=usage.get("cache_read_input_tokens"),
            cache_write_tokens=usage.get("cache_creation_input_tokens"),
        )  # fmt: skip

    async def _begun(self, key: Any, block: dict[str, Any]) -> None:
        kind, scribe = block["type"], self._scribe
        self._blocks[key] = block = dict(block)
        scribe.answer.content.append(block)
        if kind == "text":
            await scribe.text(key, block.get("text") or "")
        elif kind == "thinking":
            await scribe.reasoning(key, block.get("thinking") or "")
        elif kind in _CALLS:
            begin = scribe.call if kind == "tool_use" else scribe.theirs
            await begin(key if kind == "tool_use" else block["id"], block["id"], block["name"])
            if block.get("input"):
                await self._write(key, json.dumps(block["input"], ensure_ascii=False))
        elif "tool_use_id" in block:
            content = block.get("content")
            code = content.get("error_code") if isinstance(content, dict) else None
            failed = str(code or "") or ("it failed" if block.get("is_error") else "")
            await scribe.settle(block["tool_use_id"], content, failed)

    async def _write(self, key: Any, text: str) -> None:
        block = self._blocks[key]
        self._inputs[key] = self._inputs.get(key, "") + text
        await self._scribe.args(key if block["type"] == "tool_use" else block["id"], text)

    async def _grown(self, key: Any, delta: dict[str, Any]) -> None:
        scribe, kind, block = self._scribe, delta["type"], self._blocks[key]
        if kind in _GROWS:
            field = _GROWS[kind]
            block[field] = (block.get(field) or "") + delta[field]
        if kind == "text_delta":
            await scribe.text(key, delta["text"])
        elif kind == "thinking_delta":
            await scribe.reasoning(key, delta["thinking"])
        elif kind == "input_json_delta":
            await self._write(key, delta["partial_json"])
        elif kind == "citations_delta":
            cited = delta["citation"]
            block["citations"] = [*(block.get("citations") or []), cited]
            uri = cited.get("url") or cited.get("source") or cited.get("document_title") or "document"
            title = cited.get("title") or cited.get("document_title") or ""
            await scribe.source(key, str(uri), title, cited.get("cited_text") or "")

    def _whole(self, key: Any) -> None:
        block = self._blocks[key]
        if block["type"] in _CALLS and self._inputs.get(key):
            try:
                block["input"] = json.loads(self._inputs[key])
            except ValueError:
                block["input"] = {}  # cut by the limit of tokens: the call's own text tells
        self._scribe.end(key)
