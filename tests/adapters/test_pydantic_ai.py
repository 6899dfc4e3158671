"""Pydantic AI agents in sessions: what they say and do, stops, errors, sub-agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="Pydantic AI is not installed")

from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry
from pydantic_ai import RunContext as Context
from pydantic_ai import messages as m
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.function import AgentInfo, DeltaThinkingPart, DeltaToolCall, FunctionModel
from pydantic_ai.models.test import TestModel

from holdfast.agents.adapters import pydantic_ai
from holdfast.agents.run import RunContext
from tests.adapters.pydantic_scripts import Scripted, prompts, returned
from tests.adapters.workshop import Workshop, answers, ended, items, logged, open_workshop, seen

pytestmark = [pytest.mark.anyio, pytest.mark.process]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def shop(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Workshop]:
    async with open_workshop(tmp_path) as shop:
        yield shop


async def test_a_run_is_text_tool_call_and_result(shop: Workshop) -> None:
    agent = Agent(Scripted("price", '{"of": "tea"}').model)

    @agent.tool_plain
    def price(of: str) -> dict[str, Any]:
        return {"of": of, "cents": 250}

    outputs = []

    async def writer(run: RunContext) -> None:
        outputs.append(await pydantic_ai.run(run, agent))

    await shop.worker(writer=writer)
    session = await shop.session()
    run = await session.send("What is tea?")
    view = await ended(session, run.id)
    assert answers(view, run.id) == ["Let me see.", "It came to: {'of': 'tea', 'cents': 250}"]
    assert outputs == ["It came to: {'of': 'tea', 'cents': 250}"]
    (tool,) = items(view, "tool")
    assert (tool["name"], tool["args"], tool["status"]) == ("price", '{"of": "tea"}', "done")
    assert tool["result"] == '{"of":"tea","cents":250}'
    assert [i["kind"] for i in view.items] == ["message", "message", "tool", "message"]


async def test_the_conversation_before_is_told_with_its_tool_calls(shop: Workshop) -> None:
    requests: list[list[m.ModelMessage]] = []
    agent = Agent(Scripted("price", '{"of": "tea"}').model, system_prompt="Be brief.")

    @agent.tool_plain
    def price(of: str) -> int:
        requests.append([])
        return 250

    async def recalls(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        requests.append(messages)
        yield "As I said."

    async def writer(run: RunContext) -> None:
        await pydantic_ai.run(run, agent, model=FunctionModel(stream_function=recalls) if requests else None)

    await shop.worker(writer=writer)
    session = await shop.session()
    first = await session.send("What is tea?")
    await ended(session, first.id)
    second = await session.send("And again?")
    await ended(session, second.id)
    messages = requests[-1]
    assert prompts(messages) == ["What is tea?", "And again?"]
    assert returned(messages) == {"price": "250"}
    assert [p.content for msg in messages for p in msg.parts if isinstance(p, m.SystemPromptPart)] == ["Be brief."]
    calls = [msg for msg in messages if isinstance(msg, m.ModelResponse)]
    assert [type(p).__name__ for msg in calls for p in msg.parts] == ["TextPart", "ToolCallPart", "TextPart"]


async def test_thinking_usage_and_structured_output(shop: Workshop) -> None:
    class City(BaseModel):
        name: str

    async def thinks(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        yield {0: DeltaThinkingPart(content="Which city? ")}
        yield {0: DeltaThinkingPart(content="Oslo.")}
        yield {1: DeltaToolCall(name=info.output_tools[0].name, json_args='{"name": "Oslo"}', tool_call_id="o1")}

    agent = Agent(FunctionModel(stream_function=thinks), output_type=City)

    async def writer(run: RunContext) -> None:
        assert await pydantic_ai.run(run, agent) == City(name="Oslo")

    await shop.worker(writer=writer)
    session = await shop.session()
    run = await session.send("Where?")
    view = await ended(session, run.id)
    assert [i["text"] for i in items(view, "reasoning")] == ["Which city? Oslo."]
    assert answers(view, run.id) == ['{"name": "Oslo"}']
    assert items(view, "tool") == []
    operator = (await shop.person("user:operator", "read", "admin")).session("s1")
    (used,) = await logged(operator, "usage.recorded")
    assert used["output_tokens"] > 0
    assert used["model"].startswith("function:")


async def test_stop_closes_the_model(shop: Workshop) -> None:
    closed = asyncio.Event()

    async def endless(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        try:
            while True:
                yield "on and "
                await asyncio.sleep(0.005)
        finally:
            closed.set()

    agent = Agent(FunctionModel(stream_function=endless))

    async def writer(run: RunContext) -> None:
        await pydantic_ai.run(run, agent)

    await shop.worker(writer=writer)
    session = await shop.session()
    run = await session.send("Go on")
    await seen(session, lambda view: "on and on" in str([i.get("text") for i in view.export()["items"]]))
    await run.cancel()
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "cancelled"
    async with asyncio.timeout(10):
        await closed.wait()
    assert items(view, "message", run=run.id)[0]["status"] == "cut"


async def test_a_second_reader_joins_in_the_middle(shop: Workshop) -> None:
    go = asyncio.Event()
    script = Scripted("price", "{}", hold=go)
    agent = Agent(script.model)

    @agent.tool_plain
    def price() -> int:
        return 3

    async def writer(run: RunContext) -> None:
        await pydantic_ai.run(run, agent)

    await shop.worker(writer=writer)
    session = await shop.session()
    run = await session.send("What?")
    await seen(session, lambda view: "It came to: " in str(view.export()["items"]))
    other = (await shop.person("user:bob")).session("s1")
    async with other.live() as live:
        assert [i["status"] for i in items(live.view, "message")] == ["complete", "complete", "open"]
        go.set()
        mine = await ended(session, run.id)
        theirs = await live.until(lambda view: view.runs[run.id]["status"] == "completed")
        assert theirs.export() == mine.export()
    assert answers(mine, run.id)[-1] == "It came to: 3"


async def test_what_the_provider_says_of_an_error_is_the_runs_error(shop: Workshop) -> None:
    async def broken(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield "I was "
        raise ModelHTTPError(529, "model", {"error": "overloaded"})

    agent = Agent(FunctionModel(stream_function=broken))

    async def writer(run: RunContext) -> None:
        await pydantic_ai.run(run, agent)

    await shop.worker(writer=writer)
    session = await shop.session()
    run = await session.send("Hello", attempts=1)
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "failed"
    assert "529" in view.runs[run.id]["error"]["message"]
    assert items(view, "message", run=run.id)[0]["status"] == "cut"


async def test_calls_that_are_not_understood_are_settled_in_the_log(shop: Workshop) -> None:
    async def model(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        step = len(messages) // 2
        if step == 0:
            yield {0: DeltaToolCall(name="price", json_args='{"of": 3}', tool_call_id="bad")}
        elif step == 1:
            yield {0: DeltaToolCall(name="price", json_args='{"of": "gold"}', tool_call_id="retry")}
        elif step == 2:
            yield {0: DeltaToolCall(name="price", json_args='{"of": "tea"}', tool_call_id="good")}
        else:
            yield "Done."

    agent = Agent(FunctionModel(stream_function=model), retries=3)

    @agent.tool_plain
    def price(of: str) -> int:
        if of == "gold":
            raise ModelRetry("ask for tea")
        return 3

    async def writer(run: RunContext) -> None:
        await pydantic_ai.run(run, agent)

    await shop.worker(writer=writer)
    session = await shop.session()
    run = await session.send("How much?")
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    tools = items(view, "tool")
    assert [i["status"] for i in tools] == ["done"] * 3
    assert ["error" in i for i in tools] == [True, True, False]


async def test_three_sub_agents_at_a_time_speak_for_themselves(shop: Workshop) -> None:
    child = Agent(TestModel(custom_output_text="seen."), name="scout")

    async def look(ctx: Context[None], at: str) -> str:
        return f"{at}: " + await pydantic_ai.sub(child, f"Look at {at}")

    async def model(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        parts = [p for message in messages for p in message.parts if isinstance(p, m.ToolReturnPart)]
        if not parts:
            for n, at in enumerate(("tides", "winds", "stars")):
                yield {n: DeltaToolCall(name="look", json_args=f'{{"at": "{at}"}}', tool_call_id=f"c{n}")}
        else:
            yield " ".join(str(p.content) for p in parts)

    agent = Agent(FunctionModel(stream_function=model), tools=[look])

    async def editor(run: RunContext) -> None:
        await pydantic_ai.run(run, agent)

    await shop.worker(editor=editor)
    session = await shop.session("editor")
    run = await session.send("What is out there?")
    view = await ended(session, run.id)
    assert answers(view, run.id) == ["tides: seen. winds: seen. stars: seen."]
    children = [r for r in view.runs.values() if r.get("parent") == run.id]
    assert [r["status"] for r in children] == ["completed"] * 3
    assert [i["actor"] for i in items(view, "message") if i["text"] == "seen."] == ["agent:editor/scout"] * 3


async def test_one_sub_agent_is_stopped_and_the_others_go_on(shop: Workshop) -> None:
    go = asyncio.Event()

    async def looks(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield "looking "
        await go.wait()
        yield "seen."

    child = Agent(FunctionModel(stream_function=looks))

    async def look(at: str) -> str:
        return str(await pydantic_ai.sub(child, at, name=at))

    async def model(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        parts = [p for message in messages for p in message.parts if isinstance(p, m.ToolReturnPart)]
        if parts:
            yield " | ".join(sorted(p.model_response_str() for p in parts))
        else:
            for n, at in enumerate(("tides", "winds")):
                yield {n: DeltaToolCall(name="look", json_args=f'{{"at": "{at}"}}', tool_call_id=f"c{n}")}

    agent = Agent(FunctionModel(stream_function=model), tools=[look])

    async def editor(run: RunContext) -> None:
        await pydantic_ai.run(run, agent)

    await shop.worker(editor=editor)
    session = await shop.session("editor")
    run = await session.send("What is out there?")
    view = await seen(session, lambda view: str(view.export()["items"]).count("looking ") == 2)
    (winds,) = [r["id"] for r in view.runs.values() if r["agent"] == "editor/winds"]
    await session.cancel(winds)
    await seen(session, lambda view: view.runs[winds]["status"] == "cancelled")
    go.set()
    view = await ended(session, run.id)
    assert answers(view, run.id) == ['looking seen. | {"error":"a person stopped this"}'], view.runs[run.id]
