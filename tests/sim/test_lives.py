"""Random histories of one session id: created, deleted, put back, frozen, woken (LIFE-1, LIFE-2).

``HOLDFAST_LIVES=1000`` makes it long; a seed takes the same steps again.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

import pytest

from tests.sim.lives import run_lives

SEEDS = int(os.environ.get("HOLDFAST_LIVES", "16"))
FIRST = int(os.environ.get("HOLDFAST_LIVES_FIRST", "0"))
PART = 8


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, PART))
def test_nothing_of_a_former_life_acts_in_a_later_one(
    first: int, record_property: Callable[[str, object], None]
) -> None:
    happened: Counter[str] = Counter()
    for seed in range(first, min(first + PART, FIRST + SEEDS)):
        try:
            happened.update(run_lives(seed).counts)
        except BaseException as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    record_property("seed", first)
    record_property("histories", min(PART, FIRST + SEEDS - first))
    for name, count in happened.items():
        record_property(name, count)
    for name in ("delete", "put back", "freeze", "a ghost heard run.fenced", "a ghost heard session.incarnation"):
        assert happened[name] > 0, f"nothing of {name} happened"
    assert happened["lives"] > 3 * PART
