"""What an agent does with the objects of a stream, by API: this project's own adapters, and for what they do not speak
one small reader each, on what the adapters are made of."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from holdfast.agents.adapters import anthropic_messages, generator, openai_chat, openai_responses
from holdfast.agents.adapters.answer import ModelAnswer, ProviderFailed, RunWriter, open_stream
from holdfast.agents.run import RunContext

Event = dict[str, Any]
Relay = Callable[[RunContext, AsyncIterator[Event]], Awaitable[ModelAnswer]]
Read = Callable[[RunWriter, Event], Awaitable[None]]

TEXT = 0  # key of the one text of an answer


def by(read: Read) -> Relay:
    """A relay from what reads one event."""

    async def relay(run: RunContext, stream: AsyncIterator[Event]) -> ModelAnswer:
        scribe = RunWriter(run)
        async with open_stream(stream) as events:
            async for event in events:
                await read(scribe, event)
        return await scribe.complete()

    return relay


async def _whole_call(scribe: RunWriter, ident: str, name: str, args: Any) -> None:
    key = len(scribe.answer.calls)
    await scribe.start_call(key, ident or f"call-{key}", name)
    await scribe.append_args(key, json.dumps(args, ensure_ascii=False))


async def converse(scribe: RunWriter, event: Event) -> None:
    """Amazon Bedrock's ConverseStream, which Nova also speaks without it; every piece of text may be a block."""
    start, grown = event.get("contentBlockStart"), event.get("contentBlockDelta")
    if start and "toolUse" in start["start"]:
        tool = start["start"]["toolUse"]
        await scribe.start_call(start["contentBlockIndex"], tool["toolUseId"], tool["name"])
    if grown:
        delta = grown["delta"]
        await scribe.write_text(TEXT, delta.get("text", ""))
        await scribe.write_reasoning(TEXT, delta.get("reasoningContent", {}).get("text", ""))
        await scribe.append_args(grown["contentBlockIndex"], delta.get("toolUse", {}).get("input", ""))
    if "messageStop" in event:
        scribe.answer.finish = event["messageStop"]["stopReason"]


async def invoke(run: RunContext, stream: AsyncIterator[Event]) -> ModelAnswer:
    """Amazon Bedrock's InvokeModelWithResponseStream carries what the model itself speaks: Claude's events, or Nova's."""
    first = await anext(stream)

    async def whole() -> AsyncIterator[Event]:
        yield first
        async for event in stream:
            yield event

    return await (anthropic_messages.relay if "type" in first else by(converse))(run, whole())


async def google(scribe: RunWriter, event: Event) -> None:
    """Gemini's streamGenerateContent."""
    for candidate in event.get("candidates", []):
        for part in candidate.get("content", {}).get("parts", []):
            await _part(scribe, part)
        scribe.answer.finish = candidate.get("finishReason") or scribe.answer.finish


async def _part(scribe: RunWriter, part: Event) -> None:
    if "functionCall" in part:
        call = part["functionCall"]
        await _whole_call(scribe, call.get("id", ""), call["name"], call.get("args", {}))
    elif "executableCode" in part:
        await scribe.start_provider_call("code", "code", "code_execution")
        await scribe.append_args("code", json.dumps(part["executableCode"]))
    elif "codeExecutionResult" in part:
        await scribe.record_result("code", part["codeExecutionResult"])
    else:
        await (scribe.write_reasoning if part.get("thought") else scribe.write_text)(TEXT, part.get("text", ""))


async def interactions(scribe: RunWriter, event: Event) -> None:
    """Google's interactions."""
    delta = event.get("delta", {})
    if delta.get("type") == "text":
        await scribe.write_text(event["index"], delta["text"])
    if event["event_type"] == "interaction.completed":
        scribe.answer.finish = event["interaction"]["status"]


async def cohere(scribe: RunWriter, event: Event) -> None:
    """Cohere's chat, version 2; the plan for its tools is reasoning."""
    kind = event["type"]
    message = event.get("delta", {}).get("message", {})
    if kind in ("content-start", "content-delta"):
        await scribe.write_text(event["index"], message["content"].get("text", ""))
        await scribe.write_reasoning(event["index"], message["content"].get("thinking", ""))
    elif kind == "tool-plan-delta":
        await scribe.write_reasoning("plan", message["tool_plan"])
    elif kind == "tool-call-start":
        await scribe.start_call(event["index"], message["tool_calls"]["id"], message["tool_calls"]["function"]["name"])
    if kind in ("tool-call-start", "tool-call-delta"):
        await scribe.append_args(event["index"], message["tool_calls"]["function"]["arguments"])
    elif kind == "message-end":
        scribe.answer.finish = event["delta"]["finish_reason"]


async def realtime(scribe: RunWriter, event: Event) -> None:
    """The text, the transcripts and the calls of OpenAI's realtime API, of those who speak like it, and of Gemini Live."""
    kind, item = event.get("type", ""), event.get("item", {})
    if kind in ("response.text.delta", "response.output_text.delta", "response.output_audio_transcript.delta"):
        await scribe.write_text(event["item_id"], event["delta"])
    elif kind == "response.output_item.added" and item["type"] == "function_call":
        await scribe.start_call(item["id"], item["call_id"], item["name"])
    elif kind == "response.function_call_arguments.delta":
        await scribe.append_args(event["item_id"], event["delta"])
    elif kind == "response.done":
        scribe.answer.finish = event["response"]["status"]
    for call in event.get("toolCall", {}).get("functionCalls", []):
        await _whole_call(scribe, call["id"], call["name"], call["args"])
    content = event.get("serverContent", {})
    await scribe.write_text(TEXT, content.get("outputTranscription", {}).get("text", ""))
    for part in content.get("modelTurn", {}).get("parts", []):
        if "text" in part:
            await _part(scribe, part)
    if content.get("turnComplete"):
        scribe.answer.finish = "turnComplete"


def plain(read: Callable[[Event], tuple[str, Any]]) -> Relay:
    """A relay of what is nothing but text, as a generator; ``read`` gives an event's text, and whether it is the last."""

    async def relay(run: RunContext, stream: AsyncIterator[Event]) -> ModelAnswer:
        async def said() -> AsyncIterator[str]:
            over: Any = False
            async with open_stream(stream) as events:
                async for event in events:
                    text, last = read(event)
                    over = over or last
                    if text:
                        yield text
            if not over:
                raise ProviderFailed("the stream ended before the answer did")

        return await generator.stream(run, said())

    return relay


RELAYS: dict[str, Relay] = {
    "anthropic.messages": anthropic_messages.relay,
    "bedrock.converse-stream": by(converse),
    "bedrock.invoke-with-response-stream": invoke,
    "cohere.v1.chat": plain(lambda e: (e.get("text", ""), e["is_finished"])),
    "cohere.v2.chat": by(cohere),
    "google.interactions": by(interactions),
    "google.streamGenerateContent": by(google),
    "ollama.generate": plain(lambda e: (e["response"], e["done"])),
    "openai.chat": openai_chat.relay,
    "openai.completions": plain(lambda e: (e["choices"][0]["text"], e["choices"][0].get("finish_reason"))),
    "openai.responses": openai_responses.relay,
    "realtime.ws": by(realtime),
    "writer.chat": openai_chat.relay,
}
"""By the API of a recording."""
