"""Prices: what calls cost, in memory, and how that is changed. The only public module of the domain."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.pricing import store as statements
from holdfast.governance.pricing.book import PriceBook
from holdfast.governance.pricing.cards import RateCard, moment, read_card
from holdfast.governance.pricing.catalogue import Catalogue, hash_of, pack, read_override, unpack
from holdfast.governance.pricing.changes import (
    USED_DAYS,
    ChangeKind,
    ChangeState,
    PriceChange,
    PriceDiff,
    PriceLine,
    UsageSource,
    compare,
)
from holdfast.governance.pricing.currency import Currencies, read_csv
from holdfast.governance.pricing.model import Priced, PublishedPrices, UsedModel, Waiver, matches
from holdfast.governance.pricing.month import Adjustment, MonthRow, allocate_month
from holdfast.governance.pricing.rates import invalid, read_rates
from holdfast.governance.pricing.resolving import DAY_MS
from holdfast.governance.pricing.source import bundled
from holdfast.providers.billing.model import BilledAttempt

T = TypeVar("T")
PACKAGE: Final = "system:prices"
"""Who proposes the catalogue of another version of genai-prices that was installed."""


class PriceStore(Protocol):
    """A database (``governance/store``)."""

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do work in one transaction, durable when it returns."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do work that writes nothing."""


class Prices:
    """The prices of one store.

    Args:
        store: what they are kept in.
        now_ms: the clock, Unix ms.
        used: who knows what was used, for the effect of a change; None for nobody.
        others: whether somebody else than an actor may approve changes; None to go by who ever did.
    """

    def __init__(
        self,
        store: PriceStore,
        now_ms: Callable[[], int],
        *,
        used: UsageSource | None = None,
        others: Callable[[str], bool] | None = None,
    ) -> None:
        self._store = store
        self._now_ms = now_ms
        self._used = used
        self._others = others
        self._loaded: statements.StoredPrices | None = None
        self._bases: dict[str, PublishedPrices] = {}
        self._book = PriceBook(Catalogue(PublishedPrices("nothing", ())))
        self._refreshing = asyncio.Lock()

    async def open(self) -> None:
        """Load prices. In an empty store the installed catalogue is the first version; when another one was installed since,
        it is proposed, and the one that was approved goes on.

        Raises:
            HoldfastError: ``price.catalogue``. Unavailable: of the store.
        """
        installed = Catalogue(bundled())
        self._bases[installed.base_hash] = installed.base
        packed, now = pack(installed.base), self._now_ms()

        def first(connection: Connection) -> None:
            statements.keep_base(connection, installed.base_hash, installed.base.source, packed, now)
            if not statements.current_hash(connection):
                version = statements.CatalogueVersion(installed.hash, installed.base_hash, ())
                statements.add_version(connection, version, "", now)

        await self._store.write(first)
        await self.refresh()
        if self._book.catalogue.base_hash != installed.base_hash:
            changes = await self.changes()
            if not any(one.kind == "catalogue" and one.document.get("base") == installed.base_hash for one in changes):
                await self.propose(
                    "catalogue", {"base": installed.base_hash}, by=PACKAGE, why=f"{installed.base.source} was installed"
                )

    async def refresh(self) -> None:
        """Take over what was approved, waived or imported since, here or by another process."""
        async with self._refreshing:  # who began to read earlier must not have the last word
            loaded = await self._store.read(statements.load)
            if loaded == self._loaded or loaded.version is None:
                return
            catalogue = await self._catalogue(loaded.version)
            self._loaded = loaded
            self._book = PriceBook(catalogue, loaded.cards, loaded.waivers, Currencies(loaded.currencies))

    @property
    def book(self) -> PriceBook:
        """The present prices; a change makes another book."""
        return self._book

    def check(self, *, provider: str, model: str, upstream: str, at_ms: int, workflow: str = "") -> None:
        """See ``PriceBook.check``. Raises ``price.missing``."""
        self._book.check(provider=provider, model=model, upstream=upstream, at_ms=at_ms, workflow=workflow)

    def price(
        self, billed: BilledAttempt, *, provider: str, upstream: str, asked: str, at_ms: int, workflow: str = "",
        request_input: int | None = None,
    ) -> Priced:  # fmt: skip
        """See ``PriceBook.price``. Raises ``price.counts``."""
        return self._book.price(
            billed, provider=provider, upstream=upstream, asked=asked, at_ms=at_ms, workflow=workflow,
            request_input=request_input,
        )  # fmt: skip

    async def book_of(self, catalogue: str) -> PriceBook:
        """The prices of an earlier catalogue, with the cards, waivers and currencies of today: an old row is reckoned again
        with it. Raises ``price.not_found``."""
        if catalogue == self._book.catalogue.hash:
            return self._book
        version = await self._store.read(lambda connection: statements.version_named(connection, catalogue))
        book = self._book
        return PriceBook(await self._catalogue(version), book.cards, book.waivers, book.currencies)

    # --- changes --------------------------------------------------------------------------------------------------------
    async def propose(self, kind: ChangeKind, document: Mapping[str, Any], *, by: str, why: str) -> PriceChange:
        """Propose a change; nothing changes by it.

        Args:
            kind: what kind it is.
            document: an override or a rate card as people write it; ``{"override": id}`` to take one back,
                ``{"base": hash}`` for a published catalogue, ``{"card": id, "until": date}`` to end a card.
            by: the actor who proposes it.
            why: the reason.

        Raises:
            Refused: ``price.invalid``, ``price.not_found``.
        """
        await self.refresh()
        if not why.strip() or len(why) > limits.PRICE_WORDS_CHARS:
            raise invalid("the change has no reason, or a very long one", "Say why in a sentence.")
        plain = msgspec.to_builtins(dict(document))
        if len(msgspec.json.encode(plain)) > limits.PRICE_DOCUMENT_BYTES:
            raise invalid("the document is too large", f"Write at most {limits.PRICE_DOCUMENT_BYTES:,} bytes.")
        change = PriceChange(_name("change"), kind, plain, why, self._state(), by, self._now_ms())
        await self._after(change)  # what could not be approved is not proposed
        await self._store.write(lambda connection: statements.add_change(connection, change))
        return change

    async def diff(self, change: str) -> PriceDiff:
        """What a change that is proposed would do to prices, and to what was used. Raises ``price.not_found``."""
        await self.refresh()
        found = await self._store.read(lambda connection: statements.change_named(connection, change))
        return await self._diff(found)

    async def approve(self, change: str, *, by: str, words: str = "") -> PriceChange:
        """Let a change happen.

        Args:
            by: the actor who approves it: somebody else than the one who proposed it, where there is one.

        Raises:
            Refused: ``price.not_found``, ``price.decided``, ``price.own_change``, ``price.stale``.
        """
        await self.refresh()
        found = await self._store.read(lambda connection: statements.change_named(connection, change))
        if found.state != "proposed":
            raise Refused("price.decided", f"change {change} is {found.state}", by=found.decided_by)
        alone = found.by == by
        if alone and await self._somebody_else(by):
            raise Refused("price.own_change", f"{by} proposed change {change}")
        if found.against != self._state():
            raise Refused("price.stale", f"prices have changed since change {change} was proposed")
        after, now = await self._after(found), self._now_ms()
        decided = msgspec.structs.replace(
            found, state="approved", decided_by=by, decided_ms=now, words=words[: limits.PRICE_WORDS_CHARS], alone=alone
        )
        await self._store.write(lambda connection: self._apply(connection, decided, after, now))
        await self.refresh()
        return decided

    async def reject(self, change: str, *, by: str, words: str = "") -> PriceChange:
        """Decide that a change does not happen. Raises ``price.not_found``, ``price.decided``."""
        found = await self._store.read(lambda connection: statements.change_named(connection, change))
        decided = msgspec.structs.replace(
            found, state="rejected", decided_by=by, decided_ms=self._now_ms(), words=words[: limits.PRICE_WORDS_CHARS]
        )
        await self._store.write(lambda connection: statements.decide(connection, decided))
        return decided

    async def changes(self, state: ChangeState | None = None) -> list[PriceChange]:
        """The newest changes, of one state or of all."""
        return await self._store.read(lambda connection: statements.changes(connection, state))

    def _apply(self, connection: Connection, change: PriceChange, after: PriceBook, now_ms: int) -> None:
        stored = statements.load(connection)  # another process may have been first
        if stored.version is None or _state_of(stored.version.hash, stored.cards) != change.against:
            raise Refused("price.stale", f"prices have changed since change {change.id} was proposed")
        statements.decide(connection, change)
        if change.kind == "card":
            card = next(card for card in after.cards if card.id == change.id)
            statements.add_card(connection, card, now_ms)
        elif change.kind == "end_card":
            statements.end_card(connection, change.document["card"], moment(change.document["until"]))
        else:
            catalogue = after.catalogue
            version = statements.CatalogueVersion(catalogue.hash, catalogue.base_hash, catalogue.overrides)
            statements.add_version(connection, version, change.id, now_ms)

    def _state(self) -> str:
        return _state_of(self._book.catalogue.hash, self._book.cards)

    async def _somebody_else(self, actor: str) -> bool:
        if self._others is not None:
            return self._others(actor)
        everybody = await self._store.read(statements.actors)
        return bool(everybody - {actor, PACKAGE})

    async def _after(self, change: PriceChange) -> PriceBook:
        """The prices as they would be after a change. Raises ``price.invalid``, ``price.not_found``."""
        book, document = self._book, change.document
        catalogue, cards = book.catalogue, list(book.cards)
        if change.kind == "override":
            catalogue = catalogue.with_override(read_override(document, change.id))
        elif change.kind == "withdraw":
            left = tuple(entry for entry in catalogue.overrides if entry.origin != document.get("override"))
            if len(left) == len(catalogue.overrides):
                raise Refused("price.not_found", f"there is no override {document.get('override')!r}")
            catalogue = Catalogue(catalogue.base, left, catalogue.base_hash)
        elif change.kind == "catalogue":
            base = str(document.get("base", ""))
            catalogue = Catalogue(await self._base(base), catalogue.overrides, base)
        elif change.kind == "card":
            cards.append(read_card(document, change.id))
        else:
            until = moment(str(document.get("until", "")))
            if not any(card.id == document.get("card") for card in cards):
                raise Refused("price.not_found", f"there is no rate card {document.get('card')!r}")
            cards = [msgspec.structs.replace(c, until_ms=until) if c.id == document["card"] else c for c in cards]
        return PriceBook(catalogue, cards, book.waivers, book.currencies)

    async def _diff(self, change: PriceChange) -> PriceDiff:
        now = self._now_ms()
        used: Sequence[UsedModel] = ()
        if self._used is not None:
            used = await self._used.used(now - USED_DAYS * DAY_MS, now)
        after = await self._after(change)
        return compare(self._book, after, used, _card_lines(self._book.cards, after.cards), now)

    async def _catalogue(self, version: statements.CatalogueVersion) -> Catalogue:
        return Catalogue(await self._base(version.base), version.overrides, version.base)

    async def _base(self, base: str) -> PublishedPrices:
        if base not in self._bases:
            packed = await self._store.read(lambda connection: statements.packed_base(connection, base))
            self._bases[base] = unpack(packed)
        return self._bases[base]

    # --- waivers --------------------------------------------------------------------------------------------------------
    async def waive(
        self, *, model: str, by: str, why: str, until_ms: int, provider: str = "", workflow: str = "",
        rates: Mapping[str, Any] | None = None, renews: str = "",
    ) -> Waiver:  # fmt: skip
        """Let a model be called that nobody has priced.

        Args:
            model: its id, or the beginning of ids before ``*``.
            by: the actor who may waive; ``why``: the reason.
            until_ms: Unix ms of its end, at most ``limits.WAIVER_DAYS`` days from now.
            provider, workflow: for which one; empty for all.
            rates: what is reckoned meanwhile, as people write prices.
            renews: the waiver that it renews; one that renews is not renewed again.

        Raises:
            Refused: ``price.waiver``, ``price.invalid``, ``price.not_found``.
        """
        await self.refresh()
        now = self._now_ms()
        if not why.strip() or not now < until_ms <= now + limits.WAIVER_DAYS * DAY_MS:
            raise Refused(
                "price.waiver", f"a waiver of {model} without a reason, or not within {limits.WAIVER_DAYS} days"
            )
        if not model.strip("*") or len(model) > limits.PRICE_WORDS_CHARS:
            raise Refused("price.waiver", "a waiver of every model", fix="Name a model, or the beginning of its id.")
        earlier = [
            w for w in self._book.waivers if w.model == model and w.provider == provider and w.workflow == workflow
        ]
        if renews and not any(w.id == renews for w in earlier):
            raise Refused("price.not_found", f"there is no waiver {renews!r} of {model}")
        recent = [w for w in earlier if w.until_ms > now - limits.WAIVER_DAYS * DAY_MS and w.revoked_ms is None]
        if any(w.renews for w in recent) or (recent and not renews):
            raise Refused("price.waiver", f"{model} was waived before", fix="Renew it once, then propose a price.")
        read = read_rates(rates, f"waiver of {model}") if rates else {}
        waiver = Waiver(_name("waiver"), provider, model, workflow, by, why, now, until_ms, read, None, renews)
        await self._store.write(lambda connection: statements.add_waiver(connection, waiver))
        await self.refresh()
        return waiver

    async def revoke_waiver(self, waiver: str, *, by: str) -> None:
        """Take a waiver back, from now on. Raises ``price.not_found``."""
        now = self._now_ms()
        await self._store.write(lambda connection: statements.revoke_waiver(connection, waiver, by, now))
        await self.refresh()

    # --- currencies, months ---------------------------------------------------------------------------------------------
    async def import_currencies(self, text: str, source: str) -> int:
        """Take over rates from CSV (``day,currency,usd``); how many were not there before. Raises ``price.invalid``."""
        rates, now = read_csv(text, source), self._now_ms()
        added = await self._store.write(lambda connection: statements.add_currencies(connection, rates, now))
        await self.refresh()
        return added

    def convert(self, currency: str, at_ms: int) -> tuple[Fraction, str]:
        """US dollars for one unit of a currency on a day, exactly and as decimal text. Raises ``price.currency``."""
        rate = self._book.currencies.rate(currency, at_ms).usd
        return Fraction(rate), rate

    def allocate_month(
        self, rows: Iterable[MonthRow], *, from_ms: int, until_ms: int, consumed: Mapping[tuple[str, str], int],
        group: Callable[[MonthRow], str], upstreams: Collection[str] | None = None,
    ) -> list[Adjustment]:  # fmt: skip
        """What only the whole month tells, at some upstreams or at all; see ``month.allocate_month``. Raises
        ``price.currency``."""
        cards = [card for card in self._book.cards if upstreams is None or card.upstream in upstreams]
        return allocate_month(
            rows, cards, from_ms=from_ms, until_ms=until_ms, currencies=self._book.currencies,
            consumed=consumed, group=group,
        )  # fmt: skip

    def adjust_month(
        self, rows: Sequence[MonthRow], upstreams: Collection[str], from_ms: int, until_ms: int,
        consumed: Mapping[tuple[str, str], int],
    ) -> Sequence[Adjustment]:  # fmt: skip
        """The same for the upstreams of one provider, shared by nobody. Raises ``price.currency``."""
        return self.allocate_month(
            rows, from_ms=from_ms, until_ms=until_ms, consumed=consumed, group=lambda row: "", upstreams=upstreams
        )

    def credits_since(self, upstreams: Collection[str]) -> int | None:
        """When the first credit of these upstreams began, Unix ms; None where there is none."""
        cards = (card for card in self._book.cards if card.upstream in upstreams)
        return min((credit.from_ms for card in cards for credit in card.credits), default=None)

    def models(self, provider: str = "", pattern: str = "*") -> list[tuple[str, str, str]]:
        """``(provider, model, where its price comes from)`` of what the catalogue has."""
        return [
            (entry.provider, entry.model, entry.origin)
            for entry in self._book.catalogue.entries(provider)
            if matches(pattern, entry.model)
        ]


def _name(what: str) -> str:
    return f"{what}-{secrets.token_hex(6)}"


def _state_of(catalogue: str, cards: Sequence[RateCard]) -> str:
    """A hash of the catalogue and of the rate cards, in whatever order they come."""
    return hash_of([catalogue, sorted(cards, key=lambda card: card.id)])


def _card_lines(before: Sequence[RateCard], after: Sequence[RateCard]) -> list[PriceLine]:
    """The fields of rate cards that differ."""
    old = {card.id: msgspec.to_builtins(card) for card in before}
    new = {card.id: msgspec.to_builtins(card) for card in after}
    lines = []
    for card in sorted(old.keys() | new.keys()):
        was, will = old.get(card, {}), new.get(card, {})
        upstream = str((will or was).get("upstream", ""))
        for name in sorted(was.keys() | will.keys()):
            if was.get(name) != will.get(name):
                first, then = (
                    msgspec.json.encode(side[name]).decode() if side.get(name) else "" for side in (was, will)
                )
                lines.append(PriceLine(f"upstream {upstream}", card, "", name, first, then, True))
    return lines
