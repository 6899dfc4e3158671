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
from holdfast.agents.adapters.langgraph_calls import Calls
from holdfast.agents.adapters.langgraph_history import conversation
from holdfast.agents.adapters.langgraph_interrupts import Answer, answered, decided, questions
from holdfast.agents.adapters.langgraph_saver import SessionSaver
from holdfast.agents.adapters.langgraph_speakers import Speakers
from holdfast.agents.adapters.rounds import Rounds
from holdfast.agents.results import to_data
from holdfast.agents.run import RunContext
from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import limits
from holdfast.protocol.codec import check_value, encode

__all__ = ["Answer", "decided", "journal", "run"]

_going: ContextVar[_Going] = ContextVar("holdfast langgraph run")


async def run(
    run: RunContext,
    graph: Pregel[Any, Any, Any, Any],
    input: Any = None,
    *,
    config: dict[str, Any] | None = None,
    context: Any = None,
    answer: Answer | None = None,
    wait: bool = True,
    deadline_s: float = limits.APPROVAL_DEADLINE_S,
    idempotent: Container[str] = (),
) -> Any:
    """Run a graph on the conversation and return its final state.

    Args:
        input: of the graph; by default ``{"messages": […]}``, the conversation with the run's input last.
        config: of LangGraph: ``recursion_limit``, ``callbacks``, more ``configurable`` values …
        context: the graph's static context.
        answer: from what people were asked and their decision to what ``interrupt()`` returns; see ``decided`` for what it
            is by default. Of an interrupt with several requests each is answered by itself.
        wait: let the worker go while people decide.
        deadline_s: how long they have, seconds.
        idempotent: names of tools that may run again when a lost attempt was inside them.

    Raises:
        ToolOutcomeUnknown: an attempt was lost inside a tool that is not idempotent.
    """
    saver = SessionSaver(Checkpoint(run, "langgraph"))
    going = _Going(run, graph, saver, answer, wait, deadline_s, idempotent)
    going.config = {
        **(config or {}), "configurable": {**(config or {}).get("configurable", {}), "thread_id": run.id}
    }  # fmt: skip
    going.context = context
    given = {"messages": [*conversation(turns(run)), HumanMessage(run.input.text)]} if input is None else input
    token = _going.set(going)
    try:
        return await going.go(given)
    finally:
        _going.reset(token)


async def journal(
    request: ToolCallRequest, execute: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
) -> ToolMessage | Command[Any]:
    """Call a tool at most once in a run, however often it is attempted.

    ``run`` puts this around the tools of every ``ToolNode`` it finds in a graph. Where it cannot find one (it is made
    inside a node), say ``ToolNode(tools, awrap_tool_call=langgraph.journal)``.
    """
    going = _going.get(None)
    if going is None:
        return await execute(request)
    made: ToolMessage | Command[Any] = await going.calls.make(request, execute)
    return made


class _Going:
    """One run of a graph: from its input, or from where the last attempt was, to its end."""

    def __init__(
        self, run: RunContext, graph: Pregel[Any, Any, Any, Any], saver: SessionSaver, answer: Answer | None, wait: bool,
        deadline_s: float, idempotent: Container[str],
    ) -> None:  # fmt: skip
        self._run = run
        self._graph = graph.copy({"checkpointer": saver})
        self._saver = saver
        self._answer, self._wait, self._deadline_s = answer, wait, deadline_s
        self.calls = Calls(run, saver, idempotent)
        self._voices = Speakers(run)
        self._rounds = Rounds(run)
        self._talks = "messages" in graph.channels
        self.config: Any = {}
        self.context: Any = None
        for name, node in [*graph.nodes.items(), *_nodes_below(graph)]:
            _put_journal(name, node.bound)

    async def go(self, given: Any) -> Any:
        """Until the graph has ended and nobody has anything to add."""
        if await self._saver.load():
            given = None
        try:
            while True:
                state = await self._graph.aget_state(self.config) if given is None else None
                self._rounds.next(*self._pending(state))
                if state is not None and state.interrupts:
                    given = await self._resolve(state.interrupts)
                elif state is not None and not state.next:
                    given = self._steers()
                    if given is None:
                        return state.values
                elif state is not None and not _calls_pending(state.values):
                    words = self._steers()
                    if words is not None:
                        await self._graph.aupdate_state(self.config, words)
                await self._stream(given)
                given = None
        finally:
            await self._voices.leave()

    def _pending(self, state: Any) -> tuple[Any, ...]:
        """Where the graph stands, and what it waits for."""
        if state is None:
            return ()
        asked = tuple(sorted((one.id, self.calls.unanswered(one)) for one in state.interrupts))
        return state.config.get("configurable", {}).get("checkpoint_id"), asked

    async def _stream(self, given: Any) -> None:
        """Until the graph ends, interrupts itself, or a step is over and people have put in a word."""
        control = RunControl()
        stream: Any = self._graph.astream(
            given, self.config, context=self.context, stream_mode=["messages", "tasks", "checkpoints", "custom"],
            subgraphs=True, durability="sync", control=control,
        )  # fmt: skip
        with contextlib.suppress(GraphDrained):
            async with contextlib.aclosing(stream):
                async for namespace, mode, data in stream:
                    if mode == "messages":
                        await self._message(namespace, *data)
                    elif mode == "tasks":
                        await self._task(namespace, data)
                        if self._talks and not namespace and self._saver.kept.steered:
                            control.request_drain("steer")
                    elif mode == "checkpoints":
                        await self._saver.save(self._voices.take(namespace))
                    else:
                        await self._run.emit(e.CUSTOM, {"name": "langgraph.custom", "value": _bounded(data)})
        await self._voices.end_all()
        await self._saver.save(self._voices.take(()))

    # --- what the graph says
    async def _message(self, namespace: tuple[str, ...], message: BaseMessage, about: dict[str, Any]) -> None:
        if isinstance(message, ToolMessage):
            call, words = self.calls.ident(message.tool_call_id), str(message.text)
            error = {"code": "tool.failed", "message": words[:500]} if message.status == "error" else None
            await self._run.tools.record_result(call, message.name or "tool", {}, words, error=error)
        elif isinstance(message, AIMessage):
            await self._voices.write(namespace, message, last=_is_last(message))

    async def _task(self, namespace: tuple[str, ...], task: dict[str, Any]) -> None:
        """A node begins (it has an ``input``) or is done (it has a ``result``)."""
        if not namespace:
            step = {"stepName": task["name"]}
            await self._run.emit(e.STEP_STARTED if "input" in task else e.STEP_FINISHED, step)
        if "input" not in task:
            place = (*namespace, f"{task['name']}:{task['id']}")
            if not task.get("interrupts") and not task.get("error"):
                self.calls.done("|".join(place))
            await self._voices.end(place)

    # --- people
    def _steers(self) -> Any:
        steers = self._saver.kept.take_steers() if self._talks else []
        self._saver.kept.include_steers()
        return {"messages": [HumanMessage(steer.text) for steer in steers]} if steers else None

    async def _resolve(self, interrupts: tuple[Interrupt[Any], ...]) -> Command[Any] | None:
        """Ask people; what LangGraph is told of their decisions. Tool calls take their own from ``calls``."""
        unanswered = [one for one in interrupts if self.calls.unanswered(one)]
        asked = [(one, questions(f"i.{one.id}", one.value, self.calls.of(one))) for one in unanswered]
        wait = self._wait and self._saver.kept.whole
        every = [question for _, each in asked for question in each]
        told = iter(await ask_all(self._run, every, wait=wait, deadline_s=self._deadline_s))
        resume: dict[str, Any] = {}
        for one, each in asked:
            value = answered(one.value, [next(told) for _ in each], self._answer)
            if not self.calls.answer(one, value):
                resume[one.id] = value
        return Command(resume=resume) if resume else None


def _nodes_below(graph: Pregel[Any, Any, Any, Any]) -> list[tuple[str, Any]]:
    below = (each for _, each in graph.get_subgraphs(recurse=True))
    return [pair for each in below if isinstance(each, Pregel) for pair in each.nodes.items()]


def _put_journal(name: str, bound: Any) -> None:
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

    async def both(request: ToolCallRequest, execute: Any) -> Any:
        async def wrapped(again: ToolCallRequest) -> Any:
            return await inner(again, execute)

        return await journal(request, wrapped)

    both.journals = True  # type: ignore[attr-defined]
    bound._awrap_tool_call = both


def _calls_pending(values: Any) -> bool:
    """Whether a model has asked for tools that were not called yet: nothing may come between the two."""
    messages = values.get("messages") if isinstance(values, dict) else getattr(values, "messages", None)
    return bool(messages and isinstance(messages[-1], AIMessage) and messages[-1].tool_calls)


def _is_last(message: AIMessage) -> bool:
    return not isinstance(message, AIMessageChunk) or message.chunk_position == "last"


def _bounded(value: Any) -> Any:
    """What a node tells on the side, as far as an event carries it."""
    told = to_data(value)
    whole = encode(told)
    with contextlib.suppress(Refused):
        check_value([told])
        if len(whole) <= limits.EVENT_BYTES // 2:
            return told
    return {"json": whole.decode()[: limits.EVENT_BYTES // 8]}
