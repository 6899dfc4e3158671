"""What the providers count: every request with its units. The bill is made from this, and from nothing that the product knows."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec


class Used(msgspec.Struct, frozen=True):
    """One request, as its provider counts it.

    Attributes:
        at_ms: Unix ms.
        provider: ``openai``, ``anthropic`` or ``own``.
        key: name of the provider's key that it came with.
        model: that served.
        counts: units by class, as the price sheet names them.
        cut: whether the caller left before the end.
    """

    at_ms: int
    provider: str
    key: str
    model: str
    counts: dict[str, int]
    cut: bool = False

    @property
    def day(self) -> str:
        """The date in UTC, by which providers bill."""
        return datetime.datetime.fromtimestamp(self.at_ms / 1_000, datetime.UTC).date().isoformat()


class Rate(msgspec.Struct, frozen=True):
    """What a model costs from a day on, nano-USD a token by class; ``above``: input tokens beyond which ``beyond`` holds for
    the whole request."""

    model: str
    nano: dict[str, int]
    since: str = ""
    above: int = 0
    beyond: dict[str, int] = {}


class PriceSheet:
    """The providers' own prices."""

    def __init__(self, rates: Iterable[Rate]) -> None:
        self._rates: dict[str, list[Rate]] = defaultdict(list)
        for rate in sorted(rates, key=lambda rate: rate.since):
            self._rates[rate.model].append(rate)

    def rate(self, model: str, day: str) -> Rate:
        """The rate of a model on a day. Raises ``LookupError`` for one that nobody sells."""
        found = [rate for rate in self._rates[model] if rate.since <= day]
        if not found:
            raise LookupError(f"nobody sells {model} on {day}")
        return found[-1]

    def cost(self, used: Used) -> dict[str, int]:
        """What a request costs, nano-USD by class."""
        rate = self.rate(used.model, used.day)
        whole = sum(count for name, count in used.counts.items() if not name.startswith(("output", "reasoning")))
        nano = rate.beyond if rate.above and whole > rate.above else rate.nano
        return {name: count * nano[name] for name, count in used.counts.items() if count}


class Books:
    """All requests that were served."""

    def __init__(self, used: Iterable[Used] = ()) -> None:
        self.used = list(used)

    def add(self, used: Used) -> None:
        """Count one."""
        self.used.append(used)

    def between(self, since: str, until: str, provider: str) -> Iterator[Used]:
        """Those of one provider on these days, both included."""
        return (used for used in self.used if used.provider == provider and since <= used.day <= until)
