"""genai-prices as a catalogue: its data, read once, in our words. Nothing is asked of the network.

Only its data is used. Its arithmetic takes what it does not know for something else and warns; here everything that is not
known is an error: a price key, a kind of match, a condition, a warning while it is loaded.
"""

from __future__ import annotations

import datetime
import functools
import warnings
from importlib.metadata import version
from typing import Any, Final

from holdfast.errors import HoldfastError
from holdfast.governance.pricing.additions import complete
from holdfast.governance.pricing.model import Clause, ModelEntry, PublishedPrices, Span, UnitRate
from holdfast.governance.pricing.rates import stored_rate

CLASSES: Final = {
    "input_mtok": "input", "output_mtok": "output", "cache_read_mtok": "cache_read", "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write_5m", "cache_write_1h_mtok": "cache_write_1h", "input_audio_mtok": "input_audio",
    "output_audio_mtok": "output_audio", "cache_audio_read_mtok": "cache_read_audio", "input_image_mtok": "input_image",
    "output_image_mtok": "output_image", "cache_image_read_mtok": "cache_read_image", "input_video_mtok": "input_video",
    "output_video_mtok": "output_video", "output_reasoning_mtok": "reasoning", "output_citation_mtok": "citations",
    "input_mchars": "characters", "input_text_messages_kcount": "messages", "audio_hours": "seconds",
    "input_audio_hours": "seconds", "input_document_kpages": "pages", "input_annotated_document_kpages": "annotated_pages",
    "web_searches_kcount": "web_searches", "social_searches_kcount": "social_searches",
    "storage_searches_kcount": "storage_searches", "requests_kcount": "requests",
}  # fmt: skip
"""Its price keys as our classes."""
_UNITS: Final = {"mtok": 1_000_000, "mchars": 1_000_000, "hours": 3_600}  # others are for a thousand
_CONDITIONS: Final = {
    "service_tier": "tier",
    "processing": "tier",
    "speed": "speed",
    "route": "route",
    "search_type": "search",
}
_CLAUSES: Final = {
    "ClauseEquals": ("equals", "equals"), "ClauseStartsWith": ("starts", "starts_with"),
    "ClauseContains": ("contains", "contains"), "ClauseEndsWith": ("ends", "ends_with"), "ClauseRegex": ("regex", "regex"),
}  # fmt: skip


@functools.cache
def bundled() -> PublishedPrices:
    """The catalogue that is installed.

    Raises:
        HoldfastError: ``price.catalogue`` when it says something that is not known here.
    """
    name = f"genai-prices {version('genai-prices')}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            from genai_prices.data import providers
        except Warning as warning:
            raise HoldfastError("price.catalogue", f"{name} warns: {warning}") from None
    entries = [_entry(provider.id, model) for provider in providers for model in provider.models]
    fallbacks = {p.id: tuple(p.fallback_model_providers) for p in providers if p.fallback_model_providers}
    return complete(PublishedPrices(name, tuple(entries), fallbacks))


def _entry(provider: str, model: Any) -> ModelEntry:
    where = f"{provider}/{model.id}"
    listed = model.prices if isinstance(model.prices, list) else [model]
    spans = [Span(_rates(part.prices, where), *_times(getattr(part, "constraint", None), where)) for part in listed]
    variants = [
        Span(_rates(part.prices, where), *_times(part.constraint, where), _conditions(part.when, where))
        for part in model.price_variants or ()
    ]
    return ModelEntry(
        provider, model.id, _clause(model.match, where), tuple(span for span in spans if span.rates),
        tuple(span for span in variants if span.rates), origin="genai-prices",
    )  # fmt: skip


def _rates(prices: Any, where: str) -> dict[str, UnitRate]:
    found: dict[str, UnitRate] = {}
    for key, price in vars(prices).items():
        if price is None:
            continue
        if key not in CLASSES:
            raise _unknown(where, f"price key {key!r}")
        per = _UNITS.get(key.rpartition("_")[2], 1_000)
        if hasattr(price, "tiers"):
            found[CLASSES[key]] = UnitRate(
                stored_rate(price.base, per), tuple((t.start, stored_rate(t.price, per)) for t in price.tiers)
            )
        else:
            found[CLASSES[key]] = UnitRate(stored_rate(price, per))
    return found


def _times(constraint: Any, where: str) -> tuple[int | None, tuple[int, int] | None]:
    if constraint is None:
        return None, None
    kind = type(constraint).__name__
    if kind == "StartDateConstraint":
        start = datetime.datetime.combine(constraint.start_date, datetime.time(), datetime.UTC)
        return int(start.timestamp()) * 1_000, None
    if kind == "TimeOfDateConstraint":
        return None, (_ms_of_day(constraint.start_time), _ms_of_day(constraint.end_time))
    raise _unknown(where, f"condition {kind}")


def _ms_of_day(moment: datetime.time) -> int:
    offset = moment.utcoffset() or datetime.timedelta()
    since = datetime.timedelta(hours=moment.hour, minutes=moment.minute, seconds=moment.second) - offset
    return int(since.total_seconds()) * 1_000 % 86_400_000


def _conditions(when: dict[str, str], where: str) -> tuple[tuple[str, str], ...]:
    for name in when:
        if name not in _CONDITIONS:
            raise _unknown(where, f"condition {name!r}")
    return tuple(sorted((_CONDITIONS[name], value) for name, value in when.items()))


def _clause(match: Any, where: str) -> Clause:
    kind = type(match).__name__
    if kind == "ClauseOr":
        return Clause("any", of=tuple(_clause(part, where) for part in match.or_))
    if kind == "ClauseAnd":
        return Clause("all", of=tuple(_clause(part, where) for part in match.and_))
    if kind in _CLAUSES:
        ours, field = _CLAUSES[kind]
        text = getattr(match, field)
        return Clause(ours, text if ours == "regex" else text.lower())  # type: ignore[arg-type]
    raise _unknown(where, f"match {kind}")


def _unknown(where: str, what: str) -> HoldfastError:
    return HoldfastError("price.catalogue", f"genai-prices says of {where} something that is not known here: {what}")
