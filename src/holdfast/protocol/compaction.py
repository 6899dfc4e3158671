"""Compaction: adjacent deltas of one text become one event that covers their positions (FOLD-5).

Nothing is reordered and nothing but deltas is touched, so folding the result gives the same view.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from holdfast.protocol import limits
from holdfast.protocol.events import DELTAS, Event


def merge(events: Iterable[Event]) -> list[Event]:
    """Merge runs of adjacent deltas of the same text by the same author; everything else is kept as it is."""
    merged: list[Event] = []
    parts: list[str] = []
    size = 0
    for event in events:
        delta = event.data.get("delta")
        if (
            merged
            and isinstance(delta, str)
            and _continues(merged[-1], event)
            and size + len(delta) <= limits.COVER_CHARS
        ):
            if not parts:
                merged[-1] = msgspec.structs.replace(merged[-1], data=dict(merged[-1].data))
                parts = [merged[-1].data["delta"]]
            parts.append(delta)
            size += len(delta)
            merged[-1].to = event.last
            continue
        _close(merged, parts)
        parts, size = [], len(delta) if isinstance(delta, str) else 0
        merged.append(event)
    _close(merged, parts)
    return merged


def _close(merged: list[Event], parts: list[str]) -> None:
    if parts:
        merged[-1].data["delta"] = "".join(parts)


def _continues(previous: Event, event: Event) -> bool:
    field = DELTAS.get(event.type)
    return (
        field is not None
        and previous.type == event.type
        and previous.last + 1 == event.seq
        and previous.data.get(field) == event.data.get(field)
        and isinstance(previous.data.get("delta"), str)
        and (previous.actor, previous.run, previous.attempt) == (event.actor, event.run, event.attempt)
        and previous.offset is not None
        and event.offset is not None
    )
