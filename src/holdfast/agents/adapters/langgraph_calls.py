"""Tool calls in a LangGraph run: each is made at most once, and each asks people for itself.

LangGraph starts a node again from its top when one of its tools interrupts, and tells the interrupts of the node's tools
apart by the order in which they come. Here a call that was made returns what it returned, so that order says nothing: every
call has a place of its own for its interrupts and their answers, named by the call.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import hashlib
import itertools
import json
from collections.abc import Awaitable, Callable, Container
from contextvars import ContextVar
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tools import StructuredTool
from langgraph._internal._constants import (
    CONFIG_KEY_CHECKPOINT_NS,
    CONFIG_KEY_SCRATCHPAD,
    CONFIG_KEY_SEND,
    NS_SEP,
    RESUME,
)
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Interrupt

from holdfast.agents.adapters.langgraph_saver import InterruptPosition, SessionSaver
from holdfast.agents.adapters.langgraph_speakers import session_call_id
from holdfast.agents.adapters.text_repair import ensure_encodable
from holdfast.agents.errors import CallNotMade, ToolFailed, ToolOutcomeUnknown
from holdfast.agents.results import to_data, to_model_text
from holdfast.agents.run import RunContext
from holdfast.errors import HoldfastError

ExecuteTool = Callable[[ToolCallRequest], Awaitable[Any]]

_current_call: ContextVar[str] = ContextVar("holdfast langgraph call", default="")


class _FailedResult(HoldfastError):
    """A tool's result is the text of its failure: it is shown as one."""


class _Siblings:
    """Calls that a node makes at the same time.

    None of them leaves by an exception before all are idle: LangGraph would go on without those still at work, and
    start them again.
    """

    def __init__(self) -> None:
        self._busy = 0
        self._idle = asyncio.Event()
        self.interrupts: list[Interrupt] = []

    async def enter(self) -> None:
        """A call begins. When this returns all have, that the node makes."""
        self._busy += 1
        self._idle.clear()
        await asyncio.sleep(0)

    def leave(self) -> bool:
        """A call is idle; whether it was the last one."""
        self._busy -= 1
        if not self._busy:
            self._idle.set()
        return not self._busy

    async def wait(self) -> None:
        """Wait until all are idle."""
        while self._busy:
            await self._idle.wait()


class GraphCalls:
    """The tool calls of one run of a graph."""

    def __init__(self, run: RunContext, saver: SessionSaver, idempotent: Container[str]) -> None:
        self._run = run
        self._saver = saver
        self._idempotent = idempotent
        self._siblings: dict[tuple[str, str], _Siblings] = {}
        self._calls_by_node: dict[str, set[str]] = {}  # calls by the namespace of the node that makes them
        self._bubbled: dict[str, GraphBubbleUp] = {}

    def session_id(self, upstream: str | None) -> str:
        """A call's id in the session. A call that an older version ended as asking, and started anew, has another one."""
        first = call = session_call_id(self._run, upstream or "")
        for number in itertools.count(2):
            error = (self._run.tools.outcome(call) or {}).get("error") or {}
            if error.get("code") != "tool.asks":
                break
            call = f"{first}.{number}"
        return call

    # --- interrupts
    def needs_answer(self, interrupt: Interrupt[Any]) -> bool:
        """Whether people are to be asked for this interrupt, or it has its answer and only waits for its node."""
        position = self._saver.calls.places.get(interrupt.id)
        return position is None or len(self._saver.calls.answers.get(position.call, ())) < position.number

    def call_of(self, interrupt: Interrupt[Any]) -> str | None:
        """The tool call that raised an interrupt, if one did."""
        position = self._saver.calls.places.get(interrupt.id)
        return position.call if position is not None else None

    def add_answer(self, interrupt: Interrupt[Any], value: Any) -> bool:
        """Give an interrupt its answer, if a tool call raised it; otherwise it goes to LangGraph."""
        position = self._saver.calls.places.get(interrupt.id)
        if position is not None:
            self._saver.calls.answers.setdefault(position.call, []).append(self._saver.serialize(value))
        return position is not None

    def forget(self, namespace: str) -> None:
        """A node is done: what its calls asked and returned is in the graph's state."""
        state = self._saver.calls
        for call in self._calls_by_node.pop(namespace, ()):
            state.answers.pop(call, None)
            state.results.pop(call, None)
            self._bubbled.pop(call, None)
            state.places = {ident: position for ident, position in state.places.items() if position.call != call}

    # --- calls
    async def make(self, request: ToolCallRequest, execute: ExecuteTool) -> Any:
        """Make a call, or return its saved result; leave by an exception only when no call beside it is at work."""
        namespace = str(_configurable(request).get(CONFIG_KEY_CHECKPOINT_NS, ""))
        key = (namespace, _current_call.get())
        siblings = self._siblings.setdefault(key, _Siblings())
        call = self.session_id(request.tool_call["id"])
        self._calls_by_node.setdefault(namespace, set()).add(call)
        try:
            await siblings.enter()
            return await self._make_once(call, request, execute)
        except GraphInterrupt as interrupt:
            siblings.interrupts.extend(interrupt.args[0])
            failure: Exception = interrupt
        except Exception as error:
            failure = error
        finally:
            if siblings.leave():
                self._siblings.pop(key, None)
        await siblings.wait()
        if isinstance(failure, GraphInterrupt):
            await asyncio.sleep(0)  # a failure beside it comes first
            raise GraphInterrupt(tuple(siblings.interrupts))
        raise failure

    async def _make_once(self, call: str, request: ToolCallRequest, execute: ExecuteTool) -> Any:
        name, args = request.tool_call["name"], to_data(request.tool_call["args"])
        saved = self._saver.calls.results.get(call)
        if saved is not None:
            result = self._saver.deserialize(saved)
            await self._run.tools.record_result(call, name, args, _display_value(result, request.tool_call["id"]))
            return result
        answers = [self._saver.deserialize(answer) for answer in self._saver.calls.answers.get(call, ())]
        interrupt_count = _isolate_interrupts(call, request, answers)
        results: list[Any] = []

        async def make(**_: Any) -> Any:
            token = _current_call.set(call)
            try:
                results.append(await execute(_with_encodable_results(request)))
            except GraphInterrupt as interrupt:
                raise CallNotMade("interrupt", interrupt) from None
            except GraphBubbleUp as command:  # a command for the graph above, for example
                self._bubbled[call] = command
                return _display_value(command.args[0] if command.args else None, request.tool_call["id"])
            finally:
                _current_call.reset(token)
            await self._save_result(call, results[0])
            display = _display_value(results[0], request.tool_call["id"])
            if isinstance(results[0], ToolMessage) and results[0].status == "error":
                raise _FailedResult("tool.failed", to_model_text(display)[:500])
            return display

        try:
            recorded = await self._run.tool(name, args, make, call_id=call, idempotent=name in self._idempotent)
        except CallNotMade as not_made:
            raise self._own_interrupt(
                call, not_made.cause, len(answers), own=interrupt_count() > len(answers)
            ) from None
        except _FailedResult:
            return results[0]
        except ToolFailed as failure:
            message = (failure.fields.get("error") or {}).get("message", failure.detail)
            return results[0] if results else _tool_message(request, message, status="error")
        if call in self._bubbled:
            raise self._bubbled[call]
        return results[0] if results else self._recorded_message(call, request, recorded)

    def _recorded_message(self, call: str, request: ToolCallRequest, recorded: Any) -> ToolMessage:
        """What the journal has, where nothing more of the result was saved."""
        if isinstance(recorded, dict) and "command" in recorded:
            raise ToolOutcomeUnknown(request.tool_call["name"], call)  # what it did to the graph's state is not known
        return _tool_message(request, recorded)

    def _own_interrupt(self, call: str, cause: Exception | None, answers: int, *, own: bool) -> Exception:
        """The interrupt of a call, under an id that is of this call and of how often it has asked."""
        assert isinstance(cause, GraphInterrupt)
        if not own:
            return cause  # of a graph that the tool runs, which has places of its own
        interrupt: Interrupt[Any] = cause.args[0][0]
        position = InterruptPosition(call, answers + 1)
        renamed = Interrupt(
            interrupt.value,
            hashlib.sha256(f"{call}|{position.number}".encode()).hexdigest()[:32],
            **(
                {"response_schema": schema}
                if (schema := getattr(interrupt, "response_schema", None)) is not None
                else {}
            ),
        )
        self._saver.calls.places[renamed.id] = position
        return GraphInterrupt((renamed,))

    async def _save_result(self, call: str, result: Any) -> None:
        """Save what a call returned. What the journal alone could not give again must be saved before the journal has it."""
        try:
            self._saver.calls.results[call] = self._saver.serialize(result)
        except Exception:  # LangGraph cannot carry it: the graph's own state may still be able to
            return
        plain = isinstance(result, ToolMessage) and isinstance(result.content, str) and result.artifact is None
        if not plain:
            await self._saver.save()


def _configurable(request: ToolCallRequest) -> dict[str, Any]:
    config = getattr(request.runtime, "config", None) or {}
    configurable: dict[str, Any] = config.get("configurable") or {}
    return configurable


def _isolate_interrupts(call: str, request: ToolCallRequest, answers: list[Any]) -> Callable[[], int]:
    """Give a call its own count of interrupts and subgraphs, with the answers it has; says how many it came to.

    In LangGraph these belong to the node, and so to all calls that it makes.
    """
    configurable, count = _configurable(request), 0

    def next_interrupt() -> int:
        nonlocal count
        count += 1
        return count - 1

    scratchpad = configurable.get(CONFIG_KEY_SCRATCHPAD)
    if scratchpad is not None:
        send = configurable[CONFIG_KEY_SEND]
        number = int.from_bytes(hashlib.sha256(call.encode()).digest()[:6])
        request.runtime.config["configurable"] = {
            **configurable,
            CONFIG_KEY_SCRATCHPAD: dataclasses.replace(
                scratchpad,
                interrupt_counter=next_interrupt,
                subgraph_counter=itertools.count().__next__,
                resume=answers,
                get_null_resume=lambda consume=False: None,
            ),
            CONFIG_KEY_CHECKPOINT_NS: f"{configurable[CONFIG_KEY_CHECKPOINT_NS]}{NS_SEP}{number}",
            CONFIG_KEY_SEND: lambda writes: send([write for write in writes if write[0] != RESUME]),
        }
        var_child_runnable_config.set(request.runtime.config)
    return lambda: count


def _with_encodable_results(request: ToolCallRequest) -> ToolCallRequest:
    """The request with a tool whose result LangChain can write down, whatever it is: by then the tool has acted."""
    tool = request.tool
    if not isinstance(tool, StructuredTool):
        return request

    def encodable(value: Any) -> Any:
        if tool.response_format == "content_and_artifact" and isinstance(value, tuple) and len(value) == 2:
            return ensure_encodable(value[0], _check_encodable), value[1]
        return ensure_encodable(value, _check_encodable)

    wrapped: dict[str, Any] = {}
    if (func := tool.func) is not None:
        wrapped["func"] = functools.wraps(func)(lambda *args, **kwargs: encodable(func(*args, **kwargs)))
    if (coroutine := tool.coroutine) is not None:

        @functools.wraps(coroutine)
        async def call(*args: Any, **kwargs: Any) -> Any:
            return encodable(await coroutine(*args, **kwargs))

        wrapped["coroutine"] = call
    return request.override(tool=tool.model_copy(update=wrapped))


def _check_encodable(value: Any) -> None:
    """Raises when LangChain could not write a value down."""
    if not isinstance(value, str):
        try:
            json.dumps(value, ensure_ascii=False)
        except Exception:
            str(value)


def _tool_message(request: ToolCallRequest, content: Any, **more: Any) -> ToolMessage:
    text = content if isinstance(content, str | list) else to_model_text(content)
    return ToolMessage(text, name=request.tool_call["name"], tool_call_id=request.tool_call["id"], **more)


def _display_value(result: Any, upstream: str | None) -> Any:
    """A result for people: the model's text of it, also when it came with a change of the graph's state."""
    if isinstance(result, ToolMessage):
        return to_data(result.content)
    if isinstance(result, list):
        tool_messages = [each for each in result if isinstance(each, ToolMessage)]
        return _display_value(tool_messages[0] if tool_messages else result[0] if result else None, upstream)
    update = getattr(result, "update", None)
    messages = update.get("messages", ()) if isinstance(update, dict) else ()
    for message in messages if isinstance(messages, list | tuple) else ():
        if isinstance(message, ToolMessage) and message.tool_call_id == upstream:
            return {"command": to_data(message.content)}
    return {"command": to_data(update)}
