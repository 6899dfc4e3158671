"""Random logs and what the Python fold makes of them, one JSON line a case: what the TypeScript fold is held to."""

from __future__ import annotations

import copy
import sys

import msgspec
from tests.unit.page.random_log import RandomLog

from holdfast.protocol.codec import canonical, encode
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View


def case(seed: int, count: int, start: int) -> bytes:
    """``count`` random events: the first ``start`` become the snapshot to begin with, the rest is to be folded."""
    log = RandomLog(seed)
    events = msgspec.json.decode(encode(log.write(count)), type=list[Event])
    looks = sorted(log.random.sample(range(start, count), 3))
    view, joins, seen = View(), [], []
    for event in events[:start]:
        view.apply(event)
    before = copy.deepcopy(view.export())
    for number, event in enumerate(events[start:], start):
        joins.append(view.apply(event))
        if number in looks:
            seen.append(canonical(view.export()).decode())
    shown = [f"{item['kind']} {item['id']}" for item in view.visible()]
    return encode(
        {
            "seed": seed, "view": before, "events": events[start:], "looks": [look - start for look in looks],
            "joins": joins, "seen": seen, "end": canonical(view.export()).decode(), "shown": shown,
        }
    )  # fmt: skip


for seed in range(400):
    sys.stdout.buffer.write(case(seed, 120, 0) + b"\n")
for seed in range(1_000, 1_100):
    sys.stdout.buffer.write(case(seed, 100, 50) + b"\n")
