"""What a computation makes of the items that are there. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import asdict, replace

from holdfast.governance.inbox.model import AGAIN_MS, COMPUTED, Condition, InboxItem


class InboxChange(NamedTuple):
    """What a computation came to.

    Attributes:
        opened: new items, and those that came back.
        closed: items whose condition was computed as gone.
        stayed: all others that are open and were computed, as they are now.
    """

    opened: Sequence[InboxItem] = ()
    closed: Sequence[InboxItem] = ()
    stayed: Sequence[InboxItem] = ()


def unique(found: Mapping[str, Iterable[Condition]]) -> dict[str, tuple[str, Condition]]:
    """Conditions by key, each with its source. Of one key that comes twice, what stops something counts, then the earlier
    date."""
    best: dict[str, tuple[str, Condition]] = {}
    for source in sorted(found):
        for one in found[source]:
            there = best.get(one.key)
            if there is None or _weight(one) < _weight(there[1]):
                best[one.key] = (source, one)
    return best


def _weight(one: Condition) -> tuple[bool, int]:
    return (not one.stops, one.due_ms or 1 << 60)


def changed(
    tenant: str,
    found: Mapping[str, Iterable[Condition]],
    items: Sequence[InboxItem],
    closed_lately: Mapping[str, InboxItem],
    now_ms: int,
    new_id: Callable[[], str],
) -> InboxChange:
    """What has to be opened and closed.

    Args:
        found: conditions by source; a source that could not say anything is not among them, and its items stay as they are.
        items: the open ones.
        closed_lately: the last closed item of each key.
    """
    conditions, by_key = unique(found), {item.key: item for item in items}
    opened, closed, stayed = list[InboxItem](), list[InboxItem](), list[InboxItem]()
    for key, (source, one) in conditions.items():
        there, last = by_key.get(key), closed_lately.get(key)
        if there is not None:
            stayed.append(_renewed(there, source, one, now_ms))
        elif last is not None and last.closed_ms is not None and now_ms - last.closed_ms < AGAIN_MS:
            again = replace(last, closed_ms=None, closed_by="", in_time=None, reopened=last.reopened + 1, marks=())
            opened.append(_renewed(again, source, one, now_ms))
        else:
            item = InboxItem(
                id=new_id(), tenant=tenant, source=source, opened_ms=now_ms, computed_ms=now_ms, **asdict(one)
            )
            opened.append(item)
    for item in items:
        if item.key not in conditions and item.source in found:
            in_time = now_ms <= item.due_ms if item.due_ms else None
            closed.append(replace(item, closed_ms=now_ms, closed_by=COMPUTED, in_time=in_time))
    return InboxChange(opened, closed, stayed)


def _renewed(item: InboxItem, source: str, one: Condition, now_ms: int) -> InboxItem:
    """An item with what its condition says now. Its date may come nearer, and never moves away; who has it now has not seen
    it."""
    dates = [date for date in (item.due_ms, one.due_ms) if date]
    facts = {**asdict(one), "due_ms": min(dates, default=0)}
    if one.person.casefold() != item.person.casefold():
        facts |= {"seen_ms": 0, "seen_by": "", "marks": ()}
    return replace(item, source=source, computed_ms=now_ms, **facts)
