"""What providers' streams say beside text: sources, pauses, tools that the provider runs, and what nobody knows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.agents.adapters import anthropic_messages, generator, openai_chat, openai_responses
from holdfast.agents.adapters.answer import ModelAnswer
from holdfast.agents.run import RunContext
from holdfast.protocol.fold import View
from tests.adapters.conftest import converse_agent
from tests.adapters.replay import Provider, framed
from tests.adapters.workshop import Workshop, answers, ended, items
from tests.unit.agents.conftest import House

pytestmark = pytest.mark.anyio

Event = dict[str, Any]
RELAYS: dict[str, Any] = {
    "chat": openai_chat.relay, "responses": openai_responses.relay, "messages": anthropic_messages.relay,
}  # fmt: skip


@pytest.fixture
async def house(anyio_backend: str) -> AsyncIterator[House]:
    house = House(30.0)
    await house.hub.open()
    yield house
    await house.close()


async def relayed(house: House, api: str, events: list[Event]) -> tuple[View, ModelAnswer]:
    """A session after an agent relayed these events, and the answer."""
    worker, answers = await house.worker(), list[ModelAnswer]()

    async def stream() -> AsyncIterator[Event]:
        for event in events:
            yield event

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        answers.append(await RELAYS[api](run, stream()))

    house.serve(worker)
    session = await house.session()
    run = await session.send("go")
    over = await run.finished()
    assert over["status"] == "completed", over
    return await session.state(), answers[0]


def said(view: View) -> list[tuple[str, str]]:
    """What the run shows, in its order: kind, and the words or the name."""
    view.export()
    shown = [item for item in view.items if "run" in item]
    return [
        (item["kind"], item.get("name") if item["kind"] in ("tool", "activity") else item["text"]) for item in shown
    ]


def sources(view: View) -> list[list[str]]:
    """The addresses that each message cites."""
    return [[s["uri"] for s in m.get("sources", [])] for m in items(view, "message") if "run" in m]


# --- the three ways to say it
def messages(*blocks: tuple[Event, list[Event]], stop: str = "end_turn") -> list[Event]:
    usage = {"input_tokens": 7, "output_tokens": 1}
    out: list[Event] = [
        {"type": "message_start", "message": {"id": "m", "model": "claude", "content": [], "usage": usage}}
    ]
    for number, (block, deltas) in enumerate(blocks):
        out.append({"type": "content_block_start", "index": number, "content_block": block})
        out += [{"type": "content_block_delta", "index": number, "delta": delta} for delta in deltas]
        out.append({"type": "content_block_stop", "index": number})
    return [*out, {"type": "message_delta", "delta": {"stop_reason": stop}}, {"type": "message_stop"}]


def text(*pieces: str | Event) -> tuple[Event, list[Event]]:
    deltas = [{"type": "text_delta", "text": piece} if isinstance(piece, str) else piece for piece in pieces]
    return {"type": "text", "text": ""}, deltas


def cites(url: str, quote: str = "") -> Event:
    location = {"type": "web_search_result_location", "url": url, "title": "Tides", "cited_text": quote}
    return {"type": "citations_delta", "citation": location}


def searches(ident: str) -> list[tuple[Event, list[Event]]]:
    use = {"type": "server_tool_use", "id": ident, "name": "web_search", "input": {}}
    return [(use, [{"type": "input_json_delta", "partial_json": '{"query": "tide"}'}]), found(ident)]


def found(ident: str) -> tuple[Event, list[Event]]:
    return {"type": "web_search_tool_result", "tool_use_id": ident, "content": [{"url": "https://a.example"}]}, []


def chunk(delta: Event, finish: str | None = None, **more: Any) -> Event:
    return {"model": "gpt", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def item(index: int, item: Event, *between: Event) -> list[Event]:
    started = {**item, "content": []} if "content" in item else item
    return [
        {"type": "response.output_item.added", "output_index": index, "item": started},
        *({"output_index": index, **event} for event in between),
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def message(index: int, words: str, *notes: Event, streamed: bool = True) -> list[Event]:
    part = {"type": "output_text", "text": words, "annotations": list(notes)}
    whole = {"type": "message", "id": f"m{index}", "role": "assistant", "content": [part]}
    delta = {"type": "response.output_text.delta", "content_index": 0, "delta": words}
    return item(index, whole, *([delta] if streamed else []))


OVER: Event = {"type": "response.completed", "response": {"model": "gpt", "status": "completed"}}


# --- sources
async def test_a_source_may_come_before_the_first_word_of_its_block(house: House) -> None:
    block = text(cites("https://a.example", "High tide"), "High tide is at six.")
    view, answer = await relayed(house, "messages", messages(block))
    assert said(view) == [("message", "High tide is at six.")]
    (shown,) = [m for m in items(view, "message") if "run" in m]
    assert shown["sources"] == [
        {"sourceId": "https://a.example", "uri": "https://a.example", "title": "Tides", "quote": "High tide"}
    ]
    assert answer.content[0]["citations"] == [block[1][0]["citation"]]


async def test_a_source_may_come_in_a_chunk_without_words(house: House) -> None:
    note = {"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A", "content": "long"}}
    plain = {"type": "url_citation", "url": "https://b.example"}
    first = chunk({"role": "assistant", "content": "", "annotations": [note, plain]})
    view, _ = await relayed(house, "chat", [first, chunk({"content": "High tide."}), chunk({}, "stop")])
    assert (said(view), sources(view)) == ([("message", "High tide.")], [["https://a.example", "https://b.example"]])


async def test_sources_of_a_server_that_searches_stand_once(house: House) -> None:
    beside = {"citations": ["https://a.example", "https://b.example"]}
    found = {"search_results": [{"url": "https://c.example", "title": "C"}], "citations": ["https://c.example"]}
    chunks = [chunk({"content": word}, **beside) for word in ("High ", "tide.")]
    view, _ = await relayed(house, "chat", [*chunks, chunk({}, "stop", **found)])
    assert sources(view) == [["https://a.example", "https://b.example", "https://c.example"]]


async def test_sources_that_are_told_only_with_the_whole_message(house: House) -> None:
    early = {"type": "url_citation", "url": "https://a.example", "title": "A"}
    late = {"type": "file_citation", "file_id": "f1", "filename": "tides.pdf"}
    annotation = {
        "type": "response.output_text.annotation.added",
        "output_index": 0,
        "content_index": 0,
        "annotation": early,
    }
    view, _ = await relayed(house, "responses", [annotation, *message(0, "High tide.", early, late), OVER])
    assert (said(view), sources(view)) == ([("message", "High tide.")], [["https://a.example", "f1"]])


@pytest.mark.parametrize("before", [True, False])
async def test_sources_of_words_that_never_come_are_shown(house: House, before: bool) -> None:
    blocks = [text(cites("https://a.example"))]
    if before:
        blocks = [text("High tide."), *searches("s1"), *blocks]
    view, _ = await relayed(house, "messages", messages(*blocks))
    assert sources(view) == [["https://a.example"]]


async def test_a_generator_may_cite_before_it_speaks(house: House) -> None:
    async def answer() -> AsyncIterator[str | Event]:
        yield {"type": "source", "uri": "https://a.example"}
        yield "High tide."

    worker = await house.worker()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        await generator.stream(run, answer())

    house.serve(worker)
    session = await house.session()
    await (await session.send("go")).finished()
    assert sources(await session.state()) == [["https://a.example"]]


# --- what is one message
async def test_an_answer_is_one_message_however_many_blocks_it_has(house: House) -> None:
    words = [f"Tide {n} is " for n in range(20)]
    blocks = [block for word in words for block in (text(cites("https://a.example", word), word), text("high, "))]
    view, answer = await relayed(house, "messages", messages(*searches("s1"), *blocks))
    whole = "".join(f"{word}high, " for word in words)
    assert said(view) == [("tool", "web_search"), ("message", whole)]
    assert answer.text == whole and len(answer.content) == 42
    (shown,) = [m for m in items(view, "message") if "run" in m]
    assert [s["quote"] for s in shown["sources"]] == words


async def test_what_is_visible_stands_between_two_messages(house: House) -> None:
    think = ({"type": "thinking", "thinking": ""}, [{"type": "thinking_delta", "thinking": "Hm."}])
    hidden = ({"type": "redacted_thinking", "data": "x"}, [])
    call = ({"type": "tool_use", "id": "c1", "name": "look", "input": {}}, [])
    blocks = [text("a"), hidden, text("b"), *searches("s1"), text("c"), think, text("d"), text("e"), call]
    view, _ = await relayed(house, "messages", messages(*blocks, stop="tool_use"))
    assert said(view) == [
        ("message", "ab"), ("tool", "web_search"), ("message", "c"), ("reasoning", "Hm."), ("message", "de"),
        ("tool", "look"),
    ]  # fmt: skip


async def test_parts_of_a_message_are_one_and_two_messages_are_two(house: House) -> None:
    parts = [{"type": "output_text", "text": word} for word in ("High ", "tide.")]
    whole = {"type": "message", "id": "m", "role": "assistant", "content": parts}
    pieces = [
        {"type": "response.output_text.delta", "content_index": n, "delta": part["text"]}
        for n, part in enumerate(parts)
    ]
    view, _ = await relayed(house, "responses", [*item(0, whole, *pieces), *message(1, "At six."), OVER])
    assert said(view) == [("message", "High tide."), ("message", "At six.")]


async def test_what_does_not_come_in_pieces_is_shown_when_it_is_whole(house: House) -> None:
    thought = {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "Hm."}],
               "content": [{"type": "reasoning_text", "text": "Tides."}]}  # fmt: skip
    refusal = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    events = [*item(0, thought), *message(1, "High tide.", streamed=False), *item(2, refusal), OVER]
    view, answer = await relayed(house, "responses", events)
    assert sorted(said(view)) == [
        ("message", "High tide."), ("message", "No."), ("reasoning", "Hm."), ("reasoning", "Tides.")
    ]  # fmt: skip
    assert (answer.text, answer.refusal) == ("High tide.", "No.")


async def test_reasoning_and_speech_in_other_fields(house: House) -> None:
    details = [{"type": "reasoning.text", "text": "Hm."}, {"type": "reasoning.encrypted", "data": "x"}]
    chunks = [
        chunk({"reasoning_details": details}),
        chunk({"reasoning": " So.", "reasoning_details": [{"type": "reasoning.text", "text": " So."}]}),
        chunk({"audio": {"id": "a", "transcript": "High "}}),
        chunk({"audio": {"data": "UklG", "transcript": "tide."}}),
        chunk({}, "stop"),
    ]
    view, _ = await relayed(house, "chat", chunks)
    assert said(view) == [("reasoning", "Hm. So."), ("message", "High tide.")]


# --- what the provider does itself
async def test_compaction_keeps_its_content(house: House) -> None:
    block = {"type": "compaction", "content": None}
    deltas = [
        {"type": "compaction_delta", "content": "They asked ", "encrypted_content": None},
        {"type": "compaction_delta", "content": "for tides.", "encrypted_content": "e1"},
    ]
    view, answer = await relayed(house, "messages", messages((block, deltas), text("High tide.")))
    assert answer.content[0] == {"type": "compaction", "content": "They asked for tides.", "encrypted_content": "e1"}
    assert said(view) == [("activity", "compaction"), ("message", "High tide.")]
    assert items(view, "activity")[0]["content"] == {"content": "They asked for tides."}


async def test_tools_that_a_server_ran_are_shown_as_calls(house: House) -> None:
    searched = {"index": 0, "type": "search", "arguments": '{"query": "tide"}'}
    outcome = {**searched, "output": "At six.", "search_results": {"results": [{"url": "https://a.example"}]}}
    python = {"index": 1, "type": "python", "arguments": '{"code": "6"}', "output": "six"}
    silent = {"index": 2, "type": "visit", "arguments": "{}"}
    chunks = [
        chunk({"content": "I look. "}),
        chunk({"executed_tools": [searched]}),
        chunk({"executed_tools": [outcome, python]}),
        chunk({"executed_tools": [silent]}),
        chunk({"content": "At six."}),
        chunk({}, "stop"),
    ]
    view, answer = await relayed(house, "chat", chunks)
    assert said(view) == [
        ("message", "I look. "), ("tool", "search"), ("tool", "python"), ("tool", "visit"), ("message", "At six."),
    ]  # fmt: skip
    search, python_, visit = items(view, "tool")
    assert (search["args"], search["status"]) == ('{"query": "tide"}', "done")
    assert json.loads(search["result"]) == {name: outcome[name] for name in ("output", "search_results")}
    assert (python_["result"], visit["result"], answer.calls) == ("six", "completed", [])


async def test_the_output_of_a_call_that_comes_as_an_item_of_its_own(house: House) -> None:
    call = {"type": "shell_call", "id": "s", "call_id": "c1", "status": "completed", "action": {"commands": ["ls"]}}
    output = {"type": "shell_call_output", "id": "o", "call_id": "c1", "output": [{"stdout": "tides.txt"}]}
    silent = {"type": "shell_call", "id": "t", "call_id": "c2", "status": "completed", "action": {"commands": ["cd"]}}
    view, _ = await relayed(house, "responses", [*item(0, call), *item(1, output), *item(2, silent), OVER])
    first, second = items(view, "tool")
    assert (json.loads(first["result"]), first["status"]) == ([{"stdout": "tides.txt"}], "done")
    assert (second["result"], second["status"]) == ("completed", "done")


async def test_a_pause_between_two_streams_of_ones_own_loop(house: House) -> None:
    streams = [messages(text("I look."), searches("s1")[0], stop="pause_turn"), messages(found("s1"), text("At six."))]
    worker = await house.worker()

    async def stream(events: list[Event]) -> AsyncIterator[Event]:
        for event in events:
            yield event

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        for events in streams:
            await anthropic_messages.relay(run, stream(events))

    house.serve(worker)
    session = await house.session()
    await (await session.send("go")).finished()
    view = await session.state()
    assert said(view) == [("message", "I look."), ("tool", "web_search"), ("message", "At six.")]
    assert items(view, "tool")[0]["status"] == "done"


SEARCH = {"type": "web_search_20250305", "name": "web_search"}


@pytest.mark.parametrize("lost", [False, True])
async def test_a_search_that_goes_on_after_a_pause_has_its_result(
    bench: Workshop, provider: Provider, lost: bool
) -> None:
    paused = messages(text("I look."), searches("s1")[0], stop="pause_turn")
    rest = messages(found("s1"), text("At six."))
    hold, asked_again = asyncio.Event(), asyncio.Event()

    def script(number: int, request: dict[str, Any]) -> Any:
        if "s1" not in json.dumps(request["messages"]):  # also when the worker left before what it had was stored
            return framed(paused)
        holds = lost and not asked_again.is_set()
        asked_again.set()
        return (b"", hold) if holds else framed(rest)

    provider.script = script
    worker = await bench.worker(writer=converse_agent("anthropic.messages", provider, SEARCH))
    session = await bench.session()
    run = await session.send("When is high tide?")
    if lost:
        await asked_again.wait()
        await worker.leave()
        await bench.worker(writer=converse_agent("anthropic.messages", provider, SEARCH))
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    (call,) = items(view, "tool")
    assert (call["name"], call["status"], call["args"]) == ("web_search", "done", '{"query": "tide"}')
    assert json.loads(call["result"]) == [{"url": "https://a.example"}]
    assert answers(view, run.id) == ["I look.", "At six."]
    sent = provider.requests[-1]["messages"][-1]
    assert [block["type"] for block in sent["content"]] == ["text", "server_tool_use"]
    assert bool(view.runs[run.id].get("losses")) == lost
