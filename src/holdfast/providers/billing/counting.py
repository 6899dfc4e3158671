"""Counts out of what a provider says of usage, and into classes that do not overlap.

A provider is somebody else: a count may be null, text, a fraction, negative, or larger than its total. What cannot be a
count is left out and named in ``odd``; a class that is larger than its total leaves is cut to it, and named too. So no class
is negative, and classes always sum to the total.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from holdfast.protocol import limits

Fields = dict[str, Any]

LIFETIMES: Mapping[str, str] = {
    "ephemeral_5m_input_tokens": "cache_write_5m", "ttl_5m_tokens": "cache_write_5m", "ttl_5m": "cache_write_5m",
    "5m": "cache_write_5m",
    "ttl_30m_tokens": "cache_write_30m", "ttl_30m": "cache_write_30m", "30m": "cache_write_30m",
    "ephemeral_1h_input_tokens": "cache_write_1h", "ttl_1h_tokens": "cache_write_1h", "ttl_1h": "cache_write_1h",
    "1h": "cache_write_1h",
    "ttl_12h_tokens": "cache_write_12h", "ttl_12h": "cache_write_12h", "12h": "cache_write_12h",
}  # fmt: skip
"""How providers name the lifetime of what was written to a cache."""


class Split(msgspec.Struct):
    """What one usage object counts.

    Attributes:
        counts: units by class.
        total_input, total_output: the provider's own sums; None where it has none.
        odd: what is contradictory or missing.
        one_sided: the total shows that there was no output, so that none is missing.
    """

    counts: dict[str, int] = {}
    total_input: int | None = None
    total_output: int | None = None
    odd: list[str] = []
    one_sided: bool = False


class CountReader:
    """Reads the counts of one usage object.

    Args:
        fields: the object.
        odd: where what is odd is noted.
    """

    def __init__(self, fields: Fields, odd: list[str]) -> None:
        self.fields = fields
        self._odd = odd

    def take(self, *names: str) -> int | None:
        """The largest count under these names, which mean the same; None where there is none."""
        found = [count for name in names if (count := self._one(name)) is not None]
        return max(found, default=None)

    def inner(self, *names: str) -> CountReader:
        """The reader of an object within, under the first of these names that has one."""
        for name in names:
            value = self.fields.get(name)
            if isinstance(value, dict):
                return CountReader(value, self._odd)
        return CountReader({}, self._odd)

    def listed(self, name: str) -> list[CountReader]:
        """Readers of the objects in a list."""
        value = self.fields.get(name)
        items = value[: limits.PROVIDER_PARTS] if isinstance(value, list) else []
        return [CountReader(each, self._odd) for each in items if isinstance(each, dict)]

    def _one(self, name: str) -> int | None:
        value = self.fields.get(name)
        if value is None:
            return None
        count = whole(value)
        if count is None:
            note(self._odd, f"{name} is not a count")
        return count


def whole(value: Any) -> int | None:
    """A count, where a value can be one: a whole number from 0, also as text or as ``3.0``; else None."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
        value = int(value)  # as 64 bit integers stand in the JSON of protocol buffers
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= limits.INTEGER_MAX else None


def note(odd: list[str], what: str) -> None:
    """Add what is odd, once."""
    if what not in odd:
        odd.append(what)


def lifetimes(reader: CountReader, written: int | None) -> dict[str, int | None]:
    """What was written to a cache, by lifetime; what no lifetime is said of is ``cache_write``.

    Args:
        reader: of the object that has counts by lifetime.
        written: all that was written, where the provider says so.
    """
    parts: dict[str, int | None] = {}
    for name, name_here in LIFETIMES.items():
        if (count := reader.take(name)) is not None:
            parts[name_here] = (parts.get(name_here) or 0) + count
    rest = None if written is None else written - sum(count or 0 for count in parts.values())
    if rest is not None and (rest > 0 or not parts):
        parts["cache_write"] = rest
    return parts


def divide(
    counts: dict[str, int], odd: list[str], total: int | None, parts: Mapping[str, int | None], rest: str
) -> None:
    """Put the parts of a total into their classes, and what is left into the class ``rest``.

    Args:
        counts: of the attempt; added to.
        odd: where it is noted that parts are more than the total. The first parts are then taken whole.
        total: None: the parts are all that is known, and nothing is left.
    """
    left = total
    for name, count in parts.items():
        if count is None:
            continue
        if left is not None and count > left:
            note(odd, f"{name} is more than there was" if name != "reasoning" else "more reasoning than output")
            count = left
        counts[name] = counts.get(name, 0) + count
        left = None if left is None else left - count
    if left is not None:
        counts[rest] = counts.get(rest, 0) + left


def merged(earlier: Fields, later: Fields, replaced: Collection[str] = ()) -> Fields:
    """Two reports of one answer as one: counts grow, so the later stands, and what it leaves out was said before.

    Null is nothing. A zero after a larger count does not stand for it either: some servers fill in zeros for what they
    leave out.

    Args:
        replaced: names of which a later zero does stand.
    """
    result = dict(earlier)
    for name, value in later.items():
        before = result.get(name)
        if value is None:
            continue
        if isinstance(value, dict) and isinstance(before, dict):
            result[name] = merged(before, value, replaced)
        elif whole(value) != 0 or not whole(before) or name in replaced:
            result[name] = value
    return result


def joined(odd: Iterable[str]) -> str:
    """What is odd, as one text."""
    return "; ".join(odd)
