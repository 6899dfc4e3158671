"""Whatever a tool returned, the run goes on, and its call shows the result or why it cannot be shown."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import enum
import json
import uuid
from collections import UserDict, deque, namedtuple
from collections.abc import Callable
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.agents.results import from_content, to_content, to_data, to_model_text
from holdfast.agents.run import RunContext
from holdfast.errors import Refused, Unavailable
from holdfast.protocol import limits
from tests.unit.agents.conftest import House, items, seen

pytestmark = pytest.mark.anyio


class Order(pydantic.BaseModel):
    number: int
    note: bytes = b""
    placed: datetime.date = datetime.date(2024, 5, 6)


class Fault:
    """Whatever is asked of it fails."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("not even that")

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Quiet:
    def __repr__(self) -> str:
        return "a quiet thing"


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    of: Any = None


class Tagged(msgspec.Struct, tag="t", rename="camel"):
    long_name: Any = None


class Numbers:
    def tolist(self) -> list[float]:
        return [1.5, float("nan")]


Pair = namedtuple("Pair", "a b")


def deep(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = [value]
    return value


def itself() -> Any:
    value: dict[str, Any] = {"n": 1}
    value["again"] = [value, value]
    return value


def lazily() -> Any:
    yield 1


CASES: list[tuple[str, Callable[[], Any], Any]] = [
    ("bytes", lambda: b"\xff\x00", "/wA="),
    ("bytes inside", lambda: {"raw": [bytearray(b"a"), memoryview(b"b")]}, {"raw": ["YQ==", "Yg=="]}),
    ("a set", lambda: {7}, [7]),
    ("a tuple", lambda: (1, (2,)), [1, [2]]),
    ("a named tuple", lambda: Pair(1, 2), [1, 2]),
    ("a deque", lambda: deque([1]), [1]),
    ("a mapping", lambda: UserDict(a=1), {"a": 1}),
    ("numbers as keys", lambda: {1: "a", None: "b", 1.5: "c", (1, 2): "d"}, None),
    ("nan", lambda: [float("nan"), float("inf"), -float("inf")], ["NaN", "Infinity", "-Infinity"]),
    ("an integer of 64 bits", lambda: 2**63 + 1, 2**63 + 1),
    ("a huge integer", lambda: 10**40, str(10**40)),
    ("an integer too long for decimals", lambda: 1 << 50_000, hex(1 << 50_000)),
    ("a pydantic model", lambda: Order(number=3), {"number": 3, "note": "", "placed": "2024-05-06"}),
    ("one that is no JSON", lambda: [Order(number=3, note=b"\xff")], [{"number": 3, "note": "/w==", "placed": "2024-05-06"}]),
    ("a dataclass", lambda: Point(1, Point(2)), {"x": 1, "of": {"x": 2, "of": None}}),
    ("a struct", lambda: Tagged(b"\xff"), {"type": "t", "longName": "/w=="}),
    ("an enum", lambda: [Colour.RED, {Colour.RED: 1}], ["red", {"red": 1}]),
    ("dates", lambda: datetime.datetime(2024, 5, 6, tzinfo=datetime.UTC), "2024-05-06T00:00:00Z"),
    ("decimals", lambda: decimal.Decimal("1.10"), "1.10"),
    ("uuids", lambda: uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    ("an array", Numbers, [1.5, "NaN"]),
    ("an object", Quiet, "a quiet thing"),
    ("an object that fails", lambda: [Fault()], ["a Fault that cannot be shown"]),
    ("a class", lambda: Order, str(Order)),
    ("a generator", lazily, None),
    ("itself", itself, {"n": 1, "again": ["… this again"] * 2}),
    ("nested 5,000 deep", lambda: deep(5_000), None),
    ("a text nested 100,000 deep", lambda: "[" * 100_000, "[" * 100_000),
    ("a text that looks like JSON", lambda: '{"a": 1}', '{"a": 1}'),
    ("nothing", lambda: None, None),
]  # fmt: skip


@pytest.mark.parametrize(("what", "make", "expected"), CASES, ids=[what for what, _, _ in CASES])
def test_the_nearest_json(what: str, make: Callable[[], Any], expected: Any) -> None:
    content = to_content(make())
    content.encode()
    if expected is not None:
        assert from_content(content) == expected
    assert to_model_text(make()).encode()


def test_what_is_too_deep_or_too_much_says_so() -> None:
    content = to_content(deep(5_000))
    assert content == "[" * 100 + f'"… nested more than {limits.RESULT_DEPTH} deep"' + "]" * 100
    assert from_content(to_content(deep(99))) == deep(99)
    assert from_content(to_content("[" * 100_000)) == "[" * 100_000


def test_what_is_shared_many_times_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RESULT_NODES", 1_000)
    value: Any = ["x"]
    for _ in range(60):
        value = [value, value, {"a": value}]
    content = to_content(value)
    assert len(content) < 100_000 and "and more than can be shown" in content


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values | st.sampled_from(["1", "null", '"x"', "{}", "[1]", "NaN", "Infinity", " 1", "-0", "1e400"]))
def test_json_comes_back_as_it_was(value: Any) -> None:
    back = from_content(to_content(value))
    assert back == value and type(back) is type(value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.decimals() | st.dates() | st.uuids()
    | st.text(st.characters(exclude_categories=[])) | st.sampled_from([Colour.RED, Order, Quiet(), object()]) | st.builds(Fault),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(st.characters(exclude_categories=[])), inner)
    | st.builds(Point, st.integers(), inner) | st.builds(Tagged, inner),
)  # fmt: skip


@given(anything)
def test_anything_is_json_then(value: Any) -> None:
    content = to_content(value)
    content.encode()
    if not isinstance(value, str):
        assert json.loads(content) == to_data(value)


# --- in a run
async def test_the_run_goes_on_whatever_its_tools_return(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    acted: list[str] = []
    returned: list[Any] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        for what, make, _ in CASES:

            def tool(make: Callable[[], Any] = make, what: str = what) -> Any:
                acted.append(what)
                return make()

            returned.append(await run.tool(what, {}, tool))
        await run.say("done")

    house.serve(worker)
    run = await session.send("hi")
    assert (await run.finished())["status"] == "completed"
    calls = items(await session.state(), "tool")
    names = [what for what, _, _ in CASES]
    assert acted == names == [call["name"] for call in calls]
    for call, (what, _, expected) in zip(calls, CASES, strict=True):
        assert call["status"] == "done", what
        if expected is not None:
            assert from_content(call["result"]) == expected, what
    assert isinstance(returned[10], int)


async def test_results_that_cannot_be_kept_say_why(house: House) -> None:
    """Three million characters where nothing stores them, and where the store refuses, or fails for a while."""
    worker, session = await house.worker(), await house.session()
    failures: list[Exception] = [
        Refused("input.too_large", "a blob has at most so many bytes"),
        Unavailable("disk.full"),
    ]
    sea = "é🌊" * 1_500_000

    async def store(data: bytes) -> str:
        if failures:
            raise failures.pop(0)
        assert data == sea.encode()
        return "f" * 64

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        run.tools.store = None
        assert await run.tool("nowhere", {}, lambda: sea) == sea
        run.tools.store = store
        assert await run.tool("refused", {}, lambda: sea) == sea
        assert await run.tool("later", {}, lambda: sea) == sea

    house.serve(worker)
    run = await session.send("hi")
    assert (await run.finished())["status"] == "completed"
    nowhere, refused, later = items(await session.state(), "tool")
    assert nowhere["result"] == refused["result"] == later["result"] == sea[:1_024]
    assert nowhere["error"]["message"].endswith("is not kept: there is nowhere to keep it")
    assert "at most so many bytes" in refused["error"]["message"]
    assert (later["blob"], later.get("error")) == ("f" * 64, None)


@pytest.mark.parametrize("text", ['"' * 200_000, "\x01" * 100_000, "\n" * 150_000])
async def test_what_grows_when_it_is_written_as_json_is_measured_so(house: House, text: str) -> None:
    worker, session = await house.worker(), await house.session()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        run.tools.store = None
        await run.tool("quotes", {}, lambda: text)

    house.serve(worker)
    run = await session.send("hi")
    assert (await run.finished())["status"] == "completed"
    assert items(await session.state(), "tool")[0]["error"]["code"] == "input.too_large"


async def test_a_journal_that_is_nearly_full_keeps_results_as_blobs(house: House) -> None:
    from holdfast.embed import EmbeddedBlobs
    from holdfast.session.access import full_access

    worker, session = await house.worker(), await house.session()
    worker.blobs = EmbeddedBlobs(house.hub, full_access("t", "agent:worker", ("*",)))
    many, each = 24, "x" * (limits.JOURNAL_BYTES // 20)
    again: list[str] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        for number in range(many):
            again.append(await run.tool("page", {"number": number}, lambda number: f"{number}{each}"))
        await run.approve("go", {}, wait=True)

    house.serve(worker)
    run = await session.send("hi")
    view = await seen(session, lambda v: any(r["status"] in ("waiting", "failed") for r in v.runs.values()))
    assert view.runs[run.id]["status"] == "waiting", view.runs[run.id]
    calls = items(view, "tool")
    assert len(calls) == many and sum("blob" in call for call in calls) > many / 3
    await session.approve(items(view, "approval")[0]["id"])
    assert (await run.finished())["status"] == "completed"
    assert again == [f"{number}{each}" for number in range(many)] * 2


async def test_a_call_id_that_is_used_again_gives_what_it_gave(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    acted: list[int] = []
    values: list[Any] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        def act(n: int) -> int:
            acted.append(n)
            return 10 * n

        values.extend([await run.tool("act", {"n": 1}, act, call_id="c1") for _ in range(2)])
        try:
            await run.tool("act", {"n": 2}, act, call_id="c1")
        except (Refused, asyncio.CancelledError) as error:
            values.append(type(error))
            raise

    house.serve(worker)
    run = await session.send("hi", attempts=1)
    over = await run.finished()
    assert over["error"]["code"] == "content.exists", "another call must not be taken for this one"
    assert (acted, values[:2]) == ([1], [10, 10])
