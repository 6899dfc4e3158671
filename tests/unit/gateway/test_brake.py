"""A budget ends a running answer: what the caller is given, byte by byte, in each dialect and by each policy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import pytest

from holdfast.gateway.port import BrakePolicy, Served
from holdfast.gateway.seen import SeenOutput
from holdfast.gateway.wires import WIRES, GatewayWire
from holdfast.protocol import limits
from holdfast.providers import pieces as p
from holdfast.providers.dialects import STREAM_DIALECTS
from holdfast.providers.usage import TokenUsage
from tests.fake_upstream.process import FakeUpstream

from .conftest import Site, served, upstreams_of
from .holds import ScriptedHold

pytestmark = [pytest.mark.anyio, pytest.mark.process]

PATHS = ["chat/completions", "responses", "messages"]
SAID: Any = [{"role": "user", "content": "Tell me something."}]
CAP = 60
T = TypeVar("T")


@pytest.fixture(autouse=True)
def _anew(fake: FakeUpstream) -> None:
    fake.reset()
    fake.always(tokens=400, input=30)


def body_of(path: str, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "claude-x" if path == "messages" else "gpt-5", **more}
    if path == "chat/completions" and body.get("stream"):
        body["stream_options"] = {"include_usage": True}
    return body | ({"input": SAID[0]["content"]} if path == "responses" else {"messages": SAID, "max_tokens": 999})


def wire_of(path: str) -> GatewayWire:
    return WIRES[f"/v1/{path}"]


def bounded(site: Site, **more: Any) -> list[ScriptedHold]:
    """Each attempt's money is bounded from here on."""
    holds: list[ScriptedHold] = []

    def hold(_: object) -> ScriptedHold:
        holds.append(ScriptedHold(20, **({"tranche": 20, "cap": CAP} | more)))
        return holds[-1]

    site.meter.hold = hold
    return holds


def read(path: str, data: bytes) -> list[p.Piece]:
    """The whole of a stream, as its dialect's codec reads it: nothing is unknown, and it has its end."""
    decoder = STREAM_DIALECTS[wire_of(path).name].decoder()
    pieces = [*decoder.feed(data), *decoder.close()]
    assert not [piece for piece in pieces if isinstance(piece, p.UnknownPart)]
    assert isinstance(pieces[-1], p.AnswerEnd | p.AnswerFailure)
    return pieces


def given(path: str, data: bytes) -> int:
    """Tokens of text that a caller was given. Responses repeats its texts, which is not counted."""
    seen = SeenOutput(wire_of(path))
    seen.add(*seen.weigh(data))
    return seen.tokens


async def ask(site: Site, path: str, **more: Any) -> bytes:
    async with site.http() as http:
        answer = await http.post(f"/v1/{path}", json=body_of(path, stream=True, **more))
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
    return answer.content


def is_cut(one: Served, code: str = "budget.exceeded") -> None:
    assert (one.outcome, one.reason) == ("cut", code) and not one.billed and one.estimated is not None
    assert one.estimated.total_output > 0


def last_of(kind: type[T], pieces: list[p.Piece]) -> T:
    return next(piece for piece in reversed(pieces) if isinstance(piece, kind))


# --- streams
@pytest.mark.parametrize("path", PATHS)
async def test_a_stream_ends_with_the_error_where_its_money_ends(fake: FakeUpstream, path: str) -> None:
    async with served(*upstreams_of(fake)) as site:
        holds = bounded(site)
        data = await ask(site, path)
        [one] = await site.meter.all_settled(1)
    pieces = read(path, data)
    failure = last_of(p.AnswerFailure, pieces)
    assert failure.code == "budget_exceeded" and "no money left" in failure.message
    assert failure.type == ("billing_error" if path == "messages" else "budget_exceeded")
    assert CAP - 4 <= given(path, data) <= CAP, "what was granted, and no more"
    assert holds[0].granted_to[-1] == CAP and len(holds[0].granted_to) >= 3
    assert (last_of(TokenUsage, pieces).output or 0) > 0, "usage is told before the error"
    is_cut(one)
    if path == "responses":
        flat = msgspec.json.decode(data.rstrip().rsplit(b"data: ", 1)[1])
        assert flat["code"] == flat["error"]["code"] == "budget_exceeded"
        assert b"event: response.incomplete\n" in data and data.index(b"response.incomplete") < data.index(
            b"event: error"
        )
    if path == "messages":
        assert b"event: content_block_stop\n" in data and b"\nevent: error\n" in data
        assert b'"details":{"error_code":"budget_exceeded"}' in data
    if path == "chat/completions":
        assert data.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("path", PATHS)
async def test_a_truncated_stream_ends_as_if_it_had_reached_its_limit(fake: FakeUpstream, path: str) -> None:
    async with served(*upstreams_of(fake)) as site:
        bounded(site, on_brake="truncate")
        data = await ask(site, path)
        [one] = await site.meter.all_settled(1)
    pieces = read(path, data)
    assert isinstance(pieces[-1], p.AnswerEnd) and b"budget" not in data
    finish = last_of(p.AnswerFinish, pieces)
    assert finish.stop == "length"
    assert finish.reason == {"messages": "max_tokens", "responses": "max_output_tokens"}.get(path, "length")
    assert 0 < given(path, data) <= CAP and (last_of(TokenUsage, pieces).output or 0) > 0
    is_cut(one)


@pytest.mark.parametrize("agreed", [True, False])
@pytest.mark.parametrize("path", PATHS)
async def test_a_stream_is_held_open_while_a_person_decides(
    fake: FakeUpstream, path: str, agreed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SSE_COMMENT_S", 0.01)
    ping = b"event: ping\n" if path == "messages" else b": waiting\n\n"
    async with served(*upstreams_of(fake)) as site, site.http() as http:
        holds = bounded(site, on_brake="ask")
        data = b""
        async with http.stream("POST", f"/v1/{path}", json=body_of(path, stream=True)) as answer:
            async for part in answer.aiter_raw():
                data += part
                if data.count(ping) >= 2 and not holds[0].answer.done():
                    assert holds[0].asked.is_set() and given(path, data) <= CAP
                    holds[0].answer.set_result(agreed)
        [one] = await site.meter.all_settled(1)
    pieces = read(path, data)
    if agreed:
        assert isinstance(pieces[-1], p.AnswerEnd) and one.outcome == "served" and one.billed[0].total_output == 400
        assert sum(isinstance(piece, p.TextDelta) for piece in pieces) == 400, "it goes on where it was"
    else:
        assert last_of(p.AnswerFailure, pieces).code == "budget_exceeded" and given(path, data) <= CAP
        is_cut(one)


@pytest.mark.parametrize("path", PATHS)
async def test_a_stream_with_money_goes_on_unchanged(fake: FakeUpstream, path: str) -> None:
    async with served(*upstreams_of(fake)) as site:
        free = await ask(site, path)
        holds = bounded(site, cap=10_000)
        paid = await ask(site, path)
        settled = await site.meter.all_settled(2)
    texts = [[piece for piece in read(path, data) if isinstance(piece, p.TextDelta)] for data in (free, paid)]
    assert texts[0] == texts[1] and len(texts[0]) == 400
    assert len(holds[0].granted_to) > 10 and [one.outcome for one in settled] == ["served", "served"]


@pytest.mark.parametrize("policy", ["error", "truncate"])
@pytest.mark.parametrize("path", PATHS)
async def test_an_open_call_of_a_tool_is_closed(fake: FakeUpstream, path: str, policy: BrakePolicy) -> None:
    fake.always(tokens=400, input=30, tool="look_up")
    async with served(*upstreams_of(fake)) as site:
        bounded(site, on_brake=policy)
        data = await ask(site, path)
    pieces = read(path, data)
    assert any(isinstance(piece, p.CallStart) for piece in pieces) and 0 < given(path, data) <= CAP
    assert isinstance(pieces[-1], p.AnswerEnd if policy == "truncate" else p.AnswerFailure)
    if path != "chat/completions":
        assert any(isinstance(piece, p.ItemEnd) for piece in pieces)


# --- answers in one piece
@pytest.mark.parametrize("path", PATHS)
async def test_whoever_waits_for_the_whole_gets_the_error(fake: FakeUpstream, path: str) -> None:
    async with served(*upstreams_of(fake)) as site, site.http() as http:
        bounded(site)
        answer = await http.post(f"/v1/{path}", json=body_of(path))
        [one] = await site.meter.all_settled(1)
    error = answer.json()["error"]
    assert answer.status_code == 402 and answer.headers["x-should-retry"] == "false"
    assert error.get("code", error.get("details", {}).get("error_code")) == "budget_exceeded"
    is_cut(one)


@pytest.mark.parametrize("path", PATHS)
async def test_whoever_waits_for_the_whole_gets_it_truncated(fake: FakeUpstream, path: str) -> None:
    async with served(*upstreams_of(fake)) as site, site.http() as http:
        bounded(site, on_brake="truncate")
        answer = (await http.post(f"/v1/{path}", json=body_of(path))).json()
    if path == "messages":
        assert answer["stop_reason"] == "max_tokens" and answer["content"][0]["text"].startswith("the quick brown")
        assert answer["usage"]["output_tokens"] > 0
    elif path == "responses":
        assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
        assert answer["output"][0]["content"][0]["text"].startswith("the quick brown")
    else:
        [choice] = answer["choices"]
        assert choice["finish_reason"] == "length" and choice["message"]["content"].startswith("the quick brown")
        assert answer["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize("agreed", [True, False])
@pytest.mark.parametrize("path", PATHS)
async def test_whoever_waits_for_the_whole_waits_for_a_person(fake: FakeUpstream, path: str, agreed: bool) -> None:
    async with served(*upstreams_of(fake)) as site, site.http() as http:
        holds = bounded(site, on_brake="ask")
        asking = asyncio.ensure_future(http.post(f"/v1/{path}", json=body_of(path)))
        while not (holds and holds[0].asked.is_set()):
            await asyncio.sleep(0)
        holds[0].answer.set_result(agreed)
        answer = await asking
    assert answer.status_code == (200 if agreed else 402)


# --- who goes while a person is asked
def _leaves(site: Site, asking: asyncio.Task[Any]) -> None:
    asking.cancel()


def _is_revoked(site: Site, asking: asyncio.Task[Any]) -> None:
    site.keys.revoked("k1")


@pytest.mark.parametrize(("goes", "reason"), [(_leaves, "caller.left"), (_is_revoked, "key.revoked")])
@pytest.mark.parametrize("path", PATHS)
async def test_nobody_is_asked_for_a_caller_who_has_gone(
    fake: FakeUpstream, path: str, goes: Callable[[Site, asyncio.Task[Any]], None], reason: str
) -> None:
    async with served(*upstreams_of(fake)) as site:
        holds = bounded(site, on_brake="ask")
        asking = asyncio.ensure_future(ask(site, path))
        while not (holds and holds[0].asked.is_set()):
            await asyncio.sleep(0)
        goes(site, asking)
        [one] = await site.meter.all_settled(1)
        await asyncio.gather(asking, return_exceptions=True)
    is_cut(one, reason)
    assert holds[0].given_up


async def test_a_caller_who_has_gone_is_read_on_for_only_as_far_as_there_is_money(fake: FakeUpstream) -> None:
    async with served(*upstreams_of(fake, on_leave="drain")) as site:
        holds = bounded(site, on_brake="ask")
        asking = asyncio.ensure_future(ask(site, "messages"))
        while not (holds and holds[0].asked.is_set()):
            await asyncio.sleep(0)
        asking.cancel()
        [one] = await site.meter.all_settled(1)
    is_cut(one)


# --- the upstream
@pytest.mark.parametrize("path", PATHS)
async def test_a_drained_upstream_is_billed_as_it_reports(fake: FakeUpstream, path: str) -> None:
    async with served(*upstreams_of(fake, on_brake="drain")) as site:
        bounded(site)
        data = await ask(site, path)
        [one] = await site.meter.all_settled(1)
    assert given(path, data) <= CAP and last_of(p.AnswerFailure, read(path, data)).code == "budget_exceeded"
    assert (one.outcome, one.reason) == ("drained", "budget.exceeded")
    assert one.estimated is None and one.billed[0].total_output == 400


async def test_the_caller_does_not_wait_for_what_is_drained(fake: FakeUpstream) -> None:
    fake.always(tokens=400, input=30, hang=200)
    async with served(*upstreams_of(fake, on_brake="drain")) as site, site.http() as http:
        bounded(site)
        answer = await http.post("/v1/chat/completions", json=body_of("chat/completions"))
        assert answer.status_code == 402 and not site.meter.settled
        await site.gateway.upstreams.cut_drains()
        [one] = await site.meter.all_settled(1)
    is_cut(one)


async def test_what_was_read_and_not_given_on_is_estimated_too(fake: FakeUpstream) -> None:
    async with served(*upstreams_of(fake)) as site:
        bounded(site, cap=20)
        data = await ask(site, "chat/completions")
        [one] = await site.meter.all_settled(1)
    words = sum(isinstance(piece, p.TextDelta) for piece in read("chat/completions", data))
    assert one.estimated is not None and words < one.estimated.total_output < 400


# --- the order of things
async def test_nothing_is_given_on_before_it_is_granted(fake: FakeUpstream) -> None:
    fake.always(tokens=400, input=30, gap=1)
    async with served(*upstreams_of(fake)) as site:
        hold = ScriptedHold(20, tranche=2_000, cap=10_000)
        hold.gate = asyncio.Event()
        site.meter.hold = lambda _: hold
        data = b""
        async with (
            site.http() as http,
            http.stream("POST", "/v1/messages", json=body_of("messages", stream=True)) as answer,
        ):
            async for part in answer.aiter_raw():
                data += part
                if not hold.gate.is_set():
                    assert given("messages", data) <= 20
                    if hold.extended and given("messages", data) >= 18:
                        hold.gate.set()
    assert given("messages", data) > 400 and hold.extended[0] < 20, "the next tranche is asked for in good time"


async def test_an_answer_that_ends_within_its_money_is_not_braked(fake: FakeUpstream) -> None:
    fake.always(tokens=10, input=30, gap=1)
    async with served(*upstreams_of(fake)) as site:
        holds = bounded(site, cap=20)
        data = await ask(site, "chat/completions")
        [one] = await site.meter.all_settled(1)
    assert holds[0].extended and one.outcome == "served", "an extension was refused, and was not needed"
    assert isinstance(read("chat/completions", data)[-1], p.AnswerEnd)


async def test_an_extension_under_way_is_given_up_at_the_end(fake: FakeUpstream) -> None:
    fake.always(tokens=10, input=30, gap=1)
    async with served(*upstreams_of(fake)) as site:
        hold = ScriptedHold(20, cap=1_000)
        hold.gate = asyncio.Event()
        site.meter.hold = lambda _: hold
        await ask(site, "chat/completions")
        [one] = await site.meter.all_settled(1)
    assert one.outcome == "served" and hold.extended and hold.given_up


@pytest.mark.parametrize(("away", "ended"), [(1, False), (99, True)])
async def test_a_store_that_is_away_for_a_moment_ends_nothing(fake: FakeUpstream, away: int, ended: bool) -> None:
    async with served(*upstreams_of(fake)) as site:
        hold = ScriptedHold(20, tranche=2_000, cap=10_000, on_brake="truncate")
        hold.away = away
        site.meter.hold = lambda _: hold
        data = await ask(site, "chat/completions")
        [one] = await site.meter.all_settled(1)
    last = read("chat/completions", data)[-1]
    if ended:
        assert isinstance(last, p.AnswerFailure) and last.code == "store.unavailable"
        is_cut(one, "store.unavailable")
    else:
        assert isinstance(last, p.AnswerEnd) and one.outcome == "served"
