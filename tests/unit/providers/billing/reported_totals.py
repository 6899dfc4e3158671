"""What providers reported in recorded exchanges, read the long way: every event is decoded, and only sums are looked at.

It shares nothing with the code it checks, and knows no classes: only where each wire says how much went in and came out.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

Totals = tuple[int | None, int | None]
"""All input, and all output that is billed; None where it is not said."""


def events_of(exchange: dict[str, Any]) -> list[dict[str, Any]]:
    """Every event of an answer, decoded."""
    body, framing = exchange["response_body"], exchange["framing"]
    if framing == "aws-eventstream":
        return list(_messages(base64.b64decode(body)))
    if framing in ("ndjson", "chunk-lines"):
        return [json.loads(line) for line in body.split("\n") if line.strip()]
    if framing == "sse":
        data = [line[5:].strip() for line in body.replace("\r", "\n").split("\n") if line.startswith("data:")]
        return [json.loads(each) for each in data if each and each != "[DONE]"]
    value = json.loads(body) if body.strip().startswith(("{", "[")) else {}
    return value if isinstance(value, list) else [value]


def _messages(data: bytes) -> Iterator[dict[str, Any]]:
    at = 0
    while at < len(data):
        size, headers = struct.unpack_from(">II", data, at)
        event = json.loads(data[at + 12 + headers : at + size - 4])
        yield json.loads(base64.b64decode(event["bytes"])) if "bytes" in event else event
        at += size


def reported(exchange: dict[str, Any]) -> Totals:
    """The sums of an exchange."""
    events, api = events_of(exchange), exchange["api"]
    if api in ("openai.chat", "openai.completions", "writer.chat"):
        usages = [event.get("usage") or (event.get("x_groq") or {}).get("usage") for event in events]
        usage = ([each for each in usages if each] or [{}])[-1]
        output = usage.get("completion_tokens")
        if exchange["provider"] == "xai":
            output += usage["completion_tokens_details"]["reasoning_tokens"]
        return usage.get("prompt_tokens"), output
    if api == "openai.responses":
        usages = [event.get("usage") or (event.get("response") or {}).get("usage") for event in events]
        usage = ([each for each in usages if each] or [{}])[-1]
        return usage.get("input_tokens"), usage.get("output_tokens")
    if api == "anthropic.messages":
        return _anthropic(events)
    if api.startswith("google.") and api != "google.interactions":
        usage = ([event["usageMetadata"] for event in events if event.get("usageMetadata")] or [{}])[-1]
        before = [usage.get("promptTokenCount"), usage.get("toolUsePromptTokenCount")]
        return _sum(before), _sum([usage.get("candidatesTokenCount"), usage.get("thoughtsTokenCount")])
    if api == "google.interactions":
        usage = events[-1]["interaction"]["usage"]
        before = usage["total_input_tokens"] + usage["total_tool_use_tokens"]
        return before, usage["total_output_tokens"] + usage["total_thought_tokens"]
    if api.startswith("bedrock.converse"):
        usage = ([event["usage"] for event in events if event.get("usage")] or [{}])[-1]
        cached = [usage.get("cacheReadInputTokens"), usage.get("cacheWriteInputTokens")]
        return _sum([usage.get("inputTokens"), *cached]), usage.get("outputTokens")
    if api.startswith("bedrock.invoke"):
        metrics = events[-1]["amazon-bedrock-invocationMetrics"]
        cached = [metrics.get("cacheReadInputTokenCount"), metrics.get("cacheWriteInputTokenCount")]
        return _sum([metrics["inputTokenCount"], *cached]), metrics["outputTokenCount"]
    if api.startswith("cohere."):
        found = [event.get("usage") or (event.get("delta") or {}).get("usage") for event in events]
        found += [(event.get("response") or {}).get("meta") for event in events]
        units = ([each["billed_units"] for each in found if each] or [{}])[-1]
        return units.get("input_tokens"), units.get("output_tokens")
    assert api == "ollama.generate"
    return events[-1]["prompt_eval_count"], events[-1]["eval_count"]


def _anthropic(events: list[dict[str, Any]]) -> Totals:
    """All messages of a stream together."""
    sums: list[int] = []
    usage: dict[str, Any] = {}
    messages: list[dict[str, Any]] = []
    for event in events:
        if event.get("type") in ("message_start", "message"):
            usage = {}
            messages.append(usage)
            event = event.get("message", event)
        if event.get("usage"):
            usage.update(event["usage"])
    for usage in messages:
        names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        sums = [*sums, sum(usage.get(name, 0) for name in names)]
    return (sum(sums), sum(usage["output_tokens"] for usage in messages)) if messages else (None, None)


def _sum(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
