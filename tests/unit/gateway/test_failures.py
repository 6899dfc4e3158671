"""What clients see when a provider refuses, fails over, or breaks off; and what each attempt costs."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import openai
import pytest

from holdfast.errors import Refused, Unavailable
from tests.fake_upstream.process import FakeUpstream

from .bills import billed_exactly, costs_nothing, whole_bill
from .conftest import KEY, Site, served, upstreams_of

pytestmark = [pytest.mark.anyio, pytest.mark.process]

SAID: Any = [{"role": "user", "content": "Tell me something."}]
TEXT = "the quick brown fox jumps"
Ask = Callable[[Site], Awaitable[str]]


@pytest.fixture(autouse=True)
def _anew(fake: FakeUpstream) -> None:
    fake.reset()
    fake.always(tokens=5, input=40)


def openai_of(site: Site, retries: int = 0) -> openai.AsyncOpenAI:
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    return openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=KEY, max_retries=retries, http_client=http)


def anthropic_of(site: Site, retries: int = 0) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=site.url, api_key=KEY, max_retries=retries)


async def chat_stream(site: Site, retries: int = 0) -> str:
    async with openai_of(site, retries) as client:
        stream = await client.chat.completions.create(model="gpt-5", messages=SAID, stream=True)
        return "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices])


async def chat_whole(site: Site, retries: int = 0) -> str:
    async with openai_of(site, retries) as client:
        answer = await client.chat.completions.create(model="gpt-5", messages=SAID)
        return answer.choices[0].message.content or ""


async def responses_stream(site: Site, retries: int = 0) -> str:
    async with openai_of(site, retries) as client:
        stream = await client.responses.create(model="gpt-5", input="Go.", stream=True)
        return "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])


async def responses_whole(site: Site, retries: int = 0) -> str:
    async with openai_of(site, retries) as client:
        return (await client.responses.create(model="gpt-5", input="Go.")).output_text


async def messages_stream(site: Site, retries: int = 0) -> str:
    request: Any = {"model": "claude-opus-4-8", "max_tokens": 99, "messages": SAID}
    async with anthropic_of(site, retries) as client, client.messages.stream(**request) as stream:
        return "".join([text async for text in stream.text_stream])


async def messages_whole(site: Site, retries: int = 0) -> str:
    async with anthropic_of(site, retries) as client:
        message = await client.messages.create(model="claude-opus-4-8", max_tokens=99, messages=SAID)
        return message.content[0].text  # type: ignore[union-attr]


STREAMS: list[Ask] = [chat_stream, responses_stream, messages_stream]
WHOLE: list[Ask] = [chat_whole, responses_whole, messages_whole]
named = pytest.mark.parametrize


# --- refused before the stream
@named("ask", [chat_stream, messages_stream, chat_whole, messages_whole])
@named(
    ("code", "status", "kind", "requests"),
    [
        ("price.missing", 402, "PaymentRequiredError", 1),
        ("store.unavailable", 503, "InternalServerError", 3),
    ],
)
async def test_what_the_gateway_refuses_is_asked_again_only_where_that_helps(
    fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch, ask: Ask, code: Any, status: int, kind: str, requests: int
) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    monkeypatch.setattr("anthropic._base_client.INITIAL_RETRY_DELAY", 0.001)
    async with served(*upstreams_of(fake)) as site:
        error = Refused(code) if status < 500 else Unavailable(code, retry_after_s=0)
        site.meter.error = error
        with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as caught:
            await ask(site, 2)  # type: ignore[call-arg]
        assert caught.value.status_code == status
        if isinstance(caught.value, openai.APIStatusError):
            assert caught.value.code == code and type(caught.value).__name__ in (kind, "APIStatusError")
        else:
            assert caught.value.error_code == code and type(caught.value).__name__ in (
                kind,
                "ServiceUnavailableError",
                "OverloadedError",
            )
        assert site.meter.asked == requests and not site.meter.opened and not site.meter.settled
    assert fake.stats().started == 0


@named("ask", [chat_stream, messages_stream, responses_stream, chat_whole, messages_whole, responses_whole])
@named("status", [400, 404, 413, 422])
async def test_what_a_provider_refuses_for_the_callers_fault_goes_on_as_it_is(
    fake: FakeUpstream, ask: Ask, status: int
) -> None:
    fake.always(status=status)
    async with served(*upstreams_of(fake)) as site:
        with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as caught:
            await ask(site, 2)  # type: ignore[call-arg]
        assert caught.value.status_code == status and f"fails with {status}" in str(caught.value)
        await whole_bill(site, fake, 1)


@named("ask", [chat_stream, messages_stream, responses_whole])
@named(("status", "requests"), [(429, 3), (529, 3), (500, 3), (402, 1), (400, 1), (401, 1)])
async def test_how_often_clients_come_again_for_what_a_provider_answers(
    fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch, ask: Ask, status: int, requests: int
) -> None:
    """As often as they would ask the provider itself; never for the gateway's own key."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    monkeypatch.setattr("anthropic._base_client.INITIAL_RETRY_DELAY", 0.001)
    fake.always(status=status)
    async with served(*upstreams_of(fake, retries=0)) as site:
        with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)):
            await ask(site, 2)  # type: ignore[call-arg]
        await whole_bill(site, fake, requests)
        tries = [opening.call.facts.get("retry", "0") for opening in site.meter.opened]
        assert tries == [str(number) for number in range(requests)], "the caller's own tries are known"


@named("ask", [chat_stream, messages_stream, responses_stream])
async def test_a_provider_that_is_busy_is_asked_again_and_then_answers(fake: FakeUpstream, ask: Ask) -> None:
    fake.next({"status": 429}, None)
    async with served(*upstreams_of(fake)) as site:
        assert await ask(site) == TEXT
        first, second = await whole_bill(site, fake, 2)
        assert (first.outcome, second.outcome) == ("refused", "served")
        assert [opening.number for opening in site.meter.opened] == [1, 2]


@named(("ask", "kind"), [(chat_stream, openai.RateLimitError), (messages_stream, anthropic.RateLimitError)])
async def test_a_long_pause_is_the_callers_to_wait(fake: FakeUpstream, ask: Ask, kind: Any) -> None:
    """The gateway does not hold a call for half a minute, and asks nobody twice meanwhile."""
    fake.always(status=429, retry_after=30)
    async with served(*upstreams_of(fake)) as site:
        with pytest.raises(kind) as caught:
            await ask(site)
        assert caught.value.response.headers["retry-after"] == "30"
        await whole_bill(site, fake, 1)


async def test_an_overloaded_provider_is_overloaded_for_its_client(fake: FakeUpstream) -> None:
    fake.always(status=529)
    async with served(*upstreams_of(fake, retries=0)) as site:
        with pytest.raises(anthropic.InternalServerError) as caught:
            await messages_stream(site)
        assert caught.value.status_code == 529 and caught.value.type == "overloaded_error"
        await whole_bill(site, fake, 1)


# --- failed over
def two(fake: FakeUpstream, knobs: str) -> list[dict[str, Any]]:
    """Two upstreams of each shape; the first has these knobs."""
    first = [{**each, "name": f"{each['name']}-first"} for each in upstreams_of(fake, knobs, retries=0)]
    return [*first, *upstreams_of(fake, "served=other-model,tier=priority", retries=0)]


@named("ask", [*STREAMS, *WHOLE])
@named("knobs", ["status=500", "status=429", "status=503", "status=402", "status=401", "status=403"])
async def test_fail_over_bills_the_attempt_that_served(fake: FakeUpstream, ask: Ask, knobs: str) -> None:
    async with served(*two(fake, knobs)) as site:
        assert await ask(site) == TEXT
        first, second = await whole_bill(site, fake, 2)
        costs_nothing(first)
        assert (second.outcome, second.billed[0].model, second.billed[0].tier) == ("served", "other-model", "priority")
        assert site.meter.opened[0].upstream.endswith("-first")
        assert site.meter.opened[0].call.id == site.meter.opened[1].call.id


@named("ask", [*STREAMS, *WHOLE])
async def test_an_upstream_that_nobody_listens_at_costs_nothing(fake: FakeUpstream, ask: Ask) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nobody = f"http://127.0.0.1:{port}"
    dead = [
        {"name": "a", "url": f"{nobody}/v1", "models": ["gpt-*"], "retries": 0},
        {"name": "b", "url": nobody, "shape": "anthropic", "models": ["claude-*"], "retries": 0},
    ]
    async with served(*dead, *upstreams_of(fake)) as site:
        assert await ask(site) == TEXT
        first, second = await site.meter.all_settled(2)
        assert (first.outcome, first.reason) == ("failed", "upstream.unreachable")
        costs_nothing(first)
        billed_exactly(second, fake.stats(ended=1).requests[0])


@named("ask", WHOLE)
@named("knob", ["cut", "error", "close"])
async def test_a_half_answer_is_thrown_away_and_asked_for_elsewhere(fake: FakeUpstream, ask: Ask, knob: str) -> None:
    """Nothing of it was given to a caller that waits for the whole. It is paid for all the same."""
    async with served(*two(fake, f"{knob}=3")) as site:
        assert await ask(site) == TEXT
        first, second = await site.meter.all_settled(2)
        assert (first.outcome, first.reason) == ("failed", "upstream.failed") and first.estimated is not None
        assert first.estimated.counts["input"] > 0 and first.estimated.total_output >= 3
        billed_exactly(second, fake.stats(ended=2).requests[1])


@named("ask", STREAMS)
async def test_a_stream_that_fails_before_its_first_event_is_asked_for_elsewhere(fake: FakeUpstream, ask: Ask) -> None:
    async with served(*two(fake, "error=0,first=1")) as site:
        text = ""
        try:
            text = await ask(site)
        except (openai.APIError, anthropic.APIError):
            pass
        settled = await site.meter.all_settled(1)
        assert settled[0].outcome == "failed" and settled[0].estimated is not None
        assert text in ("", TEXT)


# --- in mid-stream
FAR = 6_000
"""Tokens after which it breaks: more than is read at once, so that the first of them have been given."""


@named("knob", ["cut", "error", "close"])
@named(
    ("ask", "kinds"),
    [
        (chat_stream, openai.APIError),
        (responses_stream, openai.APIError),
        (messages_stream, anthropic.APIStatusError),
    ],
)
async def test_a_broken_stream_raises_in_the_clients_own_class(
    fake: FakeUpstream, ask: Ask, kinds: Any, knob: str
) -> None:
    fake.always(tokens=2 * FAR, input=40, **{knob: FAR})
    async with served(*upstreams_of(fake)) as site:
        with pytest.raises(kinds) as caught:
            await ask(site, 2)  # type: ignore[call-arg]
        [one] = await site.meter.all_settled(1)
        [request] = fake.stats(ended=1).requests
    error = caught.value
    assert not isinstance(error, (openai.APIConnectionError, anthropic.APIConnectionError))
    if knob != "error":
        code = error.code if isinstance(error, openai.APIError) else error.error_code
        assert code == "upstream.failed"
    else:
        assert "fake upstream fails" in str(error)
    assert (one.outcome, one.reason) == ("failed", "upstream.failed") and one.estimated is not None
    assert one.estimated.total_input > 0 and request.generated == FAR
    assert FAR <= one.estimated.total_output <= 2 * FAR, "about what was seen"
    if ask is messages_stream:
        assert one.estimated.total_input == 40, "message_start said so before it was cut"


@named("knob", ["cut", "error", "close"])
@named("path", ["chat/completions", "responses", "messages"])
async def test_a_broken_stream_ends_in_the_words_of_its_dialect(fake: FakeUpstream, path: str, knob: str) -> None:
    fake.always(tokens=2 * FAR, input=40, **{knob: FAR})
    body: dict[str, Any] = {"model": "claude-x" if path == "messages" else "gpt-5", "stream": True}
    body |= {"input": "Go."} if path == "responses" else {"messages": SAID, "max_tokens": 99}
    async with served(*upstreams_of(fake)) as site, site.http() as http:
        answer = await http.post(f"/v1/{path}", json=body)
    events = [event for event in answer.text.split("\n\n") if event]
    last = events[-1]
    if path == "chat/completions":
        assert last == "data: [DONE]" and '"error"' in events[-2] and '"usage"' in events[-3]
    elif path == "responses":
        assert last.startswith("event: error\n") and '"error":{' in last
        assert events[-2].startswith("event: response.incomplete\n") and '"total_tokens"' in events[-2]
        numbers = [int(event.split('"sequence_number":')[1].split(",")[0].rstrip("}")) for event in events]
        assert numbers == sorted(set(numbers))
        assert events[-2].count("quick brown fox") >= FAR // 14, "what was said so far is said again"
    else:
        assert last.startswith("event: error\n") and '"request_id"' in last
        assert events[-2].startswith("event: message_delta\n") and '"output_tokens"' in events[-2]
        assert events[-3].startswith("event: content_block_stop\n")


async def test_whoever_waits_for_the_whole_hears_of_a_break_as_a_status(fake: FakeUpstream) -> None:
    fake.always(tokens=50, cut=3)
    async with served(*upstreams_of(fake, retries=0)) as site:
        for ask in WHOLE:
            with pytest.raises((openai.InternalServerError, anthropic.InternalServerError)) as caught:
                await ask(site)
            assert caught.value.status_code == 502
        assert [one.outcome for one in await site.meter.all_settled(3)] == ["failed"] * 3
