"""What a variance is made of. Pure; amounts are nano-USD."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Effect = Literal["price", "volume", "mix", "cache"]
EFFECTS: Final[tuple[Effect, ...]] = ("price", "volume", "mix", "cache")

Measure = Literal["list", "contracted", "effective", "billed"]
"""Which of a row's costs is compared."""

DEFINITION: Final = (
    "Cost = volume × mix × cache × price. Volume: tokens of the group, or its calls where a period has no tokens. Mix: how "
    "many units of each product and class a token of volume brings (product: provider, upstream, model, tier, region, speed; "
    "class: input, output, reasoning and so on). Cache: which part of a product's input was read from a cache, written to one, "
    "or plain. Price: cost of a unit. Each effect is the Shapley value of its factor: its change, averaged over all 24 orders "
    "in which the four may change. So the effects sum to the change exactly, in no chosen order, and change their sign when "
    "the periods are exchanged. A product that is new or gone is mix; a price that one period lacks is that of the same product "
    "elsewhere in that period, else the other period's."
)
"""What the four words mean here. Source: A. Shorrocks, Decomposition procedures for distributional analysis: a unified
framework based on the Shapley value, Journal of Economic Inequality 11 (2013)."""


class Product(msgspec.Struct, frozen=True, order=True):
    """What has a price of its own."""

    provider: str = ""
    upstream: str = ""
    model: str = ""
    tier: str = ""
    region: str = ""
    speed: str = ""


class Effects(msgspec.Struct, frozen=True):
    """The four effects; their sum is the change of the cost."""

    price: int = 0
    volume: int = 0
    mix: int = 0
    cache: int = 0

    @property
    def total(self) -> int:
        """The change."""
        return self.price + self.volume + self.mix + self.cache


class ProductChange(msgspec.Struct, frozen=True, kw_only=True):
    """One product's part in a group's change. ``state``: ``new``, ``gone`` or ``kept``."""

    product: Product
    state: str
    before_nano: int
    after_nano: int
    effects: Effects


class PriceMove(msgspec.Struct, frozen=True, kw_only=True):
    """A unit's average cost that changed, nano-USD for a million units, rounded."""

    product: Product
    units: str
    before_nano: int
    after_nano: int


class GroupChange(msgspec.Struct, frozen=True, kw_only=True):
    """One value of the dimension.

    Attributes:
        name: the value; empty where there is no dimension.
        unit: what volume counts: ``tokens`` or ``calls``.
        before_volume, after_volume: in that unit.
        unpriced: rows of both periods without a price; they count nowhere else.
        products: largest change first.
    """

    name: str
    before_nano: int
    after_nano: int
    effects: Effects
    unit: str
    before_volume: int
    after_volume: int
    unpriced: int = 0
    products: tuple[ProductChange, ...] = ()


class Variance(msgspec.Struct, frozen=True, kw_only=True):
    """The change of cost between two periods.

    Attributes:
        dimension: by which groups are told apart; empty for none.
        groups: largest change first; their costs and effects sum to the totals exactly.
        prices: units whose average cost changed, largest effect first.
        new, gone: models that only one period has.
        unpriced: rows without a price, of both periods: what they cost is unknown, so a change may be larger than said.
    """

    measure: Measure
    dimension: str
    before_nano: int
    after_nano: int
    effects: Effects
    groups: tuple[GroupChange, ...]
    prices: tuple[PriceMove, ...] = ()
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    unpriced: int = 0
    definition: str = DEFINITION
