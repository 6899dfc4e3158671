"""What an answer used, by the classes that are billed apart, from what each dialect counts and into it.

Chat completions and Responses count cached input inside their input, Anthropic counts it beside: here ``input`` is always
what was neither read from a cache nor written to one, and ``output`` always all that is billed as output. A class that
the provider did not name is None; a zero that it did name stays a zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from holdfast.providers.billing.anthropic_messages import messages_split
from holdfast.providers.billing.counting import Split, joined, whole
from holdfast.providers.billing.openai_counts import CHAT, RESPONSES, openai_split

Counts = dict[str, Any]
_LIVES = ("5m", "1h")


class TokenUsage(msgspec.Struct, frozen=True):
    """Tokens used so far; a later one replaces an earlier one.

    Attributes:
        input: plain input, neither read from a cache nor written to one.
        cache_read: input read from a cache.
        cache_write: input written to a cache.
        output: all output that is billed, reasoning included.
        reasoning: the part of it that nobody sees.
        tier: the service tier that served the answer, which decides the price.
        odd: how the provider's counts contradict each other, or what of them is no count; empty when nothing is. No class
            is negative all the same.
        reported: what the provider said, in its own form: for further classes, and to be written again. ``tool_usage`` of
            Responses, which stands beside the usage there, is in it.
    """

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None
    tier: str = ""
    odd: str = ""
    reported: Counts = {}

    @property
    def total_input(self) -> int:
        """All input, however it came."""
        return (self.input or 0) + (self.cache_read or 0) + (self.cache_write or 0)

    @property
    def classes(self) -> dict[str, int]:
        """Every count the provider reported, by its path: ``cache_creation.ephemeral_1h_input_tokens`` for example."""
        return dict(_flat(self.reported, ""))

    @property
    def billed_classes(self) -> dict[str, int]:
        """What is billed apart, by the classes of ``billing/model.py``: no two of them count the same."""
        write, output, reasoning = self.cache_write, self.output, self.reasoning
        creation = self.reported.get("cache_creation")
        lives: dict[str, int | None] = {}
        if isinstance(creation, dict):
            lives = {name: whole(creation.get(f"ephemeral_{name}_input_tokens")) for name in _LIVES}
        if lives and sum(value or 0 for value in lives.values()) == (write or 0):
            write = None
        else:
            lives = {}
        counts = {
            "input": self.input, "cache_read": self.cache_read, "cache_write": write,
            **{f"cache_write_{name}": count for name, count in lives.items()},
            "output": output if output is None else output - min(output, reasoning or 0), "reasoning": reasoning,
        }  # fmt: skip
        return _named(**counts)

    @property
    def iterations(self) -> list[Counts]:
        """Anthropic's usage of each model that took part, billed at its own rates."""
        found = self.reported.get("iterations")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _flat(counts: Counts, prefix: str) -> Iterator[tuple[str, int]]:
    for name, value in counts.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, int) and not isinstance(value, bool):
            yield f"{prefix}{name}", value


def chat_usage(reported: Counts, tier: str = "") -> TokenUsage:
    """The usage of a chat completion; xAI counts its reasoning beside the output, which its total shows."""
    return _summed(openai_split(reported, CHAT), tier, reported)


def responses_usage(reported: Counts, tier: str = "") -> TokenUsage:
    """The usage of a response."""
    return _summed(openai_split(reported, RESPONSES), tier, reported)


def messages_usage(reported: Counts) -> TokenUsage:
    """The usage of a message of Anthropic's, from all that its events said of it together."""
    tier = reported.get("service_tier")
    return _summed(messages_split(reported), tier if isinstance(tier, str) else "", reported)


def _summed(split: Split, tier: str, reported: Counts) -> TokenUsage:
    """The classes that people are shown, from those that are billed (``billing/``, where all counting is done)."""
    return TokenUsage(
        _sum(split, "input"), _sum(split, "cache_read"), _sum(split, "cache_write"),
        split.total_output, split.counts.get("reasoning"), tier, joined(split.odd), reported,
    )  # fmt: skip


def _sum(split: Split, kind: str) -> int | None:
    """The sum of all classes of a kind, sounds, images and lifetimes included; None where none was named."""
    counts = [count for name, count in split.counts.items() if name == kind or name.startswith(f"{kind}_")]
    return sum(counts) if counts else None


# --- and back
def to_chat(usage: TokenUsage) -> Counts:
    """As chat completions count."""
    inside = _named(cached_tokens=usage.cache_read, cache_write_tokens=usage.cache_write)
    within = _named(reasoning_tokens=usage.reasoning)
    output = usage.output or 0
    return {
        "prompt_tokens": usage.total_input, "completion_tokens": output, "total_tokens": usage.total_input + output,
        **({"prompt_tokens_details": inside} if inside else {}),
        **({"completion_tokens_details": within} if within else {}),
    }  # fmt: skip


def to_responses(usage: TokenUsage) -> Counts:
    """As Responses count; its clients expect the details."""
    output = usage.output or 0
    return {
        "input_tokens": usage.total_input,
        "input_tokens_details": _named(cached_tokens=usage.cache_read or 0, cache_write_tokens=usage.cache_write),
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": usage.total_input + output,
    }


def to_messages(usage: TokenUsage) -> Counts:
    """As Anthropic counts. Its readers merge what comes later into what came before, so no count is left out."""
    within = _named(thinking_tokens=usage.reasoning)
    return {
        "input_tokens": usage.input or 0,
        "cache_read_input_tokens": usage.cache_read or 0,
        "cache_creation_input_tokens": usage.cache_write or 0,
        "output_tokens": usage.output or 0,
        **({"output_tokens_details": within} if within else {}),
        **({"service_tier": usage.tier} if usage.tier else {}),
    }


def _named(**counts: int | None) -> Counts:
    return {name: count for name, count in counts.items() if count is not None}
