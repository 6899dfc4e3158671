"""A catalogue: a published one, and over it the overrides that were approved. It has a hash, by which rows name it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from holdfast.errors import HoldfastError
from holdfast.governance.pricing.cards import moment
from holdfast.governance.pricing.matching import find, provider_id
from holdfast.governance.pricing.model import STANDARD, Clause, ModelEntry, PublishedPrices, Span, matches
from holdfast.governance.pricing.rates import invalid, read_rates
from holdfast.governance.pricing.resolving import RowPrices, resolve

HASH_CHARS: Final = 32
BASE_BYTES: Final = 64 << 20  # a published catalogue, unpacked
_base_encoder = msgspec.json.Encoder(order="deterministic")
_base_decoder = msgspec.json.Decoder(PublishedPrices)


def hash_of(value: Any) -> str:
    """A short hash of what a value says."""
    return hashlib.sha256(_base_encoder.encode(value)).hexdigest()[:HASH_CHARS]


def pack(base: PublishedPrices) -> bytes:
    """A published catalogue as it is stored."""
    return zlib.compress(_base_encoder.encode(base), 9)


def unpack(packed: bytes) -> PublishedPrices:
    """What was packed. Raises ``engine.corrupt`` when it cannot be read."""
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(packed, BASE_BYTES)
        if unpacker.unconsumed_tail:
            raise HoldfastError("engine.corrupt", f"a stored catalogue unpacks to more than {BASE_BYTES:,} bytes")
        return _base_decoder.decode(text)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise HoldfastError("engine.corrupt", f"a stored catalogue cannot be read: {error}") from None


class Catalogue:
    """Prices of models by provider, id and moment.

    Args:
        base: what was published.
        overrides: of ours, in the order in which they were approved; of two for one model the later one counts.
        base_hash: of ``base``, where it was reckoned before.

    Attributes:
        hash: of all of it.
        base_hash: of what was published.
    """

    def __init__(self, base: PublishedPrices, overrides: Sequence[ModelEntry] = (), base_hash: str = "") -> None:
        self.base = base
        self.base_hash = base_hash or hash_of(base)
        self.overrides = tuple(overrides)
        self.hash = hash_of([self.base_hash, self.overrides])
        self._listed: dict[str, list[ModelEntry]] = {}
        self._found: dict[tuple[str, str], ModelEntry | None] = {}
        for entry in base.entries:
            self._listed.setdefault(entry.provider, []).append(entry)

    def row(
        self, provider: str, model: str, at_ms: int, tier: str = STANDARD, speed: str = "", region: str = ""
    ) -> RowPrices | None:
        """The rates of a model at a moment; None when nobody has priced it.

        Args:
            provider: as catalogues name it (``matching.provider_id``).
            model: as the provider names what served.
            tier, speed, region: as ``tiers.py`` names them.
        """
        own = [entry for entry in self.overrides if entry.provider == provider and _names(entry, model)]
        active = next((entry for entry in reversed(own) if _holds(entry, at_ms)), None)
        below = self.entry(provider, model)
        entry = below if active is None else active if below is None or not active.extends else _over(active, below)
        if entry is None:
            return None
        row = resolve(entry, at_ms, tier, speed, region)
        since, until = row.from_ms, row.until_ms
        for edge in (edge for one in own for edge in (one.spans[0].since_ms, one.until_ms) if edge is not None):
            since, until = (max(since, edge), until) if edge <= at_ms else (since, min(until, edge))
        name = row.id if active is None else f"{row.id}/{active.origin}"
        return msgspec.structs.replace(row, id=name, from_ms=since, until_ms=until)

    def entry(self, provider: str, model: str) -> ModelEntry | None:
        """What was published of a model; None for nothing."""
        key = (provider, model)
        if key not in self._found:
            if len(self._found) >= 10_000:  # names come from providers: they must not fill the memory
                self._found.clear()
            found = find(self._listed.get(provider, ()), model)
            for other in self.base.fallbacks.get(provider, ()):
                found = found or find(self._listed.get(other, ()), model)
            self._found[key] = found
        return self._found[key]

    def entries(self, provider: str = "") -> Iterator[ModelEntry]:
        """What was published of one provider or of all, then the overrides."""
        yield from (entry for entry in (*self.base.entries, *self.overrides) if provider in ("", entry.provider))

    def with_override(self, override: ModelEntry) -> Catalogue:
        """The catalogue with one more override."""
        return Catalogue(self.base, (*self.overrides, override), self.base_hash)

    def with_base(self, base: PublishedPrices) -> Catalogue:
        """The same overrides over another published catalogue."""
        return Catalogue(base, self.overrides)


def _names(entry: ModelEntry, model: str) -> bool:
    names = (entry.model, *(clause.text for clause in entry.match.of))
    return any(matches(name, model) for name in names)


def _holds(entry: ModelEntry, at_ms: int) -> bool:
    since = entry.spans[0].since_ms
    return (since is None or since <= at_ms) and (entry.until_ms is None or at_ms < entry.until_ms)


def _over(own: ModelEntry, below: ModelEntry) -> ModelEntry:
    """An override that leaves the other classes, tiers and speeds as they were published."""
    rates = own.spans[0].rates
    spans = tuple(Span({**span.rates, **rates}, span.since_ms, span.daily) for span in below.spans)
    variants = (*own.variants, *(span for span in below.variants if span.when not in {v.when for v in own.variants}))
    return ModelEntry(
        own.provider, below.model, own.match, spans, variants, {**below.least, **own.least}, own.origin, True, own.until_ms
    )  # fmt: skip


class _Override(msgspec.Struct, forbid_unknown_fields=True):
    provider: str
    model: str
    prices: dict[str, Any]
    names: list[str] = []
    from_: str | None = msgspec.field(name="from", default=None)
    until: str | None = None
    tiers: dict[str, dict[str, Any]] = {}
    speeds: dict[str, dict[str, Any]] = {}
    extends: bool = False
    note: str = ""


def read_override(raw: Mapping[str, Any], origin: str) -> ModelEntry:
    """An override as people write it; docs/reference/prices.md has the fields.

    Args:
        raw: of a YAML or JSON document.
        origin: its id.

    Raises:
        Refused: ``price.invalid``, naming the field.
    """
    dated = {k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in raw.items()}
    try:
        document = msgspec.convert(dated, _Override, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(f"override: {error}", "See the fields of an override in docs/reference/prices.md.") from None
    where = f"{document.provider}/{document.model}"
    if not document.provider or not document.model:
        raise invalid("an override names no provider or no model", "Name both.")
    since = None if document.from_ is None else moment(document.from_)
    until = None if document.until is None else moment(document.until)
    if until is not None and until <= (since or 0):
        raise invalid(f"the override of {where} ends before it begins", "Correct `from` and `until`.")
    variants = [
        Span(read_rates(rates, f"{where}, {kind} {name}"), since, None, ((kind, name.lower()),))
        for kind, listed in (("tier", document.tiers), ("speed", document.speeds))
        for name, rates in listed.items()
    ]
    match = Clause("any", of=tuple(Clause("equals", name.lower()) for name in document.names))
    return ModelEntry(
        provider_id(document.provider), document.model, match, (Span(read_rates(document.prices, where), since),),
        tuple(variants), {}, origin, document.extends, until, document.note,
    )  # fmt: skip
