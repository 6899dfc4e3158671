"""Ollama's generate, chat and embed: https://github.com/ollama/ollama/blob/main/docs/api.md.

The last line has the counts. A prompt that was evaluated before may be left out of them: then no input is reported.
"""

from __future__ import annotations

from typing import ClassVar

from holdfast.providers.billing.counting import CountReader, Fields, Split, divide
from holdfast.providers.billing.model import AttemptKind, BilledAttempt
from holdfast.providers.billing.usage_reader import UsageReader

_COUNTS = ("prompt_eval_count", "eval_count")


class OllamaUsageReader(UsageReader):
    """Reads lines of one answer, or a whole one."""

    markers: ClassVar[tuple[bytes, ...]] = (b'"prompt_eval_count"', b'"eval_count"')
    kind: ClassVar[AttemptKind] = "message"

    def __init__(self, provider: str = "") -> None:
        super().__init__(provider)
        self._usage: Fields = {}
        self._last = False

    def read(self, event: Fields) -> None:
        usage = {name: event[name] for name in _COUNTS if name in event}
        self._name(event.get("model"), serving=bool(usage))
        if usage:
            self._usage = usage
            self._last = event.get("done") is True

    def attempts(self) -> tuple[BilledAttempt, ...]:
        split = Split(counts={}, odd=[])
        reader = CountReader(self._usage, split.odd)
        split.total_input, split.total_output = reader.take("prompt_eval_count"), reader.take("eval_count")
        divide(split.counts, split.odd, split.total_input, {}, "input")
        divide(split.counts, split.odd, split.total_output, {}, "output")
        return (self._attempt(self._usage, split, final=self._ended or self._last, kind=self.kind),)


class OllamaEmbeddingsUsageReader(OllamaUsageReader):
    """Reads an answer of the embeddings endpoint."""

    kind: ClassVar[AttemptKind] = "embedding"
