"""OpenAI's Responses: ``await openai_responses.relay(run, stream)`` in an agent.

Events as documented at https://platform.openai.com/docs/api-reference/responses-streaming. Items are told apart by their
``output_index``: some servers change an item's id between events.
"""

from __future__ import annotations

import json
from typing import Any

from holdfast.agents.adapters.answer import Answer, Scribe, Stream, told, upstream
from holdfast.agents.run import RunContext

_OURS = {  # types of items that the one who called the model has to act on, and the field with what it wrote
    "function_call": "arguments", "custom_tool_call": "input", "apply_patch_call": "operation",
    "mcp_approval_request": "arguments", "computer_call": "action", "local_shell_call": "action",
}  # fmt: skip
_SILENT = frozenset({"message", "reasoning", "mcp_list_tools", "compaction"})
_OUTCOME = ("output", "outputs", "results", "result", "tools")
_FRAME = frozenset({"id", "type", "status", "call_id", "name", "error", *_OUTCOME})


async def relay(run: RunContext, stream: Stream) -> Answer:
    """Write a stream of response events into the run as it comes: text, reasoning, refusal, tool calls, sources, usage.

    Tools that OpenAI runs itself (web search, code interpreter, MCP …) are shown with what they were given and gave.

    Args:
        stream: what ``client.responses.create(stream=True)`` gives, awaited or not, or any async iterable of such
            events, as objects or dicts. It is closed when this ends.

    Raises:
        ProviderFailed: the provider refused, failed or broke off.
    """
    scribe = Scribe(run)
    responses = _Responses(scribe)
    try:
        async with upstream(stream) as events:
            async for event in events:
                await responses.event(event)
    finally:
        await scribe.record()
    return await scribe.complete()


class _Responses:
    def __init__(self, scribe: Scribe) -> None:
        self._scribe = scribe

    async def event(self, event: dict[str, Any]) -> None:
        scribe, kind, item = self._scribe, str(event.get("type", "")), event.get("output_index")
        key = (item, event.get("content_index", event.get("summary_index", 0)))
        if kind == "response.output_text.delta":
            await scribe.text(key, event["delta"])
        elif kind == "response.refusal.delta":
            await scribe.refusal(key, event["delta"])
        elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            await scribe.reasoning((item, kind, key[1]), event["delta"])
        elif kind == "response.output_text.annotation.added":
            await self._cited(key, event.get("annotation") or {})
        elif kind in ("response.function_call_arguments.delta", "response.mcp_call_arguments.delta"):
            await scribe.args(item, event["delta"])
        elif kind == "response.output_item.added":
            await self._begun(item, event["item"])
        elif kind == "response.output_item.done":
            await self._done(item, event["item"])
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            self._ended(event["response"])
        elif kind == "error":
            raise told(event)

    async def _cited(self, key: tuple[Any, Any], note: dict[str, Any]) -> None:
        uri = note.get("url") or note.get("file_id") or ""
        await self._scribe.source(key, uri, note.get("title") or note.get("filename") or "")

    async def _begun(self, key: Any, item: dict[str, Any]) -> None:
        kind = item["type"]
        name = item.get("name") or kind.removesuffix("_call")
        ident = item.get("call_id") or item.get("id") or f"item-{key}"
        if kind in _OURS:
            await self._scribe.call(key, ident, name, "function" if kind == "function_call" else kind)
        elif kind not in _SILENT and not kind.endswith("_output"):
            await self._scribe.theirs(key, ident, name)

    async def _done(self, key: Any, item: dict[str, Any]) -> None:
        scribe, kind = self._scribe, item["type"]
        scribe.answer.content.append(item)
        if kind in ("message", "reasoning"):
            scribe.end(key)
            return
        call = scribe.known(key)
        if call is None:
            return
        if not call.args:
            await scribe.args(key, _written(item, _OURS.get(kind)))
        if kind not in _OURS:
            outcome = {name: item[name] for name in _OUTCOME if item.get(name) is not None}
            error = item.get("error")
            failed = item.get("status") == "failed" or error is not None
            value = next(iter(outcome.values())) if len(outcome) == 1 else outcome or item.get("status", "completed")
            await scribe.settle(key, value, (json.dumps(error) if error else "it failed") if failed else "")

    def _ended(self, response: dict[str, Any]) -> None:
        answer, usage = self._scribe.answer, response.get("usage") or {}
        answer.model = response.get("model") or answer.model
        self._scribe.used(
            input_tokens=usage.get("input_tokens"), output_tokens=usage.get("output_tokens"),
            cache_read_tokens=(usage.get("input_tokens_details") or {}).get("cached_tokens"),
            reasoning_tokens=(usage.get("output_tokens_details") or {}).get("reasoning_tokens"),
        )  # fmt: skip
        if response.get("status") == "failed":
            raise told(response.get("error") or {})
        answer.finish = (
            (response.get("incomplete_details") or {}).get("reason") or response.get("status") or "completed"
        )


def _written(item: dict[str, Any], field: str | None) -> str:
    """What an item that was not streamed was given, as JSON text."""
    if field is None:
        given: Any = {name: value for name, value in item.items() if name not in _FRAME and value is not None}
        if isinstance(given.get("arguments"), str):
            return str(given["arguments"])
    else:
        given = item.get(field)
        if field == "arguments":
            return str(given or "")
        given = {field: given} if isinstance(given, str) else given
    return json.dumps(given, ensure_ascii=False) if given else ""
