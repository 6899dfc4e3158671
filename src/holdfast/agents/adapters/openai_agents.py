"""OpenAI Agents SDK: ``await openai_agents.run(run, agent)`` inside an agent makes an SDK agent durable.

Its text, reasoning, tool calls and results, citations and usage go into the session as they come; an agent that was
handed the conversation, and agents used as tools, speak as sub-agents. Each response of a model and the SDK's own
``RunState`` after each turn are kept in the session, so a later attempt goes on where the last one was. Tools with
``needs_approval`` ask people and let the worker go, also those of an agent that is used as a tool. Steers come between
turns. Tested with the SDK 0.24.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
from collections.abc import AsyncIterator, Callable, Container
from contextvars import ContextVar
from typing import Any

import msgspec
from agents import Agent, FunctionTool, Handoff, Model, RunConfig, Runner, RunState
from agents.agent import AgentToolStreamEvent
from agents.agent_tool_state import get_agent_tool_state_scope, peek_agent_tool_run_result
from agents.items import ToolApprovalItem, ToolCallOutputItem
from openai.types.responses import Response, ResponseCompletedEvent
from pydantic_core import to_jsonable_python

from holdfast.agents.adapters.checkpoint import Checkpoint
from holdfast.agents.adapters.framework import Question, Turn, ask_all, turns
from holdfast.agents.adapters.openai_agents_speaker import Speaker
from holdfast.agents.adapters.rounds import Rounds
from holdfast.agents.adapters.text_repair import ensure_encodable, repair
from holdfast.agents.errors import CallNotMade, ToolFailed
from holdfast.agents.results import to_data
from holdfast.agents.run import RunContext
from holdfast.protocol import limits
from holdfast.protocol.codec import parse, well_formed, well_formed_data

__all__ = ["run", "speak"]

_NESTED_APPROVAL = "inside"  # why a call is paused inside which people are asked

_nested_speaker: ContextVar[Speaker | None] = ContextVar("holdfast agent tool", default=None)


async def run(
    run: RunContext,
    agent: Agent[Any],
    input: str | list[Any] | None = None,
    *,
    context: Any = None,
    run_config: RunConfig | None = None,
    wait: bool = True,
    deadline_s: float = limits.APPROVAL_DEADLINE_S,
    idempotent: Container[str] = (),
    **options: Any,
) -> Any:
    """Run an agent on the conversation and return its final output.

    Args:
        input: instead of the conversation with the run's input last.
        context: the SDK's context object, given to tools. It is not saved: every attempt gets what is passed here.
        wait: let the worker go while people decide about tools that need approval.
        deadline_s: how long they have, seconds.
        idempotent: names of tools that may run again when a lost attempt was inside them.
        options: of ``Runner.run_streamed``: ``max_turns``, ``hooks`` …

    Raises:
        ToolOutcomeUnknown: an attempt was lost inside a tool that is not idempotent. Whatever the SDK raises is raised.
    """
    agent_run = _AgentRun(run, run_config or RunConfig(), idempotent)
    agent_run.context = context
    return await agent_run.execute(agent, input, wait, deadline_s, options)


async def speak(event: AgentToolStreamEvent) -> None:
    """Let an agent that is used as a tool speak while it works: ``agent.as_tool(…, on_stream=openai_agents.speak)``.

    Without it such an agent is shown as a sub-agent all the same, and its output when it is done.
    """
    speaker, stream_event = _nested_speaker.get(), event["event"]
    if speaker is not None and stream_event.type == "raw_response_event":
        await speaker.handle_event(stream_event.data)
    elif (
        speaker is not None
        and stream_event.type == "run_item_stream_event"
        and isinstance(stream_event.item, ToolCallOutputItem)
    ):
        await speaker.record_output(stream_event.item.raw_item, stream_event.item.output)


class _State(msgspec.Struct):
    """What is saved: the SDK's state after the last whole turn, and the response that came after it; and by which call of an
    agent used as a tool a call was made that waits for people."""

    agent: str = ""
    state: str | None = None
    input: list[Any] | None = None
    response: dict[str, Any] | None = None
    output: Any = None
    done: bool = False
    nested: dict[str, str] = {}


class _AgentRun:
    """One run of an agent: from its input, or from where the last attempt was, to its end."""

    def __init__(self, run: RunContext, config: RunConfig, idempotent: Container[str]) -> None:
        self.run = run
        self.idempotent = idempotent
        self.context: Any = None
        self.config = copy.copy(config)
        self._model_override, self.config.model = config.model, None
        self._checkpoint = Checkpoint(run, "openai_agents")
        self._state = _State()
        self._copies: dict[int, Agent[Any]] = {}
        self._stop_after_turn: Callable[[], None] = lambda: None
        self._paused_calls: set[str] = set()  # calls of agents used as tools, inside which people are asked
        self._nested: dict[str, str] = {}
        self._requests = 0
        self._rounds = Rounds(run)
        self.speaker = Speaker(run, journal=run)

    # --- the loop
    async def execute(
        self,
        agent: Agent[Any],
        agent_input: str | list[Any] | None,
        wait: bool,
        deadline_s: float,
        options: dict[str, Any],
    ) -> Any:
        """Turn by turn, until there is a final output and nobody has anything to add."""
        durable = self._wrap_agent(agent)
        checkpoint = await self._checkpoint.load()
        if checkpoint is not None:
            self._state = msgspec.json.decode(checkpoint, type=_State)
            if self._state.done:
                return self._state.output
            self._nested = self._state.nested
        start: Any = self._state.input or (
            agent_input
            if agent_input is not None
            else _history_items(turns(self.run, children=True)) + await _input_items(self.run)
        )
        if self._state.state is not None:
            start = await RunState.from_string(durable, self._state.state, context_override=self.context)
        async with contextlib.AsyncExitStack() as sub_run:
            while True:
                approvals = start.get_interruptions() if isinstance(start, RunState) else []
                self._rounds.next(self._requests, [self._question(item).id for item in approvals])
                if approvals:
                    await sub_run.aclose()  # nobody speaks while the run waits
                    self.speaker = Speaker(self.run, journal=self.run, call_names=self.speaker.call_names)
                    await self._resolve(start, approvals, wait, deadline_s)
                await self._switch_speaker(sub_run, self._state.agent, agent.name)
                start, done = await self._run_turn(durable, start, options)
                if done:
                    return self._state.output

    async def _run_turn(self, durable: Agent[Any], start: Any, options: dict[str, Any]) -> tuple[Any, bool]:
        """One response of the model and the tools it asks for; what to go on from, and whether it was the last one."""
        result = Runner.run_streamed(
            durable,
            start,
            context=None if isinstance(start, RunState) else self.context,
            run_config=self.config,
            **options,
        )
        self._stop_after_turn = lambda: result.cancel(mode="after_turn")
        try:
            async for event in result.stream_events():
                if event.type == "run_item_stream_event" and isinstance(event.item, ToolCallOutputItem):
                    await self.speaker.record_output(event.item.raw_item, event.item.output)
        except BaseException:
            result.cancel()
            raise
        steers = self._checkpoint.take_steers() if not result.interruptions else []
        self._checkpoint.include_steers()
        steer_items: list[Any] = [{"role": "user", "content": steer.text} for steer in steers]
        agent_name, output = result.last_agent.name, result.final_output
        if output is not None and not steer_items:
            self._state = _State(agent=agent_name, output=to_data(output), done=True)
            await self._save()
            self._state.output = output
            return None, True
        if output is not None:  # it had ended, and people have a word more
            items = [*result.to_input_list(), *steer_items]
            self._state = _State(agent=agent_name, input=well_formed_data(to_jsonable_python(items, fallback=str)))
            await self._save()
            return items, False
        state = result.to_state()
        if steer_items:
            state.add_input(steer_items)
        state_json = well_formed(state.to_string(context_serializer=lambda context: {}))
        self._state = _State(agent=agent_name, state=state_json, nested=self._nested)
        await self._save()
        for call in self._paused_calls:  # from here on they can go on where they are
            self.run.tools.pause(call, _NESTED_APPROVAL)
        self._paused_calls.clear()
        return state, False

    def count_request(self) -> None:
        """Count a request to a model."""
        self._requests += 1

    async def save_response(self, response: Response) -> None:
        """A response is whole: save it, before any of its tools is called, and complete its texts."""
        self._state.response = response.model_dump(mode="json", by_alias=True, exclude_unset=True)
        await self._save()

    def take_recorded_response(self) -> Response | None:
        """The response that an earlier attempt had when it was lost, once. A turn has begun: it is to be the only one."""
        self._stop_after_turn()
        recorded, self._state.response = self._state.response, None
        return Response.model_validate(recorded) if recorded is not None else None

    async def _save(self) -> None:
        await self._checkpoint.save(msgspec.json.encode(self._state), self.speaker.texts.take())

    # --- speakers
    async def _switch_speaker(self, sub_run: contextlib.AsyncExitStack, name: str, first_agent: str) -> None:
        """An agent that was handed the conversation speaks as a sub-agent, until it is handed on."""
        if name in ("", first_agent):
            name = ""
        if name != self.speaker.name:
            await sub_run.aclose()
            run = await sub_run.enter_async_context(self.run.sub(name)) if name else self.run
            self.speaker = Speaker(run, journal=self.run, name=name, call_names=self.speaker.call_names)

    # --- people
    async def _resolve(
        self, state: RunState[Any, Any], approvals: list[ToolApprovalItem], wait: bool, deadline_s: float
    ) -> None:
        questions = [self._question(item) for item in approvals]
        self.speaker.call_names.update({question.id: question.tool for question in questions})
        answers = await ask_all(self.run, questions, wait=wait and self._checkpoint.is_saved, deadline_s=deadline_s)
        for item, answer in zip(approvals, answers, strict=True):
            if answer:
                state.approve(item)
            else:
                state.reject(item, rejection_message=answer.note or None)

    def _question(self, item: ToolApprovalItem) -> Question:
        """What people are asked. A call that was made inside another is named with that: its id is only of its agent."""
        call = str(_field(item.raw_item, "call_id") or _field(item.raw_item, "id"))
        outer = self._nested.get(call)
        name, args = item.tool_name or "tool", _parse_args(_field(item.raw_item, "arguments"))
        ident = f"{outer}.{call}" if outer else call
        call_id = self.speaker.call_id(ident)
        return Question(ident, name, args, call_id if self.run.tools.has_call(call_id) else None)

    # --- tools
    def _wrap_agent(self, agent: Agent[Any]) -> Agent[Any]:
        """The agent, and all it can hand over to, with the journal around tools and models; the user's own stay as is."""
        wrapped = self._copies.get(id(agent))
        if wrapped is not None:
            return wrapped
        inner = self._model_override or agent.model
        if not isinstance(inner, Model):
            inner = self.config.model_provider.get_model(inner)
        clone = self._copies[id(agent)] = agent.clone(
            model=_Model(self, inner),
            tools=[self._wrap_tool(t) if isinstance(t, FunctionTool) else t for t in agent.tools],
        )
        clone.handoffs = [
            self._wrap_agent(h) if isinstance(h, Agent) else self._wrap_handoff(h) for h in agent.handoffs
        ]
        return clone

    def _wrap_handoff(self, handoff: Handoff[Any, Any]) -> Handoff[Any, Any]:
        clone = copy.copy(handoff)

        async def invoke(context: Any, args: str) -> Any:
            return self._wrap_agent(await handoff.on_invoke_handoff(context, args))

        clone.on_invoke_handoff = invoke
        return clone

    def _wrap_tool(self, tool: FunctionTool) -> FunctionTool:
        clone = copy.copy(tool)
        results: dict[str, Any] = {}

        async def invoke(context: Any, args: str) -> Any:
            ident = self.speaker.call_id(context.tool_call_id)

            async def make(**_: Any) -> Any:
                if tool._is_agent_tool:
                    value = await self._run_agent_tool(tool, context, args)
                else:
                    value = await tool.on_invoke_tool(context, args)
                results[ident] = ensure_encodable(value, _check_encodable)
                return value

            try:
                recorded = await self.run.tool(
                    tool.name, _parse_args(args), make, call_id=ident, idempotent=tool.name in self.idempotent
                )
            except CallNotMade:
                return None  # the SDK itself knows the questions inside
            except ToolFailed as failure:
                return str((failure.fields.get("error") or {}).get("message", failure.detail))
            return results.pop(ident, recorded)

        clone.on_invoke_tool = invoke
        return clone

    async def _run_agent_tool(self, tool: FunctionTool, context: Any, args: str) -> Any:
        """An agent used as a tool is a sub-agent while it works; its calls are shown with the run. When people are asked
        inside it, the call is not over: it goes on from there when they have decided."""
        call = context.tool_call_id
        async with self.run.sub(tool._agent_instance.name or tool.name, input=_parse_args(args)) as child:
            speaker = Speaker(child, journal=self.run, within=call)
            token = _nested_speaker.set(speaker)
            try:
                output = await tool.on_invoke_tool(context, args)
            finally:
                _nested_speaker.reset(token)
                await speaker.unknown.record()
            await speaker.texts.end_all()
            texts = speaker.texts.take()
            for text in texts:
                await text.close()
            pending_calls = self._pending_nested_calls(context)
            if not pending_calls and not texts and isinstance(output, str):
                await child.say(output)
            if not pending_calls:
                return output
            self._nested.update(dict.fromkeys(pending_calls, call))
            self._paused_calls.add(self.speaker.call_id(call))
            raise CallNotMade(_NESTED_APPROVAL, silent=True)
        return "A person stopped this."

    @staticmethod
    def _pending_nested_calls(context: Any) -> list[str]:
        """Ids of the calls that wait for people inside an agent that was used as a tool."""
        pending = peek_agent_tool_run_result(context.tool_call, scope_id=get_agent_tool_state_scope(context))
        items = getattr(pending, "interruptions", None) or []
        return [str(_field(item.raw_item, "call_id") or _field(item.raw_item, "id")) for item in items]


def _check_encodable(value: Any) -> None:
    """Raises when the SDK could not send a value to a model, or save it."""
    json.dumps(to_jsonable_python(value, fallback=str), ensure_ascii=False).encode()
    str(value).encode()


class _Model(Model):
    """A model whose responses are written into the session as they come, and saved when they are whole."""

    def __init__(self, agent_run: _AgentRun, inner: Model) -> None:
        self._agent_run = agent_run
        self._inner = inner

    async def get_response(self, *args: Any, **kwargs: Any) -> Any:
        """Not streamed, so not shown; ``run`` streams."""
        return await self._inner.get_response(*args, **kwargs)

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """The response the last attempt had, or a new one."""
        recorded = self._agent_run.take_recorded_response()
        if recorded is not None:
            yield ResponseCompletedEvent(response=recorded, sequence_number=0, type="response.completed")
            return
        speaker = self._agent_run.speaker
        self._agent_run.count_request()
        speaker.hidden = {handoff.tool_name for handoff in kwargs.get("handoffs") or (args[5] if len(args) > 5 else [])}
        stream: Any = self._inner.stream_response(*args, **kwargs)
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                if isinstance(event, ResponseCompletedEvent):
                    repair(event.response)
                await speaker.handle_event(event)
                if isinstance(event, ResponseCompletedEvent):
                    await self._agent_run.save_response(event.response)
                yield event


def _history_items(turns: list[Turn]) -> list[Any]:
    """The conversation as items of the Responses API."""
    items: list[Any] = []
    for turn in turns:
        if turn.kind == "call":
            call = {"type": "function_call", "call_id": turn.id, "name": turn.name, "arguments": turn.args}
            items += [call, {"type": "function_call_output", "call_id": turn.id, "output": turn.text}]
        else:
            items.append({"role": turn.kind, "content": turn.text})
    return items


async def _input_items(run: RunContext) -> list[Any]:
    """The run's input, with the images and files that came with it."""
    if not run.input.files:
        return [{"role": "user", "content": run.input.text}]
    parts: list[Any] = [{"type": "input_text", "text": run.input.text}]
    for attachment in run.input.files:
        media_type = attachment.get("mediaType") or "application/octet-stream"
        url = f"data:{media_type};base64,{base64.b64encode(await run.get_blob(attachment['blob'])).decode()}"
        if media_type.startswith("image/"):
            parts.append({"type": "input_image", "image_url": url, "detail": "auto"})
        else:
            parts.append({"type": "input_file", "filename": attachment.get("name") or "file", "file_data": url})
    return [{"role": "user", "content": parts}]


def _field(raw: Any, name: str) -> Any:
    return raw.get(name) if isinstance(raw, dict) else getattr(raw, name, None)


def _parse_args(text: Any) -> dict[str, Any]:
    """A call's arguments; what is no JSON object is shown as text."""
    try:
        value = well_formed_data(parse(text or "{}"))
    except ValueError:
        value = text
    return value if isinstance(value, dict) else {"input": value}
