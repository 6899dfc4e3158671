"""Rate cards: what is negotiated stands beside the list, and what was bought by the hour is not invoiced again."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import Refused
from holdfast.governance.pricing.book import PriceBook
from holdfast.governance.pricing.cards import amount, moment, read_card
from holdfast.governance.pricing.catalogue import Catalogue
from holdfast.governance.pricing.currency import Currencies, CurrencyRate, read_csv
from holdfast.governance.pricing.model import Priced
from holdfast.providers.billing.model import BilledAttempt
from tests.unit.governance.pricing.usages import NOW, ms

COUNTS = {"input": 1_000, "cache_read": 1_000, "output": 100, "reasoning": 100}
LIST = 1_250_000 + 125_000 + 2_000_000


def with_card(catalogue: Catalogue, *cards: dict[str, Any], rates: list[CurrencyRate] | None = None) -> PriceBook:
    read = [
        read_card({"upstream": "main", "from": "2026-01-01", **card}, f"card-{n}") for n, card in enumerate(cards, 1)
    ]
    return PriceBook(catalogue, read, (), Currencies(rates or ()))


def price(
    book: PriceBook, counts: dict[str, int] = COUNTS, model: str = "gpt-5", at_ms: int = NOW, **more: Any
) -> Priced:
    billed = BilledAttempt(model=model, counts=counts, **more)
    return book.price(billed, provider="openai", upstream="main", asked="", at_ms=at_ms)


def four(priced: Priced) -> tuple[int | None, ...]:
    return priced.list_nano, priced.contracted_nano, priced.effective_nano, priced.billed_nano


def test_without_a_card_all_four_are_the_list_price(catalogue: Catalogue) -> None:
    assert four(price(PriceBook(catalogue))) == (LIST,) * 4


def test_a_discount_is_by_model_and_the_first_that_matches_counts(catalogue: Catalogue) -> None:
    discounts = [{"models": "gpt-5-mini", "percent": "50"}, {"models": "gpt-5*", "percent": "12.5"}, {"percent": "1"}]
    book = with_card(catalogue, {"discounts": discounts})
    assert four(price(book)) == (LIST, LIST * 7 // 8, LIST * 7 // 8, LIST * 7 // 8)
    assert price(book, {"input": 8}, "gpt-5-mini").contracted_nano == 1_000
    assert price(book, {"input": 100}, "gpt-4.1").contracted_nano == 198_000
    assert price(book).parts == price(PriceBook(catalogue)).parts, "parts are of the list price"


def test_a_surcharge_is_a_discount_below_nothing(catalogue: Catalogue) -> None:
    assert price(with_card(catalogue, {"discounts": [{"percent": "-10"}]})).contracted_nano == LIST * 11 // 10


def test_a_discount_of_some_classes_leaves_the_others(catalogue: Catalogue) -> None:
    book = with_card(
        catalogue, {"discounts": [{"percent": "100", "classes": ["output"]}, {"percent": "50", "classes": ["input"]}]}
    )
    assert price(book).contracted_nano == 625_000 + 125_000 + 1_000_000, "reasoning was not named"


def test_own_prices_replace_the_list_and_what_follows_it(catalogue: Catalogue) -> None:
    book = with_card(
        catalogue, {"prices": [{"models": "gpt-5", "prices": {"output": "8"}}], "discounts": [{"percent": "10"}]}
    )
    assert price(book).contracted_nano == (1_250_000 + 125_000) * 9 // 10 + 200 * 8_000, (
        "reasoning costs what output does"
    )
    flex = price(book, {"output": 100}, tier="flex")
    assert flex.contracted_nano == 100 * 5_000 * 9 // 10, "the own price is of the standard tier"


def test_own_prices_have_steps_beside_those_of_the_list(catalogue: Catalogue) -> None:
    own = {"input": {"base": "1", "steps": [[100_000, "1.5"]]}}
    book = with_card(catalogue, {"prices": [{"models": "gpt-5.4", "prices": own}]})
    for total, rate in ((100_000, 1_000), (100_001, 1_500), (300_000, 1_500)):
        assert price(book, {"input": total}, "gpt-5.4").contracted_nano == total * rate
    assert price(book, {"input": 300_000, "output": 10}, "gpt-5.4").contracted_nano == 300_000 * 1_500 + 10 * 22_500


def test_a_model_that_only_the_card_prices_may_be_called(catalogue: Catalogue) -> None:
    book = with_card(catalogue, {"prices": [{"models": "ours-*", "prices": {"input": "1", "output": "2"}}]})
    book.check(provider="openai", model="ours-1", upstream="main", at_ms=NOW)
    priced = price(book, {"input": 10}, "ours-1")
    assert four(priced) == (None, 10_000, 10_000, 10_000) and priced.unpriced == ("model",)
    with pytest.raises(Refused):
        book.check(provider="openai", model="ours-1", upstream="other", at_ms=NOW)


def test_the_card_that_began_last_counts_and_cards_end(catalogue: Catalogue) -> None:
    book = with_card(
        catalogue,
        {"discounts": [{"percent": "10"}]},
        {"from": "2026-06-01", "until": "2026-07-01", "discounts": [{"percent": "20"}]},
    )
    for day, card, part in (
        ("2025-12-31", "", 10),
        ("2026-05-31", "card-1", 9),
        ("2026-06-15", "card-2", 8),
        ("2026-07-01", "card-1", 9),
    ):
        priced = price(book, {"input": 1_000}, at_ms=ms(day))
        assert (priced.card, priced.contracted_nano) == (card, 125_000 * part), day


PROVISION = {
    "name": "ptu", "models": "gpt-5*", "units": 10, "hourly": "2", "from": "2026-11-01", "until": "2026-12-01",
    "capacity": 1_000_000, "output_weight": "8", "cached_weight": "0",
}  # fmt: skip


def test_what_provisioned_throughput_serves_is_not_invoiced_and_takes_its_share(catalogue: Catalogue) -> None:
    book = with_card(catalogue, {"provisioned": [PROVISION], "discounts": [{"percent": "20"}]})
    # 1,000 + 8 × 200 tokens of a million an hour for two dollars
    assert four(price(book)) == (LIST, LIST * 4 // 5, 2_600 * 2_000, 0)
    assert price(book, at_ms=ms("2026-12-01")).billed_nano == LIST * 4 // 5
    assert price(book, {"input": 100}, "gpt-4.1").billed_nano != 0


def test_only_what_the_provider_says_was_served_by_it(catalogue: Catalogue) -> None:
    book = with_card(catalogue, {"provisioned": [{**PROVISION, "only_stated": True, "capacity": 0}]})
    assert price(book).billed_nano == LIST
    stated = price(book, tier="PROVISIONED_THROUGHPUT")
    assert four(stated) == (LIST, LIST, LIST, 0), "the capacity is not known"
    assert price(PriceBook(catalogue), tier="scale").billed_nano is None, "it was bought, and nobody says for how much"


def test_amounts_in_another_currency_have_the_rate_of_the_day(catalogue: Catalogue) -> None:
    rates = [CurrencyRate("EUR", "2026-11-18", "1.1"), CurrencyRate("EUR", "2026-11-20", "1.2")]
    own = {"currency": "EUR", "prices": [{"models": "gpt-5", "prices": {"input": "1", "output": "4"}}]}
    book = with_card(catalogue, own, rates=rates)
    for day, nano, rate in (
        ("2026-11-19", 1_100_000, "1.1"),
        ("2026-11-20", 1_200_000, "1.2"),
        ("2026-11-21", 1_200_000, "1.2"),
    ):
        priced = price(book, {"input": 1_000}, at_ms=ms(day))
        assert (priced.contracted_nano, priced.currency, priced.rate) == (nano, "EUR", rate), day
    late = price(book, {"input": 1_000}, at_ms=ms("2026-11-28"))
    assert late.contracted_nano is None and late.billed_nano is None and late.list_nano == 1_250_000


def test_a_conversion_is_rounded_once_half_to_even() -> None:
    currencies = Currencies([CurrencyRate("EUR", "2026-11-20", "0.5")])
    assert [currencies.usd_nano(nano, "EUR", NOW) for nano in (1, 3, 5, -1)] == [0, 2, 2, 0]
    assert currencies.usd_nano(7, "USD", NOW) == 7
    with pytest.raises(Refused) as refused:
        currencies.usd_nano(7, "JPY", NOW)
    assert refused.value.code == "price.currency"


@pytest.mark.parametrize(
    ("text", "words"),
    [("a,b\n", "columns"), ("day,currency,usd\nyesterday,EUR,1\n", "line 2: 'yesterday'"), ("day,currency,usd\n2026-01-01,USD,1\n", "no foreign"),
     ("day,currency,usd\n2026-01-01,EUR,-1\n", "no rate"), ("day,currency,usd\n2026-01-01,EUR,0\n", "no rate"), ("day,currency,usd\n2026-01-01\n", "currency")],
)  # fmt: skip
def test_a_table_of_rates_that_is_wrong_is_refused_by_its_line(text: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        read_csv(text, "test")


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ({"from": "x"}, "no date"), ({"discount": []}, "unknown field"), ({"upstream": ""}, "no upstream"),
        ({"until": "2025-01-01"}, "ends before"), ({"currency": "euro"}, "no currency"),
        ({"discounts": [{"percent": 12.5}]}, "percent"), ({"discounts": [{"percent": "1e9"}]}, "no decimal"),
        ({"prices": [{"models": "m", "prices": {"input": "free"}}]}, "no price"),
        ({"commitment": {"amount": "-5", "percent": "1"}}, "no amount"),
        ({"provisioned": [{**PROVISION, "units": 0}]}, "units"), ({"provisioned": [PROVISION, PROVISION]}, "one name"),
        ({"provisioned": [{**PROVISION, "output_weight": "-1"}]}, "output_weight"),
        ({"credits": [{"name": "c", "amount": "0.0000000001", "from": "2026-01-01", "until": "2026-02-01"}]}, "no amount"),
    ],
)  # fmt: skip
def test_a_card_that_is_wrong_is_refused_by_its_field(card: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        read_card({"upstream": "main", "from": "2026-01-01", **card}, "c")
    assert refused.value.code == "price.invalid"


def test_dates_and_amounts_as_people_write_them() -> None:
    assert moment("2026-10-01") == 1_790_812_800_000 == moment("2026-10-01T02:00:00+02:00") == moment("1790812800000")
    assert (amount("12.5"), amount("0.000000001"), amount("0")) == (12_500_000_000, 1, 0)
