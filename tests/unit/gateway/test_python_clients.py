"""OpenAI's and Anthropic's Python clients, unchanged but for their address and key: what they read, and what is billed."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest
from msgspec import structs

from tests.fake_upstream.process import FakeUpstream

from .bills import billed_exactly, whole_bill
from .conftest import KEY, Site, served, upstreams_of

pytestmark = [pytest.mark.anyio, pytest.mark.process]

SAID: Any = [{"role": "user", "content": "Tell me something."}]
TEXT = "the quick brown fox jumps"
PNG = base64.b64encode(bytes(range(256)) * 40).decode()
TOOL: Any = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


@dataclass
class Both:
    """A gateway and a client of each family."""

    site: Site
    fake: FakeUpstream
    chat: openai.AsyncOpenAI
    claude: anthropic.AsyncAnthropic


@pytest.fixture
async def both(fake: FakeUpstream) -> AsyncIterator[Both]:
    fake.reset()
    fake.always(tokens=5, input=40, cached=30, reasoning=2)
    async with (
        served(*upstreams_of(fake)) as site,
        openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=KEY, http_client=http()) as chat,
        anthropic.AsyncAnthropic(base_url=site.url, api_key=KEY) as claude,
    ):
        yield Both(site, fake, chat, claude)


def http() -> openai.DefaultAsyncHttpxClient:
    return openai.DefaultAsyncHttpxClient(trust_env=False)


async def text_of(stream: Any) -> str:
    return "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices])


async def test_chat_raw_tells_usage_to_whom_asked_and_to_nobody_else(both: Both) -> None:
    asked = await both.chat.chat.completions.create(
        model="gpt-5", messages=SAID, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in asked]
    assert "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices) == TEXT
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens == 40 + 30 + 5 + 2
    unasked = await both.chat.chat.completions.create(model="gpt-5", messages=SAID, stream=True)
    chunks = [chunk async for chunk in unasked]
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    await whole_bill(both.site, both.fake, 2)


async def test_chat_helper_and_whole(both: Both) -> None:
    async with both.chat.chat.completions.stream(model="gpt-5", messages=SAID) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_completion()
    whole = await both.chat.chat.completions.create(model="gpt-5", messages=SAID)
    assert final.choices[0].message.content == whole.choices[0].message.content == TEXT
    assert whole.usage is not None and whole.usage.completion_tokens == 7
    assert whole.usage.prompt_tokens_details is not None and whole.usage.prompt_tokens_details.cached_tokens == 30
    assert whole.object == "chat.completion" and whole.choices[0].finish_reason == "stop"
    await whole_bill(both.site, both.fake, 2)


async def test_responses_raw_helper_and_whole(both: Both) -> None:
    events = [event async for event in await both.chat.responses.create(model="gpt-5", input="Go.", stream=True)]
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == TEXT
    assert events[-1].type == "response.completed"
    async with both.chat.responses.stream(model="gpt-5", input="Go.") as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_response()
    whole = await both.chat.responses.create(model="gpt-5", input="Go.")
    assert final.output_text == whole.output_text == TEXT
    assert whole.usage is not None and whole.usage.total_tokens == 77
    await whole_bill(both.site, both.fake, 3)


async def test_messages_raw_helper_and_whole(both: Both) -> None:
    both.fake.always(tokens=5, input=3, cached=20, written=10, reasoning=2)
    raw = await both.claude.messages.create(model="claude-opus-4-8", max_tokens=99, messages=SAID, stream=True)
    events = [event async for event in raw]
    assert [events[0].type, events[-1].type] == ["message_start", "message_stop"]
    async with both.claude.messages.stream(model="claude-opus-4-8", max_tokens=99, messages=SAID) as stream:
        streamed = "".join([text async for text in stream.text_stream])
        final = await stream.get_final_message()
    whole = await both.claude.messages.create(model="claude-opus-4-8", max_tokens=99, messages=SAID)
    assert streamed == TEXT == final.content[1].text == whole.content[1].text  # type: ignore[union-attr]
    assert final.content[0].type == whole.content[0].type == "thinking"
    usage = whole.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (3, 20, 10)
    assert usage.output_tokens == final.usage.output_tokens == 7
    await whole_bill(both.site, both.fake, 3)


async def test_tools(both: Both) -> None:
    both.fake.always(tokens=3, tool="look_up")
    arguments = '{"text":"the quick brown"}'
    whole = await both.chat.chat.completions.create(model="gpt-5", messages=SAID, tools=[TOOL])
    [call] = whole.choices[0].message.tool_calls or []
    assert (call.function.name, call.function.arguments) == ("look_up", arguments)  # type: ignore[union-attr]
    assert whole.choices[0].finish_reason == "tool_calls" and "index" not in call.to_dict()
    async with both.chat.chat.completions.stream(model="gpt-5", messages=SAID, tools=[TOOL]) as stream:
        final = await stream.get_final_completion()
    [call] = final.choices[0].message.tool_calls or []
    assert call.function.arguments == arguments
    response = await both.chat.responses.create(model="gpt-5", input="Go.")
    assert response.output[0].arguments == arguments  # type: ignore[union-attr]
    message = await both.claude.messages.create(model="claude-opus-4-8", max_tokens=99, messages=SAID)
    assert message.content[0].input == {"text": "the quick brown"}  # type: ignore[union-attr]
    async with both.claude.messages.stream(model="claude-opus-4-8", max_tokens=99, messages=SAID) as claude:
        assert (await claude.get_final_message()).content[0].input == {"text": "the quick brown"}  # type: ignore[union-attr]
    await whole_bill(both.site, both.fake, 5)


async def test_images_pass_as_they_are_and_count_as_a_page_of_text(both: Both) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    await both.chat.chat.completions.create(
        model="gpt-5", messages=[{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]  # type: ignore[list-item]
    )  # fmt: skip
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    await both.claude.messages.create(
        model="claude-opus-4-8", max_tokens=9, messages=[{"role": "user", "content": [{"type": "image", "source": source}]}]  # type: ignore[typeddict-item, list-item]
    )  # fmt: skip
    await whole_bill(both.site, both.fake, 2)
    for request in both.fake.stats(ended=2).requests:
        assert PNG in request.body
    for opening in both.site.meter.opened:
        assert 6_400 < opening.call.input_bytes < 6_400 + 600


async def test_embeddings(both: Both) -> None:
    answer = await both.chat.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    assert len(answer.data) == 2
    [one] = await whole_bill(both.site, both.fake, 1)
    assert [(part.kind, part.total_output) for part in one.billed] == [("embedding", 0)]


async def test_the_served_model_and_its_tier_are_billed(both: Both) -> None:
    both.fake.always(tokens=5, served="gpt-5-mini-2026", tier="flex")
    answer = await both.chat.chat.completions.create(model="gpt-5", messages=SAID)
    assert (answer.model, answer.service_tier) == ("gpt-5-mini-2026", "flex")
    [one] = await whole_bill(both.site, both.fake, 1)
    assert one.billed[0].tier == "flex"
    assert both.site.meter.opened[0].model == "gpt-5"


async def test_a_reported_zero_stays_zero(both: Both) -> None:
    both.fake.next({"report": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}})
    await text_of(await both.chat.chat.completions.create(model="gpt-5", messages=SAID, stream=True))
    [one] = await both.site.meter.all_settled(1)
    assert one.estimated is None
    assert (one.billed[0].counts["input"], one.billed[0].counts["output"]) == (0, 0)


async def test_what_a_provider_never_reports_is_estimated_and_says_so(both: Both) -> None:
    both.fake.always(tokens=5, usage=False)
    await text_of(await both.chat.chat.completions.create(model="gpt-5", messages=SAID, stream=True))
    await both.claude.messages.create(model="claude-opus-4-8", max_tokens=9, messages=SAID)
    await both.chat.responses.create(model="gpt-5", input="Go.")
    for one in await both.site.meter.all_settled(3):
        assert one.outcome == "served" and not one.billed and one.estimated is not None
        assert not one.estimated.reported
        assert one.estimated.counts["input"] > 0 and 5 <= one.estimated.counts["output"] <= 10


async def test_many_calls_at_a_time_are_each_billed_once(both: Both) -> None:
    body = {"model": "gpt-5", "messages": SAID, "stream": True}
    async with both.site.http() as http:
        answers = await asyncio.gather(*(http.post("/v1/chat/completions", json=body) for _ in range(50)))
    assert all(answer.text.endswith("data: [DONE]\n\n") for answer in answers)
    settled = await both.site.meter.all_settled(50)
    requests = both.fake.stats(ended=50).requests
    assert len({one.id for one in settled}) == len(requests) == 50
    for one, request in zip(settled, requests, strict=True):
        billed_exactly(one, request)


async def test_one_model_is_retrieved_as_it_is_listed(both: Both) -> None:
    named = {"name": "third", "url": f"{both.fake.url}/v1", "models": ["ours=gpt-5-mini", "gpt-*"], "provider": "azure"}
    async with served(named, *upstreams_of(both.fake)[1:]) as site:
        site.keys.callers[KEY] = structs.replace(
            site.keys.callers[KEY], agents=frozenset({"librarian"}), models=("gpt-*", "ours", "claude-*")
        )
        async with openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=KEY, http_client=http()) as chat:
            listed = [model async for model in chat.models.list()]
            assert [await chat.models.retrieve(model.id) for model in listed] == listed
            assert {model.id: model.owned_by for model in listed} == {"agent/librarian": "holdfast", "ours": "azure"}
            assert (await chat.models.retrieve("gpt-5")).owned_by == "azure", "served by a pattern"
            for unknown in ("o9", "agent/clerk", "text-embedding-3-small"):
                with pytest.raises(openai.NotFoundError) as caught:
                    await chat.models.retrieve(unknown)
                assert caught.value.code == "model.unknown"
        async with anthropic.AsyncAnthropic(base_url=site.url, api_key=KEY) as claude:
            assert (await claude.models.retrieve("claude-x")).id == "claude-x"
            with pytest.raises(anthropic.NotFoundError):
                await claude.models.retrieve("o9")
