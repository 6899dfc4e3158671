"""What an adapter does not know of a provider's stream is counted, for operators."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.agents.run import RunContext
from holdfast.embed import EmbeddedBlobs
from holdfast.protocol import limits
from holdfast.session.access import full_access
from tests.adapters.conftest import converse_agent
from tests.adapters.replay import Provider, framed
from tests.adapters.test_provider_events import (
    OVER,
    Event,
    chunk,
    found,
    item,
    message,
    messages,
    relayed,
    said,
    sources,
    text,
)
from tests.adapters.workshop import Workshop, ended, logged
from tests.unit.agents.conftest import House

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house(anyio_backend: str) -> AsyncIterator[House]:
    house = House(30.0)
    await house.hub.open()
    yield house
    await house.close()


UNKNOWN: dict[str, tuple[list[Event], dict[str, int]]] = {
    "chat": (
        [
            chunk({"content": "Hi.", "images": [{"url": "data:"}], "nothing": None, "hollow": {"a": [None, ""]}}),
            {**chunk({"images": [1]}), "novelty": 1, "usage": None},
            {"choices": [{"index": 1, "delta": {"content": "Another."}}, {"index": 0, "delta": {}, "mood": "good"}]},
            chunk({"content": [{"type": "hologram", "x": 1}]}),
            chunk({}, "stop"),
        ],
        {"delta.images": 2, "chunk.novelty": 1, "another choice": 1, "choice.mood": 1, "content.hologram": 1},
    ),
    "messages": (
        [
            {"type": "ping"},
            {"type": "applause"},
            {"type": "content_block_delta", "index": 9, "delta": {"type": "text_delta", "text": "lost"}},
            *messages(
                text("Hi.", {"type": "scent_delta", "scent": "sea"}), ({"type": "hologram", "x": 1}, []), found("never")
            ),
        ],
        {
            "applause": 1, "content_block_delta.text_delta of no block": 1, "content_block_delta.scent_delta": 1,
            "content_block.hologram": 1, "the result of a call that was not made": 1,
        },
    ),
    "responses": (
        [
            {"type": "response.created"},
            {"type": "response.web_search_call.searching"},
            {"type": "response.applause", "delta": "!"},
            {"type": "response.applause", "delta": "!"},
            *message(0, "Hi."),
            *item(1, {"type": "message", "content": [{"type": "hologram"}]}),
            OVER,
        ],
        {"response.applause": 2, "content.hologram": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("api", UNKNOWN)
async def test_what_is_not_known_is_counted_for_operators(house: House, api: str) -> None:
    events, counts = UNKNOWN[api]
    view, _ = await relayed(house, api, events)
    assert said(view) == [("message", "Hi.")]
    (recorded,) = await logged((await house.client("user:operator")).session("s1"), "upstream.unknown")
    assert recorded["events"] == counts
    assert recorded["adapter"] in ("openai_chat", "openai_responses", "anthropic_messages")
    assert house.hub.stats.unknown_upstream == sum(counts.values())


async def test_people_do_not_read_what_operators_are_told(bench: Workshop, provider: Provider) -> None:
    provider.script = lambda _, request: framed([{"type": "applause"}, *messages(text("Hi."))])
    await bench.worker(writer=converse_agent("anthropic.messages", provider))
    session = await bench.session()
    await ended(session, (await session.send("go")).id)
    reader = (await bench.person("user:ben", "read")).session("s1")
    assert await logged(reader, "upstream.unknown") == []
    operator = (await bench.person("user:operator", "read", "admin")).session("s1")
    assert [recorded["events"] for recorded in await logged(operator, "upstream.unknown")] == [{"applause": 1}]


async def test_kinds_without_end_are_counted_together(house: House) -> None:
    many = [{"type": f"kind-{n}\x1b"} for n in range(limits.UNKNOWN_NAMES + 8)]
    await relayed(house, "messages", [*many, {"type": "x" * 10_000}, *messages(text("Hi."))])
    operator = (await house.client("user:operator")).session("s1")
    (recorded,) = await logged(operator, "upstream.unknown")
    assert len(recorded["events"]) == limits.UNKNOWN_NAMES + 1 and recorded["events"]["…"] == 9
    assert all(name.isprintable() and len(name) <= limits.UNKNOWN_NAME_CHARS for name in recorded["events"])


async def test_the_openai_agents_sdk_tells_sources_and_tools_and_what_is_not_known(house: House) -> None:
    pytest.importorskip("agents", reason="the OpenAI Agents SDK is not installed")
    from agents import Agent, Model, RunConfig
    from openai.types.responses import Response

    from holdfast.agents.adapters import openai_agents
    from tests.adapters.test_openai_agents import event

    note = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 1}
    late = {**note, "url": "https://b.example"}
    words = {"type": "output_text", "text": "High tide.", "annotations": [note, late], "logprobs": []}
    answer = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [words]}
    search = {
        "id": "w",
        "type": "web_search_call",
        "status": "completed",
        "action": {"type": "search", "query": "tide"},
    }

    class Searching(Model):
        async def get_response(self, *args: Any, **kwargs: Any) -> Any:
            raise AssertionError("not streamed")

        async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:  # type: ignore[override]
            at = {"output_index": 1, "item_id": "m", "content_index": 0}
            yield event("output_item.added", output_index=0, item={**search, "status": "in_progress"})
            yield event("output_item.done", output_index=0, item=search)
            yield event("output_text.annotation.added", annotation_index=0, annotation=note, **at)
            yield event("output_text.delta", delta="High tide.", logprobs=[], **at)
            yield SimpleNamespace(type="response.applause")
            response = Response.model_validate({
                "id": "r", "created_at": 0, "model": "gpt", "object": "response", "output": [search, answer],
                "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
            })  # fmt: skip
            yield event("completed", response=response.model_dump(by_alias=True, exclude_unset=True))

    worker = await house.worker()
    worker.blobs = EmbeddedBlobs(house.hub, full_access("t", "agent:worker", ("*",)))

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        await openai_agents.run(run, Agent(name="a", model=Searching()), run_config=RunConfig(tracing_disabled=True))

    house.serve(worker)
    session = await house.session()
    over = await (await session.send("go")).finished()
    assert over["status"] == "completed", over
    view = await session.state()
    assert said(view) == [("tool", "web_search"), ("message", "High tide.")]
    assert sources(view) == [["https://a.example", "https://b.example"]]
    (recorded,) = await logged((await house.client("user:operator")).session("s1"), "upstream.unknown")
    assert recorded == {"adapter": "openai_agents", "events": {"response.applause": 1}}


async def test_pydantic_ai_makes_one_message_of_an_answer_and_counts_what_is_not_known(house: House) -> None:
    pytest.importorskip("pydantic_ai", reason="Pydantic AI is not installed")
    from pydantic_ai import messages as m

    from holdfast.agents.adapters.pydantic_ai import _Relay

    worker = await house.worker()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        relay = _Relay(run, None, None)  # type: ignore[arg-type]
        parts: list[Any] = [m.TextPart(f"tide {n} ") for n in range(5)]
        parts += [
            m.ThinkingPart("Hm."),
            m.TextPart("six"),
            m.TextPart("!", id="another"),
            m.FilePart(m.BinaryContent(b"", media_type="image/png")),
        ]
        for index, part in enumerate(parts):
            await relay._handle_event(m.PartStartEvent(index=index, part=part))
            await relay._handle_event(m.PartEndEvent(index=index, part=part))
        await relay._handle_event(SimpleNamespace(kind="applause"))
        await relay._texts.end_all()
        await relay._unknown.record()

    house.serve(worker)
    session = await house.session()
    await (await session.send("go")).finished()
    view = await session.state()
    assert said(view) == [
        ("message", "tide 0 tide 1 tide 2 tide 3 tide 4 "), ("reasoning", "Hm."), ("message", "six"), ("message", "!")
    ]  # fmt: skip
    (recorded,) = await logged((await house.client("user:operator")).session("s1"), "upstream.unknown")
    assert recorded == {"adapter": "pydantic_ai", "events": {"FilePart": 1, "SimpleNamespace": 1}}
