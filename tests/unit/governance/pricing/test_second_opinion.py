"""Costs beside those of genai-prices' own arithmetic, which gets overlapping counts and gives decimals."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from genai_prices import Usage, data_snapshot

from holdfast.governance.pricing.book import PriceBook
from holdfast.providers.billing.model import BilledAttempt
from tests.unit.governance.pricing.usages import NOW, ms, second_opinion

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


OPINION_AT = ms("2026-04-01")  # a day on which the prices hold by which the recorded opinions were made
ELSE = {
    ("cerebras", "qwen-3-coder-480b"): "the catalogue lists it without a price: unknown, where it says nothing",
    ("mistral", "mistral-small-latest"): "the catalogue has another price since",
    ("mistral", "ministral-8b-latest"): "the catalogue has another price since",
    ("google", "claude-sonnet-4-5-20250929"): "the catalogue has a step since",
}


def test_ours_is_theirs_rounded_once(book: PriceBook) -> None:
    compared, differ, seen = 0, [], set()
    for record in second_opinion():
        for one in record["extracted"]:
            billed = BilledAttempt(model=record["model"], counts=counts_of(one["usage"]))
            ours = book.price(billed, provider=one["provider"], upstream="", asked="", at_ms=OPINION_AT)
            parts = {name: part for name, part in ours.parts.items() if name not in ("web_searches", "requests")}
            theirs = (Decimal(one["input_price"]) + Decimal(one["output_price"])) * 10**9
            compared += 1
            if abs(sum(parts.values()) - theirs) >= 1 or ours.list_nano is None:
                seen.add((one["provider"], record["model"]))
                differ.append((one["provider"], record["model"], one["usage"], str(theirs), ours.parts, ours.unpriced))
    assert compared > 300
    assert seen == set(ELSE), [one for one in differ if one[:2] not in ELSE][:5]


def test_the_arithmetic_of_the_library_agrees_on_every_model_it_prices(book: PriceBook) -> None:
    """One usage, with a context above every step, for every model of providers and resellers that has a price of reads."""
    compared = 0
    for provider in data_snapshot.get_snapshot().providers:
        for model in provider.models:
            at = datetime.fromtimestamp(NOW / 1_000, UTC)
            prices = model.get_prices(at).__dict__
            plain = {"input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok"}
            if not plain >= {name for name in prices if name.endswith("mtok")} or "input_mtok" not in prices:
                continue
            if model.id == "claude-sonnet-4-5" and provider.id == "anthropic":
                continue  # the one whose step we end
            usage = Usage(input_tokens=600_000, cache_read_tokens=250_000, output_tokens=1_000)
            theirs = model.calc_price(usage, provider, genai_request_timestamp=at)
            counts = {"input": 350_000, "cache_read": 250_000, "output": 1_000 if "output_mtok" in prices else 0}
            billed = BilledAttempt(model=model.id, counts=counts)
            ours = book.price(billed, provider=provider.id, upstream="", asked="", at_ms=NOW)
            tokens = sum(part for name, part in ours.parts.items() if name != "requests")
            compared += 1
            assert abs(tokens - (theirs.input_price + theirs.output_price) * 10**9) < 1, (provider.id, model.id)
    assert compared > 1_500
