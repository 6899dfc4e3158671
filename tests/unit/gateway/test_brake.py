"""A budget ends a running answer: what the caller is given, byte by byte, in each dialect and by each policy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import pytest

from holdfast.gateway.brake import Braked, StreamBrake
from holdfast.gateway.followed import FollowedStream
from holdfast.gateway.port import BrakeNews, BrakePolicy, Served, ignore
from holdfast.gateway.seen import SeenOutput
from holdfast.gateway.wires import WIRES, GatewayWire
from holdfast.protocol import limits
from holdfast.providers import pieces as p
from holdfast.providers.billing.model import BilledAttempt
from holdfast.providers.dialects import STREAM_DIALECTS
from holdfast.providers.usage import TokenUsage
from tests.fake_upstream.process import FakeUpstream

from .conftest import Site, served, upstreams_of
from .holds import FIELDS, ScriptedHold
from .scripted import EVENTS, scripted

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


async def test_what_was_read_and_not_given_on_is_estimated_too() -> None:
    async with scripted([EVENTS + said(*["abc"] * 200) + END]) as upstream, served(upstream.upstream()) as site:
        site.meter.hold = lambda _: ScriptedHold(20)
        data = await ask(site, "chat/completions")
        [one] = await site.meter.all_settled(1)
    assert given("chat/completions", data) == 20 and one.estimated is not None
    assert 40 <= one.estimated.total_output < 200, "one read is so small that little is generated for nobody"


# --- the order of things
def said(*words: str) -> bytes:
    """Chunks of a chat completion, one a word."""
    chunks = [{"id": "x", "model": "m", "choices": [{"index": 0, "delta": {"content": word}}]} for word in words]
    return b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks)


END = b'data: {"id":"x","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


async def in_two_reads(hold: ScriptedHold, first: bytes, second: bytes) -> tuple[bytes, Served]:
    """An answer whose second half comes when more was asked for because of the first."""
    async with scripted([EVENTS + first, second + END]) as upstream, served(upstream.upstream()) as site:
        upstream.go_on = asyncio.Semaphore(1)
        site.meter.hold = lambda _: hold
        asking = asyncio.ensure_future(ask(site, "chat/completions"))
        while not hold.extended:
            await asyncio.sleep(0)
        upstream.go_on.release()
        data = await asking
        [one] = await site.meter.all_settled(1)
    return data, one


async def test_nothing_is_given_on_before_it_is_granted(fake: FakeUpstream) -> None:
    hold = ScriptedHold(20, tranche=2_000, cap=10_000)
    hold.gate = asyncio.Event()
    async with (
        scripted([EVENTS + said(*["abc"] * 15), said(*["abc"] * 15) + END]) as upstream,
        served(upstream.upstream()) as site,
        site.http() as http,
    ):
        upstream.go_on = asyncio.Semaphore(1)
        site.meter.hold = lambda _: hold
        data, body = b"", body_of("chat/completions", stream=True)
        async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
            async for part in answer.aiter_raw():
                data += part
                tokens = given("chat/completions", data)
                if tokens == 15:
                    while not hold.extended:
                        await asyncio.sleep(0)
                    upstream.go_on.release()
                elif not hold.gate.is_set():
                    assert tokens == 20, "what was granted, and no more"
                    hold.gate.set()
    assert tokens == 30 and hold.extended == [15], "the next tranche is asked for in good time, and once"


async def test_an_answer_that_ends_within_its_money_is_not_braked() -> None:
    hold = ScriptedHold(20)
    data, one = await in_two_reads(hold, said(*["abc"] * 15), said(*["abc"] * 5))
    assert hold.extended == [15] and one.outcome == "served", "an extension was refused, and was not needed"
    assert isinstance(read("chat/completions", data)[-1], p.AnswerEnd)


async def test_an_extension_under_way_is_given_up_at_the_end() -> None:
    hold = ScriptedHold(20, cap=1_000)
    hold.gate = asyncio.Event()
    _, one = await in_two_reads(hold, said(*["abc"] * 15), said("abc"))
    assert one.outcome == "served" and hold.given_up


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


# --- who is told
async def test_whoever_watches_is_told_at_each_stage(fake: FakeUpstream) -> None:
    wire, told = wire_of("messages"), list[BrakeNews]()
    hold = ScriptedHold(20, cap=20, on_brake="ask")
    brake = StreamBrake(wire, hold, "c-1.1", told.append)
    events = b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"one two three"}}\n\n' * 9

    async def ping() -> None:
        raise AssertionError("nothing lasts long here")

    given_on = brake.take(events)
    assert brake.blocks and given("messages", given_on) <= 20
    hold.answer.set_result(True)
    hold.raised = 10
    while brake.blocks:
        try:
            await brake.more(ping)
        except Braked as braked:
            brake.ended(braked)
            break
        given_on += brake.ready()
        hold.answer = asyncio.get_running_loop().create_future()
        hold.answer.set_result(False)
    assert [(each.stage, each.policy, each.code) for each in told] == [
        ("asked", "ask", "budget.exceeded"),
        ("resumed", "ask", "budget.exceeded"),
        ("asked", "ask", "budget.exceeded"),
        ("ended", "ask", "budget.exceeded"),
    ]  # fmt: skip
    assert all(each.fields == FIELDS and each.attempt == "c-1.1" and each.seen == 39 for each in told)
    assert 20 < given("messages", given_on) <= 30


async def test_each_of_several_answers_ends_once() -> None:
    wire = wire_of("chat/completions")
    hold = ScriptedHold(4, cap=4, on_brake="truncate")
    brake = StreamBrake(wire, hold, "c-1.1", ignore)
    followed = FollowedStream(wire)

    def chunk(index: int, text: str, reason: str | None = None) -> bytes:
        choice = {"index": index, "delta": {"content": text}, "finish_reason": reason}
        return b"data: " + msgspec.json.encode({"id": "x", "model": "m", "choices": [choice]}) + b"\n\n"

    events = [chunk(index, "ab") for index in (0, 1, 2)] + [chunk(1, "", "stop"), chunk(0, "abc abc abc")]
    given_on = b"".join(brake.take(event) for event in events)
    followed.add(given_on)
    assert brake.blocks and brake.ended_choices == {1}
    end = followed.truncation(BilledAttempt(counts={"input": 1, "output": 3}), [0, 2])
    ends = [msgspec.json.decode(line[6:]) for line in (given_on + end).split(b"\n\n") if line.startswith(b"data: {")]
    assert {
        choice["index"]: choice["finish_reason"] for one in ends for choice in one["choices"] if choice["finish_reason"]
    } == {0: "length", 1: "stop", 2: "length"}
    await brake.close()


@pytest.mark.parametrize("policy", ["error", "truncate"])
@pytest.mark.parametrize("path", PATHS)
async def test_an_answer_without_any_money_is_refused_or_empty(
    fake: FakeUpstream, path: str, policy: BrakePolicy
) -> None:
    async with served(*upstreams_of(fake)) as site, site.http() as http:
        site.meter.hold = lambda _: ScriptedHold(0, on_brake=policy)
        answer = await http.post(f"/v1/{path}", json=body_of(path, stream=True))
    pieces = read(path, answer.content)
    assert isinstance(pieces[-1], p.AnswerEnd if policy == "truncate" else p.AnswerFailure)
    assert not any(isinstance(piece, p.TextDelta) for piece in pieces)


async def test_a_call_cut_short_in_a_whole_message_has_an_object_for_input(fake: FakeUpstream) -> None:
    fake.always(tokens=400, input=30, tool="look_up")
    async with served(*upstreams_of(fake)) as site, site.http() as http:
        bounded(site, on_brake="truncate")
        answer = (await http.post("/v1/messages", json=body_of("messages"))).json()
    assert answer["stop_reason"] == "max_tokens" and answer["content"][0]["input"] == {}
