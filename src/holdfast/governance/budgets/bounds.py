"""What a call may cost at most, before anybody has counted its tokens.

Its input has no more tokens than bytes: tokenizers that fall back to bytes never make more. It is priced at the dearest way
in which input is billed (writing it to a cache costs more than reading it plainly), and at the step that so long a context
has. Output is priced as it is generated; a tool that the provider itself runs, such as a web search, is not bounded here.
"""

from __future__ import annotations

from typing import Final

from holdfast.errors import Refused
from holdfast.gateway.port import Opening
from holdfast.governance import limits
from holdfast.governance.budgets.book import Bound
from holdfast.governance.ledger.port import PriceList
from holdfast.governance.money import MILLION
from holdfast.providers.billing.model import BilledAttempt

_INPUTS: Final = ("input", "cache_write", "cache_write_5m", "cache_write_1h")
_OUTPUTS: Final = ("output", "reasoning")


def bound_of(opening: Opening, prices: PriceList) -> Bound:
    """The bound of an attempt.

    Raises:
        Refused: ``budget.unbounded`` for a model of which nobody knows what it costs.
    """
    call = opening.call
    tokens = call.input_bytes + limits.BUDGET_INPUT_TOKENS

    def cost(name: str, count: int) -> int | None:
        nano = cost_of(name, count, call.tier)
        if nano is None or not call.tier:
            return nano
        return max(nano, cost_of(name, count, "") or 0)  # a provider may serve another tier than it was asked for

    def cost_of(name: str, count: int, tier: str) -> int | None:
        billed = BilledAttempt(model=opening.model, counts={name: count}, tier=tier)
        return prices.price(
            billed, provider=opening.provider, upstream=opening.upstream, asked=call.model, at_ms=opening.at_ms,
            workflow=call.caller.label("workflow"), request_input=tokens,
        ).billed_nano  # fmt: skip

    inputs = {name: nano for name in _INPUTS if (nano := cost(name, tokens)) is not None}
    if "input" not in inputs:
        raise Refused("budget.unbounded", f"nobody knows what {opening.model!r:.80} at {opening.upstream!r} costs")
    if call.wire == "openai.embeddings":
        return Bound(tokens, max(inputs.values()), 0, 0, 0)
    rates = [rate for name in _OUTPUTS if (rate := cost(name, MILLION)) is not None]
    if not rates:
        raise Refused("budget.unbounded", f"nobody knows what output of {opening.model!r:.80} costs")
    return Bound(tokens, max(inputs.values()), max(rates), limits.BUDGET_TAIL_TOKENS, call.output_limit)
