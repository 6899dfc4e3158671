"""How amounts are written for people, and divided without a remainder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

NANO: Final = 1_000_000_000

Name = TypeVar("Name")


def dollars(nano: int) -> str:
    """``$1,234.56``; amounts below a cent with as many digits as they need, at most six, ``<$0.000001`` below that."""
    sign, amount = ("-" if nano < 0 else ""), abs(nano)
    if amount == 0 or amount >= NANO // 100:
        cents = (amount + 5_000_000) // 10_000_000
        return f"{sign}${cents // 100:,}.{cents % 100:02}"
    micro = (amount + 500) // 1_000
    if not micro:
        return f"{sign}<$0.000001"
    return f"{sign}$0.{micro:06}".rstrip("0")


def decimal(nano: int) -> str:
    """Exactly, as decimal text of dollars: ``1234.5``."""
    sign, amount = ("-" if nano < 0 else ""), abs(nano)
    whole, rest = divmod(amount, NANO)
    return f"{sign}{whole}.{rest:09}".rstrip("0").rstrip(".") if rest else f"{sign}{whole}"


def percent(part: int, whole: int) -> str:
    """A share with one decimal; ``?`` of nothing."""
    if whole == 0:
        return "?"
    tenths = (abs(part) * 2_000 + abs(whole)) // (2 * abs(whole))
    sign = "-" if (part < 0) != (whole < 0) and tenths else ""
    return f"{sign}{tenths // 10}.{tenths % 10} %"


def divide(amount: int, weights: Mapping[Name, int]) -> dict[Name, int]:
    """Divide an amount in proportion to weights, to the last unit: the largest remainders get what is left over.

    Weights must not be negative; where all are zero the shares are as equal as they can be. Equal remainders are served in
    the order of the mapping.
    """
    if not weights:
        return {}
    names: Sequence[Name] = list(weights)
    total = sum(weights.values())
    parts = [weights[name] if total else 1 for name in names]
    total = total or len(names)
    sign, rest = (-1 if amount < 0 else 1), abs(amount)
    shares = [rest * part // total for part in parts]
    left = rest - sum(shares)
    by_remainder = sorted(range(len(names)), key=lambda n: -(rest * parts[n] % total))
    for n in by_remainder[:left]:
        shares[n] += 1
    return {name: sign * share for name, share in zip(names, shares, strict=True)}
