"""What a provider bills for one answer of one model."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

Kind = Literal["message", "fallback_message", "advisor_message", "compaction", "embedding"]
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
        odd: how the provider's counts contradict each other; empty when they do not.
        raw: the provider's own words.
    """

    kind: Kind = "message"
    model: str = ""
    counts: dict[str, int] = {}
    tier: str = ""
    region: str = ""
    speed: str = ""
    reported: bool = True
    odd: str = ""
    raw: dict[str, Any] = {}

    @property
    def total_input(self) -> int:
        """Tokens of all input."""
        return sum(self.counts.get(name, 0) for name in INPUT)

    @property
    def total_output(self) -> int:
        """Tokens of all output that is billed."""
        return sum(self.counts.get(name, 0) for name in OUTPUT)
