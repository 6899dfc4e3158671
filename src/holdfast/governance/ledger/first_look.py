"""``plan init``, its first half: what one report says is spent, by whose keys, and which of them have no name yet. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from holdfast.governance.ledger.bill_line import BillLine
from holdfast.governance.ledger.imports.service import days_of

SHOWN: Final = 50
"""Lines of each table; the rest is one line."""
NOT_SAID: Final = "(the report does not say)"


class SpendLine(msgspec.Struct, frozen=True):
    """A part of what was spent.

    Attributes:
        name: of what it is about; ``owner`` who it was said to belong to, empty for nobody.
        amount_nano: nano-USD; ``ppm``: its share of everything that has an amount and is no credit, in millionths.
        lines: of the report; ``unpriced``: of them those of which the amount is not known.
    """

    name: str
    owner: str
    amount_nano: int
    ppm: int
    lines: int
    unpriced: int


class FirstLook(msgspec.Struct, frozen=True, kw_only=True):
    """What a report shows.

    Attributes:
        spend_nano: without credits, taxes and fees; ``other_nano``: those, by kind.
        named_ppm: share of the spend whose key or account has a name, in millionths; None where nothing was spent.
        keys, models, days: the spend by each, the largest first, days in order.
        nameless: keys and accounts without a name.
        complete, notes: see ``ImportBatch``.
        steps: what to do next, in order.
    """

    provider: str
    format: str
    since: str
    until: str
    spend_nano: int
    unpriced: int
    other_nano: dict[str, int]
    named_ppm: int | None
    keys: tuple[SpendLine, ...]
    models: tuple[SpendLine, ...]
    days: tuple[SpendLine, ...]
    nameless: tuple[str, ...]
    complete: bool
    notes: tuple[str, ...]
    steps: tuple[str, ...]


def look(
    lines: Sequence[BillLine], provider: str, format_: str, names: Mapping[str, str], *, complete: bool = True,
    notes: Sequence[str] = (), price: Callable[[BillLine], int | None] | None = None,
) -> FirstLook:  # fmt: skip
    """Look at a report.

    Args:
        names: who a key or an account at the provider belongs to: a workflow or a team.
        price: what a line without an amount costs, nano-USD; None where that is not known.
    """
    used = [(line, _amount(line, price)) for line in lines if line.kind in ("usage", "seat")]
    other: dict[str, int] = defaultdict(int)
    for line in lines:
        if line.kind not in ("usage", "seat"):
            other[line.kind] += line.amount_nano or 0
    total = sum(amount for _, amount in used if amount is not None)

    def owner(name: str) -> str:
        return names.get(name, "")

    keys = _table(used, total, lambda line: line.key or line.account or NOT_SAID, owner)
    named = sum(each.amount_nano for each in keys if each.owner)
    since, until = days_of(lines)
    nameless = tuple(each.name for each in keys if not each.owner and each.name != NOT_SAID)
    by_key = any(line.key for line in lines)
    unknown = sum(amount is None for _, amount in used)
    return FirstLook(
        provider=provider, format=format_, since=since, until=until, spend_nano=total, unpriced=unknown,
        other_nano=dict(other), named_ppm=named * 1_000_000 // total if total > 0 else None, keys=_short(keys),
        models=_short(_table(used, total, lambda line: line.model or line.line or NOT_SAID, lambda _: "")),
        days=tuple(sorted(_table(used, total, lambda line: line.day, lambda _: ""), key=lambda each: each.name)),
        nameless=nameless, complete=complete, notes=tuple(notes),
        steps=_steps(nameless, by_key=by_key, complete=complete, unknown=unknown),
    )  # fmt: skip


def _amount(line: BillLine, price: Callable[[BillLine], int | None] | None) -> int | None:
    return line.amount_nano if line.amount_nano is not None or price is None else price(line)


def _table(
    used: Sequence[tuple[BillLine, int | None]], total: int, name_of: Callable[[BillLine], str], owner: Callable[[str], str]
) -> list[SpendLine]:  # fmt: skip
    amounts: dict[str, list[int | None]] = defaultdict(list)
    for line, amount in used:
        amounts[name_of(line)].append(amount)
    found = []
    for name, all_ in amounts.items():
        amount = sum(each for each in all_ if each is not None)
        ppm = amount * 1_000_000 // total if total > 0 else 0
        found.append(SpendLine(name, owner(name), amount, ppm, len(all_), sum(each is None for each in all_)))
    return sorted(found, key=lambda each: (-each.amount_nano, each.name))


def _short(lines: Sequence[SpendLine]) -> tuple[SpendLine, ...]:
    if len(lines) <= SHOWN:
        return tuple(lines)
    rest = lines[SHOWN - 1 :]
    sums = [sum(getattr(each, name) for each in rest) for name in ("amount_nano", "ppm", "lines", "unpriced")]
    return (*lines[: SHOWN - 1], SpendLine(f"({len(rest)} more)", "", *sums))


def _steps(nameless: Sequence[str], *, by_key: bool, complete: bool, unknown: int) -> tuple[str, ...]:
    steps = []
    if not by_key:
        steps.append("Take the report again grouped by API key: without keys nobody can be told apart.")
    if not complete:
        steps.append("Take the report again with all pages, or fewer groups: it does not say all.")
    if unknown:
        steps.append(f"Price the models of {unknown} lines without an amount (`holdfast prices list`).")
    if nameless:
        steps.append(f"Give {len(nameless)} keys a name: ask who holds them, the largest first, and write --names.")
    steps += [
        "Make a key for the first program: `holdfast keys create`; change its base URL and key, nothing else.",
        "After a day, look who calls without a name (`holdfast keys unknown`), and what is metered"
        " (`holdfast ledger spend --by workflow`).",
        "Import the next report as a bill (`holdfast ledger import`), and compare (`holdfast ledger reconcile`).",
    ]
    return tuple(steps)
