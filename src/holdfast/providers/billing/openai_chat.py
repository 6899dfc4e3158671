"""Chat completions, text completions and embeddings, of OpenAI and of whoever speaks like it.

In a stream, usage comes in one of the last chunks, or in all of them, growing; Groq's may stand in ``x_groq``. Chunks
without usage have none, or null.
"""

from __future__ import annotations

from typing import ClassVar

from holdfast.providers.billing.counting import Fields, Split
from holdfast.providers.billing.model import AttemptKind, BilledAttempt
from holdfast.providers.billing.openai_counts import CHAT, openai_split
from holdfast.providers.billing.usage_reader import UsageReader, name_of, objects


class ChatUsageReader(UsageReader):
    """Reads chunks of chat completions, or a whole one; the newest usage counts."""

    markers: ClassVar[tuple[bytes, ...]] = (b'"usage"', b"[DONE]")
    kind: ClassVar[AttemptKind] = "message"

    def __init__(self, provider: str = "") -> None:
        super().__init__(provider)
        self._usage: Fields = {}
        self._tier = ""
        self._last = False

    def read(self, event: Fields) -> None:
        usage = event.get("usage")
        groq = event.get("x_groq")
        if not usage and isinstance(groq, dict):
            usage = groq.get("usage")
        has_usage = isinstance(usage, dict) and bool(usage)
        self._name(event.get("model"), serving=has_usage)
        if not isinstance(usage, dict) or not usage:
            return
        self._usage = usage
        self._tier = name_of(event, "service_tier") or name_of(usage, "service_tier") or self._tier
        choices = objects(event.get("choices"))
        self._last = not choices or any(choice.get("finish_reason") for choice in choices)

    def attempts(self) -> tuple[BilledAttempt, ...]:
        split = openai_split(self._usage, CHAT, self._provider) if self._usage else Split()
        final = self._ended or self._last
        return (self._attempt(self._usage, split, final=final, kind=self.kind, tier=self._tier),)


class EmbeddingsUsageReader(ChatUsageReader):
    """Reads an answer of an embeddings endpoint: it has input only."""

    kind: ClassVar[AttemptKind] = "embedding"
