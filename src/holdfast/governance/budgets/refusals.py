"""Whether a refusal was false: whether the money was there all the time, held by calls that did not come to use it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.governance.budgets.model import BudgetRefusal


def was_false(refusal: BudgetRefusal, costs: Mapping[str, int | None]) -> bool | None:
    """Whether the call would have fitted, had it been known what those under way came to.

    Args:
        costs: nano-USD by attempt; None for one that is not settled.

    Returns:
        None while one of those under way is not settled.
    """
    in_flight = [costs.get(attempt) for attempt in refusal.in_flight]
    if any(cost is None for cost in in_flight):
        return None
    free_nano = refusal.cap_nano - refusal.spent_nano - sum(cost or 0 for cost in in_flight)
    return free_nano >= refusal.need_nano


def stranded_ppm(returned_nano: int, settled_nano: int) -> int | None:
    """Of what settled attempts had reserved, the share that they did not need, in millionths; None where none settled."""
    reserved = returned_nano + settled_nano
    return None if reserved <= 0 else returned_nano * 1_000_000 // reserved
