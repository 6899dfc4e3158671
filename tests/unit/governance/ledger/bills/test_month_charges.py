"""What rate cards say of a month is compared with the bill's credits and fees; what earlier months took of a credit counts."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from holdfast.governance.ledger.bill_line import BillLine
from holdfast.governance.ledger.bills.compare.model import Charge
from holdfast.governance.ledger.bills.month_charges import MonthCharges
from holdfast.governance.ledger.bills.service import BillQuestion, Bills
from holdfast.governance.ledger.imports.service import Importer
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.pricing.cards import read_card
from holdfast.governance.pricing.catalogue import Catalogue
from holdfast.governance.pricing.model import PublishedPrices
from holdfast.governance.pricing.service import PriceBook, Prices
from holdfast.governance.store.store import Store
from holdfast.testing import FakeClock
from tests.unit.governance.ledger.conftest import NOON

pytestmark = pytest.mark.anyio

USD = 10**9
DAY = 86_400_000
CREDIT = {"name": "promo", "amount": "10", "from": "2026-10-15", "until": "2027-01-01"}
PROVISION = {"name": "ptu", "models": "gpt-*", "units": 2, "hourly": "0.5", "from": "2026-11-01", "until": "2026-11-03"}


def charges_of(ledger: Ledger, store: Store, clock: FakeClock, *cards: dict[str, Any]) -> MonthCharges:
    prices = Prices(store, clock.wall_ms)
    read = [read_card({"upstream": "up", "from": "2026-01-01", **card}, f"card-{n}") for n, card in enumerate(cards)]
    prices._book = PriceBook(Catalogue(PublishedPrices("nothing", ())), read)
    return MonthCharges(store, prices, clock)


def row(number: int, at_ms: int, usd: int, **more: Any) -> Row:
    cost = dict.fromkeys(("list_nano", "contracted_nano", "effective_nano", "billed_nano"), usd * USD)
    facts: dict[str, Any] = {"upstream": "up", "provider": "openai", "model": "m1", "asked": "m1", **cost, **more}
    return Row(id=f"r{number}", call=f"c{number}", at_ms=at_ms, day="", month="", **facts)


async def used(ledger: Ledger, clock: FakeClock) -> None:
    """Six dollars on 21 October and on 10 November, and a dollar at somebody else."""
    clock.advance((NOON + 60 * DAY - clock.wall_ms()) / 1_000)
    rows = [row(1, NOON, 6), row(2, NOON + 20 * DAY, 6), row(3, NOON, 1, provider="anthropic", upstream="other")]
    await ledger.append([ledger.complete(each, {}, price=False) for each in rows])


async def test_a_credit_pays_what_earlier_months_left_of_it(ledger: Ledger, store: Store, clock: FakeClock) -> None:
    await used(ledger, clock)
    charges = charges_of(ledger, store, clock, {"credits": [CREDIT]})
    months = {"10": 31, "11": 30}
    found = {
        n: await charges.of("default", "openai", f"2026-{n}-01", f"2026-{n}-{last}", "UTC")
        for n, last in months.items()
    }
    assert found == {"10": [Charge("credit", -6 * USD, "promo")], "11": [Charge("credit", -4 * USD, "promo")]}
    assert await charges.of("default", "openai", "2026-10-01", "2026-11-30", "UTC") == found["10"] + found["11"]


async def test_nothing_is_said_of_what_is_no_whole_month_or_has_not_ended(
    ledger: Ledger, store: Store, clock: FakeClock
) -> None:
    await used(ledger, clock)
    charges = charges_of(ledger, store, clock, {"credits": [CREDIT]})
    assert await charges.of("default", "openai", "2026-10-02", "2026-10-31", "UTC") == []
    assert await charges.of("default", "openai", "2026-12-01", "2026-12-31", "UTC") == []
    assert await charges.of("default", "", "2026-10-01", "2026-10-31", "UTC") == []
    assert await charges.of("other", "openai", "2026-10-01", "2026-10-31", "UTC") == []


async def test_a_bill_with_what_the_cards_say_has_no_finding_of_it(
    ledger: Ledger, store: Store, clock: FakeClock
) -> None:
    await used(ledger, clock)
    bills = Bills(
        ledger, Importer(ledger),
        charges=charges_of(ledger, store, clock, {"credits": [CREDIT], "provisioned": [PROVISION]}),
    )  # fmt: skip
    usage = BillLine(id="1", batch="b", day="2026-11-10", since_ms=NOON + 20 * DAY - 43_200_000, until_ms=NOON + 21 * DAY,
                     provider="openai", model="m1", key="up", amount_nano=6 * USD)  # fmt: skip
    credit = replace(usage, id="2", kind="credit", model="", amount_nano=-10 * USD + 6 * USD)
    fee = replace(
        usage, id="3", kind="fee", model="", amount_nano=48 * USD
    )  # two units for two days, half a dollar each
    question = BillQuestion(since="2026-11-01", until="2026-11-30", provider="openai")
    found = await bills.reconcile("default", question, [usage, credit, fee])
    assert not {"credit", "charge"} & {entry.cause for entry in found.findings}, found.findings
    lacking = await bills.reconcile("default", question, [usage, fee])
    (entry,) = [entry for entry in lacking.findings if entry.cause == "credit"]
    assert (entry.net_nano, entry.facts) == (4 * USD, {"kind": "credit", "expected_nano": -4 * USD})
