"""Costs beside those of genai-prices' own arithmetic, which gets overlapping counts and gives decimals."""

from __future__ import annotations

from decimal import Decimal

from genai_prices import Usage, data_snapshot

from holdfast.governance.pricing.book import PriceBook
from holdfast.providers.billing.model import BilledAttempt
from tests.unit.governance.pricing.usages import NOW, second_opinion

OURS = {
    "cache_read_tokens": "cache_read", "cache_write_5m_tokens": "cache_write_5m", "cache_write_1h_tokens": "cache_write_1h",
    "input_audio_tokens": "input_audio", "input_image_tokens": "input_image", "cache_audio_read_tokens": "cache_read_audio",
}  # fmt: skip


def counts_of(usage: dict[str, int]) -> dict[str, int]:
    """Disjoint classes of what genai-prices counts: its classes hold each other."""
    counts = {ours: usage[theirs] for theirs, ours in OURS.items() if usage.get(theirs)}
    write = (
        usage.get("cache_write_tokens", 0)
        - usage.get("cache_write_5m_tokens", 0)
        - usage.get("cache_write_1h_tokens", 0)
    )
    counts |= {"cache_write": write} if write else {}
    audio_read = counts.get("cache_read_audio", 0)
    if audio_read:
        counts["cache_read"] -= audio_read
        counts["input_audio"] -= audio_read
    images_read = usage.get("cache_image_read_tokens", 0)
    if images_read:
        counts["input_image"] -= images_read
    counts["input"] = usage.get("input_tokens", 0) - sum(counts.values())
    reasoning, image = usage.get("output_reasoning_tokens", 0), usage.get("output_image_tokens", 0)
    audio = usage.get("output_audio_tokens", 0)
    counts["output"] = usage.get("output_tokens", 0) - reasoning - image - audio
    return counts | {"reasoning": reasoning, "output_image": image, "output_audio": audio}


def test_ours_is_theirs_rounded_once(book: PriceBook) -> None:
    compared, differ = 0, []
    for record in second_opinion():
        for one in record["extracted"]:
            billed = BilledAttempt(model=record["model"], counts=counts_of(one["usage"]))
            ours = book.price(billed, provider=one["provider"], upstream="", asked="", at_ms=NOW)
            parts = {name: part for name, part in ours.parts.items() if name not in ("web_searches", "requests")}
            theirs = (Decimal(one["input_price"]) + Decimal(one["output_price"])) * 10**9
            compared += 1
            if abs(sum(parts.values()) - theirs) >= 1 or ours.list_nano is None:
                differ.append((one["provider"], record["model"], one["usage"], str(theirs), ours.parts, ours.unpriced))
    assert compared > 300
    assert not differ, differ[:5]


def test_the_arithmetic_of_the_library_agrees_on_every_model_it_prices(book: PriceBook) -> None:
    """One usage for every model of the large providers, its own way, with a context above every step."""
    snapshot = data_snapshot.get_snapshot()
    compared = 0
    for entry in book.catalogue.base.entries:
        rates = entry.spans[-1].rates
        if (
            entry.provider not in ("anthropic", "openai", "google", "x-ai", "mistral", "deepseek")
            or "output" not in rates
        ):
            continue
        if {"input", "cache_read"} - set(rates) or entry.model == "claude-sonnet-4-5":  # the one whose step we end
            continue
        usage = Usage(input_tokens=600_000, cache_read_tokens=250_000, output_tokens=1_000)
        if any(name.endswith(("audio", "image")) for name in rates):
            continue  # theirs wants every modality said
        theirs = snapshot.calc(usage, entry.model, entry.provider, None, None)
        counts = {"input": 350_000, "cache_read": 250_000, "output": 1_000}
        ours = book.price(
            BilledAttempt(model=entry.model, counts=counts), provider=entry.provider, upstream="", asked="", at_ms=NOW
        )
        if theirs.model_price == theirs.model.get_prices(theirs_at()):
            compared += 1
            tokens = sum(part for name, part in ours.parts.items() if name != "requests")
            assert abs(tokens - (theirs.input_price + theirs.output_price) * 10**9) < 1, entry.model
    assert compared > 60


def theirs_at() -> object:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(NOW / 1_000, UTC)
