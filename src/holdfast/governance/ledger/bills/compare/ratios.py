"""Finds constant ratios of bill to ledger: a discount or a price that the rate cards do not have."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final

from holdfast.governance.ledger.bills.compare.grid import OpenCell

LEAST: Final = Fraction(1, 1000)
"""A ratio nearer to one than this is no price."""
VOTES: Final = 3
"""So many cells, on two days or more, must agree to the last unit of the report's rounding."""
_SCALE: Final = 10**12


def agree(cell: OpenCell, ratio: Fraction) -> bool:
    """Whether a cell's bill is that ratio of its ledger, up to rounding."""
    return abs(cell.bill * ratio.denominator - cell.ledger * ratio.numerator) <= cell.tolerance * ratio.denominator


def usable(cell: OpenCell) -> bool:
    """Whether a cell says anything about a ratio."""
    return not cell.closed and cell.bill > 0 and cell.ledger > 0 and not cell.unpriced


def find_ratios(cells: Iterable[OpenCell]) -> list[OpenCell]:
    """Give every cell of one key its ratio, as ``scale``; returns those whose ratio is not one.

    A ratio holds where at least ``VOTES`` cells agree on it to within their rounding. Cells that agree on none (something
    else differs there, too) or that are too small to tell take that of the nearest day of their model, else of the key.
    """
    usables = [cell for cell in cells if usable(cell)]
    left = [cell for cell in usables if _telling(cell)] or [cell for cell in usables if _fine(cell)]
    ratios = [Fraction(1)]
    for group in (left, *_by_model(left).values()):
        while True:
            open_cells = [cell for cell in group if not any(agree(cell, ratio) for ratio in ratios)]
            found = _most_agreed(open_cells, group)
            if found is None:
                break
            ratios.append(found)
    if len(ratios) == 1:
        found = _of_small_cells(usables)
        if found is None:
            return []
        ratios.append(found)
    _settle(usables, ratios)
    return [cell for cell in usables if cell.scale != (1, 1)]


def _telling(cell: OpenCell) -> bool:
    """Whether its rounding is small enough that agreement is no accident."""
    return _fine(cell) and not cell.partial


def _fine(cell: OpenCell) -> bool:
    return cell.tolerance * 200 <= cell.ledger


def _by_model(cells: Iterable[OpenCell]) -> dict[str, list[OpenCell]]:
    found: dict[str, list[OpenCell]] = defaultdict(list)
    for cell in cells:
        found[cell.model].append(cell)
    return found


def _most_agreed(cells: Sequence[OpenCell], group: Sequence[OpenCell]) -> Fraction | None:
    """The ratio that most cells agree on; a sweep over the intervals that rounding leaves to each.

    It must hold for at least half of its models' cells from its first day to its last: a price does not come and go.
    """
    edges: list[tuple[int, int, int]] = []
    spans = []
    for number, cell in enumerate(cells):
        low = -(-(cell.bill - cell.tolerance) * _SCALE // cell.ledger)
        high = (cell.bill + cell.tolerance) * _SCALE // cell.ledger
        spans.append((low, high))
        edges += [(low, 0, number), (high, 1, number)]
    edges.sort()
    inside: set[int] = set()
    best: tuple[int, set[int]] = (0, set())
    for _, leaves, number in edges:
        if leaves:
            inside.discard(number)
        else:
            inside.add(number)
            if len(inside) > best[0] and len({cells[n].day for n in inside}) >= 2:
                best = len(inside), set(inside)
    count, voters = best
    if count < max(VOTES, _by_accident(spans)):
        return None
    low, high = max(spans[n][0] for n in voters), min(spans[n][1] for n in voters)
    ratio = simplest(Fraction(low, _SCALE), Fraction(high, _SCALE))
    if abs(ratio - 1) < LEAST:
        return None
    # Of cells whose rounding is wide many agree by accident: each must tell the ratio from one, and by far.
    telling = [cells[n] for n in voters if abs(ratio - 1) * cells[n].ledger >= 5 * cells[n].tolerance]
    days, models = {cell.day for cell in telling}, {cell.model for cell in telling}
    if len(telling) < VOTES or len(days) < 2:
        return None
    span = [cell for cell in group if cell.model in models and min(days) <= cell.day <= max(days)]
    return ratio if 2 * len(voters) >= len(span) else None


def _by_accident(spans: Sequence[tuple[int, int]]) -> float:
    """How many intervals of these widths meet somewhere although they have nothing in common, as good as never more."""
    if not spans:
        return 0.0
    middles = [low + high for low, high in spans]
    spread = max((max(middles) - min(middles)) / 2, _SCALE / 20)
    expected = sum(high - low for low, high in spans) / spread
    return float(expected + 4 * expected**0.5 + (2 if expected > 0.5 else 0))


def _of_small_cells(cells: Sequence[OpenCell]) -> Fraction | None:
    """A ratio that shows in the sum of cells of which none is large enough to tell: nearly all differ to the same side.

    From the first day on, or from a later one: the earliest from which nearly all cells agree with it.
    """
    days = sorted({cell.day for cell in cells})
    for day in days[:-2]:
        found = _of_sums([cell for cell in cells if cell.day >= day])
        if found is not None:
            return found
    return None


def _of_sums(cells: Sequence[OpenCell]) -> Fraction | None:
    differing = [cell for cell in cells if cell.bill != cell.ledger]
    if len(differing) < 10 or len({cell.day for cell in differing}) < 3:
        return None
    bill, ledger = sum(cell.bill for cell in cells), sum(cell.ledger for cell in cells)
    above = sum(cell.bill > cell.ledger for cell in differing)
    one_sided = max(above, len(differing) - above) * 10 >= len(differing) * 9
    noise = sum(cell.tolerance**2 for cell in cells)
    if not one_sided or (bill - ledger) ** 2 < 16 * noise:
        return None
    slack = Fraction(sum(cell.tolerance for cell in cells), ledger)
    wide = Fraction(bill, ledger)
    ratio = simplest(wide - slack / len(cells), wide + slack / len(cells))
    fits = sum(agree(cell, ratio) for cell in cells)
    better = fits > sum(agree(cell, Fraction(1)) for cell in cells)
    return ratio if better and fits * 10 >= len(cells) * 9 and abs(ratio - 1) >= LEAST else None


def _settle(usables: Sequence[OpenCell], ratios: Sequence[Fraction]) -> None:
    """Give every cell its ratio: first those that agree on one only, then the others as their neighbours have it."""
    sure: dict[str, list[tuple[int, Fraction]]] = defaultdict(list)
    of_day: dict[str, Counter[Fraction]] = defaultdict(Counter)
    left = []
    for cell in sorted(usables, key=lambda cell: cell.day):
        fitting = [ratio for ratio in ratios if agree(cell, ratio)]
        if len(fitting) == 1:
            cell.scale = fitting[0].numerator, fitting[0].denominator
            sure[cell.model].append((_ordinal(cell.day), fitting[0]))
            of_day[cell.day][fitting[0]] += 1
        else:
            left.append((cell, fitting))
    everywhere = sorted(entry for entries in sure.values() for entry in entries)
    for cell, fitting in left:
        place, own = _ordinal(cell.day), sure[cell.model]
        around = own or everywhere
        if not around:
            continue
        before = [ratio for day, ratio in around if day <= place][-1:]
        after = [ratio for day, ratio in around if day >= place][:1]
        likely = {*before, *after}
        if len(likely) > 1 and of_day[cell.day]:  # the price changes here: on which day is what the other models tell
            likely = {max(likely, key=lambda ratio: of_day[cell.day][ratio])}
        nearest = min(around, key=lambda at: (abs(at[0] - place), at[0]))[1]
        ratio = nearest if nearest in likely else next(iter(likely))
        if own or ratio in fitting:
            cell.scale = ratio.numerator, ratio.denominator


def _ordinal(day: str) -> int:
    year, month, date = int(day[:4]), int(day[5:7]), int(day[8:10])
    return (year * 12 + month) * 31 + date


def simplest(low: Fraction, high: Fraction) -> Fraction:
    """The fraction with the smallest denominator between two positive bounds (Stern-Brocot)."""
    if low <= 0:
        return (low + high) / 2
    whole = -(-low.numerator // low.denominator)
    if whole <= high:
        return Fraction(whole)
    floor = low.numerator // low.denominator
    rest = simplest(1 / (high - floor), 1 / (low - floor))
    return floor + 1 / rest
