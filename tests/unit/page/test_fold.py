"""FOLD-6: the page's fold and ours give byte-equal canonical JSON, whatever the log says."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.protocol.codec import canonical, encode
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View
from tests.unit.page.random_log import RandomLog

PAGE = Path(__file__).parents[3] / "src/holdfast/demo/page"
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def in_node(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the page's fold makes of the cases."""
    lines = b"\n".join(encode(case) for case in cases) + b"\n"
    modules = [(PAGE / name).as_uri() for name in ("fold.js", "canonical.js", "branch.js")]
    command = [str(NODE), str(Path(__file__).with_name("fold_cases.mjs")), *modules]
    done = subprocess.run(command, input=lines, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def through_the_wire(events: list[Event]) -> list[Event]:
    return msgspec.json.decode(encode(events), type=list[Event])


def expected(events: list[Event], looks: list[int]) -> dict[str, Any]:
    view, joins, seen = View(), [], []
    for number, event in enumerate(through_the_wire(events)):
        joins.append(view.apply(event))
        if number in looks:
            seen.append(canonical(view.export()).decode())
    shown = [f"{item['kind']} {item['id']}" for item in view.visible()]
    return {"joins": joins, "seen": seen, "end": canonical(view.export()).decode(), "shown": shown}


def test_random_logs_fold_to_the_same_bytes() -> None:
    cases, answers = [], []
    for seed in range(400):
        log = RandomLog(seed)
        events = log.write(120)
        looks = sorted(log.random.sample(range(len(events)), 3))
        cases.append({"events": events, "looks": looks})
        answers.append(expected(events, looks))
    for seed, (got, wanted) in enumerate(zip(in_node(cases), answers, strict=True)):
        assert got == wanted, f"seed {seed}"


def test_a_snapshot_and_what_follows_fold_to_the_whole() -> None:
    """FOLD-2, across languages: our snapshot at n, the page's fold of the rest."""
    cases, answers = [], []
    for seed in range(1000, 1100):
        events = RandomLog(seed).write(100)
        middle, whole = View(), View()
        for event in through_the_wire(events[:50]):
            middle.apply(event)
        for event in through_the_wire(events):
            whole.apply(event)
        cases.append({"view": copy.deepcopy(middle.export()), "events": events[50:], "looks": []})
        answers.append(canonical(whole.export()).decode())
    for seed, (got, wanted) in enumerate(zip(in_node(cases), answers, strict=True)):
        assert got["end"] == wanted, f"seed {1000 + seed}"


def test_another_fold_version_is_refused() -> None:
    case = {"view": {**View().export(), "fold": 2}, "events": [], "looks": []}
    with pytest.raises(AssertionError, match="fold version 2"):
        in_node([case])
