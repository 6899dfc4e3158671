"""A workflow in one sentence: what is due says when, and what is late how late."""

from __future__ import annotations

import zoneinfo

import pytest

from holdfast.governance.rollout.critical_path import NextAction
from holdfast.governance.rollout.doors import GateStatus
from holdfast.governance.rollout.registry import GATES
from holdfast.governance.rollout.sentence import sentence
from holdfast.governance.workflows.model import CurrentWorkflow
from tests.unit.governance.rollout.conftest import DAY_MS

DUE = 1_764_316_800_000  # Fri 28 Nov 2025, 08:00 UTC
OTHERS = {gate.name: GateStatus(gate=gate.name, workflow="mail", verdict="pass", shown="pass") for gate in GATES}
GATE = GateStatus(gate="6.a", workflow="mail", verdict="fail", shown="fail", reason="the owner ann has left")
ACTION = NextAction(
    gate="6.a", what="Name another owner", why="", who="cem", workflows=("mail",), stopped=("mail",), due_ms=DUE
)


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (-2, "by Fri 28 Nov:"),
        (0, "by Fri 28 Nov:"),
        (1, "by Fri 28 Nov, 1 day late:"),
        (9, "by Fri 28 Nov, 9 days late:"),
    ],
)
def test_what_is_late_says_so(days: int, words: str) -> None:
    facts = CurrentWorkflow(workflow="mail", state="pilot", mode="enforce", owner="ann", since_ms=0)
    found = sentence(facts, OTHERS | {"6.a": GATE}, [ACTION], zoneinfo.ZoneInfo("UTC"), DUE + days * DAY_MS)
    assert (
        found
        == f"mail begins nothing new, gate 6.a fails: the owner ann has left. cem has to {words} name another owner."
    )
