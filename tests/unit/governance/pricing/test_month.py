"""What only a whole month tells, beside rows that stay as they are."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.governance.pricing.cards import read_card
from holdfast.governance.pricing.currency import Currencies, CurrencyRate
from holdfast.governance.pricing.month import UNUSED, Adjustment, allocate_month
from tests.unit.governance.pricing.usages import ms

FROM, UNTIL = ms("2026-11-01") - 43_200_000, ms("2026-12-01") - 43_200_000
USD = 1_000_000_000


class LedgerRow(msgspec.Struct, frozen=True):
    """A row as the ledger has it."""

    id: str
    contracted_nano: int | None
    list_nano: int | None = None
    effective_nano: int | None = None
    billed_nano: int | None = None
    workflow: str = "a"
    at_ms: int = FROM
    upstream: str = "main"
    provider: str = "openai"
    model: str = "gpt-5"
    tier: str = ""
    counts: dict[str, int] = {}


def plain(name: str, usd: int, **more: Any) -> LedgerRow:
    return LedgerRow(name, usd * USD, usd * USD, usd * USD, usd * USD, **more)


def month(
    rows: list[LedgerRow], consumed: dict[tuple[str, str], int] | None = None, **card: Any
) -> dict[str, Adjustment]:
    read = read_card({"upstream": "main", "from": "2026-01-01", **card}, "card")
    rates = Currencies([CurrencyRate("EUR", "2026-11-30", "1.25")])
    found = allocate_month(
        rows,
        [read],
        from_ms=FROM,
        until_ms=UNTIL,
        currencies=rates,
        consumed=consumed or {},
        group=lambda row: getattr(row, "workflow"),  # noqa: B009
    )
    for one in found:
        if one.shares:
            assert sum(one.shares.values()) == one.effective_nano, one
    return {f"{one.kind}:{one.name}": one for one in found}


def test_a_card_without_anything_monthly_adjusts_nothing() -> None:
    assert month([plain("r", 5)]) == {}


COMMITMENT = {"amount": "100", "percent": "20"}


def test_a_commitment_covers_usage_at_its_discount_and_what_is_unused_is_owed() -> None:
    found = month(
        [plain("r1", 50), plain("r2", 25, workflow="b"), plain("r3", 9, upstream="other")], commitment=COMMITMENT
    )
    discount, unused = found["commitment_discount:commitment"], found["commitment_unused:commitment"]
    assert discount.billed_nano == discount.effective_nano == -15 * USD
    assert discount.shares == {"a": -10 * USD, "b": -5 * USD} and discount.used == 600
    assert unused.billed_nano == 40 * USD and unused.shares == {UNUSED: 40 * USD}
    assert 75 * USD - 15 * USD + 40 * USD == 100 * USD, "the invoice is the commitment"


def test_the_row_that_crosses_the_end_of_a_commitment_is_covered_in_part() -> None:
    rows = [
        plain("r1", 100),
        plain("r2", 50, at_ms=FROM + 1, workflow="b"),
        plain("r3", 10, at_ms=FROM + 2, workflow="c"),
    ]
    found = month(rows, commitment=COMMITMENT)
    # 125 of usage is 100 at the discount: r1 whole, half of r2
    assert found["commitment_discount:commitment"].shares == {"a": -20 * USD, "b": -5 * USD}
    assert "commitment_unused:commitment" not in found and found["commitment_discount:commitment"].used == 1_000
    dear = [msgspec.structs.replace(row, list_nano=2 * row.contracted_nano) for row in rows if row.contracted_nano]
    above = month(dear, commitment={**COMMITMENT, "above": "list"})["commitment_above:commitment"]
    assert above.shares == {"b": 25 * USD, "c": 10 * USD}


def test_a_commitment_covers_its_models_in_the_order_of_time_and_leaves_unknown_costs() -> None:
    rows = [
        plain("z", 200, at_ms=FROM),
        plain("a", 200, at_ms=FROM + 5, workflow="b"),
        LedgerRow("u", None),
        plain("x", 7, model="o3"),
    ]
    found = month(rows, commitment={**COMMITMENT, "models": "gpt-5"})
    assert found["commitment_discount:commitment"].shares == {"a": -25 * USD}


def test_a_commitment_that_begins_within_the_month_is_owed_in_part() -> None:
    found = month([], commitment=COMMITMENT, **{"from": "2026-11-16"})
    assert found["commitment_unused:commitment"].billed_nano == 50 * USD
    assert month([], commitment=COMMITMENT, **{"from": "2026-12-01"}) == {}


PROVISION = {"name": "ptu", "models": "*", "units": 2, "hourly": "1", "from": "2026-11-01", "until": "2026-11-02"}


def test_throughput_is_invoiced_and_what_nobody_used_is_nobodys() -> None:
    rows = [LedgerRow("r", 30 * USD, 30 * USD, 12 * USD, 0, counts={"input": 12_000_000})]
    found = month(rows, provisioned=[{**PROVISION, "capacity": 1_000_000}])
    bought, unused = found["provisioned_purchase:ptu"], found["provisioned_unused:ptu"]
    assert (bought.billed_nano, bought.effective_nano, bought.used) == (48 * USD, 0, 250)
    assert (unused.billed_nano, unused.effective_nano, unused.shares) == (0, 36 * USD, {UNUSED: 36 * USD})


def test_throughput_of_unknown_capacity_is_theirs_who_used_it() -> None:
    rows = [
        LedgerRow("r", 30 * USD, 30 * USD, 30 * USD, 0),
        LedgerRow("s", 10 * USD, 10 * USD, 10 * USD, 0, workflow="b"),
    ]
    found = month(rows, provisioned=[PROVISION])
    assert (
        found["provisioned_unused:ptu"].shares == {"a": 6 * USD, "b": 2 * USD}
        and found["provisioned_unused:ptu"].used is None
    )
    assert month([], provisioned=[PROVISION])["provisioned_unused:ptu"].shares == {UNUSED: 48 * USD}


CREDIT = {"name": "c1", "amount": "30", "from": "2026-11-01", "until": "2027-01-01"}


def test_credits_pay_in_the_order_in_which_they_end_and_no_more_than_is_owed() -> None:
    sooner = {**CREDIT, "name": "c9", "amount": "10", "until": "2026-12-15"}
    found = month([plain("r", 25)], credits=[CREDIT, sooner])
    assert found["credit:c9"].billed_nano == -10 * USD and found["credit:c1"].billed_nano == -15 * USD
    assert found["credit:c1"].used == 500


def test_a_credit_pays_within_its_time_for_its_models_and_only_once() -> None:
    rows = [
        plain("r", 25, at_ms=FROM),
        plain("s", 25, at_ms=ms("2026-11-20"), workflow="b"),
        plain("t", 4, model="o3", at_ms=ms("2026-11-20")),
    ]
    late = {**CREDIT, "from": "2026-11-10", "models": "gpt*"}
    assert month(rows, credits=[late])["credit:c1"].shares == {"b": -25 * USD}
    assert month(rows, {("card", "c1"): 20 * USD}, credits=[late])["credit:c1"].shares == {"b": -10 * USD}
    assert month(rows, {("card", "c1"): 30 * USD}, credits=[late]) == {}


def test_a_credit_does_not_pay_what_a_commitment_took_off() -> None:
    found = month([plain("r", 20)], commitment={"amount": "16", "percent": "20"}, credits=[CREDIT])
    assert found["credit:c1"].billed_nano == -16 * USD


def test_amounts_of_another_currency_have_the_rate_of_the_last_day() -> None:
    assert month([], commitment={**COMMITMENT}, currency="EUR")["commitment_unused:commitment"].billed_nano == 125 * USD


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**12), st.sampled_from("abc"), st.integers(0, 9)), max_size=12),
    st.integers(0, 10**12), st.integers(0, 100), st.integers(0, 10**12),
)  # fmt: skip
def test_the_invoice_adds_up(parts: list[tuple[int, str, int]], committed: int, percent: int, credit: int) -> None:
    rows = [LedgerRow(f"r{n}", nano, nano, nano, nano, w, FROM + at) for n, (nano, w, at) in enumerate(parts)]
    given_credit = {**CREDIT, "amount": f"{credit // USD}.{credit % USD:09d}"}
    commitment = {"amount": f"{committed // USD}.{committed % USD:09d}", "percent": str(percent)}
    found = month(rows, commitment=commitment, credits=[given_credit])
    usage = sum(row.billed_nano or 0 for row in rows)
    invoice = usage + sum(one.billed_nano for one in found.values())
    paid = found["credit:c1"].billed_nano if "credit:c1" in found else 0
    assert invoice >= 0 and -credit <= paid <= 0
    discounted = usage * (100 - percent)
    if discounted <= committed * 100:  # the commitment covers all of it
        assert abs(invoice - paid - committed) <= 2
    else:
        assert committed <= invoice - paid + 2 and invoice - paid <= usage


def test_of_two_cards_the_one_that_began_last_has_the_rows_and_the_days() -> None:
    half = FROM + (UNTIL - FROM) // 2
    card = {"upstream": "main", "commitment": COMMITMENT}
    read = [
        read_card({**card, "from": "2026-01-01"}, "old"),
        read_card({**card, "from": str(half)}, "new"),
    ]
    found = allocate_month(
        [plain("r1", 10), plain("r2", 20, at_ms=half)], read, from_ms=FROM, until_ms=UNTIL, currencies=Currencies(),
        consumed={}, group=lambda row: "a",
    )  # fmt: skip
    owed = {one.card: one.billed_nano for one in found if one.kind == "commitment_unused"}
    assert owed == {"old": (50 - 8) * USD, "new": (50 - 16) * USD}, (
        "each owes its half of the month, less what it covered"
    )
