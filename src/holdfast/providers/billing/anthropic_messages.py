"""Anthropic's messages: https://docs.anthropic.com/en/api/messages.

Input excludes what was read from a cache or written to one; output includes thinking. In a stream ``message_start`` has the
input and ``message_delta`` counts that have grown; either may have any of them. ``iterations`` has the parts of a call in
which several models, or several rounds, took part: each is billed at its own model's rates, a compaction is in none of the
counts beside it, and what a model declined without any output is not billed.
"""

from __future__ import annotations

from typing import ClassVar, Final

from holdfast.protocol import limits
from holdfast.providers.billing.counting import CountReader, Fields, Split, divide, lifetimes, merged, note
from holdfast.providers.billing.model import AttemptKind, BilledAttempt
from holdfast.providers.billing.usage_reader import UsageReader, name_of, objects

_FINAL: Final = ("output_tokens", "thinking_tokens")
"""Counts that ``message_delta`` always has: its zero is one."""
_KINDS: Final[dict[str, AttemptKind]] = {
    "message": "message", "fallback_message": "fallback_message", "advisor_message": "advisor_message",
    "compaction": "compaction",
}  # fmt: skip
_SERVING: Final = ("message", "fallback_message")


def merged_usage(earlier: Fields, later: Fields) -> Fields:
    """The usage of ``message_start`` and of ``message_delta`` as one."""
    return merged(earlier, later, _FINAL)


def messages_split(usage: Fields) -> Split:
    """The classes of a usage object, or of one iteration."""
    split = Split(counts={}, odd=[])
    reader = CountReader(usage, split.odd)
    plain, read = reader.take("input_tokens"), reader.take("cache_read_input_tokens")
    written = reader.take("cache_creation_input_tokens")
    by_lifetime = lifetimes(reader.inner("cache_creation"), written)
    all_written = sum(count or 0 for count in by_lifetime.values())
    if written and all_written > written:
        note(split.odd, "cache_creation is more than cache_creation_input_tokens")
    if plain is not None:
        split.total_input = plain + (read or 0) + max(written or 0, all_written)
        split.counts["input"] = plain
    divide(split.counts, split.odd, None, {"cache_read": read, **by_lifetime}, "input")
    split.total_output = reader.take("output_tokens")
    thinking = reader.inner("output_tokens_details").take("thinking_tokens")
    divide(split.counts, split.odd, split.total_output, {"reasoning": thinking}, "output")
    return split


class _Message:
    """One message of a stream."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.usage: Fields = {}
        self.stop = ""
        self.final = False


class MessagesUsageReader(UsageReader):
    """Reads events of messages, one after the other, or a whole message."""

    markers: ClassVar[tuple[bytes, ...]] = (b'"usage"', b'"message_start"', b'"message_delta"')

    def __init__(self, provider: str = "") -> None:
        super().__init__(provider)
        self._messages: list[_Message] = []

    def read(self, event: Fields) -> None:
        kind = event.get("type")
        if kind == "message_start":
            nested = event.get("message")
            self._start(nested if isinstance(nested, dict) else {})
        elif kind == "message_delta":
            if not self._messages:
                self._start({})
            delta = event.get("delta")
            self._take(event.get("usage"), name_of(delta, "stop_reason") if isinstance(delta, dict) else "")
        elif kind == "message" or (kind is None and isinstance(event.get("usage"), dict)):
            self._start(event)

    def end(self) -> None:
        super().end()
        for message in self._messages[-1:]:
            message.final = True

    def attempts(self) -> tuple[BilledAttempt, ...]:
        if not self._messages:
            return (self._attempt({}, Split(), final=False),)
        return tuple(attempt for message in self._messages for attempt in self._of_message(message))

    def _start(self, message: Fields) -> None:
        self._name(message.get("model"), serving=True)
        if len(self._messages) >= limits.PROVIDER_PARTS:
            note(self.odd, "more messages than are read")
            return
        self._messages.append(_Message(self.model))
        self._take(message.get("usage"), name_of(message, "stop_reason"))

    def _take(self, usage: object, stop: str) -> None:
        message = self._messages[-1]
        message.stop = stop or message.stop
        message.final = message.final or bool(stop)
        if isinstance(usage, dict):
            message.usage = merged_usage(message.usage, usage)

    def _of_message(self, message: _Message) -> list[BilledAttempt]:
        usage = message.usage
        whole_split = messages_split(usage)
        parts = _iterations(usage, message.stop, whole_split)
        if parts is None:
            parts = [("message", message.model, usage, whole_split)]
        searches = CountReader(usage, whole_split.odd).inner("server_tool_use").take("web_search_requests")
        if searches is not None:
            served = [split for kind, _, _, split in parts if kind in _SERVING]
            if not served and searches:
                split = Split(counts={}, odd=[*whole_split.odd])
                parts.append(("message", message.model, usage, split))
                served = [split]
            for split in served[-1:]:
                split.counts["web_searches"] = searches
        return [
            self._attempt(
                raw, split, final=message.final, kind=kind, model=model or message.model,
                tier=name_of(usage, "service_tier"), region=name_of(usage, "inference_geo"),
                speed=name_of(usage, "speed"),
            )
            for kind, model, raw, split in parts
        ]  # fmt: skip


_Part = tuple[AttemptKind, str, Fields, Split]


def _iterations(usage: Fields, stop: str, whole_split: Split) -> list[_Part] | None:
    """The parts of a call that are billed; None where it has no iterations, and counts as one."""
    listed = usage.get("iterations")
    found = objects(listed)
    if not found:
        if listed:
            note(whole_split.odd, "iterations is not a list of objects")
        return None
    parts: list[_Part] = []
    served: list[Split] = []
    for iteration in found[: limits.PROVIDER_PARTS]:
        kind = _KINDS.get(name_of(iteration, "type"))
        split = messages_split(iteration)
        if kind is None:
            note(split.odd, "an iteration of a kind that is not known")
        if kind in (None, *_SERVING):
            served.append(split)
        parts.append((kind or "message", name_of(iteration, "model"), iteration, split))
    if len(found) > limits.PROVIDER_PARTS and parts:
        note(parts[-1][3].odd, "more iterations than are read")
    if len(served) == 1 and served[0].total_output == whole_split.total_output and "reasoning" in whole_split.counts:
        for name in ("output", "reasoning"):  # thinking is told only beside the iterations
            served[0].counts[name] = whole_split.counts[name]
    if not served and (whole_split.total_input or whole_split.total_output):
        parts.append(("message", "", usage, whole_split))  # only what stands outside it was listed
    elif served and all(kind != "fallback_message" for kind, *_ in parts):
        _compare(served, whole_split)
    # a single one without output was not declined: it filled a cache, say
    declined = len(served) > 1 or stop == "refusal"
    return [
        part for part in parts
        if part[3].total_output != 0 or (part[0] in _SERVING and not declined)
    ]  # fmt: skip


def _compare(served: list[Split], whole_split: Split) -> None:
    """Note where the parts of one model do not sum to the counts beside them."""
    for name in ("total_input", "total_output"):
        total = getattr(whole_split, name)
        if total is not None and total != sum(getattr(split, name) or 0 for split in served):
            note(served[-1].odd, "iterations do not sum to the usage beside them")
