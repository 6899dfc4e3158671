"""Upstreams that do not do as they should, or as others do: what goes on to the caller is legal, and billed."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import openai
import pytest

from holdfast.protocol import limits

from .conftest import KEY, served
from .scripted import EVENTS, JSON, scripted

pytestmark = pytest.mark.anyio

SAID: Any = [{"role": "user", "content": "Hi"}]
STREAM: Any = {"model": "gpt-5", "messages": SAID, "stream": True}
WHOLE: Any = {"model": "gpt-5", "messages": SAID}


def chunk(text: str = "", finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {"content": text} if text else {}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "served", "choices": [choice], **more}


def event(value: Any, end: str = "\n\n") -> bytes:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"data: {text}{end}".encode()


USAGE = chunk() | {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}}
HELLO = [chunk("Hel"), chunk("lo"), chunk(finish="stop")]


def stream(*values: Any, end: str = "\n\n") -> bytes:
    return b"".join(event(value, end) for value in values)


async def ask(pieces: list[bytes], body: Any = STREAM, shape: str = "openai", path: str = "chat/completions") -> Any:
    """The caller's answer, and what is on record."""
    async with scripted(pieces) as odd, served(odd.upstream(shape)) as site, site.http() as http:
        answer = await http.post(f"/v1/{path}", json=body)
        return answer, (await site.meter.all_settled(1))[0], odd


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
@pytest.mark.parametrize("body", [STREAM, WHOLE])
async def test_every_end_of_a_line(end: str, body: Any) -> None:
    answer, one, _ = await ask([EVENTS, stream(*HELLO, USAGE, "[DONE]", end=end)], body)
    if body is WHOLE:
        assert answer.json()["choices"][0]["message"]["content"] == "Hello"
    else:
        assert "Hel" in answer.text and '"usage"' not in answer.text
    assert (one.outcome, one.billed[0].counts["input"], one.billed[0].counts["output"]) == ("served", 11, 2)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
async def test_events_that_are_cut_anywhere_arrive_as_they_are(size: int) -> None:
    data = stream(*HELLO, "[DONE]", end="\r\n\r\n")
    answer, one, _ = await ask([EVENTS, *(data[at : at + size] for at in range(0, len(data), size))])
    assert answer.content == data and one.outcome == "served"


async def test_a_mark_of_the_byte_order_comments_and_pings() -> None:
    data = b"\xef\xbb\xbf: keep-alive\n\n" + stream(HELLO[0]) + b":ping\n\nevent: ping\ndata: {}\n\n"
    answer, one, _ = await ask([EVENTS, data, stream(*HELLO[1:], USAGE, "[DONE]")])
    assert answer.text.startswith(": keep-alive\n\n") and answer.text.endswith("data: [DONE]\n\n")
    assert one.outcome == "served" and one.billed


async def test_a_token_is_not_held_back_for_the_next_one() -> None:
    """Not by looking for usage, nor for the end of an event."""
    async with scripted([EVENTS, stream(HELLO[0] | {"usage": None}), stream(*HELLO[1:], "[DONE]")]) as slow:
        slow.go_on = asyncio.Semaphore(2)
        async with served(slow.upstream()) as site, site.http() as http:
            request = http.build_request("POST", "/v1/chat/completions", json=STREAM)
            answer = await http.send(request, stream=True)
            pieces = answer.aiter_text()
            text = await anext(pieces)
            assert "Hel" in text, "though the upstream goes on only now"
            slow.go_on.release()
            text += "".join([piece async for piece in pieces])
    assert text.endswith("[DONE]\n\n")


@pytest.mark.parametrize("body", [STREAM, WHOLE])
async def test_no_done_but_a_reason_to_stop_is_an_end(body: Any) -> None:
    answer, one, _ = await ask([EVENTS, stream(*HELLO, USAGE)], body)
    assert one.outcome == "served" and one.billed[0].total_input == 11
    if body is STREAM:
        assert answer.text.endswith("data: [DONE]\n\n")
    else:
        assert answer.json()["choices"][0]["message"]["content"] == "Hello"


async def test_an_end_without_its_empty_line() -> None:
    answer, one, _ = await ask([EVENTS, stream(*HELLO), b"data: [DONE]\n"])
    assert answer.text.endswith("data: [DONE]\n\n") and one.outcome == "served"


async def test_the_last_event_counts_without_its_empty_line_where_it_is_one() -> None:
    answer, one, _ = await ask(
        [EVENTS, stream(*HELLO), event(USAGE, end="")], STREAM | {"stream_options": {"include_usage": True}}
    )
    assert '"prompt_tokens": 11' in answer.text and answer.text.endswith("data: [DONE]\n\n")
    assert (one.outcome, one.billed[0].total_input) == ("served", 11)


async def test_who_goes_when_all_was_read_was_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """As clients do at the last line, though the upstream has not ended the response yet."""
    monkeypatch.setattr(limits, "END_WAIT_S", 60.0)
    async with scripted([EVENTS, stream(*HELLO, USAGE, "[DONE]"), b""]) as odd:
        odd.go_on = asyncio.Semaphore(2)
        async with served(odd.upstream()) as site, site.http() as http:
            answer = await http.send(http.build_request("POST", "/v1/chat/completions", json=STREAM), stream=True)
            text = ""
            pieces = answer.aiter_text()
            while "[DONE]" not in text:
                text += await anext(pieces)
            await answer.aclose()
            [one] = await site.meter.all_settled(1)
            odd.go_on.release()
    assert (one.outcome, one.reason, one.billed[0].total_input) == ("served", "", 11)


async def test_no_redirect_is_followed() -> None:
    """It would take the request, and the key, to somewhere that nobody has named."""
    async with scripted([EVENTS, stream(*HELLO, "[DONE]")]) as elsewhere:
        to = f"HTTP/1.1 307 Go\r\nlocation: {elsewhere.url}/v1/chat/completions\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        answer, one, _ = await ask([to.encode()])
        assert not elsewhere.connections and answer.status_code == 502
        assert (one.outcome, one.reason) == ("refused", "http 307")


async def test_an_end_that_is_only_quoted_is_none() -> None:
    """A model may talk about the dialect it is streamed in."""
    words = 'They end with "data: [DONE]", or {"type":"message_stop"}.\n\ndata: [DONE]\n\n'
    answer, one, _ = await ask([EVENTS, stream(chunk(words))])
    assert (one.outcome, one.reason) == ("failed", "upstream.failed")
    assert answer.text.count("data: [DONE]\n\n") == 1 and '"error"' in answer.text


async def test_half_an_event_does_not_spoil_the_end() -> None:
    answer, _, _ = await ask([EVENTS, stream(HELLO[0]), event(HELLO[1])[:-20]])
    events = [line for line in answer.text.split("\n\n") if line]
    assert [json.loads(line.removeprefix("data: ")) for line in events[:-1]] and events[-1] == "data: [DONE]"
    assert '"lo"' not in answer.text


async def test_usage_in_the_middle_and_in_every_chunk() -> None:
    growing = [each | {"usage": {"prompt_tokens": 11, "completion_tokens": at}} for at, each in enumerate(HELLO)]
    answer, one, _ = await ask([EVENTS, stream(*growing, USAGE, "[DONE]")])
    assert "Hel" in answer.text and '"choices": []' not in answer.text
    assert one.billed[0].counts == {"input": 11, "output": 2}


async def test_an_error_as_the_first_event_is_asked_for_elsewhere() -> None:
    error = {"error": {"message": "No capacity", "type": "overloaded", "code": "overloaded"}}
    good = [EVENTS, stream(*HELLO, USAGE, "[DONE]")]
    async with scripted([EVENTS, event(error)]) as bad, scripted(good) as fine:
        second = fine.upstream() | {"name": "fine"}
        async with served(bad.upstream(), second) as site, site.http() as http:
            answer = await http.post("/v1/chat/completions", json=STREAM)
            first, last = await site.meter.all_settled(2)
    assert "No capacity" not in answer.text and "Hel" in answer.text
    assert answer.headers["x-holdfast-upstream"] == "fine"
    assert (first.outcome, last.outcome, last.billed[0].total_input) == ("failed", "served", 11)


async def test_an_error_of_the_provider_in_mid_stream_is_told_with_its_code() -> None:
    error = {"error": {"message": "Out of memory", "type": "server_error", "code": "oom"}}
    pieces = [EVENTS, stream(HELLO[0]), stream(HELLO[1], error, "[DONE]")]
    async with scripted(pieces) as bad, served(bad.upstream()) as site:
        bad.go_on = asyncio.Semaphore(2)
        http = openai.DefaultAsyncHttpxClient(trust_env=False)
        async with openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=KEY, http_client=http) as client:
            text = ""
            with pytest.raises(openai.APIError) as caught:
                async for piece in await client.chat.completions.create(**STREAM):
                    text += piece.choices[0].delta.content or "" if piece.choices else ""
                    bad.go_on.release()
    assert text == "Hello"
    async with scripted([EVENTS, stream(HELLO[0], error)]) as bad, served(bad.upstream()) as site, site.http() as raw:
        answer = await raw.post("/v1/chat/completions", json=STREAM)
        assert answer.status_code == 502 and "Out of memory" in answer.text, "when nothing of it was given"
        [one] = await site.meter.all_settled(1)
    assert (caught.value.code, caught.value.type, "Out of memory" in caught.value.message) == (
        "oom",
        "server_error",
        True,
    )
    assert (one.outcome, one.reason) == ("failed", "upstream.failed") and one.estimated is not None


async def test_a_flat_error_of_responses_raises_all_the_same() -> None:
    created = {
        "type": "response.created",
        "sequence_number": 0,
        "response": {"id": "r", "model": "served", "error": None, "output": []},
    }
    error = {"type": "error", "sequence_number": 1, "code": "oom", "message": "Out of memory", "param": None}
    pieces = [EVENTS, stream(created), stream(error)]
    async with scripted(pieces) as bad, served(bad.upstream()) as site:
        bad.go_on = asyncio.Semaphore(2)
        http = openai.DefaultAsyncHttpxClient(trust_env=False)
        async with openai.AsyncOpenAI(
            base_url=f"{site.url}/v1", api_key=KEY, max_retries=0, http_client=http
        ) as client:
            with pytest.raises(openai.APIError) as caught:
                async for _ in await client.responses.create(model="gpt-5", input="Go.", stream=True):
                    bad.go_on.release()
    assert caught.value.code == "oom"


CHAT_ANSWER = {
    "id": "c1", "object": "chat.completion", "created": 1, "model": "served",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13},
}  # fmt: skip


@pytest.mark.parametrize("body", [STREAM, WHOLE])
@pytest.mark.parametrize("head", [JSON, EVENTS])
async def test_a_provider_that_answers_whole_is_billed_and_streamed_all_the_same(body: Any, head: bytes) -> None:
    text = json.dumps(CHAT_ANSWER, indent=1).encode()
    answer, one, _ = await ask([head, text[:30], text[30:]], body)
    assert one.outcome == "served" and one.billed[0].counts == {"input": 11, "output": 2}
    if body is WHOLE:
        assert answer.json() == CHAT_ANSWER | {"choices": [CHAT_ANSWER["choices"][0] | {"logprobs": None}]}  # type: ignore[index]
    else:
        assert '"Hello"' in answer.text and answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b"HTTP/1.1 302 Found\r\nlocation: http://example.com/\r\ncontent-length: 0\r\n\r\n"], 502),
        ([b"HTTP/1.1 502 Bad\r\ncontent-type: text/html\r\ncontent-length: 12\r\n\r\n<html></html"], 502),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], 502),
        ([JSON, b"{}"], 502),
        ([JSON, b'{"choices": 5}'], 502),
        ([JSON, b"[" * 100_000], 502),
        ([EVENTS, b"<html>"], 502),
        ([EVENTS, b"data: {{{\n\n"], 502),
        ([EVENTS, b'data: {"choices": 3}\n\ndata: [DONE]\n\n'], 502),
        ([EVENTS, b"data: " + b"[" * 1_000 + b"\n\n"], 502),
        ([EVENTS], 502),
        ([b"not http at all\r\n\r\n"], 502),
        ([], 502),
    ],
)
async def test_rubbish_is_the_providers_fault(pieces: list[bytes], status: int) -> None:
    answer, one, _ = await ask(pieces, WHOLE)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["code"] in ("upstream.failed", "upstream.unreachable")
    assert "location" not in answer.headers and one.outcome in ("failed", "refused")


async def test_compressed_though_nobody_asked() -> None:
    body = gzip.compress(stream(*HELLO, USAGE, "[DONE]"))
    head = EVENTS.replace(b"connection", b"content-encoding: gzip\r\nconnection")
    answer, one, _ = await ask([head, body])
    assert "Hel" in answer.text and "content-encoding" not in answer.headers and one.billed[0].total_input == 11


async def test_headers_of_the_upstream_that_go_on_and_those_that_do_not() -> None:
    rates = b"x-ratelimit-remaining-tokens: 7\r\nset-cookie: a=b\r\nx-request-id: theirs\r\nrequest-id: theirs\r\nserver: x\r\n"
    long = b"x-ratelimit-long: " + b"y" * 3_000 + b"\r\n"
    head = EVENTS.replace(b"connection", rates + long + b"connection")
    answer, _, _ = await ask([head, stream(*HELLO, "[DONE]")])
    assert answer.headers["x-ratelimit-remaining-tokens"] == "7" and answer.headers["request-id"] == "theirs"
    assert not {"set-cookie", "x-ratelimit-long"} & set(answer.headers)
    assert answer.headers["x-request-id"].startswith("c-") and answer.headers["x-holdfast-upstream"] == "scripted"


async def test_headers_of_the_caller_that_go_on_and_those_that_do_not() -> None:
    sent = {
        "anthropic-beta": "one,two",
        "anthropic-version": "2023-06-01",
        "cookie": "a=b",
        "x-forwarded-for": "1.2.3.4",
        "openai-organization": "org",
        "accept-language": "é",
    }
    async with scripted([EVENTS, stream(*HELLO, "[DONE]")]) as odd, served(odd.upstream()) as site, site.http() as http:
        await http.post("/v1/chat/completions", json=STREAM, headers={k: v.encode() for k, v in sent.items()})  # type: ignore[arg-type]
    head = odd.heads[0].lower()
    assert "anthropic-beta: one,two" in head and "anthropic-version: 2023-06-01" in head
    for name in ("cookie", "x-forwarded-for", "authorization", "openai-organization", KEY, "accept-language"):
        assert name not in head


async def test_a_connection_that_the_upstream_has_closed_meanwhile_is_no_failure() -> None:
    """Between two requests it may: the next one finds out only when it is sent."""
    whole = stream(*HELLO, USAGE, "[DONE]")
    kept = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(whole)

    def answers(number: int) -> list[bytes]:
        return [] if number == 2 else [kept, whole]  # the second is closed without a word

    async with scripted(answers) as odd, served(odd.upstream()) as site, site.http() as http:
        for _ in range(2):
            answer = await http.post("/v1/chat/completions", json=STREAM)
            assert "Hel" in answer.text
        first, second = await site.meter.all_settled(2)
        assert site.gateway.upstreams.states[0].errors == 0
    assert (first.outcome, second.outcome) == ("served", "served") and odd.connections == 2 and len(odd.heads) == 3


async def test_a_whole_stream_is_not_waited_for_any_longer() -> None:
    """Some upstreams leave the response open behind it."""
    async with scripted([EVENTS, stream(*HELLO, USAGE, "[DONE]"), b""]) as odd:
        odd.go_on = asyncio.Semaphore(2)
        async with served(odd.upstream()) as site, site.http() as http:
            answer = await http.post("/v1/chat/completions", json=WHOLE)
            [one] = await site.meter.all_settled(1)
            odd.go_on.release()
    assert answer.json()["choices"][0]["message"]["content"] == "Hello" and one.outcome == "served"


@pytest.mark.parametrize("body", [STREAM, WHOLE])
async def test_several_choices(body: Any) -> None:
    two = [
        chunk("Hel"),
        chunk("Hey") | {"choices": [{"index": 1, "delta": {"content": "Hey"}, "finish_reason": "stop"}]},
    ]
    answer, one, _ = await ask([EVENTS, stream(*two, *HELLO[1:], USAGE, "[DONE]")], {**body, "n": 2})
    assert one.billed[0].total_output == 2
    if body is WHOLE:
        assert [c["message"]["content"] for c in answer.json()["choices"]] == ["Hello", "Hey"]
    cut, one, _ = await ask([EVENTS, stream(*two * 40)], {**body, "n": 2})
    assert one.estimated is not None and one.estimated.total_output >= 60, "those of all choices"
    assert cut.status_code == (200 if body is STREAM else 502)


async def test_a_caller_that_waits_to_be_told_to_go_on_is_told() -> None:
    body = json.dumps(STREAM).encode()
    async with scripted([EVENTS, stream(*HELLO, USAGE, "[DONE]")]) as odd, served(odd.upstream()) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rsplit(":", 1)[1]))
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\nconnection: close\r\n"
        writer.write(f"{head}expect: 100-continue\r\ncontent-length: {len(body)}\r\n\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(body)
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 200") and b"Hel" in answer and odd.bodies


@pytest.mark.parametrize(
    "error", [{"error": "text alone"}, {"error": {"message": "x", "code": 400}}, {"type": "error"}]
)
async def test_errors_of_any_form_are_errors(error: dict[str, Any]) -> None:
    answer, one, _ = await ask([EVENTS, event(error)])
    assert answer.status_code == 502 and one.outcome == "failed" and "the provider gave up" in answer.text


async def test_a_caller_that_reads_slowly_makes_the_upstream_wait() -> None:
    """Memory holds what is read ahead, and no more of a long answer."""
    block = stream(*[chunk("word " * 20)] * 100)
    pieces = [EVENTS, *[block] * 2_000, stream(chunk(finish="stop"), "[DONE]")]
    async with scripted(pieces) as fast, served(fast.upstream()) as site, site.http() as http:
        request = http.build_request("POST", "/v1/chat/completions", json=STREAM)
        answer = await http.send(request, stream=True)
        reading = answer.aiter_bytes()
        size = len(await anext(reading))
        same, before = 0, 0
        while same < 300:  # turns of the loop in which nothing moves
            await asyncio.sleep(0)
            same, before = (same + 1 if fast.written == before else 0), fast.written
        assert fast.written < 1_000 * len(block), "the rest waits at the upstream"
        size += sum([len(piece) async for piece in reading])
        assert size > 2_000 * len(block)
        [one] = await site.meter.all_settled(1)
    assert one.outcome == "served"
