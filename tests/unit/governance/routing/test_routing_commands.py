"""``holdfast routing`` and ``holdfast outcomes`` on a store's own file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import Refused
from holdfast.governance.outcomes import commands as outcome_commands
from holdfast.governance.routing import commands
from tests.unit.governance.governed_server import runner

DOCUMENT = """
models: {small: {window: 1000}, large: {window: 1000}}
rules: [{name: eu, when: {data: personal}, regions: [eu]}]
routes: [{name: reply, workflow: mail, task: reply, candidates: [small, large], floor: 0.8}]
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    return runner(commands.app, "--governance", str(tmp_path / "store.db"))


def set_document(run: Callable[..., Any], tmp_path: Path, text: str) -> Any:
    file = tmp_path / "routing.yaml"
    file.write_text(text)
    return run("set", str(file))


def test_a_document_is_set_and_shown(run: Callable[..., Any], tmp_path: Path) -> None:
    assert "No routes" in run("show")
    assert "Version 1" in set_document(run, tmp_path, DOCUMENT)
    shown = run("show")
    assert "reply" in shown and "floor 0.8" in shown and "data=personal" in shown
    assert run("show", as_json=True)["versions"][0]["version"] == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("routes: [{name: r, workflow: w, candidates: [a, a]}]", "twice"),
        ("routes: [{name: r, workflow: w, candidates: [a], floor: 1}]", "floor"),
        ("routes: [{name: r, workflow: w, candidates: [a], incumbent: b}]", "incumbent"),
        ("routes: [{name: r, workflow: w, candidates: [route/a]}]", "name of a model"),
        ("rules: [{name: r, region: [eu]}]", "region"),
        ("rules: [{name: r}, {name: r}]", "two rules"),
        ("routes: [", "YAML"),
    ],
)
def test_what_cannot_be_enforced_is_refused_when_it_is_set(
    run: Callable[..., Any], tmp_path: Path, wrong: str, words: str
) -> None:
    with pytest.raises(Refused) as caught:
        set_document(run, tmp_path, wrong)
    assert caught.value.code == "routing.invalid" and words in caught.value.detail
    assert "No routes" in run("show"), "nothing of it holds"


def test_an_experiment_is_started_listed_and_stopped(run: Callable[..., Any], tmp_path: Path) -> None:
    set_document(run, tmp_path, DOCUMENT)
    assert "unseen" in run("experiment", "start", "try-small", "--route", "reply", "--cheap", "small")
    for wrong in (("again", "small"), ("other", "large"), ("none", "huge")):
        with pytest.raises(Refused) as caught:
            run("experiment", "start", wrong[0], "--route", "reply", "--cheap", wrong[1])
        assert caught.value.code == "routing.invalid"
    with pytest.raises(Refused, match="stop it first"):
        set_document(run, tmp_path, "routes: []")
    assert "shadow" in run("experiment", "list")
    assert "stopped" in run("experiment", "stop", "try-small", "--why", "enough")
    (one,) = run("experiment", "list", as_json=True)["experiments"]
    assert [step["after"] for step in one["steps"]] == ["shadow", "stopped"] and one["why"] == "enough"
    with pytest.raises(Refused):
        run("experiment", "stop", "try-small")
    with pytest.raises(Refused) as caught:
        run("experiment", "stop", "nobody")
    assert caught.value.code == "routing.not_found"


def test_an_outcome_of_work_without_a_row_is_unknown_in_the_report(run: Callable[..., Any], tmp_path: Path) -> None:
    outcomes = runner(outcome_commands.app, "--governance", str(tmp_path / "store.db"))
    assert "without a row" in outcomes("record", "accepted", "--call", "c-1", "--value", "2.5")
    assert "unknown" in outcomes("list")
    assert "unknown" in outcomes("proxies")
    assert "No outcomes" in run("report")
    set_document(run, tmp_path, DOCUMENT)
    rows = run("report", as_json=True)["models"]
    assert [(row["model"], row["n"], row["accepted_usd"]) for row in rows] == [("large", 0, None), ("small", 0, None)]
    assert "unknown" in run("report")
    assert "No decisions" in run("decisions")
