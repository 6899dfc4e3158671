"""Finds differences that cancel each other out: they would hide in any total, and both are wrong."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from holdfast.governance.ledger.bills.compare.causes import within
from holdfast.governance.ledger.bills.compare.grid import OpenCell

_PLAIN: Final = 3
"""A pair is only seen when each side is so many times what rounding may be."""
_SET_LIMIT: Final = 12


def related(one: OpenCell, other: OpenCell) -> bool:
    """Whether an amount may have been booked in the one instead of the other: they differ in one thing only, and where
    that is the day, by two days at most."""
    same = (one.day == other.day) + (one.model == other.model) + (one.key == other.key)
    if same != 2:
        return False
    return one.day == other.day or days_apart(one.day, other.day) <= 2


def unscaled(cell: OpenCell) -> int:
    """What is left of a cell's difference, at the ledger's price."""
    top, bottom = cell.scale
    return cell.rest * bottom // top


def days_apart(one: str, other: str) -> int:
    """Days between two dates."""
    first, second = datetime.date.fromisoformat(one[:10]), datetime.date.fromisoformat(other[:10])
    return abs((second - first).days)


def exact_pairs(cells: Sequence[OpenCell]) -> list[tuple[OpenCell, ...]]:
    """Pairs whose differences are equal and opposite up to rounding, then sets of one day or one model that sum to nothing.

    Where both sides have estimated rows that can account for them, it is no pair.
    """
    open_cells = [cell for cell in cells if _plain(cell)]
    negative = sorted((cell for cell in open_cells if cell.rest < 0), key=lambda cell: cell.rest)
    candidates = []
    for low in negative:
        for high in _neighbours(low, open_cells):
            off = min(abs(low.rest + high.rest), abs(unscaled(low) + unscaled(high)))
            if high.rest > 0 and off <= low.tolerance + high.tolerance and not _both_estimated(low, high):
                candidates.append((off, low.at, high.at, low, high))
    found: list[tuple[OpenCell, ...]] = []
    for _, _, _, low, high in sorted(candidates, key=lambda entry: entry[:3]):
        if not low.closed and not high.closed:
            for cell in (low, high):
                cell.take("netting_pair", cell.rest, close=True)
            found.append((low, high))
    found += _exact_sets([cell for cell in open_cells if not cell.closed])
    return found


def loose_pairs(cells: Sequence[OpenCell]) -> list[tuple[OpenCell, ...]]:
    """Pairs of which one side has something else beside: estimates that account for the rest, or spend outside.

    Only for what nothing else explains: a cell in which the bill has less than the ledger, without estimates that could be
    the reason.
    """
    found: list[tuple[OpenCell, ...]] = []
    open_cells = [cell for cell in cells if _plain(cell)]
    for cell in sorted(open_cells, key=lambda cell: (cell.rest, cell.at)):
        if cell.closed or _paired(cell) or cell.rest >= 0 or abs(cell.rest - within(cell, cell.rest)) <= cell.tolerance:
            continue
        fits = []
        for other in _neighbours(cell, open_cells):
            if other.closed or other.rest <= 0 or _paired(other):
                continue
            amount = other.rest if cell.estimates and not other.estimates else -cell.rest
            left = cell.rest + amount, other.rest - amount
            mine = abs(left[0] - within(cell, left[0])) <= cell.tolerance
            theirs = left[1] >= 0 or abs(left[1] - within(other, left[1])) <= other.tolerance
            if mine and theirs:
                fits.append((max(map(abs, left)), other.at, amount, other))
        if fits:
            _, _, amount, other = min(fits, key=lambda entry: entry[:2])
            cell.take("netting_pair", -amount)
            other.take("netting_pair", amount)
            found.append((cell, other))
    return found


def _exact_sets(cells: Sequence[OpenCell]) -> list[tuple[OpenCell, ...]]:
    groups: dict[tuple[str, ...], list[OpenCell]] = defaultdict(list)
    for cell in cells:
        groups["models of", cell.day, cell.key].append(cell)
        groups["keys of", cell.day, cell.model].append(cell)
    found: list[tuple[OpenCell, ...]] = []
    for group in groups.values():
        members = [cell for cell in group if not cell.closed]
        if 3 <= len(members) <= _SET_LIMIT and not any(cell.estimates for cell in members):
            slack = sum(cell.tolerance for cell in members)
            if abs(sum(cell.rest for cell in members)) <= slack:
                for cell in members:
                    cell.take("netting_pair", cell.rest, close=True)
                found.append(tuple(members))
    return found


def _plain(cell: OpenCell) -> bool:
    return cell.still_open and abs(cell.rest) > _PLAIN * cell.tolerance


def _paired(cell: OpenCell) -> bool:
    """Whether it is a side of a pair already: a cell is one of one pair only, so that findings sum to the remainder."""
    return any(share.cause == "netting_pair" for share in cell.shares)


def _both_estimated(one: OpenCell, other: OpenCell) -> bool:
    return all(cell.estimates and within(cell, cell.rest) == cell.rest for cell in (one, other))


def _neighbours(cell: OpenCell, cells: Iterable[OpenCell]) -> Iterator[OpenCell]:
    return (other for other in cells if related(cell, other))
