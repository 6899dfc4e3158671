"""The statements of prices. Every function runs in one transaction of the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, RowMapping, func, insert, select, update

from holdfast.errors import Refused
from holdfast.governance.pricing.cards import RateCard
from holdfast.governance.pricing.changes import ChangeState, PriceChange
from holdfast.governance.pricing.currency import CurrencyRate
from holdfast.governance.pricing.model import ModelEntry, Waiver
from holdfast.governance.store.changes import count_change
from holdfast.governance.store.tables.pricing import (
    price_bases,
    price_cards,
    price_catalogues,
    price_changes,
    price_currencies,
    price_waivers,
)

_PAGE = 1_000


class CatalogueVersion(NamedTuple):
    """A version of the catalogue: its hash, that of what was published, and the overrides."""

    hash: str
    base: str
    overrides: tuple[ModelEntry, ...]


class StoredPrices(NamedTuple):
    """All that says what things cost, as it is stored."""

    version: CatalogueVersion | None
    cards: tuple[RateCard, ...]
    waivers: tuple[Waiver, ...]
    currencies: tuple[CurrencyRate, ...]


DOMAIN: Final = "prices"
"""Under which changes are counted, for other processes (``store/changes.py``)."""


def load(connection: Connection) -> StoredPrices:
    """The present prices."""
    version = (
        connection.execute(select(price_catalogues).order_by(price_catalogues.c.seq.desc()).limit(1)).mappings().first()
    )
    cards = connection.execute(select(price_cards).order_by(price_cards.c.id)).mappings()
    waivers = connection.execute(select(price_waivers).order_by(price_waivers.c.id)).mappings()
    rates = connection.execute(select(price_currencies).order_by(price_currencies.c.imported_ms)).mappings()
    newest = {
        (row["currency"], row["day"]): CurrencyRate(row["currency"], row["day"], row["usd"], row["source"])
        for row in rates
    }
    return StoredPrices(
        None if version is None else _version(version),
        tuple(_card(row) for row in cards),
        tuple(_waiver(row) for row in waivers),
        tuple(newest.values()),
    )


def version_named(connection: Connection, catalogue: str) -> CatalogueVersion:
    """A version by its hash. Raises ``price.not_found``."""
    found = connection.execute(
        select(price_catalogues).where(price_catalogues.c.hash == catalogue).limit(1)
    ).mappings().first()  # fmt: skip
    if found is None:
        raise Refused("price.not_found", f"there is no catalogue {catalogue!r}")
    return _version(found)


def packed_base(connection: Connection, base: str) -> bytes:
    """A published catalogue as it is stored. Raises ``price.not_found``."""
    packed = connection.scalar(select(price_bases.c.packed).where(price_bases.c.hash == base))
    if packed is None:
        raise Refused("price.not_found", f"there is no published catalogue {base!r}")
    return bytes(packed)


def base_names(connection: Connection) -> dict[str, str]:
    """The published catalogues that are stored: source by hash."""
    return {row.hash: row.source for row in connection.execute(select(price_bases.c.hash, price_bases.c.source))}


def keep_base(connection: Connection, base: str, source: str, packed: bytes, now_ms: int) -> None:
    """Store a published catalogue; one that is stored stays as it is."""
    if connection.scalar(select(price_bases.c.hash).where(price_bases.c.hash == base)) is None:
        connection.execute(insert(price_bases).values(hash=base, source=source, packed=packed, taken_ms=now_ms))


def add_version(connection: Connection, version: CatalogueVersion, change: str, now_ms: int) -> None:
    """Make a version the present one."""
    count_change(connection, DOMAIN)
    connection.execute(
        insert(price_catalogues).values(
            hash=version.hash, base=version.base, overrides=msgspec.to_builtins(version.overrides), change=change,
            approved_ms=now_ms,
        )
    )  # fmt: skip


def current_hash(connection: Connection) -> str:
    """The hash of the present version; empty before the first."""
    return connection.scalar(select(price_catalogues.c.hash).order_by(price_catalogues.c.seq.desc()).limit(1)) or ""


def add_change(connection: Connection, change: PriceChange) -> None:
    """Record a proposal."""
    connection.execute(insert(price_changes).values(**msgspec.to_builtins(change)))


def change_named(connection: Connection, change: str) -> PriceChange:
    """A change by its id. Raises ``price.not_found``."""
    found = connection.execute(select(price_changes).where(price_changes.c.id == change)).mappings().first()
    if found is None:
        raise Refused("price.not_found", f"there is no change {change!r}")
    return _change(found)


def changes(connection: Connection, state: ChangeState | None) -> list[PriceChange]:
    """The newest changes, of one state or of all."""
    wanted = select(price_changes).order_by(price_changes.c.proposed_ms.desc(), price_changes.c.id).limit(_PAGE)
    if state is not None:
        wanted = wanted.where(price_changes.c.state == state)
    return [_change(row) for row in connection.execute(wanted).mappings()]


def actors(connection: Connection) -> set[str]:
    """Everybody who has proposed or decided a change."""
    found = connection.execute(select(price_changes.c.by, price_changes.c.decided_by).distinct())
    return {name for row in found for name in row if name}


def decide(connection: Connection, change: PriceChange) -> None:
    """Record a decision. Raises ``price.decided`` when there is one already."""
    done = connection.execute(
        update(price_changes)
        .where(price_changes.c.id == change.id, price_changes.c.state == "proposed")
        .values(
            state=change.state, decided_by=change.decided_by, decided_ms=change.decided_ms, words=change.words,
            alone=change.alone,
        )
    )  # fmt: skip
    if done.rowcount != 1:
        raise Refused("price.decided", f"change {change.id} was decided already")


def add_card(connection: Connection, card: RateCard, now_ms: int) -> None:
    """Store a rate card."""
    count_change(connection, DOMAIN)
    connection.execute(
        insert(price_cards).values(
            id=card.id, upstream=card.upstream, card=msgspec.to_builtins(card), approved_ms=now_ms
        )
    )


def end_card(connection: Connection, card: str, until_ms: int) -> None:
    """End a rate card at a moment. Raises ``price.not_found``."""
    count_change(connection, DOMAIN)
    done = connection.execute(update(price_cards).where(price_cards.c.id == card).values(ended_ms=until_ms))
    if done.rowcount != 1:
        raise Refused("price.not_found", f"there is no rate card {card!r}")


def add_waiver(connection: Connection, waiver: Waiver) -> None:
    """Store a waiver."""
    count_change(connection, DOMAIN)
    connection.execute(
        insert(price_waivers).values(
            id=waiver.id, waiver=msgspec.to_builtins(waiver), until_ms=waiver.until_ms, revoked_by=""
        )
    )


def revoke_waiver(connection: Connection, waiver: str, by: str, now_ms: int) -> None:
    """Take a waiver back; one that was taken back stays so. Raises ``price.not_found``."""
    count_change(connection, DOMAIN)
    if connection.scalar(select(func.count()).select_from(price_waivers).where(price_waivers.c.id == waiver)) != 1:
        raise Refused("price.not_found", f"there is no waiver {waiver!r}")
    connection.execute(
        update(price_waivers)
        .where(price_waivers.c.id == waiver, price_waivers.c.revoked_ms.is_(None))
        .values(revoked_ms=now_ms, revoked_by=by)
    )


def add_currencies(connection: Connection, rates: Sequence[CurrencyRate], now_ms: int) -> int:
    """Store rates that are not there as they are; how many they were."""
    count_change(connection, DOMAIN)
    stored = {
        (row.currency, row.day): row.usd
        for row in connection.execute(select(price_currencies).order_by(price_currencies.c.imported_ms))
    }
    fresh = {(rate.currency, rate.day): rate for rate in rates if stored.get((rate.currency, rate.day)) != rate.usd}
    if fresh:
        connection.execute(insert(price_currencies), _currency_rows(fresh.values(), now_ms))
    return len(fresh)


def _currency_rows(rates: Iterable[CurrencyRate], now_ms: int) -> list[dict[str, Any]]:
    return [{**msgspec.to_builtins(rate), "imported_ms": now_ms} for rate in rates]


def _change(row: RowMapping) -> PriceChange:
    return msgspec.convert({name: row[name] for name in PriceChange.__struct_fields__}, PriceChange)


def _version(row: RowMapping) -> CatalogueVersion:
    overrides = msgspec.convert(row["overrides"], tuple[ModelEntry, ...])
    return CatalogueVersion(row["hash"], row["base"], overrides)


def _card(row: RowMapping) -> RateCard:
    card = msgspec.convert(row["card"], RateCard)
    if row["ended_ms"] is None:
        return card
    until = row["ended_ms"] if card.until_ms is None else min(card.until_ms, row["ended_ms"])
    return msgspec.structs.replace(card, until_ms=until)


def _waiver(row: RowMapping) -> Waiver:
    return msgspec.structs.replace(msgspec.convert(row["waiver"], Waiver), revoked_ms=row["revoked_ms"])
