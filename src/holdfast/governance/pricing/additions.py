"""What the published catalogue leaves out and providers bill: each addition with its reason and its source.

Additions become part of the catalogue and of its hash. They replace no price that the catalogue has; one step of one model
ends on the day from which nothing is billed at it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import msgspec

from holdfast.governance.pricing.model import ModelEntry, PublishedPrices, Span, UnitRate

REGION_FACTORS: Final = {"anthropic": {"us": Fraction(11, 10)}}
"""By how much a region multiplies the price of tokens, by provider.

Anthropic, ``inference_geo: "us"``: 1.1 times every price of tokens, cache reads and writes and the batch discount included
(platform.claude.com/docs/en/about-claude/pricing, data residency). Other providers price a region by an id of its own
(Bedrock), or do not say in the response where it was: a rate card of the upstream says it then.
"""
SAME_EVERYWHERE: Final = frozenset({"", "global", "not_available"})
"""What a provider with factors calls a region that costs nothing more."""
_HOUR_WRITES: Final = 2
"""A write to the cache for an hour costs twice the input, one for five minutes 1.25 times: Anthropic's price list."""
_FIVE_MINUTES: Final = Fraction(5, 4)
# OpenRouter's ``:free`` ids cost nothing by its own rule; the catalogue lists them without a price.
_LEAST: Final = {("groq", "whisper-large-v3"): {"seconds": 10}, ("groq", "whisper-large-v3-turbo"): {"seconds": 10}}
"""Groq bills at least ten seconds of a request (groq.com/pricing)."""
_ENDED_STEPS: Final = {("anthropic", "claude-sonnet-4-5"): 1_777_507_200_000}
"""Unix ms from which a model has no step any more. The beta of a longer context ended on 2026-04-30: a request above 200,000
tokens is refused since, and a sum of several requests above it was never a request (the catalogue's own comment)."""


def complete(base: PublishedPrices) -> PublishedPrices:
    """The catalogue with what it leaves out, and without the models that have no price then: it says nothing of them."""
    entries = tuple(_complete(entry) for entry in base.entries)
    return PublishedPrices(base.source, tuple(entry for entry in entries if entry.spans), base.fallbacks)


def _complete(entry: ModelEntry) -> ModelEntry:
    if "claude" in entry.model:
        spans = tuple(_with_hour_writes(span) for span in entry.spans)
        variants = tuple(_with_hour_writes(span) for span in entry.variants)
        entry = msgspec.structs.replace(entry, spans=spans, variants=variants)
    ended = _ENDED_STEPS.get((entry.provider, entry.model))
    if ended is not None:
        flat = tuple(_without_steps(span, max(ended, span.since_ms or ended)) for span in entry.spans)
        variants = tuple(s if (s.since_ms or 0) < ended else _without_steps(s, s.since_ms) for s in entry.variants)
        entry = msgspec.structs.replace(entry, spans=(*entry.spans, *flat), variants=variants)
    if entry.provider == "openrouter" and entry.model.endswith(":free") and not entry.spans:
        entry = msgspec.structs.replace(entry, spans=(Span({"input": UnitRate("0"), "output": UnitRate("0")}),))
    least = _LEAST.get((entry.provider, entry.model))
    return msgspec.structs.replace(entry, least=least) if least else entry


def _with_hour_writes(span: Span) -> Span:
    """With a price of writes for an hour, where the catalogue has only the one for five minutes.

    Many rows of resellers leave it out. Without it such a write would have no price: that of five minutes is too low.
    """
    plain, write = span.rates.get("input"), span.rates.get("cache_write")
    if plain is None or write is None or "cache_write_1h" in span.rates:
        return span
    if Fraction(write.base) != Fraction(plain.base) * _FIVE_MINUTES:
        return span  # priced by another rule: what an hour costs there is not known
    steps = tuple((above, str(Fraction(rate) * _HOUR_WRITES)) for above, rate in plain.steps)
    hour = UnitRate(str(Fraction(plain.base) * _HOUR_WRITES), steps)
    return msgspec.structs.replace(span, rates={**span.rates, "cache_write_1h": hour})


def _without_steps(span: Span, since_ms: int | None) -> Span:
    rates = {name: UnitRate(rate.base) for name, rate in span.rates.items()}
    return msgspec.structs.replace(span, rates=rates, since_ms=since_ms)
