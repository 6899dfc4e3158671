"""Waste of one session, kind by kind. Every function is given the session's rows in order of time."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from holdfast.governance.ledger.bills.compare.gather import bill_amount
from holdfast.governance.ledger.bills.waste.model import (
    DEFAULT_LIFETIME_MS,
    LEAST_PREFIX,
    LIFETIMES_MS,
    REGENERATED_MS,
    ReadMarks,
)
from holdfast.governance.ledger.bills.waste.unit_prices import WRITES, UnitPrices, paid_share, price_key, total_input
from holdfast.governance.ledger.model import Row
from holdfast.providers.billing.model import OUTPUT

_STOPPED: Final = ("cancel", "stop", "interrupt")


@dataclasses.dataclass(frozen=True, slots=True)
class Loss:
    """A row's waste: nano-USD, and what happened. ``amount`` is None where it cannot be told."""

    row: Row
    amount: int | None
    what: str


def cache_losses(rows: Sequence[Row], prices: UnitPrices) -> list[Loss]:
    """Input that a cache could have given."""
    found: list[Loss] = []
    last: dict[tuple[str, ...], tuple[Row, int]] = {}
    for row in rows:
        chain = row.upstream, row.model, row.agent
        before, written = last.get(chain, (None, 0))
        loss: Loss | None = None
        if before is not None and _follows(before, row):
            loss, written = _cache_loss(before, row, prices, written)
            if loss is not None:
                found.append(loss)
        elif before is not None:
            written = 0
        if total_input(row):
            last[chain] = row, written
    return found


def _follows(before: Row, row: Row) -> bool:
    lifetime = max(
        [LIFETIMES_MS[name] for name in LIFETIMES_MS if before.counts.get(name)], default=DEFAULT_LIFETIME_MS
    )
    began, before_ms = row.at_ms - row.took_ms, before.at_ms - before.took_ms
    # a prompt is cached when it is read, which is at the beginning of a call, however long its answer takes
    if before.at_ms > began or began - before_ms > lifetime:
        return False
    return total_input(row) >= total_input(before) >= LEAST_PREFIX


def _cache_loss(before: Row, row: Row, prices: UnitPrices, written: int) -> tuple[Loss | None, int]:
    """The loss of a row after an earlier one, and how many tokens are taken to be written by then."""
    read = row.counts.get("cache_read", 0)
    cached = before.counts.get("cache_read", 0) + sum(before.counts.get(name, 0) for name in WRITES)
    rewritten = sum(row.counts.get(name, 0) for name in WRITES)
    unused = not cached and not read and not rewritten
    lost = (total_input(before) if unused else cached) - read
    if lost < LEAST_PREFIX:
        return None, 0
    plain, reading, writing = prices.of(row, "input"), prices.of(row, "cache_read"), prices.write(row)
    if plain is None or reading is None:
        return Loss(row, None, "unused" if unused else "broken"), 0
    if unused:
        saved = lost * (plain - reading)
        if writing is not None:
            saved -= max(0, total_input(before) - written) * (writing - plain)
        amount = round(max(saved, Fraction(0)) * paid_share(row))
        return (Loss(row, amount, "unused") if amount else None), total_input(before)
    again = min(lost, rewritten)
    paid = again * (writing if writing is not None else plain) + (lost - again) * plain
    amount = round(max(paid - lost * reading, Fraction(0)) * paid_share(row))
    return (Loss(row, amount, "broken") if amount else None), 0


def retry_losses(rows: Sequence[Row]) -> list[Loss]:
    """Attempts and tries that came to nothing."""
    newest: dict[str, int] = defaultdict(int)
    for row in rows:
        newest[row.run] = max(newest[row.run], row.run_attempt)
    found = []
    for row in rows:
        amount = bill_amount(row)
        if not amount:
            continue
        by_person = any(word in row.reason for word in _STOPPED)
        if row.outcome in ("failed", "drained") or (row.outcome == "cut" and not by_person):
            found.append(Loss(row, amount, row.outcome))
        elif row.run and row.run_attempt and row.run_attempt < newest[row.run]:
            found.append(Loss(row, amount, "tried again"))
    return found


def context_losses(rows: Sequence[Row], prices: UnitPrices) -> list[Loss]:
    """What requests cost more because they were beyond a long-context limit."""
    found = []
    for row in rows:
        excess = prices.excess(row)
        if excess and total_input(row) > prices.largest.get(price_key(row), 0) > 0:
            amount = round(excess * paid_share(row))
            if amount:
                found.append(Loss(row, amount, "long context"))
    return found


def regenerated_losses(rows: Sequence[Row]) -> list[Loss]:
    """Answers that were made again, twice or more."""
    runs: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.usage != "headless" and not row.parent_run:
            runs[row.run or row.call].append(row)
    chain: list[list[Row]] = []
    found: list[Loss] = []
    for run in [*runs.values(), []]:
        if chain and run and _same_question(chain[-1], run[0]) and run[0].at_ms - chain[-1][-1].at_ms <= REGENERATED_MS:
            chain.append(run)
            continue
        if len(chain) >= 3:
            found += [
                Loss(row, bill_amount(row) or 0, f"answered {len(chain)} times") for each in chain[:-1] for row in each
            ]
        chain = [run] if run else []
    return [loss for loss in found if loss.amount]


def _same_question(before: Sequence[Row], again: Row) -> bool:
    """Whether a run was asked what the one before it was asked. What goes on in a conversation has the answer in its input,
    so it grew by that at least: in a long one, that is less than the two percent."""
    one, answer = before[0], before[-1].counts.get("output", 0)
    grown = total_input(again) - total_input(one)
    near = max(32, total_input(one) // 50)
    return (
        (one.agent, one.asked) == (again.agent, again.asked)
        and total_input(one) > 0
        and -near <= grown <= min(near, max(0, answer - 1))
    )


def unread_losses(rows: Sequence[Row], marks: ReadMarks | None) -> list[Loss]:
    """Output that nobody read; without a mark it cannot be told."""
    found = []
    for row in rows:
        listed = sum(row.parts.values())
        amount = bill_amount(row)
        if not listed or not amount or row.outcome != "served":
            continue
        output = sum(row.parts.get(name, 0) for name in OUTPUT) * amount // listed
        read = marks.read(row.session, row.run) if marks is not None and row.session and row.run else None
        if read is None:
            found.append(Loss(row, None, "no read marks"))
        elif not read and output:
            found.append(Loss(row, output, "not read"))
    return found
