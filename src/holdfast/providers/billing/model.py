"""What a provider bills for one answer of one model."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

AttemptKind = Literal[
    "message", "fallback_message", "advisor_message", "compaction", "embedding", "image_generation"
]  # fmt: skip
INPUT: Final = (
    "input", "input_audio", "input_image", "cache_read", "cache_read_audio", "cache_write", "cache_write_5m",
    "cache_write_30m", "cache_write_1h", "cache_write_12h",
)  # fmt: skip
"""Classes whose sum is all input, however it came; ``cache_write`` where its lifetime was not said."""
OUTPUT: Final = ("output", "reasoning", "output_audio", "output_image")
"""Classes whose sum is all output that is billed; ``output`` is what can be seen."""
BESIDE: Final = ("web_searches", "characters", "images", "pages", "requests", "seconds")
"""Classes beside tokens."""
TOKEN_CLASSES: Final = (*INPUT, *OUTPUT, *BESIDE)


class BilledAttempt(msgspec.Struct, frozen=True):
    """Counts of one model's part in an answer.

    Attributes:
        kind: what it did.
        model: that served, as the provider names it; empty when it does not say.
        counts: units by class; no two classes count the same. A class that the provider did not name is absent, a zero
            that it named is there.
        tier: the service tier that served, as the provider names it.
        region: where, as the provider names it.
        speed: the speed it was served at, where that has a price.
        reported: whether the provider said what was used.
        odd: how the provider's counts contradict each other, or what is missing of them; empty when nothing is. It has
            names of fields and no words of the provider's.
        raw: the provider's own words; empty where they are longer than anything but an attack.
        final: whether these are the provider's last words. False where a stream was cut before them: then more output may
            be billed than is counted here.
        provider_input: all input, as the provider's own sums say; None when they do not. ``total_input`` must equal it.
        provider_output: the same of all output that is billed.
    """

    kind: AttemptKind = "message"
    model: str = ""
    counts: dict[str, int] = {}
    tier: str = ""
    region: str = ""
    speed: str = ""
    reported: bool = True
    odd: str = ""
    raw: dict[str, Any] = {}
    final: bool = True
    provider_input: int | None = None
    provider_output: int | None = None

    @property
    def total_input(self) -> int:
        """Tokens of all input."""
        return sum(self.counts.get(name, 0) for name in INPUT)

    @property
    def total_output(self) -> int:
        """Tokens of all output that is billed."""
        return sum(self.counts.get(name, 0) for name in OUTPUT)


def problem(attempt: BilledAttempt) -> str:
    """What is wrong with the counts of an attempt, in a sentence; empty when nothing is.

    No class is unknown or negative; those of the input sum to the provider's total input, those of the output to the
    output that it bills; and what was not reported has no counts.
    """
    for name, count in attempt.counts.items():
        if name not in TOKEN_CLASSES:
            return f"{name} is no class of what is billed"
        if count < 0:
            return f"{name} is negative"
    if attempt.counts and not attempt.reported:
        return "there are counts, though the provider reported none"
    if attempt.provider_input is not None and attempt.total_input != attempt.provider_input:
        return f"the classes of the input sum to {attempt.total_input}, the provider says {attempt.provider_input}"
    if attempt.provider_output is not None and attempt.total_output != attempt.provider_output:
        return f"the classes of the output sum to {attempt.total_output}, the provider says {attempt.provider_output}"
    return ""
