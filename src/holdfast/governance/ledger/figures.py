"""Amounts and tables as text, exactly: no float comes near money."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

NANO: Final = 1_000_000_000
CENT: Final = 10_000_000
"""Nano-USD of a dollar and of a cent."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def decimal_text(nano: int | None, places: int = 9) -> str:
    """Nano-units as decimal text with so many places; what does not fit in them must be 0. Empty for None."""
    if nano is None:
        return ""
    step = 10 ** (9 - places)
    whole, rest = divmod(abs(nano), step)
    if rest:
        raise ValueError(f"{nano} has more than {places} places")
    digits = f"{whole:0{places + 1}d}"
    text = digits if not places else f"{digits[:-places]}.{digits[-places:]}"
    return f"-{text}" if nano < 0 and whole else text


def rounded(nano: int, step: int) -> int:
    """The nearest multiple of a step, a half to the even one."""
    whole, rest = divmod(nano, step)
    return (whole + (2 * rest > step or (2 * rest == step and whole % 2 == 1))) * step


def csv_cell(value: Any) -> str:
    """A value as a cell. Text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return str(value)


def csv_lines(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV (RFC 4180). Numbers must come as numbers, amounts as ``Amount``."""
    out = io.StringIO()
    writer = csv.writer(out)
    for row in rows:
        writer.writerow([value.text if isinstance(value, Amount) else csv_cell(value) for value in row])
    return out.getvalue()


class Amount:
    """An amount in a cell: a number, though it may begin with a minus."""

    def __init__(self, nano: int | None, places: int = 9) -> None:
        self.text = decimal_text(nano, places)


def shares(amount: int, weights: Sequence[int]) -> list[int]:
    """Divide a whole amount in proportion to weights so that the parts sum to it: largest remainders get what is left.

    Equal remainders are served in order. The method is Hamilton's; a negative amount is divided as its opposite is.

    Raises:
        ValueError: a weight is negative, or none is positive while there is something to divide.
    """
    total = sum(weights)
    if any(weight < 0 for weight in weights) or (total == 0 and amount):
        raise ValueError("nothing to divide by")
    if not total:
        return [0] * len(weights)
    size, sign = abs(amount), -1 if amount < 0 else 1
    parts = [size * weight // total for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-(size * weights[i] % total), i))
    for i in order[: size - sum(parts)]:
        parts[i] += 1
    return [sign * part for part in parts]


def to_steps(amounts: Sequence[int], step: int) -> list[int]:
    """Round amounts to multiples of a step so that they sum to their rounded sum: largest remainders are rounded up."""
    below = [amount // step for amount in amounts]
    missing = rounded(sum(amounts), step) // step - sum(below)
    order = sorted(range(len(amounts)), key=lambda i: (-(amounts[i] % step), i))
    for i in order[:missing]:
        below[i] += 1
    return [each * step for each in below]
