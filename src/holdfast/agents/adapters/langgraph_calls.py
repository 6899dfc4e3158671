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
from langgraph.types import Command, Interrupt

from holdfast.agents.adapters.langgraph_saver import Place, SessionSaver
from holdfast.agents.adapters.langgraph_speakers import ident
from holdfast.agents.adapters.text_repair import carried
from holdfast.agents.errors import CallNotMade, ToolFailed, ToolOutcomeUnknown
from holdfast.agents.results import to_data, to_model_text
from holdfast.agents.run import RunContext
from holdfast.errors import HoldfastError

Result = ToolMessage | Command[Any] | list[ToolMessage | Command[Any]]
Execute = Callable[[ToolCallRequest], Awaitable[Any]]

_inside: ContextVar[str] = ContextVar("holdfast langgraph call", default="")


class _TellsFailure(HoldfastError):
    """A tool's result is the words of its failure: it is shown as one."""


class _Siblings:
    """Calls that a node makes at the same time.

    None of them leaves by an exception before all have come to rest: LangGraph would go on without those still at work, and
    start them again.
    """

    def __init__(self) -> None:
        self._busy = 0
        self._rested = asyncio.Event()
        self.asked: list[Interrupt] = []

    async def enter(self) -> None:
        """A call begins. When this returns all have, that the node makes."""
        self._busy += 1
        self._rested.clear()
        await asyncio.sleep(0)

    def leave(self) -> bool:
        """A call has come to rest; whether it was the last one."""
        self._busy -= 1
        if not self._busy:
            self._rested.set()
        return not self._busy

    async def rest(self) -> None:
        """Until all have."""
        while self._busy:
            await self._rested.wait()


class Calls:
    """The tool calls of one run of a graph."""

    def __init__(self, run: RunContext, saver: SessionSaver, idempotent: Container[str]) -> None:
        self._run = run
        self._saver = saver
        self._idempotent = idempotent
        self._siblings: dict[tuple[str, str], _Siblings] = {}
        self._at: dict[str, set[str]] = {}  # calls by the namespace of the node that makes them
        self._bubbled: dict[str, GraphBubbleUp] = {}

    def ident(self, upstream: str | None) -> str:
        """A call's id in the session. What an older version settled as asking, and began anew, has another one."""
        first = call = ident(self._run, upstream or "")
        for number in itertools.count(2):
            error = (self._run.tools.outcome(call) or {}).get("error") or {}
            if error.get("code") != "tool.asks":
                break
            call = f"{first}.{number}"
        return call

    # --- interrupts
    def unanswered(self, one: Interrupt[Any]) -> bool:
        """Whether people are to be asked for this interrupt, or it has its answer and only waits for its node."""
        place = self._saver.calls.places.get(one.id)
        return place is None or len(self._saver.calls.answers.get(place.call, ())) < place.number

    def of(self, one: Interrupt[Any]) -> str | None:
        """The tool call that raised an interrupt, if one did."""
        place = self._saver.calls.places.get(one.id)
        return place.call if place is not None else None

    def answer(self, one: Interrupt[Any], value: Any) -> bool:
        """Give an interrupt its answer, if a tool call raised it; otherwise LangGraph has to be told."""
        place = self._saver.calls.places.get(one.id)
        if place is not None:
            self._saver.calls.answers.setdefault(place.call, []).append(self._saver.typed(value))
        return place is not None

    def done(self, namespace: str) -> None:
        """A node is done: what its calls asked and returned is in the graph's state."""
        known = self._saver.calls
        for call in self._at.pop(namespace, ()):
            known.answers.pop(call, None)
            known.results.pop(call, None)
            self._bubbled.pop(call, None)
            known.places = {one: place for one, place in known.places.items() if place.call != call}

    # --- calls
    async def make(self, request: ToolCallRequest, execute: Execute) -> Any:
        """Make a call, or give what it gave; leave by an exception only when no call beside it is at work."""
        namespace = str(_configurable(request).get(CONFIG_KEY_CHECKPOINT_NS, ""))
        key = (namespace, _inside.get())
        siblings = self._siblings.setdefault(key, _Siblings())
        call = self.ident(request.tool_call["id"])
        self._at.setdefault(namespace, set()).add(call)
        try:
            await siblings.enter()
            return await self._made(call, request, execute)
        except GraphInterrupt as asks:
            siblings.asked.extend(asks.args[0])
            failed: Exception = asks
        except Exception as error:
            failed = error
        finally:
            if siblings.leave():
                self._siblings.pop(key, None)
        await siblings.rest()
        if isinstance(failed, GraphInterrupt):
            await asyncio.sleep(0)  # a failure beside it comes first
            raise GraphInterrupt(tuple(siblings.asked))
        raise failed

    async def _made(self, call: str, request: ToolCallRequest, execute: Execute) -> Any:
        name, args = request.tool_call["name"], to_data(request.tool_call["args"])
        known = self._saver.calls.results.get(call)
        if known is not None:
            result = self._saver.untyped(known)
            await self._run.tools.record_result(call, name, args, _shown(result, request.tool_call["id"]))
            return result
        answers = [self._saver.untyped(answer) for answer in self._saver.calls.answers.get(call, ())]
        raised = _own_place(call, request, answers)
        made: list[Any] = []

        async def make(**_: Any) -> Any:
            token = _inside.set(call)
            try:
                made.append(await execute(_forgiving(request)))
            except GraphInterrupt as asks:
                raise CallNotMade("interrupt", asks) from None
            except GraphBubbleUp as bubbled:  # a command for the graph above, for example
                self._bubbled[call] = bubbled
                return _shown(bubbled.args[0] if bubbled.args else None, request.tool_call["id"])
            finally:
                _inside.reset(token)
            await self._keep(call, made[0])
            shown = _shown(made[0], request.tool_call["id"])
            if isinstance(made[0], ToolMessage) and made[0].status == "error":
                raise _TellsFailure("tool.failed", to_model_text(shown)[:500])
            return shown

        try:
            recorded = await self._run.tool(name, args, make, call_id=call, idempotent=name in self._idempotent)
        except CallNotMade as unsettled:
            raise self._asks(call, unsettled.cause, len(answers), own=raised() > len(answers)) from None
        except _TellsFailure:
            return made[0]
        except ToolFailed as failed:
            words = (failed.fields.get("error") or {}).get("message", failed.detail)
            return made[0] if made else _told(request, words, status="error")
        if call in self._bubbled:
            raise self._bubbled[call]
        return made[0] if made else self._again(call, request, recorded)

    def _again(self, call: str, request: ToolCallRequest, recorded: Any) -> ToolMessage:
        """What the journal has, where nothing more of the result was kept."""
        if isinstance(recorded, dict) and "command" in recorded:
            raise ToolOutcomeUnknown(request.tool_call["name"], call)  # what it did to the graph's state is not known
        return _told(request, recorded)

    def _asks(self, call: str, cause: Exception | None, answers: int, *, own: bool) -> Exception:
        """The interrupt of a call, under an id that is of this call and of how often it has asked."""
        assert isinstance(cause, GraphInterrupt)
        if not own:
            return cause  # of a graph that the tool runs, which has places of its own
        one: Interrupt[Any] = cause.args[0][0]
        place = Place(call, answers + 1)
        named = Interrupt(
            one.value, hashlib.sha256(f"{call}|{place.number}".encode()).hexdigest()[:32],
            **({"response_schema": schema} if (schema := getattr(one, "response_schema", None)) is not None else {}),
        )  # fmt: skip
        self._saver.calls.places[named.id] = place
        return GraphInterrupt((named,))

    async def _keep(self, call: str, result: Any) -> None:
        """Keep what a call returned. What the journal alone could not give again must be kept before the journal has it."""
        try:
            self._saver.calls.results[call] = self._saver.typed(result)
        except Exception:  # LangGraph cannot carry it: the graph's own state may still be able to
            return
        plain = isinstance(result, ToolMessage) and isinstance(result.content, str) and result.artifact is None
        if not plain:
            await self._saver.save()


def _configurable(request: ToolCallRequest) -> dict[str, Any]:
    config = getattr(request.runtime, "config", None) or {}
    found: dict[str, Any] = config.get("configurable") or {}
    return found


def _own_place(call: str, request: ToolCallRequest, answers: list[Any]) -> Callable[[], int]:
    """Give a call its own count of interrupts and subgraphs, with the answers it has; says how many it came to.

    In LangGraph these belong to the node, and so to all calls that it makes.
    """
    outer, raised = _configurable(request), 0

    def interrupts() -> int:
        nonlocal raised
        raised += 1
        return raised - 1

    pad = outer.get(CONFIG_KEY_SCRATCHPAD)
    if pad is not None:
        send = outer[CONFIG_KEY_SEND]
        number = int.from_bytes(hashlib.sha256(call.encode()).digest()[:6])
        request.runtime.config["configurable"] = {
            **outer,
            CONFIG_KEY_SCRATCHPAD: dataclasses.replace(
                pad, interrupt_counter=interrupts, subgraph_counter=itertools.count().__next__, resume=answers,
                get_null_resume=lambda consume=False: None,
            ),
            CONFIG_KEY_CHECKPOINT_NS: f"{outer[CONFIG_KEY_CHECKPOINT_NS]}{NS_SEP}{number}",
            CONFIG_KEY_SEND: lambda writes: send([write for write in writes if write[0] != RESUME]),
        }  # fmt: skip
        var_child_runnable_config.set(request.runtime.config)
    return lambda: raised


def _forgiving(request: ToolCallRequest) -> ToolCallRequest:
    """The request with a tool whose result LangChain can write down, whatever it is: by then the tool has acted."""
    tool = request.tool
    if not isinstance(tool, StructuredTool):
        return request

    def fit(value: Any) -> Any:
        if tool.response_format == "content_and_artifact" and isinstance(value, tuple) and len(value) == 2:
            return carried(value[0], _carries), value[1]
        return carried(value, _carries)

    made: dict[str, Any] = {}
    if (func := tool.func) is not None:
        made["func"] = functools.wraps(func)(lambda *args, **kwargs: fit(func(*args, **kwargs)))
    if (coroutine := tool.coroutine) is not None:

        @functools.wraps(coroutine)
        async def call(*args: Any, **kwargs: Any) -> Any:
            return fit(await coroutine(*args, **kwargs))

        made["coroutine"] = call
    return request.override(tool=tool.model_copy(update=made))


def _carries(value: Any) -> None:
    """Raises when LangChain could not write a value down."""
    if not isinstance(value, str):
        try:
            json.dumps(value, ensure_ascii=False)
        except Exception:
            str(value)


def _told(request: ToolCallRequest, content: Any, **more: Any) -> ToolMessage:
    words = content if isinstance(content, str | list) else to_model_text(content)
    return ToolMessage(words, name=request.tool_call["name"], tool_call_id=request.tool_call["id"], **more)


def _shown(result: Any, upstream: str | None) -> Any:
    """A result for people: what the model is told of it, also when it came with a change of the graph's state."""
    if isinstance(result, ToolMessage):
        return to_data(result.content)
    if isinstance(result, list):
        told = [each for each in result if isinstance(each, ToolMessage)]
        return _shown(told[0] if told else result[0] if result else None, upstream)
    update = getattr(result, "update", None)
    messages = update.get("messages", ()) if isinstance(update, dict) else ()
    for message in messages if isinstance(messages, list | tuple) else ():
        if isinstance(message, ToolMessage) and message.tool_call_id == upstream:
            return {"command": to_data(message.content)}
    return {"command": to_data(update)}
