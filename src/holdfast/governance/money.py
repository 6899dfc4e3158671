"""Money: an integer of nano-USD (10⁻⁹ US dollars), exact in between, rounded once and half to even at the end.

A token of the cheapest model costs less than a nano-dollar, so prices are kept as nano-USD per *million* units, and what
they give is a ``Fraction`` until the sum of it is stored. No float ever holds money: ``0.1 + 0.2`` is not ``0.3`` there. The
largest amount is what a signed integer of 64 bits holds, about nine billion dollars.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

from holdfast.errors import Refused
from holdfast.governance import limits

NANO: Final = 1_000_000_000
"""Nano-USD in one US dollar."""

MILLION: Final = 1_000_000
"""Units that a price is for."""

_DECIMAL: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

Exact = int | Fraction
"""A quantity or an amount without any rounding."""


def parse(text: str | Decimal | int) -> int:
    """Nano-USD of an amount in dollars, as people and reports write it: ``0.00006375``, ``-12``, ``6.375e-5``.

    Raises:
        Refused: ``input.malformed`` for what is no decimal number, ``input.number_range`` for one that is too large.
        TypeError: a float, whose digits are not those that were written.
    """
    return rounded(exact(text) * NANO)


def exact(text: str | Decimal | int) -> Fraction:
    """The number that a decimal text means, without any rounding. Raises what ``parse`` does."""
    if isinstance(text, bool) or not isinstance(text, (str, Decimal, int)):
        raise TypeError(f"money is written as text or as an integer, not as {type(text).__name__}")
    written = str(text).strip() if not isinstance(text, int) else ""
    if isinstance(text, int):
        return Fraction(text)
    if len(written) > limits.MONEY_CHARS or not _DECIMAL.fullmatch(written):
        raise Refused("input.malformed", f"{written[: limits.MONEY_CHARS]!r} is no decimal number")
    return Fraction(written)


def price(text: str | Decimal | int) -> Exact:
    """Nano-USD per million units of a price in dollars per million units; a whole number where it is one."""
    value = exact(text) * NANO
    return value.numerator if value.denominator == 1 else value


def exact_cost(quantity: Exact, per_million: Exact) -> Fraction:
    """What a quantity costs in nano-USD, without rounding.

    Args:
        quantity: units, such as tokens.
        per_million: price in nano-USD for a million of them.
    """
    return Fraction(quantity) * per_million / MILLION


def cost(lines: Iterable[tuple[Exact, Exact]]) -> int:
    """Nano-USD of pairs of a quantity and its price per million: summed exactly, rounded once.

    Raises:
        Refused: ``input.number_range``.
    """
    return rounded(sum((exact_cost(quantity, per_million) for quantity, per_million in lines), Fraction()))


def rounded(nano: Exact) -> int:
    """A whole number of nano-USD, half to even.

    Raises:
        Refused: ``input.number_range`` beyond a signed integer of 64 bits.
    """
    whole = round(nano)
    if abs(whole) > limits.MONEY_NANO:
        raise Refused("input.number_range", f"an amount of {_short(whole)} USD is beyond what is counted")
    return whole


def show(nano: int, places: int = 2) -> str:
    """Dollars as a decimal text, every digit that counts and at least so many places: ``0.10``, ``0.00006375``."""
    sign = "-" if nano < 0 else ""
    dollars, rest = divmod(abs(nano), NANO)
    digits = f"{rest:09}".rstrip("0").ljust(places, "0")
    return f"{sign}{dollars}.{digits}" if digits else f"{sign}{dollars}"


def split(nano: int, weights: Sequence[Exact]) -> list[int]:
    """Shares of an amount by weight that sum to it exactly: each is rounded down, and the nano-dollars that are left go to
    those who lost most by that, the first among equals (largest remainder).

    Raises:
        ValueError: a negative weight, or no weight above zero.
    """
    total = sum(weights, Fraction())
    if total <= 0 or any(weight < 0 for weight in weights):
        raise ValueError("shares need weights of zero or more, and one above zero")
    shares = [Fraction(nano) * weight / total for weight in weights]
    whole = [share.numerator // share.denominator for share in shares]
    lost = sorted(range(len(shares)), key=lambda n: (whole[n] - shares[n], n))
    for n in lost[: nano - sum(whole)]:
        whole[n] += 1
    return whole


class ExchangeRate(NamedTuple):
    """What a currency was worth on a day.

    Attributes:
        currency: ISO 4217, such as ``EUR``.
        day: ``YYYY-MM-DD``.
        usd: US dollars for one unit of it.
    """

    currency: str
    day: str
    usd: Fraction


def exchange_rate(currency: str, day: str, usd: str | Decimal | int) -> ExchangeRate:
    """A dated rate, checked.

    Raises:
        Refused: ``input.malformed`` for a currency, a day or a number that is none; ``input.number_range`` for a rate of zero
            or less.
    """
    if not _CURRENCY.fullmatch(currency):
        raise Refused("input.malformed", f"{currency[:20]!r} is no currency of ISO 4217, such as EUR")
    if not _DAY.fullmatch(day):
        raise Refused("input.malformed", f"{day[:20]!r} is no day, such as 2026-03-31")
    rate = exact(usd)
    if rate <= 0:
        raise Refused("input.number_range", f"a rate of {currency} that is not above zero")
    return ExchangeRate(currency, day, rate)


def to_usd(amount: str | Decimal | int, currency: str, rate: ExchangeRate) -> int:
    """Nano-USD of an amount in another currency, rounded once.

    Raises:
        Refused: ``input.malformed`` when the rate is of another currency, and what ``parse`` raises.
    """
    if currency != rate.currency:
        raise Refused("input.malformed", f"a rate of {rate.currency} says nothing of {currency[:20]}")
    return rounded(exact(amount) * rate.usd * NANO)


def _short(nano: int) -> str:
    return f"{Decimal(nano).scaleb(-9):.3E}"
