"""Amounts that went wrong elsewhere, and their kinds: tests/fixtures/prices and the public reports they come from."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from holdfast.errors import Refused
from holdfast.governance.pricing.book import PriceBook
from holdfast.governance.pricing.catalogue import Catalogue, read_override
from holdfast.governance.pricing.model import Priced, PublishedPrices
from holdfast.providers.billing.model import BilledAttempt
from tests.unit.governance.pricing.usages import NOW, counts_of, examples, ms, nano

Pricer = Callable[..., Priced]
OPUS, FABLE = "claude-opus-4-8", "claude-fable-5"


# --- public reports -----------------------------------------------------------------------------------------------------
def test_a_cache_write_for_an_hour_has_its_own_rate(priced: Pricer) -> None:
    for provider, model in (
        ("anthropic", OPUS),
        ("aws", f"global.anthropic.{OPUS}-v1:0"),
        ("google", f"{OPUS}@20260401"),
    ):
        assert priced(provider, model, {"cache_write_1h": 9_634}).list_nano == 96_340_000, provider
        assert priced(provider, model, {"cache_write_5m": 9_634}).list_nano == 60_212_500, provider


def test_resellers_that_leave_the_hour_out_have_it_by_the_rule_of_the_price_list(priced: Pricer) -> None:
    for provider, model in (("openrouter", "anthropic/claude-opus-4.8"), ("google", "claude-3-7-sonnet@20250219")):
        plain = priced(provider, model, {"input": 1_000}).list_nano
        assert plain and priced(provider, model, {"cache_write_1h": 1_000}).list_nano == 2 * plain


def test_each_model_of_a_call_is_billed_at_its_own_rate(priced: Pricer) -> None:
    first = priced("anthropic", FABLE, {"input": 2, "output": 578, "cache_write_5m": 10_421, "cache_read": 72_769})
    second = priced("anthropic", OPUS, {"input": 2, "output": 13_658, "cache_write_5m": 0, "cache_read": 79_214})
    assert (first.list_nano, second.list_nano) == (231_951_500, 381_067_000)


def test_a_call_is_priced_by_what_served_and_not_by_what_was_asked_for(book: PriceBook) -> None:
    counts = {"input": 1_000_000, "output": 1_000_000}
    served = BilledAttempt(model=OPUS, counts=counts)
    assert book.price(served, provider="anthropic", upstream="a", asked=FABLE, at_ms=NOW).list_nano == 30_000_000_000
    silent = BilledAttempt(counts=counts)
    assert book.price(silent, provider="anthropic", upstream="a", asked=FABLE, at_ms=NOW).list_nano == 60_000_000_000
    unknown = BilledAttempt(model="claude-next", counts=counts)
    assert book.price(unknown, provider="anthropic", upstream="a", asked=OPUS, at_ms=NOW).list_nano is None


@pytest.mark.parametrize(
    ("provider", "model", "last_below", "below", "above"),
    [
        ("openai", "gpt-5.4", 272_000, 2_500, 5_000),
        ("google", "gemini-2.5-pro", 200_000, 1_250, 2_500),
        ("x-ai", "grok-4.6", 199_999, 2_000, 4_000),
    ],
)
def test_beyond_a_step_the_whole_request_costs_more(
    priced: Pricer, provider: str, model: str, last_below: int, below: int, above: int
) -> None:
    assert priced(provider, model, {"input": last_below}).list_nano == last_below * below
    over = priced(provider, model, {"input": last_below + 1})
    assert (over.list_nano, over.context) == ((last_below + 1) * above, last_below)


def test_what_was_cached_counts_for_the_step_and_has_the_rate_of_the_step(priced: Pricer) -> None:
    counts = counts_of({
        "prompt_tokens": 262_960, "completion_tokens": 1_744, "prompt_tokens_details": {"cached_tokens": 257_955},
    })  # fmt: skip
    cost = priced("google", "gemini-2.5-pro", counts)
    assert cost.parts["input"] == 5_005 * 2_500 and cost.parts["output"] == 1_744 * 15_000
    assert cost.parts["cache_read"] == 257_955 * 250 and cost.context == 200_000


def test_a_step_that_ended_is_not_billed_at_any_more(priced: Pricer) -> None:
    counts, model = {"input": 300_000}, "claude-sonnet-4-5"
    assert priced("anthropic", model, counts, at_ms=ms("2026-04-29")).list_nano == 300_000 * 6_000
    assert priced("anthropic", model, counts, at_ms=ms("2026-04-30")).list_nano == 300_000 * 3_000
    assert priced("anthropic", model, counts, tier="batch").list_nano == 300_000 * 1_500


def test_output_does_not_count_for_the_step(priced: Pricer) -> None:
    assert priced("google", "gemini-2.5-pro", {"input": 1, "output": 900_000}).context == 0


def test_the_tier_of_the_response_decides(priced: Pricer) -> None:
    counts = {"input": 1_000, "cache_read": 1_000, "output": 500}
    assert priced("openai", "gpt-5-mini", counts, tier="flex").list_nano == 637_500
    assert priced("openai", "gpt-5-mini", counts, tier="default").list_nano == 1_275_000
    assert priced("openai", "gpt-5-mini", counts, tier="priority").list_nano == 2_295_000
    assert priced("openai", "gpt-5-mini", counts, tier="batch").list_nano == 637_500


def test_cached_input_is_cheaper_and_never_below_nothing(priced: Pricer) -> None:
    assert priced("openai", "gpt-5", {"input": 20_000, "cache_read": 80_000}).list_nano == 35_000_000
    with pytest.raises(Refused) as refused:
        priced("openai", "gpt-5", {"input": -60_000, "cache_read": 80_000})
    assert refused.value.code == "price.counts" and "input is -60000" in refused.value.detail


@pytest.mark.parametrize("wrong", [-1, True, 1.0, "3", None])
def test_what_is_no_count_is_an_error_also_where_nothing_has_a_price(priced: Pricer, wrong: Any) -> None:
    for model in ("gpt-5", "nobody-knows"):
        with pytest.raises(Refused):
            priced("openai", model, {"input": 5, "output": wrong})


def test_writes_are_priced_instead_of_input_and_not_on_top(priced: Pricer) -> None:
    cost = priced("anthropic", "claude-sonnet-4-5", {"input": 3, "cache_write_5m": 18_011})
    assert cost.list_nano == 3 * 3_000 + 18_011 * 3_750


def test_characters_are_metered(priced: Pricer) -> None:
    assert priced("openai", "tts-1", {"characters": 43}).list_nano == 645_000


def test_reasoning_costs_what_output_costs_and_comes_on_top(priced: Pricer) -> None:
    cost = priced("x-ai", "grok-3-mini", {"input": 10, "output": 1_000, "reasoning": 50})
    assert cost.list_nano == 10 * 300 + 1_050 * 500


# --- kinds --------------------------------------------------------------------------------------------------------------
def test_zero_is_nothing_and_nothing_reported_is_unknown(book: PriceBook, priced: Pricer) -> None:
    zero = priced("openai", "gpt-5", {"input": 0, "output": 0})
    assert (zero.list_nano, zero.billed_nano, zero.unpriced) == (0, 0, ())
    assert priced("openai", "gpt-5", {"web_searches": 0, "images": 0}).list_nano == 0, "no price is needed for none"
    silent = book.price(
        BilledAttempt(model="gpt-5", reported=False), provider="openai", upstream="", asked="", at_ms=NOW
    )
    assert silent.list_nano is None and silent.billed_nano is None and silent.unpriced == ("counts",)


def test_what_has_no_price_makes_the_whole_unknown_and_is_named(priced: Pricer) -> None:
    cost = priced("openai", "gpt-4", {"input": 1_000, "images": 2, "output_audio": 3})
    assert cost.list_nano is None and cost.billed_nano is None and cost.effective_nano is None
    assert cost.unpriced == ("images", "output_audio") and cost.parts == {"input": 30_000_000}


def test_a_write_for_an_hour_never_has_the_price_of_five_minutes(catalogue: Catalogue) -> None:
    prices = {"input": "1", "output": "2", "cache_write": "1.1"}
    override = read_override({"provider": "own", "model": "m", "prices": prices}, "o")
    book = PriceBook(catalogue.with_override(override))
    billed = BilledAttempt(model="m", counts={"cache_write_1h": 5, "cache_write_5m": 7})
    cost = book.price(billed, provider="own", upstream="", asked="", at_ms=NOW)
    assert cost.unpriced == ("cache_write_1h",) and cost.list_nano is None


def test_a_tier_without_a_price_is_not_the_standard_one(priced: Pricer) -> None:
    cost = priced("mistral", "mistral-large-latest", {"input": 10}, tier="priority")
    assert (cost.list_nano, cost.unpriced, cost.tier) == (None, ("tier:priority",), "priority")
    assert priced("anthropic", OPUS, {"input": 10}, tier="priority").list_nano == 50_000, "a commitment, no other price"
    assert priced("groq", "llama-3.3-70b-versatile", {"input": 10}, tier="on_demand").list_nano is not None


def test_a_tier_reaches_back_to_the_standard_price_it_was_seen_beside(priced: Pricer) -> None:
    model, counts = "gpt-5.6-sol", {"input": 1_000}
    assert priced("openai", model, counts, tier="flex", at_ms=ms("2026-09-01")).list_nano == 2_000_000
    before = priced("openai", model, counts, tier="flex", at_ms=ms("2026-08-01"))
    assert before.unpriced == ("tier:flex",), "the standard price was another one then"


def test_a_region_multiplies_tokens_and_nothing_else(priced: Pricer) -> None:
    plain = {"input": 1_000, "output": 100, "cache_read": 10, "cache_write_1h": 10}
    abroad = priced("anthropic", OPUS, {**plain, "web_searches": 3}, region="us")
    home = priced("anthropic", OPUS, {**plain, "web_searches": 3}, region="global")
    assert abroad.list_nano and home.list_nano
    searches = home.parts["web_searches"]
    assert searches == 30_000_000 == abroad.parts["web_searches"]
    assert (abroad.list_nano - searches) * 10 == (home.list_nano - searches) * 11
    assert priced("anthropic", OPUS, plain, region="mars").unpriced == ("region:mars",)
    assert priced("openai", "gpt-5", {"input": 1}, region="eu").list_nano == 1_250, "no price depends on it there"


def test_speed_has_a_price_of_its_own_and_both_together_have_none(priced: Pricer) -> None:
    assert priced("anthropic", OPUS, {"input": 1_000}, speed="fast").list_nano == 10_000_000
    assert priced("anthropic", OPUS, {"input": 1_000}, speed="standard").list_nano == 5_000_000
    both = priced("anthropic", OPUS, {"input": 1_000}, speed="fast", tier="batch")
    assert both.unpriced == ("tier:batch", "speed:fast")


def test_a_price_depends_on_the_day_and_on_the_hour(priced: Pricer) -> None:
    counts = {"input": 1_000_000}
    assert priced("openai", "gpt-5.6-sol", counts, at_ms=ms("2026-08-20")).list_nano == 10_000_000_000
    assert priced("openai", "gpt-5.6-sol", counts, at_ms=ms("2026-08-21")).list_nano == 8_000_000_000
    noon = ms("2026-02-01")
    assert priced("deepseek", "deepseek-chat", counts, at_ms=noon).list_nano == 270_000_000
    assert priced("deepseek", "deepseek-chat", counts, at_ms=noon + 6 * 3_600_000).list_nano == 135_000_000
    assert priced("deepseek", "deepseek-chat", counts, at_ms=noon + 24 * 3_600_000).list_nano == 270_000_000


def test_a_request_that_has_a_price_is_counted_once(priced: Pricer) -> None:
    with_fee, tokens = priced("perplexity", "sonar", {"input": 1_000}), 1_000_000
    assert with_fee.list_nano == tokens + with_fee.parts["requests"] and with_fee.parts["requests"] > 0


# --- recorded amounts ---------------------------------------------------------------------------------------------------
def provider(example: dict[str, Any]) -> str:
    return {"openrouter": "openrouter", "xai": "x-ai"}.get(example["gateway"], "own")


def pinned(example: dict[str, Any]) -> PriceBook:
    """A book in which the model has the rates that the record names."""
    rates = {name: str(Decimal(str(rate))) for name, rate in example["rates_usd_per_mtok"].items() if rate is not None}
    steps = {name: rates.pop(f"{name}_above_200k", "") for name in ("input", "output")}
    prices: dict[str, Any] = {{"input_text": "input", "output_text": "output"}.get(k, k): v for k, v in rates.items()}
    prices |= {k: {"base": prices[k], "steps": [[200_000, above]]} for k, above in steps.items() if above}
    document = {"provider": provider(example), "model": example["model"], "prices": prices}
    return PriceBook(Catalogue(EMPTY, [read_override(document, "record")]))


EMPTY = PublishedPrices("nothing", ())
TOOLS = {"xai-bd147b2e": 2_500_000, "xai-b8285357": 5_000_000, "xai-96020dd7": 5_000_000}
"""Nano-USD of a server's tool, which no token explains: they are in the list cost of these records."""


def attempt(example: dict[str, Any]) -> BilledAttempt:
    counts = counts_of(example["usage"], reasoning_beside=example["gateway"] == "xai")
    return BilledAttempt(model=example["model"], counts=counts, raw=example["usage"])


@pytest.mark.parametrize("example", [e for e in examples() if e["rates_usd_per_mtok"]], ids=lambda e: str(e["id"]))
def test_recorded_rates_give_the_recorded_amount_to_the_last_digit(example: dict[str, Any]) -> None:
    cost = pinned(example).price(attempt(example), provider=provider(example), upstream="", asked="", at_ms=NOW)
    assert cost.list_nano == nano(example["list_rate_cost_usd"]) - TOOLS.get(example["id"], 0)
    assert sum(cost.parts.values()) == cost.list_nano


@pytest.mark.parametrize(
    "example", [e for e in examples() if e["kind"] == "provider-billed"], ids=lambda e: str(e["id"])
)
def test_what_a_provider_says_it_bills_is_what_is_billed(book: PriceBook, example: dict[str, Any]) -> None:
    cost = book.price(attempt(example), provider=provider(example), upstream="", asked="", at_ms=NOW)
    assert cost.stated and cost.billed_nano == cost.effective_nano == nano(example["expected_cost_usd"])


DISPUTED = {
    "sdk-23b2357a": "the client's sum is not what the price list gives",
    "iss-903ad3f1": "rates of two steps were mixed",
    "iss-a14d6da0": "a sum of many calls, of which tokens explain a part",
    "iss-06e58e41": "a sum of many calls, without rates",
}


def test_disputed_amounts_are_not_reproduced(priced: Pricer) -> None:
    disputed = {e["id"]: e for e in examples() if e["kind"].startswith("disputed")}
    assert set(disputed) == set(DISPUTED)
    sonnet, gemini = disputed["sdk-23b2357a"], disputed["iss-903ad3f1"]
    right = priced("anthropic", sonnet["model"], counts_of(sonnet["usage"])).list_nano
    assert right == nano(sonnet["list_rate_cost_usd"]) != nano(sonnet["expected_cost_usd"])
    mixed = priced("google", gemini["model"], counts_of(gemini["usage"])).list_nano
    assert mixed != nano(gemini["list_rate_cost_usd"])


def test_the_bundled_catalogue_gives_the_published_amounts(priced: Pricer) -> None:
    """Those that are amounts of a price list of today; the others are of models whose price has changed or that have none."""
    published = {e["id"]: e for e in examples() if e["kind"] == "published-issue"}
    changed = {"iss-8ffd35f2": "no such model", "iss-92190bf8": "prices of audio fell"}
    for name, example in published.items():
        if name not in changed:
            owner = {"c": "anthropic", "g": "openai"}[example["model"][0]]
            cost = priced(owner, example["model"], counts_of(example["usage"]))
            assert cost.list_nano == nano(example["list_rate_cost_usd"]), name


def test_a_day_of_many_requests_is_priced_as_its_requests_are(priced: Pricer, book: PriceBook) -> None:
    counts = {"input": 10_000_000, "output": 1_000, "requests": 5_000}
    billed = BilledAttempt(model="gpt-5.4", counts=counts)

    def cost(request_input: int) -> Priced:
        return book.price(billed, provider="openai", upstream="a", asked="", at_ms=NOW, request_input=request_input)

    short, long = cost(2_000), cost(272_001)
    assert (short.list_nano, short.context, short.unpriced) == (10_000_000 * 2_500 + 1_000 * 15_000, 0, ())
    assert (long.list_nano, long.context) == (10_000_000 * 5_000 + 1_000 * 22_500, 272_000)
    assert short.parts["requests"] == 0, "a request costs nothing where no price says otherwise"
