"""Cohere's chat and embeddings: https://docs.cohere.com/reference/chat.

``billed_units`` is what is billed; ``tokens``, which has Cohere's own prompts as well, is not, and neither are cached tokens
told apart in the bill. A stream says it at its end: in ``message-end`` (version 2), in ``stream-end`` (version 1).
"""

from __future__ import annotations

from typing import ClassVar

from holdfast.providers.billing.counting import CountReader, Fields, Split, divide, note
from holdfast.providers.billing.model import AttemptKind, BilledAttempt
from holdfast.providers.billing.usage_reader import UsageReader

_UNCOUNTED = ("search_units", "classifications")


class CohereUsageReader(UsageReader):
    """Reads events of one answer, or a whole one, of either version."""

    markers: ClassVar[tuple[bytes, ...]] = (b'"billed_units"', b'"tokens"')
    kind: ClassVar[AttemptKind] = "message"

    def __init__(self, provider: str = "") -> None:
        super().__init__(provider)
        self._usage: Fields = {}

    def read(self, event: Fields) -> None:
        self._name(event.get("model"))
        for place in (event, event.get("delta"), event.get("response")):
            if not isinstance(place, dict):
                continue
            usage = place.get("usage") or place.get("meta")
            if isinstance(usage, dict) and (usage.get("billed_units") or usage.get("tokens")):
                self._usage = {name: usage[name] for name in usage if name not in ("api_version", "warnings")}

    def attempts(self) -> tuple[BilledAttempt, ...]:
        split = Split(counts={}, odd=[])
        usage = CountReader(self._usage, split.odd)
        billed = usage.inner("billed_units")
        if not billed.fields and self._usage:
            billed = usage.inner("tokens")
            note(split.odd, "what is billed was not said, all tokens are counted")
        split.total_input, split.total_output = billed.take("input_tokens"), billed.take("output_tokens")
        drawn = billed.take("image_tokens")  # beside the others
        if drawn is not None:
            split.total_input = (split.total_input or 0) + drawn
        divide(split.counts, split.odd, split.total_input, {"input_image": drawn}, "input")
        divide(split.counts, split.odd, split.total_output, {}, "output")
        images = billed.take("images")
        if images is not None:
            split.counts["images"] = images
        for name in _UNCOUNTED:
            if billed.take(name):
                note(split.odd, f"{name} are billed, and no class counts them")
        return (self._attempt(self._usage, split, final=bool(self._usage), kind=self.kind),)


class CohereEmbeddingsUsageReader(CohereUsageReader):
    """Reads an answer of the embeddings endpoint."""

    kind: ClassVar[AttemptKind] = "embedding"
