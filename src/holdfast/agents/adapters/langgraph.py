"""LangGraph: ``await langgraph.run(run, graph)`` inside an agent makes a compiled graph durable.

Model output, tool calls and results, steps, custom data and usage go into the session as they come; subgraphs speak as
sub-agents. The graph's checkpoints are kept in the session, whatever checkpointer it was compiled with, so that a later
attempt resumes after the last step. ``interrupt()`` asks people and lets the worker go; their decision resumes the graph.
Tested with LangGraph 1.2; streams as documented at https://docs.langchain.com/oss/python/langgraph/streaming.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Container
from contextvars import ContextVar
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langgraph.errors import GraphDrained
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.pregel import Pregel
from langgraph.runtime import RunControl
from langgraph.types import Command, Interrupt

from holdfast.agents.adapters.checkpoint import Checkpoint
from holdfast.agents.adapters.framework import ask_all, turns
from holdfast.agents.adapters.langgraph_calls import GraphCalls
from holdfast.agents.adapters.langgraph_history import conversation
from holdfast.agents.adapters.langgraph_interrupts import Responder, default_answer, questions, resume_value
from holdfast.agents.adapters.langgraph_saver import SessionSaver
from holdfast.agents.adapters.langgraph_speakers import Speakers
from holdfast.agents.adapters.rounds import Rounds
from holdfast.agents.results import to_data
from holdfast.agents.run import RunContext
from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import limits
from holdfast.protocol.codec import check_value, encode

__all__ = ["Responder", "default_answer", "journal", "run"]

_current_graph_run: ContextVar[_GraphRun] = ContextVar("holdfast langgraph run")


async def run(
    run: RunContext,
    graph: Pregel[Any, Any, Any, Any],
    input: Any = None,
    *,
    config: dict[str, Any] | None = None,
    context: Any = None,
    answer: Responder | None = None,
    wait: bool = True,
    deadline_s: float = limits.APPROVAL_DEADLINE_S,
    idempotent: Container[str] = (),
) -> Any:
    """Run a graph on the conversation and return its final state.

    Args:
        input: of the graph; by default ``{"messages": […]}``, the conversation with the run's input last.
        config: of LangGraph: ``recursion_limit``, ``callbacks``, more ``configurable`` values …
        context: the graph's static context.
        answer: from the question and people's decision to what ``interrupt()`` returns; ``default_answer`` unless
            given. Of an interrupt with several requests each is answered by itself.
        wait: let the worker go while people decide.
        deadline_s: how long they have, seconds.
        idempotent: names of tools that may run again when a lost attempt was inside them.

    Raises:
        ToolOutcomeUnknown: an attempt was lost inside a tool that is not idempotent.
    """
    saver = SessionSaver(Checkpoint(run, "langgraph"))
    graph_run = _GraphRun(run, graph, saver, answer, wait, deadline_s, idempotent)
    graph_run.config = {
        **(config or {}),
        "configurable": {**(config or {}).get("configurable", {}), "thread_id": run.id},
    }
    graph_run.context = context
    graph_input = {"messages": [*conversation(turns(run)), HumanMessage(run.input.text)]} if input is None else input
    token = _current_graph_run.set(graph_run)
    try:
        return await graph_run.execute(graph_input)
    finally:
        _current_graph_run.reset(token)


async def journal(
    request: ToolCallRequest, execute: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
) -> ToolMessage | Command[Any]:
    """Call a tool at most once in a run, however often it is attempted.

    ``run`` puts this around the tools of every ``ToolNode`` it finds in a graph. Where it cannot find one (it is made
    inside a node), say ``ToolNode(tools, awrap_tool_call=langgraph.journal)``.
    """
    graph_run = _current_graph_run.get(None)
    if graph_run is None:
        return await execute(request)
    result: ToolMessage | Command[Any] = await graph_run.calls.make(request, execute)
    return result


class _GraphRun:
    """One run of a graph: from its input, or from where the last attempt was, to its end."""

    def __init__(
        self,
        run: RunContext,
        graph: Pregel[Any, Any, Any, Any],
        saver: SessionSaver,
        responder: Responder | None,
        wait: bool,
        deadline_s: float,
        idempotent: Container[str],
    ) -> None:
        self._run = run
        self._graph = graph.copy({"checkpointer": saver})
        self._saver = saver
        self._responder, self._wait, self._deadline_s = responder, wait, deadline_s
        self.calls = GraphCalls(run, saver, idempotent)
        self._speakers = Speakers(run)
        self._rounds = Rounds(run)
        self._has_messages = "messages" in graph.channels
        self.config: Any = {}
        self.context: Any = None
        for name, node in [*graph.nodes.items(), *_subgraph_nodes(graph)]:
            _wrap_tools(name, node.bound)

    async def execute(self, graph_input: Any) -> Any:
        """Until the graph has ended and nobody has anything to add."""
        if await self._saver.load():
            graph_input = None
        try:
            while True:
                state = await self._graph.aget_state(self.config) if graph_input is None else None
                self._rounds.next(*self._pending(state))
                if state is not None and state.interrupts:
                    graph_input = await self._resolve(state.interrupts)
                elif state is not None and not state.next:
                    graph_input = self._take_steers()
                    if graph_input is None:
                        return state.values
                elif state is not None and not _calls_pending(state.values):
                    steers = self._take_steers()
                    if steers is not None:
                        await self._graph.aupdate_state(self.config, steers)
                await self._stream(graph_input)
                graph_input = None
        finally:
            await self._speakers.cancel()

    def _pending(self, state: Any) -> tuple[Any, ...]:
        """Where the graph stands, and what it waits for."""
        if state is None:
            return ()
        interrupts = tuple(sorted((interrupt.id, self.calls.needs_answer(interrupt)) for interrupt in state.interrupts))
        return state.config.get("configurable", {}).get("checkpoint_id"), interrupts

    async def _stream(self, graph_input: Any) -> None:
        """Until the graph ends, interrupts itself, or a step is over and people have put in a word."""
        control = RunControl()
        stream: Any = self._graph.astream(
            graph_input,
            self.config,
            context=self.context,
            stream_mode=["messages", "tasks", "checkpoints", "custom"],
            subgraphs=True,
            durability="sync",
            control=control,
        )
        with contextlib.suppress(GraphDrained):
            async with contextlib.aclosing(stream):
                async for namespace, mode, data in stream:
                    if mode == "messages":
                        await self._write_message(namespace, *data)
                    elif mode == "tasks":
                        await self._show_task(namespace, data)
                        if self._has_messages and not namespace and self._saver.checkpoint.has_steers:
                            control.request_drain("steer")
                    elif mode == "checkpoints":
                        await self._saver.save(self._speakers.take(namespace))
                    else:
                        await self._run.emit(e.CUSTOM, {"name": "langgraph.custom", "value": _bounded(data)})
        await self._speakers.end_all()
        await self._saver.save(self._speakers.take(()))

    # --- output of the graph
    async def _write_message(self, namespace: tuple[str, ...], message: BaseMessage, metadata: dict[str, Any]) -> None:
        if isinstance(message, ToolMessage):
            call, text = self.calls.session_id(message.tool_call_id), str(message.text)
            error = {"code": "tool.failed", "message": text[:500]} if message.status == "error" else None
            await self._run.tools.record_result(call, message.name or "tool", {}, text, error=error)
        elif isinstance(message, AIMessage):
            await self._speakers.write(namespace, message, last=_is_last(message))

    async def _show_task(self, namespace: tuple[str, ...], task: dict[str, Any]) -> None:
        """A node begins (it has an ``input``) or is done (it has a ``result``)."""
        if not namespace:
            step = {"stepName": task["name"]}
            await self._run.emit(e.STEP_STARTED if "input" in task else e.STEP_FINISHED, step)
        if "input" not in task:
            place = (*namespace, f"{task['name']}:{task['id']}")
            if not task.get("interrupts") and not task.get("error"):
                self.calls.forget("|".join(place))
            await self._speakers.end(place)

    # --- people
    def _take_steers(self) -> Any:
        steers = self._saver.checkpoint.take_steers() if self._has_messages else []
        self._saver.checkpoint.include_steers()
        return {"messages": [HumanMessage(steer.text) for steer in steers]} if steers else None

    async def _resolve(self, interrupts: tuple[Interrupt[Any], ...]) -> Command[Any] | None:
        """Ask people; returns their decisions for LangGraph. Tool calls take their own from ``calls``."""
        unanswered = [interrupt for interrupt in interrupts if self.calls.needs_answer(interrupt)]
        questions_by_interrupt = [
            (interrupt, questions(f"i.{interrupt.id}", interrupt.value, self.calls.call_of(interrupt)))
            for interrupt in unanswered
        ]
        wait = self._wait and self._saver.checkpoint.is_saved
        all_questions = [question for _, each in questions_by_interrupt for question in each]
        decisions = iter(await ask_all(self._run, all_questions, wait=wait, deadline_s=self._deadline_s))
        resume: dict[str, Any] = {}
        for interrupt, each in questions_by_interrupt:
            value = resume_value(interrupt.value, [next(decisions) for _ in each], self._responder)
            if not self.calls.add_answer(interrupt, value):
                resume[interrupt.id] = value
        return Command(resume=resume) if resume else None


def _subgraph_nodes(graph: Pregel[Any, Any, Any, Any]) -> list[tuple[str, Any]]:
    below = (each for _, each in graph.get_subgraphs(recurse=True))
    return [pair for each in below if isinstance(each, Pregel) for pair in each.nodes.items()]


def _wrap_tools(name: str, bound: Any) -> None:
    """Put the journal around a node's tools. Outside ``run`` it does nothing, so the graph may go on being used."""
    if not isinstance(bound, ToolNode) or getattr(
        bound._awrap_tool_call, "journals", bound._awrap_tool_call is journal
    ):
        return
    inner = bound._awrap_tool_call
    if inner is None and bound._wrap_tool_call is not None:
        return  # a synchronous wrapper of the user's own: it says what happens around its tools
    if inner is None:
        bound._awrap_tool_call = journal
        return

    async def wrapper(request: ToolCallRequest, execute: Any) -> Any:
        async def wrapped(again: ToolCallRequest) -> Any:
            return await inner(again, execute)

        return await journal(request, wrapped)

    wrapper.journals = True  # type: ignore[attr-defined]
    bound._awrap_tool_call = wrapper


def _calls_pending(values: Any) -> bool:
    """Whether a model has asked for tools that were not called yet: nothing may come between the two."""
    messages = values.get("messages") if isinstance(values, dict) else getattr(values, "messages", None)
    return bool(messages and isinstance(messages[-1], AIMessage) and messages[-1].tool_calls)


def _is_last(message: AIMessage) -> bool:
    return not isinstance(message, AIMessageChunk) or message.chunk_position == "last"


def _bounded(value: Any) -> Any:
    """A node's custom data, as far as an event carries it."""
    data = to_data(value)
    encoded = encode(data)
    with contextlib.suppress(Refused):
        check_value([data])
        if len(encoded) <= limits.EVENT_BYTES // 2:
            return data
    return {"json": encoded.decode()[: limits.EVENT_BYTES // 8]}
