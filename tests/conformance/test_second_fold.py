"""PROTOCOL.md, section 6, is enough to write a fold: one that was written from it alone gives the same bytes."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from conformance.cases import EMPTY_VIEW, Case, filled, load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.protocol import codec
from holdfast.protocol import events as e
from holdfast.protocol.compaction import merge
from holdfast.protocol.events import Event
from holdfast.protocol.fold import HANDLERS, View
from tests.conformance.second_fold import TYPES, Fold
from tests.conformance.second_json import canonical
from tests.property.histories import History, histories
from tests.unit.page.random_log import RandomLog

CASES = [case for case in load() if case.kind == "fold" and "refused" not in case.body]


def given_events(case: Case) -> list[dict[str, Any]]:
    if "raw" in case.body:
        return [json.loads(line) for line in case.body["raw"].splitlines() if line.strip()]
    return filled(case.body.get("events", []))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_it_holds_in_every_case(case: Case) -> None:
    start = json.loads(json.dumps({**EMPTY_VIEW, **case.body["view"]})) if "view" in case.body else None
    fold = Fold(start)
    joins = [fold.apply(event) for event in given_events(case)]
    assert [number for number, joined in enumerate(joins, 1) if not joined] == case.body.get("bad_joins", [])
    wanted = {**EMPTY_VIEW, **case.body.get("view", {}), **case.body.get("expect", {})}
    if "state" in case.body:
        assert canonical(fold.view["state"]) == case.body["state"]
        wanted["state"] = fold.view["state"]
    assert canonical(fold.view) == canonical(wanted)
    if "shown" in case.body:
        assert [f"{item['kind']} {item['id']}" for item in fold.shown()] == case.body["shown"]


def compare(events: list[Event], cut: int) -> None:
    """Both folds of the same bytes, with a look (and a reload) on the way."""
    view, fold = View(), Fold()
    for number, raw in enumerate(map(codec.encode, events)):
        if number == cut:
            fold = Fold(json.loads(canonical(fold.view)))
        assert view.apply(msgspec.json.decode(raw, type=Event)) == fold.apply(json.loads(raw))
    exported = codec.canonical(view.export()).decode()
    assert canonical(fold.view) == exported
    shown = View.load(json.loads(exported)).visible()
    assert [(i["kind"], i["id"]) for i in fold.shown()] == [(i["kind"], i["id"]) for i in shown]


@pytest.mark.parametrize("seed", range(0, 200, 10))
def test_it_gives_the_same_bytes_for_random_logs(seed: int) -> None:
    for one in range(seed, seed + 10):
        compare(RandomLog(one).write(120), random.Random(one).randrange(120))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories(), data=st.data())
def test_it_gives_the_same_bytes_for_random_histories(history: History, data: st.DataObject) -> None:
    compare(history.events, data.draw(st.integers(0, len(history.events))))
    compare(merge(history.events), 0)


@pytest.mark.parametrize("seed", range(40))
def test_it_goes_on_from_a_window_as_ours_does(seed: int) -> None:
    """SUB-5: what the window left out is not known any more; events about it are skipped."""
    events, view = RandomLog(seed).write(160), View()
    view.apply_all(events[:100])
    view.trim(1_500)
    window = json.loads(codec.encode(view.export()))
    view, fold = View.load(json.loads(json.dumps(window))), Fold(window)
    for event in events[100:]:
        assert view.apply(event) == fold.apply(json.loads(codec.encode(event)))
    assert canonical(fold.view) == codec.canonical(view.export()).decode()
    assert [(i["kind"], i["id"]) for i in fold.shown()] == [(i["kind"], i["id"]) for i in view.visible()]


def test_it_knows_every_type_that_a_fold_does_something_with() -> None:
    assert set(HANDLERS) == TYPES
    known = {value for name, value in vars(e).items() if name.isupper() and isinstance(value, str)}
    assert known - TYPES == {e.RAW, e.CUSTOM, e.USAGE_RECORDED, e.UPSTREAM_UNKNOWN, e.APPROVAL_USED}
