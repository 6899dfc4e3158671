"""Calls of both kinds through a gateway whose upstream is full: who is served, who waits, and what it costs to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anthropic
import pytest

from holdfast.errors import Refused
from holdfast.gateway.bodies import Bodies
from holdfast.gateway.capacity import UpstreamLoad
from holdfast.gateway.port import Caller
from holdfast.gateway.running import RunningCalls
from holdfast.protocol import limits
from tests.fake_upstream.process import FakeUpstream

from .conftest import KEY, Site, served, upstreams_of
from .scripted import EVENTS, Scripted, scripted

pytestmark = pytest.mark.anyio

BODY: Any = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]}
SAID = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'
ANSWER = [EVENTS, SAID + b"data: [DONE]\n\n"]
CHAT = "/v1/chat/completions"
PERSON = "hf-person-key"


@pytest.fixture(autouse=True)
def _anew(fake: FakeUpstream) -> None:
    fake.reset()
    fake.always(tokens=5, input=40)


def with_people(site: Site) -> Site:
    labels = (("team", "sales"), ("usage", "seated"), ("workflow", "chat"))
    site.keys.callers[PERSON] = Caller("k2", labels=labels)
    return site


async def until(what: Callable[[], object]) -> None:
    while not what():
        await asyncio.sleep(0)


def load(site: Site) -> UpstreamLoad:
    return site.gateway.load()[0]


def held(slow: Scripted) -> asyncio.Semaphore:
    slow.go_on = asyncio.Semaphore(0)
    return slow.go_on


def finish(slow: Scripted, answers: int = 1) -> None:
    assert slow.go_on is not None
    for _ in range(answers * len(ANSWER)):
        slow.go_on.release()


async def test_a_program_waits_without_money_and_a_person_does_not_wait(fake: FakeUpstream) -> None:
    async with scripted(ANSWER) as slow, served(slow.upstream(streams=2)) as site, site.http() as http:
        held(slow)
        with_people(site)
        first = asyncio.ensure_future(http.post(CHAT, json=BODY))
        await until(lambda: slow.heads)
        second = asyncio.ensure_future(http.post(CHAT, json=BODY))
        await until(lambda: load(site).headless.waiting)
        assert site.meter.asked == 1, "nothing is reserved for who waits"
        async with site.http(PERSON) as seated:
            third = asyncio.ensure_future(seated.post(CHAT, json=BODY))
            await until(lambda: len(slow.heads) == 2)
            assert load(site).seated.in_use == 1 and load(site).headless.waiting == 1
            finish(slow, 3)
            assert [answer.status_code for answer in await asyncio.gather(first, second, third)] == [200] * 3
        assert load(site).seated.in_use == load(site).headless.in_use == 0
        assert [one.call.caller.key for one in site.meter.opened] == ["k1", "k2", "k1"]


async def test_who_waits_too_long_is_told_when_to_come_again(
    fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HEADLESS_WAIT_S", 0.0)
    async with scripted(ANSWER) as slow, served(slow.upstream(streams=1), slow.upstream("anthropic", streams=1) | {"name": "a"}) as site, site.http() as http:  # fmt: skip
        held(slow)
        running = [asyncio.ensure_future(http.post(path, json=BODY)) for path in (CHAT, "/v1/messages")]
        await until(lambda: len(slow.heads) == 2)
        refused = await http.post(CHAT, json=BODY)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "server.busy")
        assert refused.headers["retry-after"] == str(int(limits.BUSY_RETRY_S))
        async with anthropic.AsyncAnthropic(base_url=site.url, api_key=KEY, max_retries=0) as claude:
            with pytest.raises(anthropic.APIStatusError) as error:
                await claude.messages.create(model="claude-x", max_tokens=9, messages=BODY["messages"])
        assert error.value.status_code == 503 and "server.busy" in str(error.value.body)
        assert [one.headless.refused for one in site.gateway.load()] == [1, 1] and site.meter.asked == 2
        finish(slow, 2)
        await asyncio.gather(*running)


async def test_a_caller_who_leaves_or_loses_its_key_waits_no_more(fake: FakeUpstream) -> None:
    async with scripted(ANSWER) as slow, served(slow.upstream(streams=1)) as site, site.http() as http:
        held(slow)
        with_people(site)
        async with site.http(PERSON) as seated:
            running = asyncio.ensure_future(seated.post(CHAT, json=BODY))
            await until(lambda: slow.heads)
            leaving, revoked = (asyncio.ensure_future(http.post(CHAT, json=BODY)) for _ in range(2))
            await until(lambda: load(site).headless.waiting == 2)
            leaving.cancel()
            await until(lambda: load(site).headless.waiting == 1)
            site.keys.revoked("k1")
            answer = await revoked
            assert answer.json()["error"]["code"] == "key.revoked" and load(site).headless.waiting == 0
            finish(slow)
            assert (await running).status_code == 200
        assert site.meter.asked == 1


async def test_a_stop_tells_those_who_wait(fake: FakeUpstream) -> None:
    async with scripted(ANSWER) as slow, served(slow.upstream(streams=1)) as site, site.http() as http:
        held(slow)
        running = asyncio.ensure_future(http.post(CHAT, json=BODY))
        await until(lambda: slow.heads)
        waiting = asyncio.ensure_future(http.post(CHAT, json=BODY))
        await until(lambda: load(site).headless.waiting)
        site.gateway.refuse_waiters()
        answer = await waiting
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "server.restarting")
        finish(slow)
        assert (await running).status_code == 200, "what was begun is given to its end"


async def test_what_is_full_for_programs_is_passed_over_and_open_for_people(fake: FakeUpstream) -> None:
    second = upstreams_of(fake)[0] | {"name": "second"}
    async with scripted(ANSWER) as slow, served(slow.upstream(streams=2), second) as site, site.http() as http:
        held(slow)
        with_people(site)
        running = asyncio.ensure_future(http.post(CHAT, json=BODY))
        await until(lambda: slow.heads)
        assert (await http.post(CHAT, json=BODY)).headers["x-holdfast-upstream"] == "second"
        async with site.http(PERSON) as seated:
            finish(slow, 2)
            assert (await seated.post(CHAT, json=BODY)).headers["x-holdfast-upstream"] == "scripted"
        await running


async def test_after_a_429_programs_hold_off_and_people_go_on(fake: FakeUpstream) -> None:
    upstream = upstreams_of(fake, retries=0)[0]
    async with served(upstream) as site, site.http() as http:
        with_people(site)
        fake.next({"status": 429, "retry_after": 30})
        refused = await http.post(CHAT, json=BODY)
        assert refused.status_code == 429 and refused.headers["retry-after"] == "30", "the provider's own words"
        assert load(site).paused
        waiting = asyncio.ensure_future(http.post(CHAT, json=BODY))
        await until(lambda: load(site).headless.waiting)
        async with site.http(PERSON) as seated:
            assert (await seated.post(CHAT, json=BODY)).status_code == 200
        site.gateway.upstreams.states[0].capacity.resume()
        assert (await waiting).status_code == 200
        fake.next({"status": 500, "retry_after": 30}, {"status": 429})
        for _ in range(2):
            await http.post(CHAT, json=BODY)
        assert not load(site).paused, "only a 429 that says how long"


@pytest.mark.parametrize("knob", ["status=500", "status=401", "status=429", "cut=2", "close=2", "error=2", "cut=0", ""])
@pytest.mark.parametrize("stream", [True, False])
async def test_no_way_to_fail_keeps_a_slot(fake: FakeUpstream, knob: str, stream: bool) -> None:
    upstream = upstreams_of(fake, knob, retries=0, streams=2)[0]
    async with served(upstream) as site, site.http() as http:
        for _ in range(3):
            await http.post(CHAT, json=BODY | {"stream": stream})
        assert load(site).headless.in_use == 0


@pytest.mark.parametrize("code", ["budget.exceeded", "price.missing", "store.unavailable"])
async def test_a_refused_opening_keeps_no_slot(fake: FakeUpstream, code: Any) -> None:
    async with served(*upstreams_of(fake, streams=1)) as site, site.http() as http:
        site.meter.error = Refused(code)
        for _ in range(2):
            assert (await http.post(CHAT, json=BODY)).json()["error"]["code"] in (code, "budget_exceeded")
        assert load(site).headless.in_use == 0


@pytest.mark.parametrize("on_leave", ["cut", "drain"])
async def test_a_caller_who_leaves_gives_its_slot_back(fake: FakeUpstream, on_leave: str) -> None:
    async with scripted([EVENTS, b'data: {"choices":[]}\n\n', b"data: [DONE]\n\n"]) as slow:
        go_on = held(slow)
        async with served(slow.upstream(streams=1, on_leave=on_leave)) as site, site.http() as http:
            for _ in range(2):
                go_on.release()
            async with http.stream("POST", CHAT, json=BODY | {"stream": True}) as answer:
                await anext(answer.aiter_text())
            await until(lambda: on_leave == "drain" or not load(site).headless.in_use)
            assert load(site).headless.in_use == (on_leave == "drain"), "what is drained is asked for still"
            go_on.release()
            await site.meter.all_settled(1)
            await until(lambda: not load(site).headless.in_use)


async def test_programs_leave_room_for_people_at_the_door_and_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GATEWAY_CALLS", 3)
    monkeypatch.setattr(limits, "HEADLESS_CALLS", 2)
    calls = RunningCalls()
    with calls.one(Caller("a")), calls.one(Caller("b")):
        with pytest.raises(Exception, match="as many calls"), calls.one(Caller("c")):
            pass
        with calls.one(Caller("c"), seated=True):
            pass
    with calls.one(Caller("a"), seated=True), calls.one(Caller("b")), calls.one(Caller("c")):
        pass
    monkeypatch.setattr(limits, "GATEWAY_BODIES_BYTES", 30)
    monkeypatch.setattr(limits, "HEADLESS_BODIES_BYTES", 20)
    bodies = Bodies()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 15}

    async with bodies.one({}, receive, seated=False) as body:
        assert body == b"x" * 15
        with pytest.raises(Exception, match="as much memory"):
            async with bodies.one({}, receive, seated=False):
                pass
        async with bodies.one({}, receive, seated=True):
            pass
    async with bodies.one({}, receive, seated=False):
        pass
