"""What a provider's own usage would cost: the calculation behind ``holdfast prices calc``, and behind a question such as
"why did this call cost that"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from holdfast.governance.pricing.book import PriceBook
from holdfast.governance.pricing.model import Priced
from holdfast.governance.pricing.rates import invalid
from holdfast.providers.billing.model import BilledAttempt
from holdfast.providers.billing.usage_meter import of_response

_WHERE: Final = {"google.": "usageMetadata", "ollama.": ""}
"""Where the usage stands in an answer of a wire; elsewhere in ``usage``. Ollama has it in the answer itself."""
_SHAPE: Final[dict[str, dict[str, Any]]] = {
    "anthropic.messages": {"type": "message"}, "openai.chat": {"choices": []}, "openai.responses": {"object": "response"},
}  # fmt: skip


class Calculated(msgspec.Struct, frozen=True):
    """One model's part in an answer, with its cost.

    Attributes:
        billed: what the provider bills; ``priced``: what that costs.
    """

    billed: BilledAttempt
    priced: Priced


def calculate(
    book: PriceBook,
    usage: Mapping[str, Any],
    *,
    wire: str,
    provider: str,
    model: str,
    at_ms: int,
    upstream: str = "",
    tier: str = "",
) -> list[Calculated]:
    """The cost of a usage, one entry for each model that took part.

    Args:
        usage: the provider's usage object, or a whole answer that holds one.
        wire: how the provider writes it, a name of ``providers/billing/wires.py``; ``classes`` for counts by class.
        model: that served, where the usage does not say it.
        tier: that served, likewise.

    Raises:
        Refused: ``price.invalid``, ``price.counts``.
    """
    if wire == "classes":
        billed: tuple[BilledAttempt, ...] = (BilledAttempt(model=model, counts=dict(usage), tier=tier),)
    else:
        try:
            body = msgspec.json.encode(_answer(usage, wire, model))
            billed = of_response(wire, body, provider=provider)
        except LookupError as error:
            raise invalid(str(error).strip("'\""), "Name the wire on which the usage came, or `classes`.") from None
    found = []
    for each in billed:
        if each.odd:
            raise invalid(f"the usage contradicts itself: {each.odd}", "Give it as the provider wrote it.")
        each = msgspec.structs.replace(each, tier=each.tier or tier, model=each.model or model)
        found.append(Calculated(each, book.price(each, provider=provider, upstream=upstream, asked=model, at_ms=at_ms)))
    return found


def _answer(usage: Mapping[str, Any], wire: str, model: str) -> Mapping[str, Any]:
    where = next((name for prefix, name in _WHERE.items() if wire.startswith(prefix)), "usage")
    if not where or isinstance(usage.get(where), Mapping):
        return {**_SHAPE.get(wire, {}), **usage}
    return {**_SHAPE.get(wire, {}), "model": model, where: usage}
