"""Amazon Bedrock: Converse, and InvokeModel, whose body is that of the model's own maker.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html: ``inputTokens`` excludes what was read
from a cache or written to one. InvokeModel says what AWS counted, and bills, in ``amazon-bedrock-invocationMetrics`` of the
last event, or in headers; where the model's own words differ, AWS' stand. What guardrails charge is no part of either.
"""

from __future__ import annotations

import base64
import binascii
from typing import ClassVar, Final

from holdfast.providers.billing.anthropic_messages import MessagesUsageReader
from holdfast.providers.billing.counting import CountReader, Fields, Split, divide, lifetimes, merged, note
from holdfast.providers.billing.model import AttemptKind, BilledAttempt
from holdfast.providers.billing.openai_chat import ChatUsageReader
from holdfast.providers.billing.usage_reader import UsageReader, name_of, objects
from holdfast.providers.errors import MalformedStream
from holdfast.providers.events import value_of

_MESSAGES: Final = ("message", "message_start", "message_delta")
_METRICS: Final = "amazon-bedrock-invocationMetrics"
_HEADERS: Final = {
    "x-amzn-bedrock-input-token-count": "inputTokenCount", "x-amzn-bedrock-output-token-count": "outputTokenCount",
    "x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokenCount",
    "x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokenCount",
}  # fmt: skip
_READ: Final = ("cacheReadInputTokens", "cacheReadInputTokenCount")
_WRITTEN: Final = ("cacheWriteInputTokens", "cacheWriteInputTokenCount")


def converse_split(usage: Fields) -> Split:
    """The classes of a ``TokenUsage``, of Converse and of Nova, or of the metrics of an invocation."""
    split = Split(counts={}, odd=[])
    reader = CountReader(usage, split.odd)
    plain, read, written = reader.take("inputTokens", "inputTokenCount"), reader.take(*_READ), reader.take(*_WRITTEN)
    by_ttl: Fields = {}
    for detail in reader.listed("cacheDetails"):
        ttl, count = name_of(detail.fields, "ttl"), detail.take("inputTokens")
        if ttl and count is not None:
            by_ttl[ttl] = by_ttl.get(ttl, 0) + count
    parts = lifetimes(CountReader(by_ttl, split.odd), written)
    all_written = sum(count or 0 for count in parts.values())
    if written is not None and all_written > written:
        note(split.odd, "cacheDetails are more than cacheWriteInputTokens")
    if plain is not None:
        split.total_input = plain + (read or 0) + max(written or 0, all_written)
        split.counts["input"] = plain
    divide(split.counts, split.odd, None, {"cache_read": read, **parts}, "input")
    output, total = reader.take("outputTokens", "outputTokenCount"), reader.take("totalTokens")
    if output is None and total is not None and split.total_input is not None and total > split.total_input:
        output = total - split.total_input
    split.total_output = output
    divide(split.counts, split.odd, output, {}, "output")
    if total is not None and plain is not None and output is not None:
        cached = (split.total_input or 0) - plain
        if total not in (plain + output, plain + cached + output):  # some models' total leaves out what was cached
            note(split.odd, "totalTokens is not the sum of its parts")
    searches = reader.inner("serverToolUsage").take("webSearchRequests")
    if searches is not None:
        split.counts["web_searches"] = searches
    return split


class ConverseUsageReader(UsageReader):
    """Reads an answer of Converse, or the events of its stream. The model is named only by a prompt router."""

    markers: ClassVar[tuple[bytes, ...]] = (b'"usage"', b'"invokedModelId"')
    model_marker: ClassVar[bytes] = b'"invokedModelId"'

    def __init__(self, provider: str = "") -> None:
        super().__init__(provider)
        self._event: Fields = {}

    def read(self, event: Fields) -> None:
        trace = event.get("trace")
        router = trace.get("promptRouter") if isinstance(trace, dict) else None
        if isinstance(router, dict):
            self._name(router.get("invokedModelId"))
        nested = event.get("metadata")  # as some clients write the event down
        event = nested if isinstance(nested, dict) and "usage" in nested else event
        if isinstance(event.get("usage"), dict) and event["usage"]:
            self._event = event

    def attempts(self) -> tuple[BilledAttempt, ...]:
        usage: Fields = self._event.get("usage") or {}
        tier, performance = self._event.get("serviceTier"), self._event.get("performanceConfig")
        return (
            self._attempt(
                usage, converse_split(usage) if usage else Split(), final=bool(usage),
                tier=name_of(tier, "type") if isinstance(tier, dict) else name_of(self._event, "serviceTier"),
                speed=name_of(performance, "latency") if isinstance(performance, dict) else "",
            ),
        )  # fmt: skip


class InvokeUsageReader(UsageReader):
    """Reads an answer of InvokeModel, or the chunks of its stream, whatever the model's maker writes."""

    markers: ClassVar[tuple[bytes, ...]] = (
        *MessagesUsageReader.markers, f'"{_METRICS}"'.encode(), b'"inputTextTokenCount"', b'"prompt_token_count"',
    )  # fmt: skip
    wrapped: ClassVar[bool] = True

    def __init__(self, provider: str = "") -> None:
        super().__init__(provider)
        self._metrics: Fields = {}
        self._own: Fields = {}
        self._embeds = False
        self._native: UsageReader | None = None

    def unwrap(self, payload: bytes) -> bytes:
        """What stands in ``bytes`` of a chunk."""
        try:
            chunk = value_of(payload)
            return base64.b64decode(chunk["bytes"], validate=True)
        except (MalformedStream, KeyError, TypeError, ValueError, binascii.Error):
            return payload

    def read(self, event: Fields) -> None:
        metrics = event.get(_METRICS)
        if isinstance(metrics, dict):
            self._metrics = merged(self._metrics, metrics)
        own = _own_usage(event)
        if own:
            self._own = merged(self._own, own)
            self._embeds = self._embeds or "embedding" in event
            return
        if self._native is None:
            usage = event.get("usage")
            if isinstance(usage, dict) and "prompt_tokens" in usage:
                self._native = ChatUsageReader(self._provider)
            elif event.get("type") in _MESSAGES:
                self._native = MessagesUsageReader(self._provider)
        if self._native is not None:
            self._native.read(event)
            self._name(self._native.model, serving=True)

    def read_headers(self, headers: dict[str, str]) -> None:
        found: Fields = {name: headers[header] for header, name in _HEADERS.items() if header in headers}
        self._metrics = merged(self._metrics, found)

    def end(self) -> None:
        super().end()
        if self._native is not None:
            self._native.end()

    def attempts(self) -> tuple[BilledAttempt, ...]:
        if self._own:
            kind: AttemptKind = "embedding" if self._embeds else "message"
            final = self._ended or bool(self._metrics)
            attempts: tuple[BilledAttempt, ...] = (
                self._attempt(self._own, converse_split(self._own), final=final, kind=kind),
            )
        elif self._native is not None:
            attempts = self._native.attempts()
        else:
            attempts = (self._attempt({}, Split(), final=False),)
        return self._settled(attempts) if self._metrics and len(attempts) == 1 else attempts

    def _settled(self, attempts: tuple[BilledAttempt, ...]) -> tuple[BilledAttempt, ...]:
        """The one attempt as AWS counts it."""
        own, split = attempts[0], converse_split(self._metrics)
        if split.total_input is None and split.total_output is None:
            return attempts
        same = (own.total_input, own.total_output) == (split.total_input or 0, split.total_output or 0)
        if own.reported and same:
            return attempts
        if own.reported:
            note(split.odd, "the model and the metrics of its invocation count differently")
        raw = {**own.raw, _METRICS: self._metrics} if own.raw else self._metrics
        return (
            self._attempt(
                raw, split, final=True, kind=own.kind, model=own.model, tier=own.tier, region=own.region,
                speed=own.speed,
            ),
        )  # fmt: skip


def _own_usage(event: Fields) -> Fields:
    """What models of Amazon's and Meta's say, in the words of Converse."""
    usage = event.get("usage")
    metadata = event.get("metadata")
    if isinstance(metadata, dict):
        usage = usage or metadata.get("usage")
    if isinstance(usage, dict) and ("inputTokens" in usage or "outputTokens" in usage):
        return usage
    titan, llama = "inputTextTokenCount" in event, "prompt_token_count" in event
    if titan:
        outputs = [result.get("tokenCount") for result in objects(event.get("results"))]
        counts = [count for count in outputs if isinstance(count, int)]
        output = sum(counts) if counts else event.get("totalOutputTextTokenCount")
        return {"inputTokens": event["inputTextTokenCount"], "outputTokens": output}
    if llama:
        return {"inputTokens": event["prompt_token_count"], "outputTokens": event.get("generation_token_count")}
    return {}
