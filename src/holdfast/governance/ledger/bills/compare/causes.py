"""Causes of differences, one function each. Every one looks at what is still open and gives parts of it a name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Final

from holdfast.governance.ledger.bills.compare.grid import Grid, OpenCell
from holdfast.governance.ledger.bills.compare.ratios import find_ratios

ESTIMATE_FACTOR: Final = 3
"""The truth of an estimated row is taken to lie between nothing and this many times its estimate more."""
_MOSTLY: Final = 2  # a key that the ledger knows on one day in so many is used through the gateway


def unpriced(cells: Sequence[OpenCell]) -> list[OpenCell]:
    """Cells with rows that have no price: what the bill has more is theirs, and how much of it nobody knows."""
    found = [cell for cell in cells if cell.unpriced and cell.rest > 0 and not cell.closed]
    for cell in found:
        cell.take("unknown", cell.rest, close=True)
    return found


def missed_in_ledger(grid: Grid, cells: Sequence[OpenCell]) -> list[OpenCell]:
    """Days of which the bill has spend of an account and the ledger has no row, although it has rows on most days."""
    if grid.wide:
        return []
    billed, active = _active(cells)
    found = []
    for key, days in billed.items():
        silent = days - active[key]
        if active[key] and len(silent) * _MOSTLY <= len(days | active[key]):
            found += [cell for cell in cells if cell.key == key and cell.day in silent and not cell.closed]
    for cell in found:
        cell.take("missed_day", cell.rest, close=True)
    return found


def missed_in_bill(grid: Grid, cells: Sequence[OpenCell]) -> list[OpenCell]:
    """Days of which the ledger has rows of an account and the report has nothing, although it has lines on most days."""
    if grid.wide:
        return []
    billed, active = _active(cells)
    any_line = set().union(*billed.values()) if billed else set()
    found = []
    for key, days in active.items():
        silent = days - billed[key]
        sparse = billed[key] and len(silent) * _MOSTLY > len(days | billed[key])
        for cell in cells:
            lacks = cell.key == key and cell.day in silent and not cell.closed and cell.rows
            if lacks and (cell.day not in any_line or (billed[key] and not sparse)):
                found.append(cell)
    for cell in found:
        cell.take("missed_day", cell.rest, close=True)
    return found


def truncated(grid: Grid, cells: Sequence[OpenCell]) -> list[OpenCell]:
    """Cells that the report does not list, on days where it stops: at its limit, at the same number of lines every day, or
    because all that it leaves out is small."""
    found = []
    for day, smallest in stops(grid, cells).items():
        for cell in cells:
            lacks = cell.day == day and not cell.lines and cell.ledger > 0 and not cell.closed
            if lacks and (_may_lack(grid, cell, smallest) or not grid.context.complete):
                found.append(cell)
    for cell in found:
        cell.take("truncated", cell.rest, close=True)
    return found


def cut_short(grid: Grid, cells: Sequence[OpenCell], days: Mapping[str, int]) -> list[OpenCell]:
    """Cells of such days of which the report lists only some classes: what it has less is no more than it may leave out."""
    found = []
    for cell in cells:
        if cell.day in days and cell.still_open and cell.rest < 0 and len(cell.lines) < grid.classes:
            lacking = grid.classes - len(cell.lines)
            if -cell.rest <= days[cell.day] * lacking + cell.tolerance:
                cell.take("truncated", cell.rest, close=True)
                found.append(cell)
    return found


def stops(grid: Grid, cells: Sequence[OpenCell]) -> dict[str, int]:
    """Days on which a report stops before its end, with the amount of the smallest line that it lists there."""
    by_day: dict[str, list[OpenCell]] = defaultdict(list)
    for cell in cells:
        by_day[cell.day].append(cell)
    lines = {day: sum(len(cell.lines) for cell in of_day) for day, of_day in by_day.items()}
    usual, days = Counter(lines.values()).most_common(1)[0] if lines else (0, 0)
    even = days * 5 >= len(lines) * 3
    found = {}
    limit, lacked = grid.context.group_limit, 0
    for day, of_day in by_day.items():
        listed = [cell for cell in of_day if cell.lines]
        lacking = [cell for cell in of_day if not cell.lines and cell.ledger > 0 and not cell.closed]
        partial = [cell for cell in listed if cell.partial and cell.rest < -cell.tolerance]
        if not listed or not (lacking or partial):
            continue
        smallest = min(grid.smallest.get(day, 0), min(cell.bill for cell in listed))
        small = all(_may_lack(grid, cell, smallest) for cell in lacking)
        full = limit in (len(listed), lines[day])
        lacked += 1
        if full or not grid.context.complete or (small and (len(lacking) >= 5 or (even and lines[day] >= usual))):
            found[day] = smallest
    if limit in lines.values() or not grid.context.complete:
        return found
    # the same number of lines every day is an accident unless something is lacking on many of them
    if lacked * 3 < len(lines) or not found:
        return {}
    return found | {day: grid.smallest[day] for day in by_day if lines[day] >= usual and day not in found and even}


def _may_lack(grid: Grid, cell: OpenCell, smallest: int) -> bool:
    """Whether a cell is so small that a report of the largest lines leaves it out; half as much more, since the report's
    price may be lower than the ledger's."""
    return cell.ledger <= smallest * grid.classes * 3 // 2 + cell.tolerance


def absent(cells: Iterable[OpenCell], missing: Set[str]) -> list[OpenCell]:
    """Cells of upstreams that the report has no account for."""
    found = [cell for cell in cells if cell.key in missing and not cell.closed]
    for cell in found:
        cell.take("unknown", cell.rest, close=True)
    return found


def outside(cells: Sequence[OpenCell]) -> list[OpenCell]:
    """Accounts, and models of an account, that the bill knows and the ledger has never seen."""
    active = {(cell.key, cell.model) for cell in cells if cell.rows}
    keys = {key for key, _ in active}
    found = [
        cell
        for cell in cells
        if cell.lines
        and not cell.rows
        and not cell.closed
        and (cell.key not in keys or (cell.key, cell.model) not in active)
    ]
    for cell in found:
        cell.take("outside", cell.rest, close=True)
    return found


def repriced(cells: Sequence[OpenCell]) -> list[OpenCell]:
    """Cells whose bill stands in the constant ratio to the ledger that a price or a discount makes."""
    by_key: dict[str, list[OpenCell]] = defaultdict(list)
    for cell in cells:
        if not cell.closed:
            by_key[cell.key].append(cell)
    found = []
    for group in by_key.values():
        for cell in find_ratios(group):
            top, bottom = cell.scale
            cell.take("price", (cell.ledger * top + bottom // 2) // bottom - cell.ledger)
            found.append(cell)
    return found


def priced_otherwise(cells: Iterable[OpenCell]) -> list[OpenCell]:
    """Cells whose units agree and whose money does not: the price is another one, whatever the ratio elsewhere."""
    found = []
    for cell in cells:
        same = cell.bill_counts and cell.ledger_counts and not cell.estimates and _same_counts(cell)
        if same and cell.still_open and cell.bill > 0 and cell.ledger > 0:
            cell.take("price", cell.rest, close=True)
            found.append(cell)
    return found


def rounding(cells: Iterable[OpenCell]) -> list[OpenCell]:
    """Cells of which no more is left than the report's rounding allows."""
    found = [cell for cell in cells if not cell.closed and abs(cell.rest) <= cell.tolerance]
    for cell in found:
        cell.take("rounding", cell.rest, close=True)
    return [cell for cell in found if cell.shares]


def fallback_credit(cells: Iterable[OpenCell]) -> list[OpenCell]:
    """Cells in which the bill has less, and rows of calls that another model took over may have been taken back."""
    found = []
    for cell in cells:
        if cell.still_open and cell.rest < 0 and cell.fallback:
            cell.take("fallback_credit", -min(-cell.rest, cell.fallback + cell.tolerance))
            found.append(cell)
    return found


def counted_twice(cells: Iterable[OpenCell], *, exactly: bool) -> list[OpenCell]:
    """Cells in which the ledger has more by what agents reported themselves: by all of it, or by as much as can be."""
    found = []
    for cell in cells:
        if not cell.still_open or not cell.agent or cell.rest >= 0:
            continue
        top, bottom = cell.scale
        doubled = cell.agent * top // bottom
        if abs(cell.rest + doubled) <= cell.tolerance:
            cell.take("counted_twice", cell.rest, close=True)
            found.append(cell)
        elif not exactly:
            accounted = abs(cell.rest + doubled - within(cell, cell.rest + doubled)) <= cell.tolerance
            cell.take("counted_twice", -doubled if accounted else -min(-cell.rest, doubled))
            found.append(cell)
    return found


def estimated(cells: Iterable[OpenCell]) -> list[OpenCell]:
    """Cells with rows that are estimates: what differs is theirs, as far as their truth can be away."""
    found = []
    for cell in cells:
        if not cell.closed and cell.estimates and abs(cell.rest) > cell.tolerance:
            cell.take("estimated", within(cell, cell.rest))
            found.append(cell)
    return found


def within(cell: OpenCell, amount: int) -> int:
    """The part of a difference that the estimated rows of a cell can account for."""
    top, bottom = cell.scale
    guess = cell.estimated * top // bottom
    return max(-guess - cell.tolerance, min(ESTIMATE_FACTOR * guess + cell.tolerance, amount))


def beyond(cells: Iterable[OpenCell]) -> list[OpenCell]:
    """What the bill has more at known accounts and models: the ledger opens every attempt before it is made, so it is
    most likely usage that went past the gateway."""
    found = [cell for cell in cells if cell.still_open and cell.rest > 0]
    for cell in found:
        cell.take("outside", cell.rest, close=True)
    return found


def unknown(cells: Iterable[OpenCell]) -> list[OpenCell]:
    """The rest."""
    found = [cell for cell in cells if cell.still_open]
    for cell in found:
        cell.take("unknown", cell.rest, close=True)
    return found


def _active(cells: Iterable[OpenCell]) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Days with lines and days with rows, by key."""
    billed: dict[str, set[str]] = defaultdict(set)
    active: dict[str, set[str]] = defaultdict(set)
    for cell in cells:
        if cell.lines:
            billed[cell.key].add(cell.day)
        if cell.rows:
            active[cell.key].add(cell.day)
    return billed, active


def _same_counts(cell: OpenCell) -> bool:
    theirs = {name: count for name, count in cell.bill_counts.items() if count}
    return bool(theirs) and theirs == {name: count for name, count in cell.ledger_counts.items() if count}
