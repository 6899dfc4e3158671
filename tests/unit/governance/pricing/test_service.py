"""Changes of prices are proposed, shown and approved; every version stays; a waiver ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, update

from holdfast.errors import HoldfastError, Refused
from holdfast.governance.pricing import source
from holdfast.governance.pricing.model import Priced, PublishedPrices, UsedModel
from holdfast.governance.pricing.resolving import DAY_MS
from holdfast.governance.pricing.service import PACKAGE, Prices
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.pricing import price_bases
from holdfast.providers.billing.model import BilledAttempt
from holdfast.testing import FakeClock
from tests.unit.governance.pricing.usages import NOW, ms

pytestmark = pytest.mark.anyio
OVERRIDE = {"provider": "own", "model": "ours-1", "prices": {"input": "2", "output": "8"}}
COUNTS = {"input": 1_000_000}


class Ledger:
    """What was used, as the test says."""

    rows: Sequence[UsedModel] = ()

    async def used(self, since_ms: int, until_ms: int) -> Sequence[UsedModel]:
        assert until_ms - since_ms == 30 * DAY_MS
        return self.rows


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
async def prices(store: Store) -> AsyncIterator[Prices]:
    opened = Prices(store, store.now_ms, used=Ledger())
    await opened.open()
    yield opened


def cost(prices: Prices, provider: str, model: str, counts: dict[str, int] = COUNTS, upstream: str = "main") -> Priced:
    billed = BilledAttempt(model=model, counts=counts)
    return prices.price(billed, provider=provider, upstream=upstream, asked=model, at_ms=NOW)


def check(prices: Prices, provider: str, model: str, workflow: str = "", at_ms: int = NOW) -> None:
    prices.check(provider=provider, model=model, upstream="main", at_ms=at_ms, workflow=workflow)


async def test_the_installed_catalogue_is_the_first_version_and_the_same_for_everybody(
    store: Store, prices: Prices
) -> None:
    assert cost(prices, "openai", "gpt-5").list_nano == 1_250_000_000
    other = Prices(store, store.now_ms)
    await other.open()
    assert other.book.catalogue.hash == prices.book.catalogue.hash
    assert await other.changes() == []


async def test_a_model_without_a_price_is_refused_until_somebody_else_approves_one(prices: Prices) -> None:
    with pytest.raises(Refused) as refused:
        check(prices, "own", "ours-1")
    assert refused.value.code == "price.missing" and "own/ours-1" in refused.value.detail
    before = prices.book.catalogue.hash
    change = await prices.propose("override", OVERRIDE, by="user:ann", why="our own server")
    with pytest.raises(Refused):
        check(prices, "own", "ours-1")
    assert prices.book.catalogue.hash == before, "nothing changes by a proposal"
    await prices.approve(change.id, by="user:ben", words="looks right")
    check(prices, "own", "ours-1")
    priced = cost(prices, "own", "ours-1")
    assert priced.list_nano == 2_000_000_000 and priced.price.endswith(f"/{change.id}") and priced.catalogue != before
    approved = (await prices.changes("approved"))[0]
    assert (approved.decided_by, approved.alone, approved.words) == ("user:ben", False, "looks right")


async def test_the_proposer_may_not_approve_where_there_is_somebody_else(store: Store, prices: Prices) -> None:
    first = await prices.propose("override", OVERRIDE, by="user:ann", why="x")
    assert (await prices.approve(first.id, by="user:ann")).alone, "there is nobody else"
    other = await prices.propose("override", {**OVERRIDE, "model": "ours-2"}, by="user:ben", why="x")
    with pytest.raises(Refused) as refused:
        await prices.approve(other.id, by="user:ben")
    assert refused.value.code == "price.own_change"
    await prices.approve(other.id, by="user:ann")
    strict = Prices(store, store.now_ms, others=lambda actor: True)
    await strict.open()
    third = await strict.propose("override", {**OVERRIDE, "model": "ours-3"}, by="user:cat", why="x")
    with pytest.raises(Refused, match="proposed"):
        await strict.approve(third.id, by="user:cat")


async def test_what_was_shown_is_what_happens_or_nothing(store: Store, prices: Prices) -> None:
    one = await prices.propose("override", OVERRIDE, by="user:ann", why="x")
    two = await prices.propose("override", {**OVERRIDE, "prices": {"input": "3"}}, by="user:ann", why="x")
    other = Prices(store, store.now_ms)
    await other.open()
    await other.approve(one.id, by="user:ben")
    with pytest.raises(Refused) as refused:
        await prices.approve(two.id, by="user:ben")
    assert refused.value.code == "price.stale"
    with pytest.raises(Refused) as refused:
        await prices.approve(one.id, by="user:cat")
    assert refused.value.code == "price.decided"
    assert cost(prices, "own", "ours-1").list_nano == 2_000_000_000, "what another process approved is taken over"
    await prices.reject(two.id, by="user:ben")
    with pytest.raises(Refused) as refused:
        await prices.reject(two.id, by="user:ben")
    assert refused.value.code == "price.decided"


async def test_two_who_approve_at_once_do_not_both_succeed(
    store: Store, prices: Prices, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await prices.propose("override", OVERRIDE, by="user:ann", why="x")
    two = await prices.propose("override", {**OVERRIDE, "prices": {"input": "3"}}, by="user:ann", why="x")
    other = Prices(store, store.now_ms)
    await other.open()

    async def nothing() -> None:
        """The other one has not heard of it yet."""

    monkeypatch.setattr(other, "refresh", nothing)
    await prices.approve(one.id, by="user:ben")
    with pytest.raises(Refused) as refused:
        await other.approve(two.id, by="user:ben")
    assert refused.value.code == "price.stale" and [c.id for c in await prices.changes("approved")] == [one.id]


async def test_an_override_holds_from_its_day_to_its_end(prices: Prices) -> None:
    dated = {**OVERRIDE, "provider": "openai", "model": "gpt-5", "from": "2026-10-01", "until": "2026-11-01"}
    new = {**OVERRIDE, "names": ["ours-one"], "from": "2026-10-15"}
    for document in (dated, new):
        change = await prices.propose("override", document, by="user:ann", why="x")
        await prices.approve(change.id, by="user:ben")

    def of(model: str, provider: str, day: str) -> int | None:
        billed = BilledAttempt(model=model, counts=COUNTS)
        return prices.price(billed, provider=provider, upstream="main", asked="", at_ms=ms(day)).list_nano

    days = ("2026-09-30", "2026-10-01", "2026-10-31", "2026-11-01", "2026-09-30")
    assert [of("gpt-5", "openai", day) for day in days] == [nano * 10**7 for nano in (125, 200, 200, 125, 125)]
    assert [of("ours-ONE", "own", day) for day in ("2026-10-14", "2026-10-15", "2026-10-14")] == [None, 2 * 10**9, None]


async def test_an_old_row_is_reckoned_again_from_its_catalogue(prices: Prices) -> None:
    old = cost(prices, "openai", "gpt-5")
    cheaper = {"provider": "openai", "model": "gpt-5", "prices": {"input": "1"}, "extends": True}
    change = await prices.propose("override", cheaper, by="user:ann", why="x")
    await prices.approve(change.id, by="user:ben")
    new = cost(prices, "openai", "gpt-5", {"input": 1_000_000, "output": 1_000_000})
    assert new.parts == {"input": 1_000_000_000, "output": 10_000_000_000}, "what it does not name stays"
    again = await prices.book_of(old.catalogue)
    billed = BilledAttempt(model="gpt-5", counts=COUNTS)
    assert again.price(billed, provider="openai", upstream="main", asked="", at_ms=NOW) == old
    withdrawn = await prices.propose("withdraw", {"override": change.id}, by="user:ben", why="x")
    await prices.approve(withdrawn.id, by="user:ann")
    assert cost(prices, "openai", "gpt-5") == old
    with pytest.raises(Refused) as refused:
        await prices.book_of("0" * 32)
    assert refused.value.code == "price.not_found"


async def test_the_difference_names_what_changes_and_what_it_would_have_cost(prices: Prices) -> None:
    ledger: Any = prices._used
    ledger.rows = [
        UsedModel("openai", "main", "gpt-5", {"input": 4_000_000, "output": 0}, 4),
        UsedModel("openai", "main", "gpt-5-mini", {"input": 1_000_000}, 1),
        UsedModel("own", "main", "nobody-priced-this", {"input": 5}, 1),
    ]
    document = {"provider": "openai", "model": "gpt-5", "prices": {"input": "1"}, "extends": True}
    diff = await prices.diff((await prices.propose("override", document, by="user:ann", why="x")).id)
    (line,) = diff.lines
    assert (line.provider, line.model, line.tier, line.before, line.after, line.used) == (
        "openai", "gpt-5", "standard", "1.25", "1", True,
    )  # fmt: skip
    assert (diff.before_nano, diff.after_nano, diff.unknown) == (5_000_000_000, 4_000_000_000, 1)
    assert [effect.model for effect in diff.effects] == ["gpt-5", "nobody-priced-this"], "what stays is not listed"
    card = {"upstream": "main", "from": "2026-01-01", "discounts": [{"models": "gpt-5*", "percent": "10"}]}
    diff = await prices.diff((await prices.propose("card", card, by="user:ann", why="x")).id)
    assert {line.name for line in diff.lines} >= {"discounts", "from_ms"} and all(
        line.before == "" for line in diff.lines
    )
    assert (diff.before_nano, diff.after_nano) == (5_250_000_000, 4_725_000_000)


async def test_a_rate_card_holds_from_its_day_and_can_be_ended(prices: Prices) -> None:
    card = {"upstream": "main", "from": "2026-11-01", "discounts": [{"percent": "20"}]}
    change = await prices.propose("card", card, by="user:ann", why="signed")
    await prices.approve(change.id, by="user:ben")
    priced = cost(prices, "openai", "gpt-5")
    assert (priced.list_nano, priced.contracted_nano, priced.card) == (1_250_000_000, 1_000_000_000, change.id)
    assert cost(prices, "openai", "gpt-5", upstream="other").card == ""
    end = await prices.propose("end_card", {"card": change.id, "until": "2026-11-15"}, by="user:ann", why="over")
    await prices.approve(end.id, by="user:ben")
    assert cost(prices, "openai", "gpt-5").contracted_nano == 1_250_000_000
    with pytest.raises(Refused, match="no rate card"):
        await prices.propose("end_card", {"card": "card-none", "until": "2026-11-15"}, by="user:ann", why="x")


async def test_another_installed_catalogue_is_proposed_and_never_taken_by_itself(
    store: Store, prices: Prices, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [
        msgspec.structs.replace(e, spans=e.spans[:1]) for e in source.bundled().entries if e.provider == "openai"
    ]
    newer = PublishedPrices("genai-prices 9.9.9", tuple(entries), {})
    monkeypatch.setattr("holdfast.governance.pricing.service.bundled", lambda: newer)
    upgraded = Prices(store, store.now_ms)
    await upgraded.open()
    check(upgraded, "anthropic", "claude-opus-4-8")
    (change,) = await upgraded.changes("proposed")
    assert change.by == PACKAGE and "9.9.9" in change.why
    diff = await upgraded.diff(change.id)
    assert diff.models > 1_000 and len(diff.lines) == 500 < diff.count
    await upgraded.open()
    assert len(await upgraded.changes()) == 1, "it is proposed once"
    old = upgraded.book.catalogue.hash
    await upgraded.approve(change.id, by="user:ann")
    with pytest.raises(Refused):
        check(upgraded, "anthropic", "claude-opus-4-8")
    assert (await upgraded.book_of(old)).catalogue.entry("anthropic", "claude-opus-4-8") is not None


async def test_a_stored_catalogue_that_is_damaged_is_found(store: Store, prices: Prices) -> None:
    def damage(connection: Connection) -> None:
        connection.execute(update(price_bases).values(packed=b"nonsense"))

    await store.write(damage)
    other = Prices(store, store.now_ms)
    with pytest.raises(HoldfastError) as failed:
        await other.refresh()
    assert failed.value.code == "engine.corrupt"


async def test_a_waiver_lets_a_model_be_called_and_is_named_in_the_row(prices: Prices, clock: FakeClock) -> None:
    end = NOW + 10 * DAY_MS
    waiver = await prices.waive(
        model="ours-*", provider="own", workflow="support", by="user:risk", why="trial", until_ms=end
    )
    check(prices, "own", "ours-7", "support")
    for provider, model, workflow, at_ms in (
        ("own", "ours-7", "sales", NOW), ("own", "other", "support", NOW), ("else", "ours-7", "support", NOW),
        ("own", "ours-7", "support", end),
    ):  # fmt: skip
        with pytest.raises(Refused):
            check(prices, provider, model, workflow, at_ms)
    billed = BilledAttempt(model="ours-7", counts=COUNTS)
    priced = prices.price(billed, provider="own", upstream="u", asked="", at_ms=NOW, workflow="support")
    assert (priced.waiver, priced.list_nano, priced.billed_nano, priced.unpriced) == (waiver.id, None, None, ("model",))
    clock.advance(60)
    await prices.revoke_waiver(waiver.id, by="user:risk")
    with pytest.raises(Refused):
        check(prices, "own", "ours-7", "support", NOW + 61_000)
    check(prices, "own", "ours-7", "support", NOW + 1_000)


async def test_a_waiver_may_say_what_is_reckoned_meanwhile(prices: Prices) -> None:
    waiver = await prices.waive(
        model="ours-9", by="user:risk", why="trial", until_ms=NOW + DAY_MS, rates={"input": "7", "output": "9"}
    )
    priced = cost(prices, "own", "ours-9")
    assert (priced.list_nano, priced.waiver) == (7_000_000_000, waiver.id)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"why": " "}, "without a reason"), ({"until_ms": NOW + 31 * DAY_MS}, "within 30 days"), ({"until_ms": NOW}, "within"),
     ({"model": "*"}, "every model")],
)  # fmt: skip
async def test_a_waiver_has_a_reason_a_near_end_and_a_model(prices: Prices, change: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        await prices.waive(**{"model": "m", "by": "user:risk", "why": "x", "until_ms": NOW + DAY_MS, **change})
    assert refused.value.code == "price.waiver"


async def test_a_waiver_is_renewed_once(prices: Prices, clock: FakeClock) -> None:
    facts: dict[str, Any] = {"model": "m", "by": "user:risk", "why": "x"}
    first = await prices.waive(**facts, until_ms=NOW + DAY_MS)
    with pytest.raises(Refused, match="waived before"):
        await prices.waive(**facts, until_ms=NOW + 2 * DAY_MS)
    second = await prices.waive(**facts, until_ms=NOW + 20 * DAY_MS, renews=first.id)
    with pytest.raises(Refused, match="waived before"):
        await prices.waive(**facts, until_ms=NOW + 25 * DAY_MS, renews=second.id)
    with pytest.raises(Refused, match="no waiver"):
        await prices.waive(**facts, until_ms=NOW + 25 * DAY_MS, renews="waiver-none")


async def test_currencies_are_imported_and_the_last_import_of_a_day_counts(prices: Prices) -> None:
    card = {
        "upstream": "main", "from": "2026-01-01", "currency": "EUR",
        "prices": [{"models": "gpt-5", "prices": {"input": "1", "output": "4"}}],
    }  # fmt: skip
    change = await prices.propose("card", card, by="user:ann", why="x")
    await prices.approve(change.id, by="user:ben")
    unknown = cost(prices, "openai", "gpt-5")
    assert unknown.contracted_nano is None and unknown.list_nano == 1_250_000_000
    assert await prices.import_currencies("day,currency,usd\n2026-11-19,EUR,1.10\n", "ecb") == 1
    assert await prices.import_currencies("day,currency,usd\n2026-11-19,EUR,1.10\n", "ecb") == 0
    priced = cost(prices, "openai", "gpt-5")
    assert (priced.contracted_nano, priced.currency, priced.rate) == (1_100_000_000, "EUR", "1.10")
    prices._now_ms = lambda: NOW + 5
    assert await prices.import_currencies("day,currency,usd\n2026-11-19,EUR,1.20\n", "ecb") == 1
    assert cost(prices, "openai", "gpt-5").contracted_nano == 1_200_000_000


@pytest.mark.parametrize(
    ("kind", "document", "words"),
    [
        ("override", {"provider": "own", "model": "m", "prices": {}}, "no prices"),
        ("override", {"provider": "own", "model": "m", "prices": {"inputs": "1"}}, "no class 'inputs'"),
        ("override", {"provider": "own", "model": "m", "prices": {"input": "-1"}}, "no price of input"),
        ("override", {"provider": "own", "model": "m", "prices": {"input": 1.5}}, "is no price"),
        ("override", {"provider": "own", "model": "m", "price": {}}, "unknown field"),
        ("override", {"provider": "", "model": "m", "prices": {"input": "1"}}, "names no provider"),
        ("override", {**OVERRIDE, "from": "2026-02-01", "until": "2026-01-01"}, "ends before"),
        ("card", {"upstream": "u", "from": "yesterday"}, "no date"),
        ("card", {"upstream": "u", "from": "2026-01-01", "discounts": [{"percent": "101"}]}, "per cent"),
        ("withdraw", {"override": "none"}, "no override"),
        ("catalogue", {"base": "none"}, "no published catalogue"),
    ],
)
async def test_what_could_not_be_approved_is_not_proposed(
    prices: Prices, kind: Any, document: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refused, match=words):
        await prices.propose(kind, document, by="user:ann", why="x")
    assert await prices.changes() == []


async def test_a_change_has_a_reason_and_a_size(prices: Prices) -> None:
    with pytest.raises(Refused, match="no reason"):
        await prices.propose("override", OVERRIDE, by="user:ann", why=" ")
    with pytest.raises(Refused, match="too large"):
        await prices.propose("override", {**OVERRIDE, "note": "x" * 70_000}, by="user:ann", why="x")


async def test_models_are_listed_by_provider_and_pattern(prices: Prices) -> None:
    assert ("openai", "gpt-5-mini", "genai-prices") in prices.models("openai", "gpt-5*")
    assert prices.models("openai", "gpt-5") == [("openai", "gpt-5", "genai-prices")]
