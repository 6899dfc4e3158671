"""The amount that a provider itself says it bills for an answer. It stands in the usage that came with the answer.

It is what the invoice will say, so it comes before what rates give; both are kept, and the difference can be seen. A zero is
an amount: it says that nothing is billed.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final

from holdfast.governance.pricing.cost import half_even
from holdfast.governance.pricing.rates import NANO

_FIELDS: Final = {
    "openrouter": ("cost", Fraction(NANO)),  # US dollars; openrouter.ai/docs/use-cases/usage-accounting
    "x-ai": ("cost_in_usd_ticks", Fraction(NANO, 10**10)),  # a tick is 1e-10 US dollars; docs.x.ai
}
_MOST: Final = 1 << 62


def stated_nano(provider: str, raw: Mapping[str, Any]) -> int | None:
    """Nano-USD that a provider says it bills, rounded half to even; None when it says nothing that can be read.

    Args:
        provider: as catalogues name it.
        raw: its own usage object.
    """
    field, scale = _FIELDS.get(provider, ("", Fraction(1)))
    value = raw.get(field) if field else None
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        exact = Decimal(str(value))  # a JSON number is read as the shortest text that means it
    except InvalidOperation:
        return None
    if not exact.is_finite() or exact < 0 or exact.adjusted() > 12 or int(exact.as_tuple().exponent) < -40:
        return None
    nano = Fraction(exact) * scale
    return half_even(nano.numerator, nano.denominator) if nano < _MOST else None
