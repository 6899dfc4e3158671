"""OpenAI's Responses.

In an agent: ``await openai_responses.converse(run, client, model="gpt-5", tools=[…])``, or ``relay`` for one stream.
Events as documented at https://platform.openai.com/docs/api-reference/responses-streaming. Items are told apart by their
``output_index``: some servers change an item's id between events.
"""

from __future__ import annotations

import json
import re
from typing import Any

from holdfast.agents.adapters.answer import Answer, RunWriter, Stream, told, upstream
from holdfast.agents.adapters.conversation import CallResult, Conversation, FileContent, PastMessage, Rules, Tools
from holdfast.agents.adapters.functions import Function
from holdfast.agents.run import RunContext

_OURS = {  # types of items that the one who called the model has to act on, and the field with what it wrote
    "function_call": "arguments", "custom_tool_call": "input", "apply_patch_call": "operation",
    "mcp_approval_request": "arguments", "computer_call": "action", "local_shell_call": "action",
}  # fmt: skip
_SILENT = frozenset(
    {"message", "reasoning", "mcp_list_tools", "compaction", "additional_tools", "mcp_approval_response"}
)
_TEXTS = frozenset({"response.output_text.delta", "response.audio.transcript.delta"})
_THOUGHTS = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})
_ARGS = frozenset({"response.function_call_arguments.delta", "response.mcp_call_arguments.delta"})
_QUIET = re.compile(
    r"keepalive|ping|response\.(created|queued|in_progress|content_part\.\w+|compaction\.\w+|reasoning_summary_part\.\w+"
    r"|(output_text|refusal|reasoning_text|reasoning_summary_text|audio|audio\.transcript)\.done|audio\.delta"
    r"|(web_search|file_search|image_generation|code_interpreter|computer|mcp)_call\.\w+|mcp_list_tools\.\w+"
    r"|(function|mcp)_call_arguments\.done|(code_interpreter_call_code|custom_tool_call_input|shell_call_command"
    r"|shell_call_output_content|apply_patch_call_operation_diff)\.\w+)"
)
"""What says nothing of its own: it is said again when its item is whole."""
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
    return await _read(RunWriter(run, _Requests.name), stream)


async def _read(scribe: RunWriter, stream: Stream) -> Answer:
    responses = _Responses(scribe)
    try:
        async with upstream(stream) as events:
            async for event in events:
                await responses.event(event)
    finally:
        await scribe.record()
    return await scribe.complete()


async def converse(
    run: RunContext,
    client: Any,
    *,
    model: str,
    tools: Tools = (),
    prompt: str | None = None,
    rules: Rules | None = None,
    **options: Any,
) -> Answer:
    """Answer the run's input: ask the model, make the tool calls it asks for, and so on until it has answered.

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
    return await Conversation(run, provider, tools, rules or Rules(), prompt).go()


class _Requests:
    name, text_part = "openai_responses", "input_text"

    def __init__(self, client: Any, model: str, options: dict[str, Any]) -> None:
        self._client = client
        self._options = {"model": model, **options, "stream": True}
        if options.get("store") is False:  # then reasoning has to travel with the calls it led to
            self._options["include"] = [*{*options.get("include", ()), "reasoning.encrypted_content"}]

    def past(self, said: list[PastMessage]) -> list[Any]:
        items: list[Any] = []
        for piece in said:
            if piece.text:
                items.append({"role": piece.role, "content": piece.text})
            for turn in piece.calls:
                items.append({"type": "function_call", "call_id": turn.id, "name": turn.name, "arguments": turn.args})
                items.append({"type": "function_call_output", "call_id": turn.id, "output": turn.text})
        return items

    def file(self, attached: FileContent) -> dict[str, Any]:
        if attached.media_type.startswith("image/"):
            return {"type": "input_image", "image_url": attached.url, "detail": "auto"}
        return {"type": "input_file", "filename": attached.name, "file_data": attached.url}

    def tool(self, function: Function) -> dict[str, Any]:
        return {
            "type": "function", "name": function.name, "description": function.description,
            "parameters": function.parameters, "strict": False,
        }  # fmt: skip

    def ask(self, messages: list[Any], tools: list[dict[str, Any]]) -> Stream:
        offered = {"tools": tools} if tools else {}
        stream: Stream = self._client.responses.create(input=messages, **offered, **self._options)
        return stream

    async def read(self, scribe: RunWriter, stream: Stream) -> Answer:
        return await _read(scribe, stream)

    def heard(self, answer: Answer) -> list[Any]:
        return answer.content

    def results(self, returned: list[CallResult]) -> list[Any]:
        return [_result(one) for one in returned]


def _result(one: CallResult) -> dict[str, Any]:
    if one.call.kind == "function":
        return {"type": "function_call_output", "call_id": one.call.upstream, "output": one.text}
    answer = {"approval_request_id": one.call.upstream, "approve": not one.failed}
    return {"type": "mcp_approval_response", **answer, **({"reason": one.text} if one.text else {})}


class _Responses:
    def __init__(self, scribe: RunWriter) -> None:
        self._scribe = scribe
        self._grown: set[Any] = set()  # keys of texts that came piece by piece

    async def event(self, event: dict[str, Any]) -> None:
        scribe, kind, item = self._scribe, str(event.get("type", "")), event.get("output_index")
        key = (item, event.get("content_index", event.get("summary_index", 0)))
        if kind in _TEXTS:
            self._grown.add(key)
            await scribe.text(key, event["delta"])
        elif kind == "response.refusal.delta":
            self._grown.add(key)
            await scribe.refusal(key, event["delta"])
        elif kind in _THOUGHTS:
            thought = (item, kind, key[1])
            self._grown.add(thought)
            await scribe.reasoning(thought, event["delta"])
        elif kind == "response.output_text.annotation.added":
            await self._cited(key, event.get("annotation") or {})
        elif kind in _ARGS:
            await scribe.args(item, event["delta"])
        elif kind == "response.output_item.added":
            await self._begun(item, event["item"])
        elif kind == "response.output_item.done":
            await self._done(item, event["item"])
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            await self._ended(event["response"])
        elif kind == "error":
            raise told(event)
        elif not _QUIET.fullmatch(kind):
            scribe.unknown.met(kind)

    async def _cited(self, key: tuple[Any, Any], note: dict[str, Any]) -> None:
        uri = note.get("url") or note.get("file_id") or ""
        await self._scribe.source(key, uri, note.get("title") or note.get("filename") or "")

    async def _begun(self, key: Any, item: dict[str, Any]) -> None:
        kind = item["type"]
        name = item.get("name") or kind.removesuffix("_call")
        ident = item.get("call_id") or item.get("id") or f"item-{key}"
        if kind in _OURS:
            await self._scribe.call(key, ident, name, "function" if kind == "function_call" else kind)
        elif kind == "reasoning":
            self._scribe.texts.between()
        elif kind not in _SILENT and not kind.endswith("_output"):
            await self._scribe.theirs(key, ident, name)

    async def _done(self, key: Any, item: dict[str, Any]) -> None:
        scribe, kind = self._scribe, item["type"]
        scribe.answer.content.append(item)
        if kind in ("message", "reasoning"):
            await self._whole(key, item)
            scribe.end(key)
            return
        outcome = {name: item[name] for name in _OUTCOME if item.get(name) is not None}
        value = next(iter(outcome.values())) if len(outcome) == 1 else outcome
        if kind.endswith("_output"):  # of a call that OpenAI made, which came before
            if item.get("call_id") in scribe.awaited:
                await scribe.settle(item["call_id"], value or item.get("status", "completed"))
            return
        call = scribe.known(key)
        if call is None:
            return
        if not call.args:
            await scribe.args(key, _written(item, _OURS.get(kind)))
        error = item.get("error")
        failed = item.get("status") == "failed" or error is not None
        if kind not in _OURS and (outcome or failed or not item.get("call_id")):
            words = (json.dumps(error) if error else "it failed") if failed else ""
            await scribe.settle(key, value or item.get("status", "completed"), words)

    async def _whole(self, key: Any, item: dict[str, Any]) -> None:
        """A message or reasoning is whole: what did not come in pieces is written now, and the sources not told yet."""
        scribe = self._scribe
        for place, part in enumerate(item.get("content") or []):
            kind, at = part.get("type"), (key, place)
            if kind == "reasoning_text":
                await self._thought((key, "response.reasoning_text.delta", place), part)
            elif kind not in ("output_text", "refusal"):
                scribe.unknown.met(f"content.{kind}")
            elif at not in self._grown:
                await (scribe.refusal if kind == "refusal" else scribe.text)(
                    at, part.get("text") or part.get("refusal") or ""
                )
            for note in part.get("annotations") or []:
                await self._cited(at, note)
        for place, part in enumerate(item.get("summary") or []):
            await self._thought((key, "response.reasoning_summary_text.delta", place), part)

    async def _thought(self, key: Any, part: dict[str, Any]) -> None:
        if key not in self._grown:
            await self._scribe.reasoning(key, part.get("text") or "")

    async def _ended(self, response: dict[str, Any]) -> None:
        if response.get("status") == "completed":
            await self._scribe.settle_rest()
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
