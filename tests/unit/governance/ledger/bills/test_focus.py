"""The FOCUS dataset: sums of the ledger, prices that are exact, columns of each version."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from holdfast.errors import Refused
from holdfast.governance.ledger.bills.focus.columns import COLUMNS, METERS
from holdfast.governance.ledger.bills.focus.export import FocusExport, export
from holdfast.governance.ledger.bills.focus.price_levels import PriceLevels, shortest
from holdfast.governance.ledger.model import Row
from holdfast.providers.billing.model import TOKEN_CLASSES
from tests.unit.governance.ledger.bills.month import Month


def rows() -> list[Row]:
    """Two thousand rows at a discount, some with web searches, one without a price, one without parts."""
    found = []
    for number, row in enumerate(Month(1, models=5, days=31, first="2026-08-01").rows):
        listed = row.list_nano or 0
        if number % 50 == 0:
            listed += 20_000_000
            counts, parts = {**row.counts, "web_searches": 2}, {**row.parts, "web_searches": 20_000_000}
            row = replace(row, counts=counts, parts=parts, list_nano=listed)
        discounted = listed * 93 // 100
        row = replace(
            row, team=f"team-{number % 3}", tags={"project": 'b"lue, 1'}, contracted_nano=discounted,
            effective_nano=discounted, billed_nano=discounted,
        )  # fmt: skip
        found.append(row)
    found[203] = replace(found[203], list_nano=None, billed_nano=None)
    found[204] = replace(found[204], parts={}, counts={})
    return [row for row in found if row.month == "2026-08"]


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_costs_sum_to_the_ledger_exactly() -> None:
    text, left_out = export(rows)
    dataset, priced = read(text), [row for row in rows() if row.billed_nano is not None]
    assert left_out == len(rows()) - len(priced) == 1
    for column, name in (("BilledCost", "billed"), ("EffectiveCost", "effective"), ("ContractedCost", "contracted")):
        assert sum(Decimal(row[column]) for row in dataset) * 10**9 == sum(
            getattr(row, f"{name}_nano") for row in priced
        )
    listed = sum(Decimal(row["ListCost"]) for row in dataset) * 10**9
    assert abs(listed - sum(row.list_nano or 0 for row in priced)) <= len(priced)
    tokens = sum(Decimal(row["ConsumedQuantity"]) for row in dataset if row["x_TokenClass"] == "input")
    assert tokens == sum(row.counts.get("input", 0) for row in priced)


def test_a_price_times_a_quantity_is_the_cost() -> None:
    for row in read(export(rows)[0]):
        quantity = Decimal(row["PricingQuantity"])
        assert Decimal(row["ListUnitPrice"]) * quantity == Decimal(row["ListCost"])
        contracted = Decimal(row["ContractedUnitPrice"]) * quantity
        assert abs(contracted - Decimal(row["ContractedCost"])) <= Decimal(10) ** -9
        assert (row["ConsumedUnit"], row["ConsumedQuantity"]) == (row["PricingUnit"], row["PricingQuantity"])


def test_a_price_id_has_one_sku_and_one_price() -> None:
    found: dict[str, set[tuple[str, str]]] = {}
    for row in read(export(rows)[0]):
        found.setdefault(row["SkuPriceId"], set()).add((row["SkuId"], row["ListUnitPrice"]))
    assert found and all(len(of) == 1 for of in found.values())
    assert len(found) < 40, "a price of its own for every row would say nothing"


@pytest.mark.parametrize("version", ["1.2", "1.3", "1.4"])
def test_versions_have_their_columns(version: str) -> None:
    text, _ = export(lambda: rows()[:50], version)  # type: ignore[arg-type]
    columns = text.splitlines()[0].split(",")
    assert [name for name in columns if not name.startswith("x_")] == list(COLUMNS[version])  # type: ignore[index]
    assert ("ProviderName" in columns) == (version != "1.4")
    assert ("ServiceProviderName" in columns) == (version != "1.2")


def test_another_version_is_refused() -> None:
    with pytest.raises(Refused, match=r"no FOCUS '1\.1'"):
        FocusExport("1.1")  # type: ignore[arg-type]


def test_a_name_that_is_a_formula_is_text() -> None:
    row = next(iter(read(export(lambda: [replace(rows()[0], workflow="=1+1")])[0])))
    assert row["ResourceId"] == "'=1+1"


def test_every_class_has_a_meter() -> None:
    assert set(METERS) == {*TOKEN_CLASSES, "whole"}


@settings(deadline=None)
@given(
    price=st.fractions(0, 10**6, max_denominator=1000), counts=st.lists(st.integers(1, 10**7), min_size=1, max_size=8),
    large=st.integers(10**6, 10**8),
)  # fmt: skip
def test_a_price_is_found_in_rounded_costs(price: Fraction, counts: list[int], large: int) -> None:
    levels = PriceLevels()
    for count in [*counts, large]:
        levels.learn(("p",), count, round(price * count))
    found = levels.price(("p",), counts[0], round(price * counts[0]))
    for count in [*counts, large]:
        assert abs(found * count - round(price * count)) <= Fraction(1, 2)


def test_the_shortest_decimal_is_the_price_that_people_wrote() -> None:
    assert shortest(Fraction("37.4999"), Fraction("37.5001")) == Fraction("37.5")
    assert shortest(Fraction("299.6"), Fraction("300.2")) == 300
    assert shortest(Fraction(0), Fraction(1, 2)) == 0
