"""OpenAI's Responses.

In an agent: ``await openai_responses.converse(run, client, model="gpt-5", tools=[…])``, or ``relay`` for one stream.
Events as documented at https://platform.openai.com/docs/api-reference/responses-streaming. Items are told apart by their
``output_index``: some servers change an item's id between events.
"""

from __future__ import annotations

import json
import re
from typing import Any

from holdfast.agents.adapters.answer import Answer, ProviderStream, RunWriter, open_stream, provider_error
from holdfast.agents.adapters.conversation import CallResult, Conversation, FileContent, PastMessage, Rules, ToolSpecs
from holdfast.agents.adapters.functions import Function
from holdfast.agents.run import RunContext

_CALLER_CALLS = {  # types of items that the one who called the model has to act on, and the field with what it wrote
    "function_call": "arguments", "custom_tool_call": "input", "apply_patch_call": "operation",
    "mcp_approval_request": "arguments", "computer_call": "action", "local_shell_call": "action",
}  # fmt: skip
_IGNORED_ITEMS = frozenset(
    {"message", "reasoning", "mcp_list_tools", "compaction", "additional_tools", "mcp_approval_response"}
)
_TEXT_EVENTS = frozenset({"response.output_text.delta", "response.audio.transcript.delta"})
_REASONING_EVENTS = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})
_ARGUMENT_EVENTS = frozenset({"response.function_call_arguments.delta", "response.mcp_call_arguments.delta"})
_IGNORED_EVENTS = re.compile(
    r"keepalive|ping|response\.(created|queued|in_progress|content_part\.\w+|compaction\.\w+|reasoning_summary_part\.\w+"
    r"|(output_text|refusal|reasoning_text|reasoning_summary_text|audio|audio\.transcript)\.done|audio\.delta"
    r"|(web_search|file_search|image_generation|code_interpreter|computer|mcp)_call\.\w+|mcp_list_tools\.\w+"
    r"|(function|mcp)_call_arguments\.done|(code_interpreter_call_code|custom_tool_call_input|shell_call_command"
    r"|shell_call_output_content|apply_patch_call_operation_diff)\.\w+)"
)
"""Events that add nothing: their content comes again when the item is whole."""
_OUTCOME_FIELDS = ("output", "outputs", "results", "result", "tools")
_NOT_INPUT = frozenset({"id", "type", "status", "call_id", "name", "error", *_OUTCOME_FIELDS})


async def relay(run: RunContext, stream: ProviderStream) -> Answer:
    """Write a stream of response events into the run as it comes: text, reasoning, refusal, tool calls, sources, usage.

    Tools that OpenAI runs itself (web search, code interpreter, MCP …) are shown with what they were given and gave.

    Args:
        stream: what ``client.responses.create(stream=True)`` gives, awaited or not, or any async iterable of such
            events, as objects or dicts. It is closed when this ends.

    Raises:
        ProviderFailed: the provider refused, failed or broke off.
    """
    return await _read(RunWriter(run, _Requests.name), stream)


async def _read(writer: RunWriter, stream: ProviderStream) -> Answer:
    reader = _EventReader(writer)
    try:
        async with open_stream(stream) as events:
            async for event in events:
                await reader.event(event)
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

    async def read(self, writer: RunWriter, stream: ProviderStream) -> Answer:
        return await _read(writer, stream)

    def answer_messages(self, answer: Answer) -> list[Any]:
        return answer.content

    def result_messages(self, results: list[CallResult]) -> list[Any]:
        return [_call_output(result) for result in results]


def _call_output(result: CallResult) -> dict[str, Any]:
    if result.call.kind == "function":
        return {"type": "function_call_output", "call_id": result.call.upstream, "output": result.text}
    answer = {"approval_request_id": result.call.upstream, "approve": not result.failed}
    return {"type": "mcp_approval_response", **answer, **({"reason": result.text} if result.text else {})}


class _EventReader:
    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer
        self._streamed: set[Any] = set()  # keys of texts that came piece by piece

    async def event(self, event: dict[str, Any]) -> None:
        writer, kind, item = self._writer, str(event.get("type", "")), event.get("output_index")
        key = (item, event.get("content_index", event.get("summary_index", 0)))
        if kind in _TEXT_EVENTS:
            self._streamed.add(key)
            await writer.write_text(key, event["delta"])
        elif kind == "response.refusal.delta":
            self._streamed.add(key)
            await writer.write_refusal(key, event["delta"])
        elif kind in _REASONING_EVENTS:
            reasoning_key = (item, kind, key[1])
            self._streamed.add(reasoning_key)
            await writer.write_reasoning(reasoning_key, event["delta"])
        elif kind == "response.output_text.annotation.added":
            await self._cite(key, event.get("annotation") or {})
        elif kind in _ARGUMENT_EVENTS:
            await writer.append_args(item, event["delta"])
        elif kind == "response.output_item.added":
            await self._start_item(item, event["item"])
        elif kind == "response.output_item.done":
            await self._end_item(item, event["item"])
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            await self._finish(event["response"])
        elif kind == "error":
            raise provider_error(event)
        elif not _IGNORED_EVENTS.fullmatch(kind):
            writer.unknown.count(kind)

    async def _cite(self, key: tuple[Any, Any], annotation: dict[str, Any]) -> None:
        uri = annotation.get("url") or annotation.get("file_id") or ""
        await self._writer.cite(key, uri, annotation.get("title") or annotation.get("filename") or "")

    async def _start_item(self, key: Any, item: dict[str, Any]) -> None:
        kind = item["type"]
        name = item.get("name") or kind.removesuffix("_call")
        ident = item.get("call_id") or item.get("id") or f"item-{key}"
        if kind in _CALLER_CALLS:
            await self._writer.start_call(key, ident, name, "function" if kind == "function_call" else kind)
        elif kind == "reasoning":
            self._writer.texts.break_message()
        elif kind not in _IGNORED_ITEMS and not kind.endswith("_output"):
            await self._writer.start_provider_call(key, ident, name)

    async def _end_item(self, key: Any, item: dict[str, Any]) -> None:
        writer, kind = self._writer, item["type"]
        writer.answer.content.append(item)
        if kind in ("message", "reasoning"):
            await self._complete_text(key, item)
            writer.end_text(key)
            return
        outcome = {name: item[name] for name in _OUTCOME_FIELDS if item.get(name) is not None}
        value = next(iter(outcome.values())) if len(outcome) == 1 else outcome
        if kind.endswith("_output"):  # of a call that OpenAI made, which came before
            if item.get("call_id") in writer.pending_calls:
                await writer.record_result(item["call_id"], value or item.get("status", "completed"))
            return
        call = writer.find_call(key)
        if call is None:
            return
        if not call.args:
            await writer.append_args(key, _input_json(item, _CALLER_CALLS.get(kind)))
        error = item.get("error")
        failed = item.get("status") == "failed" or error is not None
        if kind not in _CALLER_CALLS and (outcome or failed or not item.get("call_id")):
            message = (json.dumps(error) if error else "it failed") if failed else ""
            await writer.record_result(key, value or item.get("status", "completed"), message)

    async def _complete_text(self, key: Any, item: dict[str, Any]) -> None:
        """A message or reasoning is whole: what did not come in pieces is written now, and the sources that did not come yet."""
        writer = self._writer
        for index, part in enumerate(item.get("content") or []):
            kind, at = part.get("type"), (key, index)
            if kind == "reasoning_text":
                await self._complete_reasoning((key, "response.reasoning_text.delta", index), part)
            elif kind not in ("output_text", "refusal"):
                writer.unknown.count(f"content.{kind}")
            elif at not in self._streamed:
                await (writer.write_refusal if kind == "refusal" else writer.write_text)(
                    at, part.get("text") or part.get("refusal") or ""
                )
            for annotation in part.get("annotations") or []:
                await self._cite(at, annotation)
        for index, part in enumerate(item.get("summary") or []):
            await self._complete_reasoning((key, "response.reasoning_summary_text.delta", index), part)

    async def _complete_reasoning(self, key: Any, part: dict[str, Any]) -> None:
        if key not in self._streamed:
            await self._writer.write_reasoning(key, part.get("text") or "")

    async def _finish(self, response: dict[str, Any]) -> None:
        if response.get("status") == "completed":
            await self._writer.complete_pending()
        answer, usage = self._writer.answer, response.get("usage") or {}
        answer.model = response.get("model") or answer.model
        self._writer.set_usage(
            input_tokens=usage.get("input_tokens"),
            output_tokens=usage.get("output_tokens"),
            cache_read_tokens=(usage.get("input_tokens_details") or {}).get("cached_tokens"),
            reasoning_tokens=(usage.get("output_tokens_details") or {}).get("reasoning_tokens"),
        )
        if response.get("status") == "failed":
            raise provider_error(response.get("error") or {})
        answer.finish = (
            (response.get("incomplete_details") or {}).get("reason") or response.get("status") or "completed"
        )


def _input_json(item: dict[str, Any], field: str | None) -> str:
    """The input of an item that was not streamed, as JSON text."""
    if field is None:
        fields: Any = {name: value for name, value in item.items() if name not in _NOT_INPUT and value is not None}
        if isinstance(fields.get("arguments"), str):
            return str(fields["arguments"])
    else:
        fields = item.get(field)
        if field == "arguments":
            return str(fields or "")
        fields = {field: fields} if isinstance(fields, str) else fields
    return json.dumps(fields, ensure_ascii=False) if fields else ""
