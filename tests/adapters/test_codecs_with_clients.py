"""What the codecs write, read by unmodified clients: answers in every dialect, and streams that are ended on the way."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from holdfast.providers import pieces as p
from holdfast.providers.dialects import STREAM_DIALECTS
from holdfast.providers.usage import TokenUsage
from tests.adapters.replay import Provider

pytestmark = pytest.mark.anyio
SAY: Any = [{"role": "user", "content": "When is high tide?"}]
USAGE = TokenUsage(input=30, cache_read=60, cache_write=10, output=9, reasoning=4)
ANSWER: list[p.Piece] = [
    p.AnswerStart("a1", "tides-1", 1_700_000_000),
    p.ReasoningDelta("They ask "),
    p.ReasoningDelta("for the tide."),
    p.TextDelta("High tide "),
    p.TextDelta("is at six."),
    p.SourceCited("https://a.example", "Tides"),
    p.CallStart(1, "c1", "look"),
    p.ArgumentsDelta('{"at": ', 1),
    p.ArgumentsDelta('"six"}', 1),
    p.AnswerFinish("", "call"),
    USAGE,
    p.AnswerEnd(),
]
FAILURE = p.AnswerFailure("budget_exceeded", "billing_error", "The budget of this task is spent.")
APIS = list(STREAM_DIALECTS)


async def streamed(
    api: str, provider: Provider
) -> tuple[list[dict[str, Any]], openai.APIError | anthropic.APIError | None]:
    """The events that a client gives, and what it raises at their end."""
    events: list[dict[str, Any]] = []
    async with (
        openai.AsyncOpenAI(base_url=provider.url, api_key="sk-1", max_retries=0) as gpt,
        anthropic.AsyncAnthropic(base_url=provider.url, api_key="sk-1", max_retries=0) as claude,
    ):
        stream: Any
        if api == "openai.chat":
            stream = await gpt.chat.completions.create(model="m", messages=SAY, stream=True)
        elif api == "openai.responses":
            stream = await gpt.responses.create(model="m", input=SAY, stream=True)
        else:
            stream = await claude.messages.create(model="m", max_tokens=9, messages=SAY, stream=True)
        try:
            async for event in stream:
                events.append(event.model_dump(mode="json", exclude_unset=True, warnings=False))
        except (openai.APIError, anthropic.APIError) as error:
            return events, error
    return events, None


def read(api: str, events: list[dict[str, Any]]) -> list[p.Piece]:
    decoder = STREAM_DIALECTS[api].decoder()
    return p.merge([piece for event in events for piece in decoder.event(event)] + decoder.close())


@pytest.mark.parametrize("api", APIS)
async def test_a_client_reads_what_was_written(api: str, provider: Provider) -> None:
    data = STREAM_DIALECTS[api].encoder().encode(ANSWER)
    provider.script = lambda number, asked: data
    events, error = await streamed(api, provider)
    assert error is None
    pieces = read(api, events)
    found = {type(piece): piece for piece in pieces}
    assert found[p.TextDelta].text == "High tide is at six."  # type: ignore[union-attr]
    assert found[p.ReasoningDelta].text == "They ask for the tide."  # type: ignore[union-attr]
    assert found[p.ArgumentsDelta].text == '{"at": "six"}'  # type: ignore[union-attr]
    assert found[p.SourceCited].uri == "https://a.example"  # type: ignore[union-attr]
    call, usage = found[p.CallStart], found[TokenUsage]
    assert isinstance(call, p.CallStart) and (call.id, call.name) == ("c1", "look")
    assert isinstance(usage, TokenUsage)
    assert (usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning) == (30, 60, 10, 9, 4)


async def test_the_helpers_of_clients_put_it_together(provider: Provider) -> None:
    scripts = {api: STREAM_DIALECTS[api].encoder().encode(ANSWER) for api in APIS}
    async with (
        openai.AsyncOpenAI(base_url=provider.url, api_key="sk-1", max_retries=0) as gpt,
        anthropic.AsyncAnthropic(base_url=provider.url, api_key="sk-1", max_retries=0) as claude,
    ):
        provider.script = lambda number, asked: scripts["openai.chat"]
        async with gpt.chat.completions.stream(model="m", messages=SAY) as chat:
            choice = (await chat.get_final_completion()).choices[0]
        assert choice.message.content == "High tide is at six." and choice.finish_reason == "tool_calls"
        assert choice.message.tool_calls and choice.message.tool_calls[0].function.arguments == '{"at": "six"}'
        provider.script = lambda number, asked: scripts["openai.responses"]
        async with gpt.responses.stream(model="m", input=SAY) as responses:
            response = await responses.get_final_response()
        assert response.output_text == "High tide is at six." and response.status == "completed"
        assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
        provider.script = lambda number, asked: scripts["anthropic.messages"]
        async with claude.messages.stream(model="m", max_tokens=9, messages=SAY) as stream:
            message = await stream.get_final_message()
        assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
        assert message.stop_reason == "tool_use" and message.usage.output_tokens == 9
        assert message.usage.input_tokens == 30


@pytest.mark.parametrize("api", APIS)
async def test_a_stream_that_is_ended_on_the_way_has_its_usage_and_raises_the_reason(
    api: str, provider: Provider
) -> None:
    """What was passed on came from somebody else; the end is ours."""
    upstream = STREAM_DIALECTS[api].encoder().encode(ANSWER[:5])
    decoder, brake = STREAM_DIALECTS[api].decoder(), STREAM_DIALECTS[api].encoder(native=True)
    brake.follow(decoder.feed(upstream))
    end = brake.encode([USAGE, FAILURE])
    provider.script = lambda number, asked: upstream + end
    events, error = await streamed(api, provider)
    pieces = read(api, events)
    assert p.TextDelta("High tide is at six.") in [_plain(piece) for piece in pieces]
    usage = next(piece for piece in reversed(pieces) if isinstance(piece, TokenUsage))
    assert (usage.total_input, usage.output) == (100, 9), "the usage is seen before the failure"
    if api == "anthropic.messages":
        assert isinstance(error, anthropic.APIStatusError) and error.type == "billing_error"
        assert error.body["error"]["details"]["error_code"] == "budget_exceeded"  # type: ignore[index]
    else:
        assert isinstance(error, openai.APIError) and not isinstance(error, openai.APIConnectionError)
        assert error.code == "budget_exceeded" and "budget of this task" in error.message


def _plain(piece: p.Piece) -> p.Piece:
    return p.TextDelta(piece.text) if isinstance(piece, p.TextDelta) else piece


@pytest.mark.parametrize("api", APIS)
async def test_a_stream_that_is_cut_short_softly_looks_like_one_that_reached_its_limit(
    api: str, provider: Provider
) -> None:
    data = STREAM_DIALECTS[api].encoder().encode([*ANSWER[:5], USAGE, p.AnswerFinish("", "length"), p.AnswerEnd()])
    provider.script = lambda number, asked: data
    events, error = await streamed(api, provider)
    assert error is None
    finish = next(piece for piece in read(api, events) if isinstance(piece, p.AnswerFinish))
    assert finish.stop == "length" and finish.reason in ("length", "max_output_tokens", "max_tokens")
