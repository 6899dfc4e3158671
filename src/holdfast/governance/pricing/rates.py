"""Rates as people write them, and as a catalogue keeps them.

People write USD: ``"3"`` for a million tokens or characters, ``"0.01"`` for one search, image, page or request, ``"0.36"``
for an hour of audio; another unit stands after a slash: ``"10/1k"``. Kept is nano-USD for one unit, as an exact fraction.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from holdfast.errors import Refused
from holdfast.governance.pricing.model import PRICED_CLASSES, UnitRate
from holdfast.providers.billing.model import INPUT, OUTPUT

NANO: Final = 1_000_000_000
UNITS: Final = {"1": 1, "1k": 1_000, "1M": 1_000_000, "h": 3_600}
"""What may stand after a slash: how many units the amount is for; ``h`` is an hour, in seconds."""
_COMMON: Final = dict.fromkeys((*INPUT, *OUTPUT, "characters", "cache_read_image", "citations"), "1M") | {
    "seconds": "h"
}
_WRITTEN: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,18})?)(?:/(1|1k|1M|h))?")
STEPS: Final = 8  # thresholds of one rate


def common_unit(name: str) -> str:
    """The unit in which a class is priced when none is written."""
    return _COMMON.get(name, "1M" if name.endswith("_video") else "1")


def parse_rate(written: str, name: str) -> str:
    """A rate as it is kept.

    Args:
        written: ``AMOUNT`` or ``AMOUNT/UNIT`` in USD.
        name: the class.

    Raises:
        Refused: ``price.invalid``.
    """
    found = _WRITTEN.fullmatch(written)
    if found is None:
        raise invalid(f"{written!r} is no price of {name}", "Write USD as decimal digits: 3.75 or 10/1k.")
    return stored_rate(Decimal(found[1]), UNITS[found[2] or common_unit(name)])


def stored_rate(usd: Decimal, units: int) -> str:
    """USD for a number of units, as a catalogue keeps it."""
    return str(Fraction(usd) * NANO / units)


def written(rate: str, name: str) -> str:
    """A rate as people write it, in the common unit of its class; exact, or with twelve decimals and ``…``."""
    unit = common_unit(name)
    usd = Fraction(rate) * UNITS[unit] / NANO
    text = f"{usd.numerator}" if usd.denominator == 1 else _decimals(usd)
    return text if unit in ("1M", "h") else f"{text}/{unit}"


def _decimals(usd: Fraction) -> str:
    scale = 10**12
    whole, rest = divmod(usd.numerator * scale, usd.denominator)
    text = f"{whole // scale}.{whole % scale:012d}".rstrip("0")
    return text + ("…" if rest else "")


def read_rates(raw: Any, where: str) -> dict[str, UnitRate]:
    """Rates as a document has them: ``{"input": "3", "output": {"base": "15", "steps": [[200000, "22.5"]]}}``.

    Raises:
        Refused: ``price.invalid``, naming the class.
    """
    if not isinstance(raw, Mapping) or not raw:
        raise invalid(f"{where} has no prices", 'Write {"input": "3", "output": "15"}.')
    found: dict[str, UnitRate] = {}
    for name, value in raw.items():
        if name not in PRICED_CLASSES:
            raise invalid(f"{where}: there is no class {name!r}", f"There are {', '.join(PRICED_CLASSES)}.")
        found[name] = _read_rate(value, name, f"{where}, {name}")
    return found


def _read_rate(raw: Any, name: str, where: str) -> UnitRate:
    if isinstance(raw, str):
        return UnitRate(parse_rate(raw, name))
    if (
        isinstance(raw, Mapping)
        and isinstance(raw.get("base"), str)
        and isinstance(raw.get("steps", []), (list, tuple))
    ):
        steps = raw.get("steps", [])
        if len(steps) <= STEPS and all(_is_step(step) for step in steps):
            read = tuple((int(step[0]), parse_rate(step[1], name)) for step in steps)
            if all(a[0] < b[0] for a, b in itertools.pairwise(read)):
                return UnitRate(parse_rate(raw["base"], name), read)
    raise invalid(
        f"{where} is no price", 'Write "3.75", or {"base": "3", "steps": [[200000, "6"]]} with rising numbers.'
    )


def _is_step(step: Any) -> bool:
    if not isinstance(step, (list, tuple)) or len(step) != 2 or not isinstance(step[1], str):
        return False
    above = step[0]  # text where the document was read as text
    return (type(above) is int and above >= 0) or (isinstance(above, str) and above.isdecimal() and len(above) < 13)


def invalid(detail: str, fix: str) -> Refused:
    """What is wrong with a document of prices."""
    return Refused("price.invalid", detail, fix=fix)
