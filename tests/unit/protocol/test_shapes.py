"""What a view holds has exactly the shape that ``protocol/items.py`` and ``protocol/view_data.py`` say, to the last key."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from conformance.cases import Case, filled, load
from hypothesis import given, settings

from holdfast.protocol import items, rows, view_data
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View
from holdfast.protocol.items import Item
from holdfast.protocol.view_data import PageData, RunEntry, ViewData
from tests.property.histories import History, histories
from tests.shapes import deviations
from tests.test_docs import everything

ROOT = Path(__file__).parents[3]
FOLDED = [case for case in load() if case.kind in ("fold", "conversation") and "view" not in case.body]
"""Cases that begin with nothing: views that a case brings along may be cut to what it is about."""


def as_read(view: View) -> Any:
    return json.loads(encode(view.export()))


def test_a_session_in_which_everything_happens_has_these_shapes() -> None:
    data = as_read(everything()[1])
    assert list(deviations(data, ViewData)) == []
    assert {item["kind"] for item in data["items"]} == {
        kind for one in get_args(Item) for kind in get_args(get_type_hints(one)["kind"])
    }


@given(histories(120))
@settings(max_examples=60, deadline=None)
def test_random_histories_have_these_shapes(history: History) -> None:
    view = View()
    view.apply_all(history.events)
    assert list(deviations(as_read(view), ViewData)) == []
    page = view.trim(0)
    assert page is None or list(deviations(json.loads(encode(page)), PageData)) == []


@pytest.mark.parametrize("case", FOLDED, ids=lambda case: case.id)
def test_the_cases_of_conformance_have_these_shapes(case: Case) -> None:
    view = View()
    for event in filled(case.body["events"]) if "events" in case.body else []:
        view.apply(msgspec.convert(event, Event))
    assert list(deviations(as_read(view), ViewData)) == []


def test_what_deviates_is_found() -> None:
    run = as_read(everything()[1])["runs"].popitem()[1]
    assert list(deviations(run, RunEntry)) == []
    assert list(deviations({**run, "colour": 1}, RunEntry)) == [".colour: not in RunEntry"]
    assert list(deviations({k: v for k, v in run.items() if k != "by"}, RunEntry)) == [".by: missing of RunEntry"]
    assert len(list(deviations({**run, "attempt": True, "status": "done"}, RunEntry))) == 2


# --- the same in TypeScript -------------------------------------------------------------------------------------------
TWINS = {
    "Source": items.SourceEntry, "MessageItem": items.MessageItem, "ReasoningItem": items.ReasoningItem,
    "ToolItem": items.ToolItem, "StepItem": items.StepItem, "ActivityItem": items.ActivityItem,
    "ApprovalItem": items.ApprovalItem, "SteerItem": items.SteerItem, "RunState": view_data.RunEntry,
    "SessionRow": rows.SessionRow, "PresenceEntry": rows.PresenceEntry, "ViewData": view_data.ViewData, "HistoryPage": view_data.HistoryPage,
}  # fmt: skip
"""Interfaces of the TypeScript client, and what they are called here."""


def interface(name: str) -> dict[str, bool]:
    """The fields of an interface, those of what it extends too, and whether they may be absent."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "web/packages/client/src/protocol.ts").read_text(), flags=re.DOTALL)
    found = re.search(rf"^(?:export )?interface {name}(?: extends (\w+))? {{\n(.*?)^}}", text, re.MULTILINE | re.DOTALL)
    assert found, name
    own = {field: bool(mark) for field, mark in re.findall(r"^  (\w+)(\??):", found[2], re.MULTILINE)}
    return {**(interface(found[1]) if found[1] else {}), **own}


@pytest.mark.parametrize("name", TWINS)
def test_the_typescript_client_has_the_same_fields(name: str) -> None:
    shape = TWINS[name]
    assert interface(name) == {field: field in shape.__optional_keys__ for field in shape.__annotations__}
