"""Agents that ask people about a call which a model has made: one for every adapter, all doing the same.

A person says whom to write to; the model calls ``send_mail``, people are asked, and the agent says what came of it:
``Sent to bo.`` or ``Not sent: …``. ``Outbox.mails`` are the mails that were sent, whatever anybody was told.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal, NamedTuple

import anthropic
import openai
from agents import Agent as SdkAgent
from agents import RunConfig, function_tool
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.types import interrupt
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import ApprovalRequired, Tool
from pydantic_ai import RunContext as Context
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

import holdfast
from holdfast.agents.adapters import anthropic_messages, openai_agents, openai_chat, openai_responses, pydantic_ai
from holdfast.agents.adapters import langgraph as graphs
from holdfast.agents.adapters.conversation import Rules
from holdfast.agents.run import RunContext
from tests.adapters.langgraph_scripts import Model, talking
from tests.adapters.replay import Provider
from tests.adapters.scripts import conversation_of, streamed
from tests.adapters.test_openai_agents import Scripted

Agent = Callable[[RunContext], Awaitable[None]]
CONVERSE: dict[str, Any] = {
    "chat": openai_chat, "responses": openai_responses, "messages": anthropic_messages,
}  # fmt: skip
FRAMEWORKS = ("pydantic", "pydantic_tool", "agents_sdk", "langgraph")
ADAPTERS = ("plain", *CONVERSE, *FRAMEWORKS)
"""``plain`` uses no adapter: ``run.gated_tool``. ``pydantic_tool`` is a tool that asks by itself."""


class Outbox:
    """Where mails end up."""

    def __init__(self) -> None:
        self.mails: list[str] = []

    def send(self, to: str) -> str:
        """Send a mail."""
        self.mails.append(to)
        return f"Sent to {to}."


class Clients(NamedTuple):
    """Clients of the providers, who are one scripted server."""

    gpt: openai.AsyncOpenAI
    claude: anthropic.AsyncAnthropic


def answer(results: list[str], to: str, number: int) -> str | tuple[str, str, dict[str, str]]:
    """What the model does next, given what its calls since the last words of a person came to."""
    return results[-1] if results else (f"c{number}", "send_mail", {"to": to})


def scripted(number: int, request: dict[str, Any]) -> bytes:
    """What a provider streams, in the form in which it was asked."""
    api = (
        "openai.responses"
        if "input" in request
        else "anthropic.messages"
        if request["model"] == "claude"
        else "openai.chat"
    )
    told = conversation_of(api, request)
    last = max(n for n, (kind, _) in enumerate(told) if kind == "user")
    results = [str(what) for kind, what in told[last:] if kind == "result"]
    said = answer([r if r.startswith("Sent") else f"Not sent: {r}" for r in results], told[last][1], number)
    return streamed(api, said) if isinstance(said, str) else streamed(api, "", said)


def conversing(which: str, outbox: Outbox, clients: Clients, *, wait: bool) -> Agent:
    """An agent of one of the three providers' adapters."""

    async def send_mail(to: str) -> str:
        return outbox.send(to)

    async def agent(run: RunContext) -> None:
        options: dict[str, Any] = {"tools": [send_mail], "rules": Rules(gated=["send_mail"], wait=wait)}
        if which == "messages":
            claude = clients.claude
            await anthropic_messages.converse(run, claude, model="claude", max_tokens=100, **options)
        else:
            await CONVERSE[which].converse(run, clients.gpt, model="gpt", **options)

    return agent


def plain(outbox: Outbox, *, wait: bool) -> Agent:
    """An agent without any adapter."""

    async def agent(run: RunContext) -> None:
        try:
            said = await run.gated_tool("send_mail", {"to": run.input.text}, outbox.send, wait=wait)
        except holdfast.ToolDenied as error:
            said = f"Not sent: {error.approval.note}"
        await run.say(said, key="said")

    return agent


def pydantic(outbox: Outbox, *, wait: bool, by_itself: bool) -> Agent:
    """An agent of Pydantic AI, whose tool needs approval, or raises that it does."""

    def send_mail(ctx: Context[None], to: str) -> str:
        if by_itself and not ctx.tool_call_approved:
            raise ApprovalRequired()
        return outbox.send(to)

    async def model(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        parts = [part for message in messages for part in message.parts]
        last = max(n for n, part in enumerate(parts) if isinstance(part, m.UserPromptPart))
        done = [str(p.content) for p in parts[last:] if isinstance(p, m.ToolReturnPart)]
        done = [result if result.startswith("Sent") else f"Not sent: {result}" for result in done]
        said = answer(done, str(parts[last].content), last)  # type: ignore[union-attr]
        if isinstance(said, str):
            yield said
        else:
            yield {0: DeltaToolCall(name=said[1], tool_call_id=said[0])}
            yield {0: DeltaToolCall(json_args=json.dumps(said[2])[:5])}
            yield {0: DeltaToolCall(json_args=json.dumps(said[2])[5:])}

    gated = Tool(send_mail, takes_ctx=True, requires_approval=not by_itself)
    inner = PydanticAgent(FunctionModel(stream_function=model), tools=[gated])

    async def agent(run: RunContext) -> None:
        await pydantic_ai.run(run, inner, wait=wait)

    return agent


def agents_sdk(outbox: Outbox, *, wait: bool) -> Agent:
    """An agent of the OpenAI Agents SDK."""

    @function_tool(needs_approval=True)
    def send_mail(to: str) -> str:
        return outbox.send(to)

    def say(given: list[Any]) -> Any:
        last = max(n for n, item in enumerate(given) if item.get("role") == "user")
        results = [str(i["output"]) for i in given[last:] if i.get("type") == "function_call_output"]
        results = [result if result.startswith("Sent") else f"Not sent: {result}" for result in results]
        said = answer(results, given[last]["content"], last)
        return said if isinstance(said, str) else [(said[0], said[1], json.dumps(said[2]))]

    async def agent(run: RunContext) -> None:
        inner = SdkAgent(name="clerk", model=Scripted(say), tools=[send_mail])
        await openai_agents.run(run, inner, run_config=RunConfig(tracing_disabled=True), wait=wait)

    return agent


def langgraph(outbox: Outbox, *, wait: bool) -> Agent:
    """A graph of LangGraph, whose tool interrupts it to ask."""

    @tool
    def send_mail(to: str) -> str:
        """Send it."""
        allowed = interrupt({"action": "send_mail", "to": to})
        return outbox.send(to) if allowed is not False else "they said no"

    def say(messages: list[BaseMessage]) -> Any:
        last = max(n for n, message in enumerate(messages) if isinstance(message, HumanMessage))
        results = [str(message.text) for message in messages[last:] if isinstance(message, ToolMessage)]
        results = [result if result.startswith("Sent") else f"Not sent: {result}" for result in results]
        said = answer(results, str(messages[last].text), last)
        return said if isinstance(said, str) else {"id": said[0], "name": said[1], "args": json.dumps(said[2])}

    async def agent(run: RunContext) -> None:
        await graphs.run(run, talking(Model(say=say), send_mail), wait=wait)

    return agent


def agent_of(which: str, outbox: Outbox, clients: Clients, *, wait: bool) -> Agent:
    """The agent of an adapter."""
    if which in CONVERSE:
        return conversing(which, outbox, clients, wait=wait)
    if which.startswith("pydantic"):
        return pydantic(outbox, wait=wait, by_itself=which == "pydantic_tool")
    return {"plain": plain, "agents_sdk": agents_sdk, "langgraph": langgraph}[which](outbox, wait=wait)


WHOLE = bool(os.environ.get("HOLDFAST_WHOLE"))
"""Whether every case of a matrix is tried, not only every two of its axes together."""
HELD: dict[bool, Literal["hold", "go"]] = {False: "hold", True: "go"}
"""Whether the worker stays while people decide, in the agents' names: ``chat-hold``, ``chat-go``."""


@contextlib.asynccontextmanager
async def serving(url: str, token: str) -> AsyncIterator[Outbox]:
    """All of them on one connection: ``{adapter}-hold`` and ``{adapter}-go``."""
    outbox = Outbox()
    async with (
        Provider().running() as provider,
        holdfast.connect(url, token=token) as hf,
        contextlib.AsyncExitStack() as stack,
    ):
        provider.script = scripted
        about: dict[str, Any] = {"base_url": provider.url, "api_key": "sk-1", "max_retries": 0}
        gpt = await stack.enter_async_context(openai.AsyncOpenAI(**about))
        claude = await stack.enter_async_context(anthropic.AsyncAnthropic(**about))
        for which in ADAPTERS:
            for wait, name in HELD.items():
                hf.add_agent(f"{which}-{name}", agent_of(which, outbox, Clients(gpt, claude), wait=wait))
        task = asyncio.create_task(hf.serve(slots=32))
        try:
            yield outbox
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def some(*ways: str) -> list[tuple[str, str, str, str]]:
    """Adapter, whether the worker is held, what the person does, and a way in: every two of them together at least once;
    all together where ``WHOLE``."""
    axes = (ADAPTERS, tuple(HELD.values()), ("approve", "deny", "reload"), ways)
    every = list(itertools.product(*axes))
    if WHOLE:
        return every
    missing = {pair for case in every for pair in _pairs(case)}
    chosen = []
    while missing:
        best = max(every, key=lambda case: len(missing & _pairs(case)))
        missing -= _pairs(best)
        chosen.append(best)
    return chosen


def _pairs(case: tuple[str, str, str, str]) -> set[tuple[tuple[int, str], tuple[int, str]]]:
    return set(itertools.combinations(enumerate(case), 2))
