"""Pydantic AI agents whose workers leave: approvals that wait, lost attempts, steers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="Pydantic AI is not installed")

from pydantic_ai import Agent, ApprovalRequired, Tool
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from holdfast.agents.adapters import pydantic_ai
from holdfast.agents.run import RunContext
from tests.adapters.pydantic_scripts import Scripted, prompts, returned
from tests.adapters.workshop import Workshop, answers, ended, items, open_workshop, seen

pytestmark = [pytest.mark.anyio, pytest.mark.process]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def shop(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Workshop]:
    async with open_workshop(tmp_path) as shop:
        yield shop


async def test_approval_after_the_worker_was_let_go(shop: Workshop) -> None:
    sent: list[str] = []
    first, second = Scripted("mail", '{"to": "bob"}'), Scripted("mail", '{"to": "bob"}')

    def agent_of(script: Scripted) -> Any:
        def mail(to: str) -> str:
            sent.append(to)
            return "sent"

        def look(at: str) -> str:
            return at

        agent = Agent(script.model, tools=[Tool(mail, requires_approval=True), look])

        async def writer(run: RunContext) -> None:
            await pydantic_ai.run(run, agent)

        return writer

    worker = await shop.worker(writer=agent_of(first))
    session = await shop.session()
    run = await session.send("Mail Bob")
    view = await seen(session, lambda view: view.runs[run.id]["status"] == "waiting")
    await worker.leave()
    (approval,) = items(view, "approval")
    assert (approval["tool"], approval["args"], approval["status"]) == ("mail", {"to": "bob"}, "pending")
    assert sent == []
    other = (await shop.person("user:bob")).session("s1")
    await other.approve(approval["id"], hash=approval["hash"])
    await shop.worker(writer=agent_of(second))
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert sent == ["bob"]
    assert answers(view, run.id) == ["Let me see.", "It came to: sent"]
    assert [(i["args"], i["status"]) for i in items(view, "tool")] == [('{"to":"bob"}', "done")]
    assert (first.requests, second.requests) == (1, 1)  # what the model had said was kept


async def test_a_denied_call_is_not_made_and_the_model_is_told(shop: Workshop) -> None:
    sent: list[str] = []

    def mail(to: str) -> str:
        if not sent:
            raise ApprovalRequired
        return "sent"

    agent = Agent(Scripted("mail", '{"to": "bob"}').model, tools=[mail])

    async def writer(run: RunContext) -> None:
        await pydantic_ai.run(run, agent)

    await shop.worker(writer=writer)
    session = await shop.session()
    run = await session.send("Mail Bob")
    view = await seen(session, lambda view: items(view, "approval"))
    await session.deny(items(view, "approval")[0]["id"], note="not today")
    view = await ended(session, run.id)
    assert answers(view, run.id)[-1] == "It came to: not today"
    assert sent == []


async def test_a_lost_attempt_calls_no_tool_twice_and_says_nothing_twice(shop: Workshop) -> None:
    called: list[str] = []
    never, go = asyncio.Event(), asyncio.Event()
    go.set()
    first, second = Scripted("charge", '{"order": 7}', hold=never), Scripted("charge", '{"order": 7}', hold=go)

    def agent_of(script: Scripted) -> Any:
        def charge(order: int) -> str:
            called.append(f"{order}")
            return "charged"

        agent = Agent(script.model, tools=[charge])

        async def writer(run: RunContext) -> None:
            await pydantic_ai.run(run, agent)

        return writer

    worker = await shop.worker(writer=agent_of(first))
    session = await shop.session()
    run = await session.send("Charge")
    await first.holding.wait()
    await worker.leave()
    await shop.worker(writer=agent_of(second))
    view = await ended(session, run.id)
    assert view.runs[run.id]["losses"] and view.runs[run.id]["status"] == "completed"
    assert called == ["7"]
    assert answers(view, run.id) == ["Let me see.", "It came to: charged"]
    assert [i["status"] for i in items(view, "tool")] == ["done"]


async def test_a_worker_lost_inside_a_tool_is_an_unknown_outcome_unless_idempotent(shop: Workshop) -> None:
    inside, called = asyncio.Event(), []

    async def charge(order: int) -> str:
        called.append(order)
        if len(called) < 2:
            inside.set()
            await asyncio.Event().wait()
        return "charged"

    agent = Agent(Scripted("charge", '{"order": 7}').model, tools=[charge])

    def agent_with(*idempotent: str) -> Any:
        async def writer(run: RunContext) -> None:
            await pydantic_ai.run(run, agent, idempotent=idempotent)

        return writer

    session = await shop.session()
    for idempotent, status in ((), "failed"), (("charge",), "completed"):
        called.clear()
        inside.clear()
        worker = await shop.worker(writer=agent_with(*idempotent))
        run = await session.send("Charge")
        await inside.wait()
        await worker.leave()
        again = await shop.worker(writer=agent_with(*idempotent))
        view = await ended(session, run.id)
        await again.leave()
        assert view.runs[run.id]["status"] == status
        assert len(called) == (1 if status == "failed" else 2)
    failed = next(r for r in view.runs.values() if r["status"] == "failed")
    assert failed["error"]["code"] == "tool.outcome_unknown"


async def test_steering_between_two_responses(shop: Workshop) -> None:
    session = await shop.session()

    async def price() -> int:
        await session.run(run.id).steer("In euros, please")
        await seen(session, lambda view: items(view, "steer"))
        return 3

    async def model(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        if not returned(messages):
            yield {0: DeltaToolCall(name="price", json_args="{}", tool_call_id="c1")}
        else:
            yield " + ".join(prompts(messages))

    agent = Agent(FunctionModel(stream_function=model), tools=[price])

    async def writer(ctx: RunContext) -> None:
        await pydantic_ai.run(ctx, agent)

    await shop.worker(writer=writer)
    run = await session.send("How much?")
    view = await ended(session, run.id)
    assert answers(view, run.id) == ["How much? + In euros, please"]
    assert [i["status"] for i in items(view, "steer")] == ["delivered"]


async def test_a_steer_that_a_lost_attempt_had_taken_reaches_the_next(shop: Workshop) -> None:
    session = await shop.session()
    holding = asyncio.Event()

    async def model(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        if not returned(messages):
            yield {0: DeltaToolCall(name="price", json_args="{}", tool_call_id="c1")}
            return
        if not holding.is_set():
            holding.set()
            await asyncio.Event().wait()
        yield " + ".join(prompts(messages))

    async def price() -> int:
        await session.run(run.id).steer("In euros, please")
        await seen(session, lambda view: items(view, "steer"))
        return 3

    agent = Agent(FunctionModel(stream_function=model), tools=[price])

    async def writer(ctx: RunContext) -> None:
        await pydantic_ai.run(ctx, agent)

    worker = await shop.worker(writer=writer)
    run = await session.send("How much?")
    await holding.wait()
    await seen(session, lambda view: items(view, "steer", status="delivered"))
    await worker.leave()
    await shop.worker(writer=writer)
    view = await ended(session, run.id)
    assert answers(view, run.id) == ["How much? + In euros, please"], view.runs[run.id]
