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
from langgraph.errors import GraphBubbleUp, GraphDrained
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.pregel import Pregel
from langgraph.runtime import RunControl
from langgraph.types import Command, Interrupt

from holdfast.agents.adapters.framework import Kept, Question, Turn, ask_all, turns
from holdfast.agents.adapters.langgraph_saver import SessionSaver
from holdfast.agents.adapters.langgraph_voices import Voices, ident
from holdfast.agents.approvals import Approval
from holdfast.agents.errors import ToolFailed, ToolOutcomeUnknown
from holdfast.agents.run import RunContext
from holdfast.protocol import events as e
from holdfast.protocol import limits
from holdfast.protocol.codec import encode, parse

Answer = Callable[[Any, Approval], Any]
"""From an interrupt's value and people's decision to what ``interrupt()`` returns."""

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
        answer: what an ``interrupt()`` returns once people have decided; see ``decided`` for what it is by default.
        wait: let the worker go while people decide.
        deadline_s: how long they have, seconds.
        idempotent: names of tools that may run again when a lost attempt was inside them.

    Raises:
        ToolOutcomeUnknown: an attempt was lost inside a tool that is not idempotent.
    """
    saver = SessionSaver(Kept(run, "langgraph"))
    going = _Going(run, graph, saver, answer or decided, wait, deadline_s, idempotent)
    going.config = {
        **(config or {}), "configurable": {**(config or {}).get("configurable", {}), "thread_id": run.id}
    }  # fmt: skip
    going.context = context
    given = {"messages": _messages(turns(run)) + [HumanMessage(run.input.text)]} if input is None else input
    token = _going.set(going)
    try:
        return await going.go(given)
    finally:
        _going.reset(token)


def decided(value: Any, approval: Approval) -> Any:
    """What an ``interrupt(value)`` returns by default.

    For the requests of LangChain's human-in-the-loop middleware its decisions; otherwise ``False`` when people said no,
    and when they said yes their note, or ``True`` when there is none.
    """
    requests = value.get("action_requests") if isinstance(value, dict) else None
    if requests:
        one = (
            {"type": "approve"}
            if approval
            else {"type": "reject", **({"message": approval.note} if approval.note else {})}
        )
        return {"decisions": [one for _ in requests]}
    return (approval.note or True) if approval else False


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
    return await going.call(request, execute)


class _Unsettled(BaseException):
    """Carries an interrupt out of a journalled call: it has not been made after all."""

    def __init__(self, cause: GraphBubbleUp) -> None:
        self.cause = cause


class _Going:
    """One run of a graph: from its input, or from where the last attempt was, to its end."""

    def __init__(
        self, run: RunContext, graph: Pregel[Any, Any, Any, Any], saver: SessionSaver, answer: Answer, wait: bool,
        deadline_s: float, idempotent: Container[str],
    ) -> None:  # fmt: skip
        self._run = run
        self._graph = graph.copy({"checkpointer": saver})
        self._saver = saver
        self._answer, self._wait, self._deadline_s, self._idempotent = answer, wait, deadline_s, idempotent
        self._voices = Voices(run)
        self._talks = "messages" in graph.channels
        self.config: Any = {}
        self.context: Any = None
        for name, node in [*graph.nodes.items(), *_nodes_below(graph)]:
            _put_journal(name, node.bound)

    async def go(self, given: Any) -> Any:
        """Until the graph has ended and nobody has anything to add."""
        if await self._saver.recall():
            given = None
        try:
            while True:
                state = await self._graph.aget_state(self.config) if given is None else None
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
                        await self._run.emit(e.CUSTOM, {"name": "langgraph.custom", "value": _json(data)})
        await self._voices.end_all()
        await self._saver.save(self._voices.take(()))

    # --- what the graph says
    async def _message(self, namespace: tuple[str, ...], message: BaseMessage, about: dict[str, Any]) -> None:
        if isinstance(message, ToolMessage):
            call = self._newest(ident(self._run, message.tool_call_id))
            words = str(message.text)
            error = {"code": "tool.failed", "message": words[:500]} if message.status == "error" else None
            await self._run.tools.settle(call, message.name or "tool", {}, words, error=error)
        elif isinstance(message, AIMessage):
            await self._voices.write(namespace, message, last=_is_last(message))

    async def _task(self, namespace: tuple[str, ...], task: dict[str, Any]) -> None:
        """A node begins (it has an ``input``) or is done (it has a ``result``)."""
        if not namespace:
            step = {"stepName": task["name"]}
            await self._run.emit(e.STEP_STARTED if "input" in task else e.STEP_FINISHED, step)
        if "input" not in task:
            await self._voices.end((*namespace, f"{task['name']}:{task['id']}"))

    # --- people
    def _steers(self) -> Any:
        steers = self._saver.kept.take_steers() if self._talks else []
        self._saver.kept.include_steers()
        return {"messages": [HumanMessage(steer.text) for steer in steers]} if steers else None

    async def _resolve(self, interrupts: tuple[Interrupt[Any], ...]) -> Command[Any]:
        questions = [Question(f"i.{one.id}", *_action(one.value)) for one in interrupts]
        answers = await ask_all(self._run, questions, wait=self._wait, deadline_s=self._deadline_s)
        return Command(
            resume={one.id: self._answer(one.value, said) for one, said in zip(interrupts, answers, strict=True)}
        )

    # --- tools
    def _newest(self, call: str) -> str:
        """The id under which a call is made now: one that interrupted the graph is made again, under another."""
        number, newest = 1, call
        while ((self._run.tools.outcome(newest) or {}).get("error") or {}).get("code") == "tool.asks":
            number += 1
            newest = f"{call}.{number}"
        return newest

    async def call(
        self, request: ToolCallRequest, execute: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """See ``journal``."""
        name, ident_ = request.tool_call["name"], self._newest(ident(self._run, request.tool_call["id"] or ""))
        made: list[ToolMessage | Command[Any]] = []

        async def make(**_: Any) -> Any:
            try:
                made.append(await execute(request))
            except GraphBubbleUp as paused:
                raise _Unsettled(paused) from None
            return _json(made[0].content) if isinstance(made[0], ToolMessage) else {"command": _json(made[0].update)}

        args = _json(request.tool_call["args"])
        try:
            recorded = await self._run.tool(name, args, make, call_id=ident_, idempotent=name in self._idempotent)
        except _Unsettled as unsettled:
            error = {"code": "tool.asks", "message": "people are asked first"}
            await self._run.tools.settle(ident_, name, {}, "", error=error)
            raise unsettled.cause from None
        except ToolFailed as failed:
            recorded = str((failed.fields.get("error") or {}).get("message", failed.detail))
        if made:
            return made[0]
        if isinstance(recorded, dict) and "command" in recorded:
            raise ToolOutcomeUnknown(name, ident_)  # what it did to the graph's state is not in the log
        return ToolMessage(recorded, name=name, tool_call_id=request.tool_call["id"])


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


def _messages(told: list[Turn]) -> list[BaseMessage]:
    """The conversation as LangChain's messages."""
    out: list[BaseMessage] = []
    for turn in told:
        if turn.kind == "user":
            out.append(HumanMessage(turn.text))
        elif turn.kind == "assistant":
            out.append(AIMessage(turn.text))
        else:
            call = {"name": turn.name, "args": _args(turn.args), "id": turn.id, "type": "tool_call"}
            last = out[-1] if out else None
            if not (isinstance(last, ToolMessage) or (isinstance(last, AIMessage) and not last.tool_calls)):
                last = AIMessage("")
                out.append(last)
            place = next(i for i in range(len(out) - 1, -1, -1) if isinstance(out[i], AIMessage))
            asking = out[place]
            assert isinstance(asking, AIMessage)
            out[place] = AIMessage(asking.content, tool_calls=[*asking.tool_calls, call])
            out.append(ToolMessage(turn.text, name=turn.name, tool_call_id=turn.id))
    return out


def _args(text: str) -> dict[str, Any]:
    value = parse(text)
    return value if isinstance(value, dict) else {"value": value}


def _calls_pending(values: Any) -> bool:
    """Whether a model has asked for tools that were not called yet: nothing may come between the two."""
    messages = values.get("messages") if isinstance(values, dict) else getattr(values, "messages", None)
    return bool(messages and isinstance(messages[-1], AIMessage) and messages[-1].tool_calls)


def _is_last(message: AIMessage) -> bool:
    return not isinstance(message, AIMessageChunk) or message.chunk_position == "last"


def _action(value: Any) -> tuple[str, dict[str, Any]]:
    """What people are asked: the name of an action and its arguments."""
    value = _json(value)
    if isinstance(value, dict):
        requests = value.get("action_requests")
        if isinstance(requests, list) and len(requests) == 1 and isinstance(requests[0], dict):
            args = requests[0].get("args", requests[0].get("arguments"))
            return str(requests[0].get("name", requests[0].get("action", "interrupt"))), args if isinstance(
                args, dict
            ) else {}
        return str(value.get("tool") or value.get("action") or "interrupt"), value
    return "interrupt", {"value": value}


def _json(value: Any) -> Any:
    """The value as JSON data, for people to read; what JSON has no word for is told as text."""
    if isinstance(value, BaseMessage):
        return {"type": value.type, "content": _json(value.content)}
    if isinstance(value, dict):
        return {str(key): _json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    try:
        encode(value)
    except (TypeError, ValueError):
        return str(value)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
