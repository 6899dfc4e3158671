"""What is granted: one decision for one attempt over all of its accounts. Pure.

An attempt reserves what its input may cost at most, a tranche of output, and a margin for output that is generated and not
seen yet; never the most that it could ever cost. Where money is tight a smaller tranche is granted, as large as fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from holdfast.governance.money import MILLION
from holdfast.providers.billing.model import BilledAttempt


class Bound(NamedTuple):
    """What an attempt may cost.

    Attributes:
        input_tokens: at most; ``input_nano``: what they cost at most.
        output_rate: nano-USD for a million tokens of output.
        tail_tokens: output that may have been generated and not been seen.
        limit: the most output there can be; None where nothing says so.
    """

    input_tokens: int
    input_nano: int
    output_rate: int
    tail_tokens: int
    limit: int | None = None

    def cost(self, tokens: int) -> int:
        """Nano-USD for the input and so many tokens of output, with the tail; rounded up."""
        paid = tokens + self.tail_tokens if self.limit is None else min(tokens + self.tail_tokens, self.limit)
        return self.input_nano - (-paid * self.output_rate // MILLION)

    def affordable(self, nano: int) -> int:
        """How many tokens so much money is enough for; below zero where it is not enough for the input and the tail."""
        if self.limit is not None and self.cost(self.limit) <= nano:
            return self.limit
        if self.output_rate <= 0:
            return 1 << 31 if self.input_nano <= nano else -1
        return (nano - self.input_nano) * MILLION // self.output_rate - self.tail_tokens

    def with_tail(self, used: BilledAttempt, granted: int) -> BilledAttempt:
        """What was seen of an answer that was cut, and the tail that nobody saw. What was read beyond the ``granted`` tokens
        is a part of that tail, so that it does not come to more than was reserved."""
        most = min(used.total_output, granted) + self.tail_tokens
        if self.limit is not None:
            most = min(most, self.limit)
        unseen = max(0, most - used.total_output)
        return replace(
            used, counts=used.counts | {"output": used.counts.get("output", 0) + unseen}, provider_output=None
        )


class Standing(NamedTuple):
    """One account as an attempt finds it: nano-USD. ``reserved``: by others. ``brakes``: whether it refuses."""

    cap: int
    spent: int
    reserved: int
    brakes: bool

    @property
    def free(self) -> int:
        """What can be reserved."""
        return self.cap - self.spent - self.reserved


class Grant(NamedTuple):
    """So many tokens of output were granted, for so much money in all; ``short``: the accounts that only observe, and in
    which it does not fit."""

    tokens: int
    nano: int
    short: tuple[int, ...] = ()


class Shortage(NamedTuple):
    """Nothing is granted.

    Attributes:
        place: which account is short, the first one.
        need: nano-USD that it would have had to have free.
        waits: whether it fits once others have settled for less than they hold.
        short: all accounts in which it does not fit, those included that only observe.
    """

    place: int
    need: int
    waits: bool
    short: tuple[int, ...]


def decide(standings: Sequence[Standing], bound: Bound, least: int, wanted: int) -> Grant | Shortage:
    """Grant from ``least`` to ``wanted`` tokens of output, counted from the beginning of the answer.

    What is granted fits in every account that brakes. One that only observes refuses nothing.
    """
    need = bound.cost(least)
    short = tuple(place for place, standing in enumerate(standings) if need > standing.free)
    braking = [place for place in short if standings[place].brakes]
    if braking:
        waits = all(need <= standings[place].cap - standings[place].spent for place in braking)
        first = next((p for p in braking if need > standings[p].cap - standings[p].spent), braking[0])
        return Shortage(first, need, waits, short)
    tokens = wanted
    for standing in standings:
        if standing.brakes:
            tokens = min(tokens, bound.affordable(standing.free))
    tokens = max(least, tokens)
    return Grant(tokens, bound.cost(tokens), short)
