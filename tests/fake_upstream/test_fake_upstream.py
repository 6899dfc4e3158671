"""The fake upstream tells official clients what it says it does, and counts the truth."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import httpx
import openai
import pytest

from tests.fake_upstream.knobs import Knobs, changed
from tests.fake_upstream.process import FakeUpstream

SAID = [{"role": "user", "content": "Tell me something."}]
WORDS = "the quick brown fox jumps"

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def running() -> Iterator[FakeUpstream]:
    with FakeUpstream() as process:
        yield process


@pytest.fixture
def fake(running: FakeUpstream) -> FakeUpstream:
    running.reset()
    running.always(tokens=5)
    return running


@pytest.fixture
def chat(fake: FakeUpstream) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{fake.url}/v1", api_key="k", max_retries=0, http_client=http()) as client:
        yield client


@pytest.fixture
def claude(fake: FakeUpstream) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=fake.url, api_key="k", max_retries=0) as client:
        yield client


def http() -> openai.DefaultHttpxClient:
    return openai.DefaultHttpxClient(trust_env=False)


def read_chat(client: openai.OpenAI, text: str = "Tell me something.") -> tuple[str, int | None]:
    """The text of a stream and its total of tokens."""
    told, total = "", None
    for chunk in client.chat.completions.create(
        model="gpt-5",
        messages=[{"role": "user", "content": text}],
        stream=True,
        stream_options={"include_usage": True},
    ):
        told += "".join(choice.delta.content or "" for choice in chunk.choices)
        total = chunk.usage.total_tokens if chunk.usage else total
    return told, total


def test_chat_streams_and_ends_with_the_usage_that_is_in_the_truth(fake: FakeUpstream, chat: openai.OpenAI) -> None:
    fake.next({"input": 100, "cached": 30, "reasoning": 7})
    assert read_chat(chat) == (WORDS, 100 + 30 + 5 + 7)
    [request] = fake.stats(ended=1).requests
    assert (request.input, request.cached, request.generated, request.reasoning) == (100, 30, 5, 7)
    assert (request.outcome, request.reported, request.delivered) == ("done", True, 5)
    assert request.headers["authorization"] == "Bearer k" and '"include_usage":true' in request.body


def test_chat_reports_no_usage_unasked(fake: FakeUpstream, chat: openai.OpenAI) -> None:
    chunks = list(chat.chat.completions.create(model="gpt-5", messages=SAID, stream=True))
    assert all(chunk.usage is None for chunk in chunks)
    assert fake.stats(ended=1).requests[0].reported is False


def test_whole_answers_and_tools(fake: FakeUpstream, chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    fake.always(tokens=3, tool="look_up")
    answer = chat.chat.completions.create(model="gpt-5", messages=SAID)
    [call] = answer.choices[0].message.tool_calls or []
    assert (call.function.name, call.function.arguments) == ("look_up", '{"text":"the quick brown"}')
    message = claude.messages.create(model="claude-opus-4-8", max_tokens=99, messages=SAID)
    assert message.content[0].input == {"text": "the quick brown"} and message.usage.output_tokens == 3
    response = chat.responses.create(model="gpt-5", input="Tell me something.")
    assert response.output[0].arguments == '{"text":"the quick brown"}'


def test_messages_stream_with_thinking_and_cache(fake: FakeUpstream, claude: anthropic.Anthropic) -> None:
    fake.next({"reasoning": 4, "input": 3, "cached": 20, "written": 10, "served": "claude-sonnet-4-5"})
    with claude.messages.stream(model="claude-opus-4-8", max_tokens=99, messages=SAID) as stream:
        told = "".join(stream.text_stream)
        final = stream.get_final_message()
    usage = final.usage
    assert (told, final.model) == (WORDS, "claude-sonnet-4-5")
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (3, 20, 10)
    assert usage.output_tokens == 9
    assert final.content[0].type == "thinking"


def test_responses_stream(fake: FakeUpstream, chat: openai.OpenAI) -> None:
    fake.next({"reasoning": 4, "input": 3, "cached": 20})
    with chat.responses.stream(model="gpt-5", input="Tell me something.") as stream:
        told = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert final.usage is not None
    assert (told, final.output_text, final.usage.total_tokens) == (WORDS, WORDS, 3 + 20 + 9)


def test_embeddings_and_models(fake: FakeUpstream, chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    answer = chat.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    assert len(answer.data) == 2 and answer.usage.total_tokens == fake.stats(ended=1).input
    assert [model.id for model in chat.models.list()] == [model.id for model in claude.models.list()]


def test_refused(fake: FakeUpstream, chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    fake.next({"status": 429, "retry_after": 1}, {"status": 529})
    with pytest.raises(openai.RateLimitError) as limited:
        read_chat(chat)
    assert limited.value.response.headers["retry-after"] == "1"
    with pytest.raises(anthropic.InternalServerError):
        claude.messages.create(model="claude-opus-4-8", max_tokens=99, messages=SAID)
    stats = fake.stats(ended=2)
    assert (stats.refused, stats.input, stats.output) == (2, 0, 0)


def test_knobs_of_the_text_and_of_the_address(fake: FakeUpstream) -> None:
    refusing = openai.OpenAI(base_url=fake.with_(status=500) + "/v1", api_key="k", max_retries=0, http_client=http())
    with refusing, pytest.raises(openai.InternalServerError):
        read_chat(refusing)
    with openai.OpenAI(base_url=f"{fake.url}/v1", api_key="k", http_client=http()) as client:
        assert read_chat(client, "Say it. [[fake tokens=2 input=40]]") == ("the quick", 42)


@pytest.mark.parametrize("knob", ["cut", "close", "error"])
def test_streams_that_break(fake: FakeUpstream, knob: str) -> None:
    fake.next({knob: 2})
    body = {"model": "gpt-5", "stream": True, "messages": SAID, "stream_options": {"include_usage": True}}
    text = ""
    try:
        with httpx.stream("POST", f"{fake.url}/v1/chat/completions", json=body, trust_env=False) as answer:
            for piece in answer.iter_text():
                text += piece
        ended = True
    except httpx.TransportError:
        ended = False
    assert ended == (knob != "cut") and "[DONE]" not in text and ('"error"' in text) == (knob == "error")
    [request] = fake.stats(ended=1).requests
    assert (request.generated, request.reported) == (2, False)
    assert request.outcome == {"cut": "cut", "close": "closed", "error": "error"}[knob]


def test_who_leaves_is_counted_with_what_was_generated_ahead(fake: FakeUpstream) -> None:
    fake.next({"tokens": 500, "hang": 3, "ahead": 10})
    body = {"model": "gpt-5", "stream": True, "messages": SAID}
    with httpx.stream("POST", f"{fake.url}/v1/chat/completions", json=body, trust_env=False) as answer:
        pieces = answer.iter_text()
        text = ""
        while "brown" not in text:
            text += next(pieces)
    [request] = fake.stats(ended=1).requests
    assert (request.outcome, request.delivered, request.generated) == ("aborted", 3, 13)


def test_a_reported_usage_is_told_as_it_is_given(fake: FakeUpstream, chat: openai.OpenAI) -> None:
    fake.next({"report": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}})
    assert read_chat(chat) == (WORDS, 0)


def test_a_knob_that_does_not_exist_is_named(fake: FakeUpstream) -> None:
    with pytest.raises(ValueError, match="tokenz"):
        fake.next({"tokenz": 3})
    with pytest.raises(ValueError, match="status"):
        changed(Knobs(), {"status": "tea"})
