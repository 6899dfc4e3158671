"""The books of a month: what stands in them, what was divided among those who share it, and how they are closed.

A row that replaces another one takes the amount of that one back, in its own month. So the books of a closed month stay what
they were, a correction shows in the open one as the difference, and the books of all months together sum to the rows that
count.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from holdfast.governance.ledger.figures import CENT, Amount, csv_lines, rounded, to_steps

AllocationKey = Literal["tokens", "spend", "calls", "equal"]
KEYS: Final[tuple[AllocationKey, ...]] = ("tokens", "spend", "calls", "equal")
"""By what a shared cost is divided: tokens used, what was billed, rows, or the same for everybody."""
TARGETS: Final = ("cost_centre", "team", "workflow")
Measure = Literal["list_nano", "contracted_nano", "effective_nano", "billed_nano"]


class ClosedPeriod(msgspec.Struct, frozen=True):
    """A month that is closed.

    Attributes:
        rows: how many stand in its books; ``unpriced``: of them those without a cost.
        list_nano … billed_nano: their sums, what they replace taken back; ``shared_nano``: shared costs.
        digest: SHA-256 over its rows and its shared costs (``closing.py``), so that a change would show.
    """

    tenant: str
    period: str
    closed_ms: int
    by: str
    rows: int
    unpriced: int
    list_nano: int
    contracted_nano: int
    effective_nano: int
    billed_nano: int
    shared_nano: int
    digest: str


class Part(msgspec.Struct, frozen=True):
    """A part of a shared cost: for a value of its dimension, within one cost centre."""

    value: str
    cost_centre: str
    weight: int
    amount_nano: int


class SharedCost(msgspec.Struct, frozen=True):
    """A shared cost and how it was divided.

    Attributes:
        key: by what; ``dimension``: among the values of what.
        shares: they sum to ``amount_nano`` exactly.
    """

    id: str
    tenant: str
    period: str
    name: str
    key: str
    dimension: str
    by: str
    note: str
    at_ms: int
    amount_nano: int
    shares: tuple[Part, ...]


class Posting(msgspec.Struct, frozen=True):
    """What a month's books have for a cost centre, a provider and a month of use."""

    cost_centre: str
    account: str
    month: str
    amount_nano: int


class JournalLine(msgspec.Struct, frozen=True):
    """One line for somebody's accounts.

    Attributes:
        amount_nano: whole cents; ``exact_nano``: before it was rounded.
        reference: where it comes from; the same line has the same one.
    """

    period: str
    cost_centre: str
    account: str
    amount_nano: int
    currency: str
    reference: str
    exact_nano: int


class Journal(msgspec.Struct, frozen=True):
    """The lines of a month, in US dollars.

    Attributes:
        total_nano: the sum of the lines, whole cents: ``exact_nano`` rounded, a half to the even cent.
        unpriced: rows without a cost, which are in no line.
        closed: whether the month is; otherwise the lines may still change.
    """

    period: str
    lines: tuple[JournalLine, ...]
    total_nano: int
    exact_nano: int
    unpriced: int
    closed: bool

    def csv(self) -> str:
        """As CSV. ``rounding`` is what rounding to cents did to a line; largest remainders are rounded up."""
        head = ("period", "cost_centre", "account", "amount", "currency", "reference", "exact", "rounding")
        lines: list[Any] = [head]
        for line in self.lines:
            lines.append((
                line.period, line.cost_centre, line.account, Amount(line.amount_nano, 2), line.currency, line.reference,
                Amount(line.exact_nano), Amount(line.amount_nano - line.exact_nano),
            ))  # fmt: skip
        return csv_lines(lines)


def journal(
    period: str, postings: list[Posting], allocations: list[SharedCost], unpriced: int, *, closed: bool
) -> Journal:
    """The journal of a month: a line for each cost centre and account, corrections of other months apart."""
    exact: dict[tuple[str, str, str], int] = {}
    for posting in postings:
        account = posting.account if posting.month == period else f"{posting.account} (of {posting.month})"
        key = (posting.cost_centre, account, f"{period}/{posting.cost_centre or '-'}/{account}")
        exact[key] = exact.get(key, 0) + posting.amount_nano
    for allocation in allocations:
        for share in allocation.shares:
            account = f"shared:{allocation.name}"
            target = (
                share.cost_centre if allocation.dimension == "cost_centre" else f"{share.cost_centre}/{share.value}"
            )
            key = (share.cost_centre, account, f"{period}/{target or '-'}/{account}")
            exact[key] = exact.get(key, 0) + share.amount_nano
    keys = sorted(key for key, amount in exact.items() if amount)
    cents = to_steps([exact[key] for key in keys], CENT)
    lines = tuple(
        JournalLine(period, centre, account, amount, "USD", reference, exact[centre, account, reference])
        for (centre, account, reference), amount in zip(keys, cents, strict=True)
    )
    total = sum(line.exact_nano for line in lines)
    return Journal(period, lines, rounded(total, CENT), total, unpriced, closed)
