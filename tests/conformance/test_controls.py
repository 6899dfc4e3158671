"""The suite can fail: each planted bug is noticed by a case of the rule it breaks."""

from __future__ import annotations

import asyncio
import shlex
import sys

import pytest
from conformance.driver import ENDED
from conformance.drivers.broken import BUGS

from conformance import cases, run

RULES = {
    "repeats": "SUB-2", "gaps": "SUB-2", "joins": "FOLD-3", "units": "FOLD-3", "spinners": "FOLD-4", "keys": "LOG-5",
    "forgets": "LOG-5", "tails": "SUB-1", "lives": "SUB-3", "patches": "FOLD-6",
}  # fmt: skip


def test_every_planted_bug_is_tried() -> None:
    assert RULES.keys() == BUGS.keys()


@pytest.mark.parametrize("bug", RULES)
def test_a_planted_bug_is_noticed(bug: str) -> None:
    chosen = [case for case in cases.select(cases.load(), [RULES[bug]]) if case.kind in ("fold", "script")]
    chosen = [case for case in chosen if not case.body.get("slow")]
    driver = f"{shlex.quote(sys.executable)} -m conformance.drivers.broken {bug}"
    outcomes = asyncio.run(run.run(chosen, driver, jobs=2, wait_s=3, first=True))
    problems = [outcome.problem for outcome in outcomes if not outcome.passed]
    assert problems, f"no case of {RULES[bug]} noticed {bug}"
    assert not any(ENDED in problem for problem in problems), "a driver that ends plants nothing: see what it wrote"
