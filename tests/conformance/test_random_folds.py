"""FOLD-6 on random legal histories: every client's fold gives the bytes that the server's gives."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from conformance.driver import Driver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance import play_fold
from holdfast.protocol.codec import canonical, encode
from holdfast.protocol.compaction import merge
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View
from tests.conformance.clients import CLIENTS, command
from tests.property.histories import History, histories

Folder = Any


@pytest.fixture(scope="module", params=CLIENTS)
def fold(request: pytest.FixtureRequest) -> Iterator[Folder]:
    """Folds events, on top of a view or from nothing, with a client's driver."""
    driver_command = command(request.param)
    with asyncio.Runner() as runner:
        driver = runner.run(Driver.start(driver_command))

        def folded(events: list[Event], view: Any = None) -> dict[str, Any]:
            return runner.run(play_fold.fold(driver, encode(events).decode(), view))

        yield folded
        runner.run(driver.stop())


def exported(events: list[Event]) -> dict[str, Any]:
    view = View()
    for event in msgspec.json.decode(encode(events), type=list[Event]):
        view.apply(event)
    return view.export()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories(), data=st.data())
def test_random_histories_fold_to_the_same_bytes(fold: Folder, history: History, data: st.DataObject) -> None:
    wanted = exported(history.events)
    whole = fold(history.events)
    assert all(whole["joins"])
    assert canonical(whole["view"]) == canonical(wanted)
    shown = View.load(msgspec.json.decode(encode(wanted))).visible()
    assert whole["shown"] == [f"{item['kind']} {item['id']}" for item in shown]
    cut = data.draw(st.integers(0, len(history.events)))
    rest = fold(history.events[cut:], msgspec.json.decode(encode(exported(history.events[:cut]))))
    assert canonical(rest["view"]) == canonical(wanted), "FOLD-2"
    assert canonical(fold(merge(history.events))["view"]) == canonical(wanted), "FOLD-5"
