"""Agents of the OpenAI Agents SDK in sessions: what they say and do, approvals, lost workers, stops, steers, sub-agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("agents", reason="the OpenAI Agents SDK is not installed")

from agents import Agent, Model, RunConfig, function_tool
from openai.types.responses import (
    Response,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseStreamEvent,
    ResponseUsage,
)
from pydantic import TypeAdapter

from holdfast.agents.adapters import openai_agents
from holdfast.agents.run import RunContext
from tests.adapters.workshop import Workshop, answers, ended, items, logged, open_workshop, seen

pytestmark = [pytest.mark.anyio, pytest.mark.process]

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
SILENT = RunConfig(tracing_disabled=True)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def shop(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Workshop]:
    async with open_workshop(tmp_path) as shop:
        yield shop


class Scripted(Model):
    """Streams what a function says of the conversation, as the Responses API does: words split at ``|``, or calls."""

    def __init__(
        self, say: Callable[[list[Any]], Any], *, hold: asyncio.Event | None = None, whole: bool = False
    ) -> None:
        self.say, self.hold, self.whole = say, hold, whole
        self.holding, self.closed = asyncio.Event(), asyncio.Event()
        self.requests: list[list[Any]] = []

    async def get_response(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("not streamed")

    async def stream_response(self, system: Any, input: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        items = [{"role": "user", "content": input}] if isinstance(input, str) else list(input)
        self.requests.append(items)
        try:
            async for event in self._events(self.say(items)):
                yield event
        finally:
            self.closed.set()

    async def _events(self, answer: Any) -> AsyncIterator[Any]:
        output: list[Any] = []
        if isinstance(answer, str):
            for number, word in enumerate(answer.split("|")):
                if number == 1 and self.hold is not None:
                    self.holding.set()
                    await self.hold.wait()
                if not self.whole:
                    yield event(
                        "output_text.delta", item_id="m", content_index=0, output_index=0, delta=word, logprobs=[]
                    )
            part = {"type": "output_text", "text": answer.replace("|", ""), "annotations": []}
            output.append(ResponseOutputMessage.model_validate(
                {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
            ))  # fmt: skip
        for index, (call, name, args) in enumerate(answer if isinstance(answer, list) else []):
            item = {"id": f"i{call}", "type": "function_call", "call_id": call, "name": name, "arguments": ""}
            if not self.whole:
                yield event("output_item.added", output_index=index, item=item)
                for piece in (args[:4], args[4:]):
                    yield event("function_call_arguments.delta", item_id=item["id"], output_index=index, delta=piece)
            output.append(ResponseFunctionToolCall.model_validate({**item, "arguments": args}))
        used = ResponseUsage.model_validate({
            "input_tokens": 7, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 10,
        })  # fmt: skip
        response = Response(
            id="resp", created_at=0, model="scripted", object="response", output=output, parallel_tool_calls=True,
            tool_choice="auto", tools=[], usage=used,
        )  # fmt: skip
        yield event("completed", response=response.model_dump(by_alias=True, exclude_unset=True))


def event(kind: str, **fields: Any) -> Any:
    return EVENT.validate_python({"type": f"response.{kind}", "sequence_number": 0, **fields})


def outputs(items: list[Any]) -> list[str]:
    """What tools returned, as the model is told."""
    return [str(i["output"]) for i in items if i.get("type") == "function_call_output"]


def people(items: list[Any]) -> list[str]:
    return [i["content"] for i in items if i.get("role") == "user"]


def uses(name: str, args: str) -> Callable[[list[Any]], Any]:
    def say(given: list[Any]) -> Any:
        return [("c1", name, args)] if not outputs(given) else f"It came to |{outputs(given)[-1]}"

    return say


def serving(agent: Agent[Any], **options: Any) -> Any:
    async def writer(run: RunContext) -> None:
        await openai_agents.run(run, agent, run_config=SILENT, **options)

    return writer


@pytest.mark.parametrize("whole", [False, True])
async def test_text_tool_calls_and_usage(shop: Workshop, whole: bool) -> None:
    @function_tool
    def price(of: str) -> str:
        return f"{of} 250"

    model = Scripted(uses("price", '{"of": "tea"}'), whole=whole)
    await shop.worker(writer=serving(Agent(name="a", model=model, tools=[price])))
    session = await shop.session()
    run = await session.send("What is tea?")
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert answers(view, run.id) == ["It came to tea 250"]
    (call,) = items(view, "tool")
    assert (call["name"], call["args"], call["result"], call["status"]) == ("price", '{"of": "tea"}', "tea 250", "done")
    operator = (await shop.person("user:operator", "read", "admin")).session("s1")
    assert [u["output_tokens"] for u in await logged(operator, "usage.recorded")] == [3, 3]
    second = await session.send("And again?")
    await ended(session, second.id)
    assert people(model.requests[-1]) == ["What is tea?", "And again?"]
    assert outputs(model.requests[-1]) == ["tea 250"]


async def test_approval_after_the_worker_was_let_go(shop: Workshop) -> None:
    sent: list[str] = []

    def agent_of(model: Scripted) -> Agent[Any]:
        @function_tool(needs_approval=True)
        def mail(to: str) -> str:
            sent.append(to)
            return "sent"

        return Agent(name="a", model=model, tools=[mail])

    first, second = Scripted(uses("mail", '{"to": "bob"}')), Scripted(uses("mail", '{"to": "bob"}'))
    worker = await shop.worker(writer=serving(agent_of(first)))
    session = await shop.session()
    run = await session.send("Mail Bob")
    view = await seen(session, lambda view: view.runs[run.id]["status"] == "waiting")
    await worker.leave()
    (approval,) = items(view, "approval")
    assert (approval["tool"], approval["args"]) == ("mail", {"to": "bob"})
    assert sent == []
    phone = (await shop.person("user:bob")).session("s1")
    await phone.approve(approval["id"], hash=approval["hash"])
    await shop.worker(writer=serving(agent_of(second)))
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert sent == ["bob"]
    assert answers(view, run.id) == ["It came to sent"]
    assert (len(first.requests), len(second.requests)) == (1, 1)
    assert [i["status"] for i in items(view, "tool")] == ["done"]


async def test_a_denied_call_is_not_made_and_the_model_is_told(shop: Workshop) -> None:
    sent: list[str] = []

    @function_tool(needs_approval=True)
    def mail(to: str) -> str:
        sent.append(to)
        return "sent"

    await shop.worker(
        writer=serving(Agent(name="a", model=Scripted(uses("mail", '{"to": "bob"}')), tools=[mail]), wait=False)
    )
    session = await shop.session()
    run = await session.send("Mail Bob")
    view = await seen(session, lambda view: items(view, "approval"))
    await session.deny(items(view, "approval")[0]["id"], note="not today")
    view = await ended(session, run.id)
    assert answers(view, run.id) == ["It came to not today"], view.runs[run.id]
    assert sent == []
    assert [(i["status"], i["result"]) for i in items(view, "tool")] == [("done", "not today")]


async def test_a_lost_attempt_calls_no_tool_twice_and_says_nothing_twice(shop: Workshop) -> None:
    called: list[str] = []

    @function_tool
    def charge(order: int) -> str:
        called.append(str(order))
        return "charged"

    first = Scripted(uses("charge", '{"order": 7}'), hold=asyncio.Event())
    second = Scripted(uses("charge", '{"order": 7}'))
    worker = await shop.worker(writer=serving(Agent(name="a", model=first, tools=[charge])))
    session = await shop.session()
    run = await session.send("Charge")
    await first.holding.wait()
    await worker.leave()
    await shop.worker(writer=serving(Agent(name="a", model=second, tools=[charge])))
    view = await ended(session, run.id)
    assert view.runs[run.id]["losses"] and view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert called == ["7"]
    assert answers(view, run.id) == ["It came to charged"]
    assert (len(first.requests), len(second.requests)) == (2, 1)


@pytest.mark.parametrize("again", [True, False])
async def test_a_worker_lost_inside_a_tool(shop: Workshop, again: bool) -> None:
    """The response that asked for the tools is kept, so their calls keep their ids."""
    called: list[str] = []
    inside = asyncio.Event()

    @function_tool
    async def quick() -> str:
        called.append("quick")
        return "done"

    @function_tool
    async def slow() -> str:
        called.append("slow")
        if called.count("slow") == 1:
            inside.set()
            await asyncio.Event().wait()
        return "done at last"

    def say(given: list[Any]) -> Any:
        return [("c1", "quick", "{}"), ("c2", "slow", "{}")] if not outputs(given) else " ".join(outputs(given))

    options = {"idempotent": ("slow",)} if again else {}
    first, second = Scripted(say), Scripted(say)
    worker = await shop.worker(writer=serving(Agent(name="a", model=first, tools=[quick, slow]), **options))
    session = await shop.session()
    run = await session.send("Both")
    await inside.wait()
    await seen(session, lambda view: items(view, "tool", name="quick", status="done"))
    await worker.leave()
    await shop.worker(writer=serving(Agent(name="a", model=second, tools=[quick, slow]), **options))
    view = await ended(session, run.id)
    assert called.count("quick") == 1
    if again:
        assert answers(view, run.id) == ["done done at last"], view.runs[run.id]
        assert (called.count("slow"), len(second.requests)) == (2, 1)
    else:
        assert called.count("slow") == 1
        assert view.runs[run.id]["status"] == "failed"
        assert "tool.outcome_unknown" in str(view.runs[run.id]["error"])


async def test_stop_closes_the_model(shop: Workshop) -> None:
    model = Scripted(lambda given: "on |and on", hold=asyncio.Event())
    await shop.worker(writer=serving(Agent(name="a", model=model)))
    session = await shop.session()
    run = await session.send("Go on")
    await seen(session, lambda view: "on " in str(view.export()["items"][1:]))
    await run.cancel()
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "cancelled"
    async with asyncio.timeout(10):
        await model.closed.wait()
    assert items(view, "message", run=run.id)[0]["status"] == "cut"


@pytest.mark.parametrize("late", [False, True])
async def test_steering_comes_between_two_turns(shop: Workshop, late: bool) -> None:
    session = await shop.session()

    async def steer() -> None:
        await session.run(run.id).steer("In euros, please")
        await seen(session, lambda view: items(view, "steer"))

    @function_tool
    async def price() -> str:
        if not late:
            await steer()
        return "250"

    go = asyncio.Event()
    model = Scripted(lambda given: " + |".join(people(given)) if outputs(given) else [("c1", "price", "{}")])
    if late:
        model = Scripted(lambda given: " + ".join(people(given)) + "|.", hold=go)
    await shop.worker(writer=serving(Agent(name="a", model=model, tools=[price])))
    run = await session.send("How much?")
    if late:
        await model.holding.wait()
        await steer()
        go.set()
    view = await ended(session, run.id)
    assert answers(view, run.id)[-1].rstrip(".") == "How much? + In euros, please", view.runs[run.id]
    assert [i["status"] for i in items(view, "steer")] == ["delivered"]


async def test_an_error_is_the_runs_error(shop: Workshop) -> None:
    def say(given: list[Any]) -> Any:
        raise RuntimeError("no such model")

    await shop.worker(writer=serving(Agent(name="a", model=Scripted(say))))
    session = await shop.session()
    run = await session.send("Think", attempts=1)
    view = await ended(session, run.id)
    assert view.runs[run.id]["error"]["message"] == "RuntimeError: no such model"


async def test_hand_offs_speak_as_sub_agents_and_a_second_reader_sees_the_same(shop: Workshop) -> None:
    go = asyncio.Event()
    model = Scripted(lambda given: "You get |it back.", hold=go)
    refunds = Agent(name="refunds", model=model)
    triage = Agent(
        name="triage", model=Scripted(lambda given: [("c1", "transfer_to_refunds", "{}")]), handoffs=[refunds]
    )
    await shop.worker(desk=serving(triage))
    session = await shop.session("desk")
    run = await session.send("I want my money")
    await seen(session, lambda view: "You get " in str(view.export()["items"]))
    other = (await shop.person("user:bob")).session("s1")
    async with other.live() as live:
        assert [i["status"] for i in items(live.view, "message")] == ["complete", "open"]
        go.set()
        mine = await ended(session, run.id)
        theirs = await live.until(lambda view: view.runs[run.id]["status"] == "completed")
        assert theirs.export() == mine.export()
    assert [(i["actor"], i["text"]) for i in items(mine, "message")][1:] == [("agent:desk/refunds", "You get it back.")]
    assert items(mine, "tool") == []
    second = await session.send("Thanks")
    await ended(session, second.id)


@pytest.mark.parametrize("spoken", [True, False])
async def test_agents_used_as_tools_are_sub_agents(shop: Workshop, spoken: bool) -> None:
    scout = Agent(name="scout", model=Scripted(lambda given: "Tides |rise."))
    more: Any = {"on_stream": openai_agents.speak} if spoken else {}
    if not spoken:
        scout.model = Scripted(lambda given: "Tides rise.")
        scout.model.get_response = _answered  # type: ignore[method-assign]
    look = scout.as_tool("look", "Look", **more)
    editor = Agent(name="editor", model=Scripted(uses("look", '{"input": "tides"}')), tools=[look])
    await shop.worker(editor=serving(editor))
    session = await shop.session("editor")
    run = await session.send("What is out there?")
    view = await ended(session, run.id)
    assert answers(view, run.id) == ["It came to Tides rise."], view.runs[run.id]
    assert ("agent:editor/scout", "Tides rise.") in [(i["actor"], i["text"]) for i in items(view, "message")]
    (child,) = [r for r in view.runs.values() if r.get("parent") == run.id]
    assert child["status"] == "completed"


async def _answered(*args: Any, **kwargs: Any) -> Any:
    from agents.items import ModelResponse
    from agents.testing import assistant_message
    from agents.usage import Usage

    return ModelResponse(output=[assistant_message("Tides rise.")], usage=Usage(), response_id=None)
