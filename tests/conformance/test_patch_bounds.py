"""FOLD-9: what a patch may make of a document is bounded, and the bounds are the same bytes in every language."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from conformance.driver import Driver

from conformance import play_fold
from holdfast.protocol import limits
from holdfast.protocol.codec import canonical, encode
from tests.conformance.clients import CLIENTS, command

MOST = limits.SESSION_STATE_BYTES


@pytest.fixture(scope="module", params=CLIENTS)
def state(request: pytest.FixtureRequest) -> Iterator[Any]:
    """What a client makes of a state and patches, each a delta of its own."""
    driver_command = command(request.param)
    with asyncio.Runner() as runner:
        driver = runner.run(Driver.start(driver_command))

        def folded(before: Any, *patches: Any, kind: str = "state") -> Any:
            if kind == "state":
                events = [("STATE_SNAPSHOT", {"snapshot": before})]
                events += [("STATE_DELTA", {"delta": patch}) for patch in patches]
            else:
                about = {"messageId": "a", "activityType": "PLAN"}
                events = [("ACTIVITY_SNAPSHOT", {**about, "content": before})]
                events += [("ACTIVITY_DELTA", {**about, "patch": patch}) for patch in patches]
            log = [
                {"seq": seq, "ts": 1, "actor": "agent:a", "type": type_, "data": data}
                for seq, (type_, data) in enumerate(events, 1)
            ]
            answer = runner.run(play_fold.fold(driver, encode(log).decode()))
            assert all(answer["joins"])
            return answer["view"]["state"] if kind == "state" else answer["view"]["items"][0]["content"]

        yield folded
        runner.run(driver.stop())


def nested(levels: int, inner: Any = 0) -> Any:
    value = inner
    for _ in range(levels):
        value = {"a": value}
    return value


def pointer(levels: int) -> str:
    return "/a" * levels


@pytest.mark.parametrize("kind", ["state", "activity"])
def test_a_patch_makes_a_document_as_deep_as_data_may_be_and_no_deeper(state: Any, kind: str) -> None:
    before = nested(20)
    fits = [{"op": "replace", "path": pointer(20), "value": nested(limits.JSON_DEPTH - 20)}]
    assert state(before, fits, kind=kind) == nested(limits.JSON_DEPTH)
    deeper = [{"op": "replace", "path": pointer(20), "value": nested(limits.JSON_DEPTH - 19)}]
    assert state(before, deeper, kind=kind) == before
    by_move = [{"op": "add", "path": "/b", "value": nested(20)}, {"op": "move", "from": "/b", "path": pointer(20)}]
    assert state(before, by_move, kind=kind) == before
    by_copy = [{"op": "copy", "from": "", "path": pointer(20)}]
    assert state(before, by_copy, kind=kind) == before
    and_back = [{"op": "add", "path": pointer(20), "value": nested(13)}, {"op": "remove", "path": "/a"}]
    assert state(before, and_back, kind=kind) == before, "also on the way"


def test_patch_after_patch_does_not_go_deeper(state: Any) -> None:
    grow = [[{"op": "replace", "path": pointer(at), "value": nested(10)}] for at in range(0, 3_000, 10)]
    assert state(0, *grow) == nested(30)


def test_copies_that_double_a_document_end_at_its_bound(state: Any) -> None:
    before = {"a": "x" * 1_000}
    doubling = [{"op": "copy", "from": "", "path": f"/k{number}"} for number in range(60)]
    assert state(before, doubling) == before
    wide = [{"op": "copy", "from": "/a", "path": f"/k{number}"} for number in range(200)]
    assert len(state(before, wide)) == 201
    gone = [step for number in range(300) for step in (
        {"op": "copy", "from": "/a", "path": f"/k{number}"}, {"op": "remove", "path": f"/k{number}"},
    )]  # fmt: skip
    assert "k" not in state(before, [*gone, {"op": "add", "path": "/k", "value": 1}]), (
        "what is copied counts, not what is kept"
    )


@pytest.mark.parametrize("kind", ["state", "activity"])
@pytest.mark.parametrize(
    "filler", ["é", "🌊", '"', "\b", "\u001f", "\u2028", -0.0, 1e21, 1e-7, 1e20, 0.1, True], ids=repr
)
def test_the_size_of_a_document_is_that_of_its_canonical_json(state: Any, filler: Any, kind: str) -> None:
    """To the byte: ``1.0`` counts as ``1``, whatever a library writes."""
    one = len(canonical(filler)) - (2 if isinstance(filler, str) else -1)
    many = (MOST - 2_000) // one
    bulk = [filler] * many if not isinstance(filler, str) else filler * many
    part = bulk[: many // 2], bulk[many // 2 :]
    before = {"a": part[0], "b": 0, "pad": ""}
    whole = [{"op": "replace", "path": "/b", "value": part[1]}]
    room = MOST - len(canonical({"a": part[0], "b": part[1], "pad": ""}))
    assert 0 < room < 3_000
    fits = [*whole, {"op": "replace", "path": "/pad", "value": "p" * room}]
    assert len(canonical(state(before, fits, kind=kind))) == MOST
    over = [*whole, {"op": "replace", "path": "/pad", "value": "p" * (room + 1)}]
    assert canonical(state(before, over, kind=kind)) == canonical(before)
