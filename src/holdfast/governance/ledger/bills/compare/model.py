"""What a comparison of ledger and bill is made of. Pure: amounts are nano-USD, days are dates in the report's zone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

Cause = Literal[
    "estimated", "fallback_credit", "rounding", "outside", "unassigned", "unknown", "missed_day", "netting_pair", "price",
    "credit", "charge", "time_zone", "truncated", "counted_twice", "alias",
]  # fmt: skip
"""Names of what remains between ledger and bill."""

MEANING: Final[Mapping[Cause, str]] = {
    "estimated": "rows whose provider said nothing of usage; the bill tells their truth",
    "fallback_credit": "the provider takes back what a model cost that declined before another one answered",
    "rounding": "the report is rounded more coarsely than the ledger",
    "outside": "spend of the same account that never passed the gateway",
    "unassigned": "spend that is in the ledger and belongs to no workflow; it is no difference",
    "unknown": "nothing recognised explains it",
    "missed_day": "one side has nothing for a whole day",
    "netting_pair": "two differences that cancel each other out, and would hide in a total",
    "price": "the amounts stand in one constant ratio: a rate card is missing or wrong",
    "credit": "credits of the bill that no rate card told the ledger of, or the other way round",
    "charge": "fees, taxes, seats and corrections of the bill that are no usage",
    "time_zone": "the report's days begin at another hour than was said",
    "truncated": "the report lists its largest groups only and says nothing of the rest",
    "counted_twice": "usage that an agent reported and the gateway counted too",
    "alias": "report and ledger call one model by two names; it is no difference",
}
"""Each cause in a sentence."""

EVERYTHING: Final = "*"
"""Stands for all models or all keys, where a report does not tell them apart."""
SLOT_MS: Final = 900_000
"""A quarter of an hour: offsets of all time zones are multiples of it."""


class Slot(msgspec.Struct, kw_only=True):
    """What the ledger has for one model at one upstream in a quarter of an hour: many rows in one.

    Attributes:
        at_ms: start of the quarter, Unix ms.
        key: name of the upstream.
        amount_nano: what the bill should say for the rows that have a price.
        unassigned_nano, fallback_nano, agent_nano: of it, what belongs to no workflow, to calls in which another model took
            over, and to rows that an agent reported.
        rows, unpriced: how many rows, and how many of them have no price.
        counts: units by class, of rows that are not estimated.
        beside_nano: of the amount, what was charged by class for things beside tokens.
    """

    at_ms: int
    key: str
    model: str
    amount_nano: int = 0
    unassigned_nano: int = 0
    fallback_nano: int = 0
    agent_nano: int = 0
    rows: int = 0
    unpriced: int = 0
    counts: dict[str, int] = {}
    beside_nano: dict[str, int] = {}


class Estimate(msgspec.Struct, frozen=True):
    """A row whose provider said nothing of usage, so that its amount is ours. Its slot counts its amount."""

    row: str
    at_ms: int
    key: str
    model: str
    amount_nano: int
    counts: dict[str, int] = {}


class Charge(msgspec.Struct, frozen=True):
    """What rate cards say that a month's bill has beside usage: credits (negative), fees, commitments, seats."""

    kind: str
    amount_nano: int
    name: str = ""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beside rows and lines.

    Attributes:
        since, until: first and last day, ISO dates in ``zone``.
        zone: IANA name of the zone of the report's days.
        aliases: a model's name in the report → its name in the ledger.
        keys: a key or account in the report → the upstream it belongs to. An upstream may be mapped, too: several that share
            one key of the provider.
        accounts: keys or accounts that must be in the report.
        carded: upstreams that have a rate card.
        charges: what rate cards say of the whole period.
        complete: whether the report says that it is whole.
        step_nano: what the report is rounded to; None to find out.
        group_limit: how many groups a day a report has at most, where it is cut without a word (Anthropic: 100).
    """

    since: str
    until: str
    provider: str = ""
    zone: str = "UTC"
    aliases: Mapping[str, str] = {}
    keys: Mapping[str, str] = {}
    accounts: frozenset[str] = frozenset()
    carded: frozenset[str] = frozenset()
    charges: tuple[Charge, ...] = ()
    complete: bool = True
    step_nano: int | None = None
    group_limit: int = 100


class CauseShare(msgspec.Struct, frozen=True):
    """A part of a cell's difference, with its cause: bill minus ledger, so the sign says who has more."""

    cause: Cause
    amount_nano: int


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the comparison: a day, a model, a key.

    Attributes:
        day: the date; first and last joined by ``/`` where lines of the bill span several.
        bill_nano, ledger_nano: None where that side has nothing at all.
        shares: parts of the difference; they sum to it exactly.
        lines: ids of the bill's lines; ``rows``: how many rows of the ledger.
    """

    day: str
    model: str
    key: str
    bill_nano: int | None
    ledger_nano: int | None
    shares: tuple[CauseShare, ...] = ()
    lines: tuple[str, ...] = ()
    rows: int = 0
    estimated: int = 0

    @property
    def difference_nano(self) -> int:
        """Bill minus ledger."""
        return (self.bill_nano or 0) - (self.ledger_nano or 0)


class BillFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: one cause with all cells that show it.

    Attributes:
        amount_nano: sum of absolute amounts: nothing is netted. ``net_nano`` is bill minus ledger.
        certain: shown by the figures; otherwise the likeliest of several causes.
        blocks: whether with it the comparison is incomplete, so that it cannot pass.
        where: up to ``limits.BILLS_SHOWN`` cells as (day, model, key); ``cells`` counts them all.
        lines: ids of lines of the bill that show it.
        what: what was found; ``fix``: the next step.
    """

    cause: Cause
    amount_nano: int
    net_nano: int
    what: str
    fix: str
    certain: bool = True
    blocks: bool = False
    cells: int = 0
    where: tuple[tuple[str, str, str], ...] = ()
    lines: tuple[str, ...] = ()
    facts: dict[str, Any] = {}


class Settlement(msgspec.Struct, frozen=True):
    """What an estimated row should have said, as the bill tells it.

    Attributes:
        amount_nano: its share of what the bill has beyond the exact rows of its cell.
        counts: its share of the units; empty where the report has none.
        alone: whether it is the only estimated row of its cell; others share in proportion to their estimates.
    """

    row: str
    was_nano: int
    amount_nano: int
    counts: dict[str, int]
    day: str
    model: str
    key: str
    alone: bool


Verdict = Literal["pass", "fail", "unknown"]


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger beside the bill.

    Attributes:
        bill_nano: all positive lines; credits are not taken off. ``ledger_nano``: rows of the same days.
        gap_nano: sum over cells of the absolute difference; what is not usage counts with it.
        named_nano: of it, what has another name than ``unknown``.
        remainder: absolute amounts by cause; ``unassigned`` is an amount without a difference.
        catch_all_nano: what is unassigned, unknown or rounding.
        grain: what the report tells apart: ``day``, ``model``, ``key`` or fewer.
        verdict, reasons: as gate 4.a has it: unknown where evidence is missing, unless a violation is proven without it.
        missing: of the reasons, what would have to be there before it can pass.
    """

    provider: str
    since: str
    until: str
    zone: str
    grain: tuple[str, ...]
    bill_nano: int
    ledger_nano: int
    gap_nano: int
    named_nano: int
    catch_all_nano: int
    remainder: dict[str, int]
    cells: tuple[Cell, ...]
    findings: tuple[BillFinding, ...]
    settlements: tuple[Settlement, ...]
    verdict: Verdict
    reasons: tuple[str, ...]
    missing: tuple[str, ...] = ()

    @property
    def explained_ppm(self) -> int | None:
        """Share of the bill that the ledger explains to the cell, in millionths, not below 0; None without a bill."""
        if self.bill_nano <= 0:
            return None
        return max(0, 1_000_000 - -(-self.gap_nano * 1_000_000 // self.bill_nano))
