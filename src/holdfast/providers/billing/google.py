"""Google's generateContent, streamed or not, of Gemini's API and of Vertex, and its interactions.

https://ai.google.dev/api/generate-content#UsageMetadata. The prompt includes what was cached; what tools put into it and
thoughts are counted beside prompt and candidates. Every chunk of a stream has usage, grown by then. Modalities may be
numbers, of the enumeration in protocol buffers.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

import msgspec

from holdfast.protocol import limits
from holdfast.providers.billing.counting import CountReader, Fields, Split, divide, merged, note
from holdfast.providers.billing.model import AttemptKind, BilledAttempt
from holdfast.providers.billing.usage_reader import UsageReader, name_of, objects

_MODALITIES: Final[dict[Any, str]] = {
    2: "image", 4: "audio", 5: "image", "IMAGE": "image", "AUDIO": "audio", "DOCUMENT": "image"
}  # fmt: skip
"""Pages of documents are billed as images: https://ai.google.dev/gemini-api/docs/document-processing."""
_TRAFFIC: Final[dict[Any, str]] = {1: "ON_DEMAND", 2: "PROVISIONED_THROUGHPUT"}
_GENERATION: Final = re.compile(r"gemini-(\d+)")
_PER_SEARCH: Final = 3
"""Gemini 3 and later bill every search, those before a prompt that was grounded:
https://ai.google.dev/gemini-api/docs/google-search#pricing."""


class _Names(msgspec.Struct, frozen=True):
    """What a wire calls its counts; those by modality are lists."""

    prompt: tuple[str, ...]
    prompt_modes: tuple[str, ...]
    cached: tuple[str, ...]
    cached_modes: tuple[str, ...]
    tools: tuple[str, ...]
    tool_modes: tuple[str, ...]
    visible: tuple[str, ...]
    visible_modes: tuple[str, ...]
    thoughts: tuple[str, ...]
    total: str
    mode_count: str


_GENERATE: Final = _Names(
    ("promptTokenCount",), ("promptTokensDetails", "promptTokenDetails"), ("cachedContentTokenCount",), ("cacheTokensDetails",),
    ("toolUsePromptTokenCount",), ("toolUsePromptTokensDetails",), ("candidatesTokenCount", "responseTokenCount"),
    ("candidatesTokensDetails", "responseTokensDetails"), ("thoughtsTokenCount",), "totalTokenCount", "tokenCount",
)  # fmt: skip
_INTERACTIONS: Final = _Names(
    ("total_input_tokens",), ("input_tokens_by_modality",), ("total_cached_tokens",), ("cached_tokens_by_modality",),
    ("total_tool_use_tokens",), ("tool_use_tokens_by_modality",), ("total_output_tokens",),
    ("output_tokens_by_modality",), ("total_thought_tokens", "total_reasoning_tokens"), "total_tokens", "tokens",
)  # fmt: skip


def _split(usage: Fields, names: _Names) -> Split:
    split = Split(counts={}, odd=[])
    reader = CountReader(usage, split.odd)
    prompt, tools = reader.take(*names.prompt), reader.take(*names.tools)
    visible, thoughts = reader.take(*names.visible), reader.take(*names.thoughts)
    total, rest = reader.take(names.total), (tools or 0) + (thoughts or 0)
    if total is not None:  # what was left out is what the total has beyond the others
        if visible is None and prompt is not None and total > prompt + rest:
            visible = total - prompt - rest
        elif prompt is None and visible is not None and total > visible + rest:
            prompt = total - visible - rest
    if prompt is not None:
        split.total_input = prompt + (tools or 0)
        split.one_sided = total == split.total_input
    elif tools is not None:
        note(split.odd, "the prompt is missing")
        split.counts["input"] = tools
    if visible is not None or thoughts is not None:
        split.total_output = (visible or 0) + (thoughts or 0)
        if visible is None and total is None:
            note(split.odd, "the visible output is missing")
    _divide(reader, names, split, thoughts)
    if visible is None and not split.counts.get("output"):
        split.counts.pop("output", None)
    summed = (split.total_input or 0) + (split.total_output or 0)
    if total is not None and split.total_input is not None and total != summed:
        note(split.odd, f"{names.total} is not the sum of its parts")
    return split


def _divide(reader: CountReader, names: _Names, split: Split, thoughts: int | None) -> None:
    cached = reader.take(*names.cached)
    before = [_by_mode(reader, modes, names) for modes in (names.prompt_modes, names.tool_modes)]
    in_cache = _by_mode(reader, names.cached_modes, names)
    parts: dict[str, int | None] = {"cache_read": cached}
    if cached is not None and "audio" in in_cache:
        audio = min(cached, in_cache["audio"])
        parts = {"cache_read": cached - audio, "cache_read_audio": audio}
    for mode in ("audio", "image"):
        found = [modes[mode] for modes in before if mode in modes]
        if found:
            parts[f"input_{mode}"] = max(0, sum(found) - in_cache.get(mode, 0))
    divide(split.counts, split.odd, split.total_input, parts, "input")
    made = _by_mode(reader, names.visible_modes, names)
    shown = {f"output_{mode}": count for mode, count in made.items()}
    divide(split.counts, split.odd, split.total_output, {"reasoning": thoughts, **shown}, "output")


def _by_mode(reader: CountReader, lists: tuple[str, ...], names: _Names) -> dict[str, int]:
    """Counts of sounds and images, by the first of these names that has some; videos are billed as text."""
    found: dict[str, int] = {}
    for name in lists:
        for each in [] if found else reader.listed(name):
            mode = each.fields.get("modality")
            kind = _MODALITIES.get(mode.upper() if isinstance(mode, str) else mode if isinstance(mode, int) else None)
            count = each.take(names.mode_count)
            if kind and count is not None:
                found[kind] = found.get(kind, 0) + count
    return found


class GenerateUsageReader(UsageReader):
    """Reads chunks of one answer, or a whole one."""

    markers: ClassVar[tuple[bytes, ...]] = (b'"usageMetadata"', b'"finishReason"', b'"webSearchQueries"')
    model_marker: ClassVar[bytes] = b'"modelVersion"'
    kind: ClassVar[AttemptKind] = "message"

    def __init__(self, provider: str = "") -> None:
        super().__init__(provider)
        self._usage: Fields = {}
        self._last = False
        self._searches: set[str] = set()

    def read(self, event: Fields) -> None:
        usage = event.get("usageMetadata")
        has_usage = isinstance(usage, dict) and bool(usage)
        self._name(event.get("modelVersion"), serving=has_usage)
        if isinstance(usage, dict):
            self._usage = merged(self._usage, usage)
        for candidate in objects(event.get("candidates")):
            self._last = self._last or bool(candidate.get("finishReason"))
            grounding = candidate.get("groundingMetadata")
            queries = grounding.get("webSearchQueries") if isinstance(grounding, dict) else None
            for query in queries if isinstance(queries, list) else ():
                if isinstance(query, str) and query and len(self._searches) < limits.PROVIDER_ITEMS:
                    self._searches.add(query)

    def attempts(self) -> tuple[BilledAttempt, ...]:
        split = _split(self._usage, _GENERATE) if self._usage else Split()
        if self._searches:
            generation = _GENERATION.search(self.model)
            each = generation is not None and int(generation[1][:4]) >= _PER_SEARCH
            split.counts["web_searches"] = len(self._searches) if each else 1
        traffic = self._usage.get("trafficType")
        tier = name_of(self._usage, "serviceTier")
        if not tier:
            tier = _TRAFFIC.get(traffic, "") if isinstance(traffic, int) else name_of(self._usage, "trafficType")
        return (self._attempt(self._usage, split, final=self._ended or self._last, kind=self.kind, tier=tier),)


class EmbedContentUsageReader(GenerateUsageReader):
    """Reads an answer of the embeddings endpoint."""

    kind: ClassVar[AttemptKind] = "embedding"


class InteractionsUsageReader(UsageReader):
    """Reads events of one interaction, or a whole one."""

    markers: ClassVar[tuple[bytes, ...]] = (b'"usage"',)

    def __init__(self, provider: str = "") -> None:
        super().__init__(provider)
        self._usage: Fields = {}
        self._tier = ""

    def read(self, event: Fields) -> None:
        nested = event.get("interaction")
        interaction = nested if isinstance(nested, dict) else event
        usage = interaction.get("usage")
        has_usage = isinstance(usage, dict) and bool(usage)
        self._name(interaction.get("model"), serving=has_usage)
        if isinstance(usage, dict) and usage:
            self._usage = merged(self._usage, usage)
            self._tier = name_of(interaction, "service_tier") or self._tier

    def attempts(self) -> tuple[BilledAttempt, ...]:
        split = _split(self._usage, _INTERACTIONS) if self._usage else Split()
        return (self._attempt(self._usage, split, final=bool(self._usage), tier=self._tier),)
