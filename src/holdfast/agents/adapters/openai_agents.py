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
from holdfast.agents.adapters.text_repair import carried, mend
from holdfast.agents.errors import CallNotMade, ToolFailed
from holdfast.agents.results import to_data
from holdfast.agents.run import RunContext
from holdfast.protocol import limits
from holdfast.protocol.codec import parse, well_formed, well_formed_data

_INSIDE = "inside"  # what a call asks inside which people are asked

_child: ContextVar[Speaker | None] = ContextVar("holdfast agent tool", default=None)


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
        context: the SDK's context object, given to tools. It is not kept: every attempt gets what is passed here.
        wait: let the worker go while people decide about tools that need approval.
        deadline_s: how long they have, seconds.
        idempotent: names of tools that may run again when a lost attempt was inside them.
        options: of ``Runner.run_streamed``: ``max_turns``, ``hooks`` …

    Raises:
        ToolOutcomeUnknown: an attempt was lost inside a tool that is not idempotent. Whatever the SDK raises is raised.
    """
    going = _Going(run, run_config or RunConfig(), idempotent)
    going.context = context
    return await going.go(agent, input, wait, deadline_s, options)


async def speak(event: AgentToolStreamEvent) -> None:
    """Let an agent that is used as a tool speak while it works: ``agent.as_tool(…, on_stream=openai_agents.speak)``.

    Without it such an agent is shown as a sub-agent all the same, and its output when it is done.
    """
    voice, said = _child.get(), event["event"]
    if voice is not None and said.type == "raw_response_event":
        await voice.hear(said.data)
    elif voice is not None and said.type == "run_item_stream_event" and isinstance(said.item, ToolCallOutputItem):
        await voice.returned(said.item.raw_item, said.item.output)


class _State(msgspec.Struct):
    """What is kept: the SDK's state after the last whole turn, and the response that came after it; and by which call of an
    agent used as a tool a call was made that waits for people."""

    agent: str = ""
    state: str | None = None
    input: list[Any] | None = None
    response: dict[str, Any] | None = None
    output: Any = None
    done: bool = False
    nested: dict[str, str] = {}


class _Going:
    """One run of an agent: from its input, or from where the last attempt was, to its end."""

    def __init__(self, run: RunContext, config: RunConfig, idempotent: Container[str]) -> None:
        self.run = run
        self.idempotent = idempotent
        self.context: Any = None
        self.config = copy.copy(config)
        self._override, self.config.model = config.model, None
        self._kept = Checkpoint(run, "openai_agents")
        self._state = _State()
        self._copies: dict[int, Agent[Any]] = {}
        self._stop_after_turn: Callable[[], None] = lambda: None
        self._asking: set[str] = set()  # calls of agents used as tools, inside which people are asked
        self._nested: dict[str, str] = {}
        self._requests = 0
        self._rounds = Rounds(run)
        self.voice = Speaker(run, journal=run)

    # --- the loop
    async def go(
        self, agent: Agent[Any], given: str | list[Any] | None, wait: bool, deadline_s: float, options: dict[str, Any]
    ) -> Any:
        """Turn by turn, until there is a final output and nobody has anything to add."""
        durable = self._durable(agent)
        kept = await self._kept.load()
        if kept is not None:
            self._state = msgspec.json.decode(kept, type=_State)
            if self._state.done:
                return self._state.output
            self._nested = self._state.nested
        begin: Any = self._state.input or (
            given if given is not None else _items(turns(self.run, children=True)) + await _asked(self.run)
        )
        if self._state.state is not None:
            begin = await RunState.from_string(durable, self._state.state, context_override=self.context)
        async with contextlib.AsyncExitStack() as speaker:
            while True:
                asked = begin.get_interruptions() if isinstance(begin, RunState) else []
                self._rounds.next(self._requests, [self._question(item).id for item in asked])
                if asked:
                    await speaker.aclose()  # nobody speaks while the run waits
                    self.voice = Speaker(self.run, journal=self.run, called=self.voice.called)
                    await self._resolve(begin, asked, wait, deadline_s)
                await self._give_word(speaker, self._state.agent, agent.name)
                begin, done = await self._turn(durable, begin, options)
                if done:
                    return self._state.output

    async def _turn(self, durable: Agent[Any], begin: Any, options: dict[str, Any]) -> tuple[Any, bool]:
        """One response of the model and the tools it asks for; what to go on from, and whether it was the last one."""
        result = Runner.run_streamed(
            durable,
            begin,
            context=None if isinstance(begin, RunState) else self.context,
            run_config=self.config,
            **options,
        )
        self._stop_after_turn = lambda: result.cancel(mode="after_turn")
        try:
            async for event in result.stream_events():
                if event.type == "run_item_stream_event" and isinstance(event.item, ToolCallOutputItem):
                    await self.voice.returned(event.item.raw_item, event.item.output)
        except BaseException:
            result.cancel()
            raise
        steers = self._kept.take_steers() if not result.interruptions else []
        self._kept.include_steers()
        words: list[Any] = [{"role": "user", "content": steer.text} for steer in steers]
        speaking, output = result.last_agent.name, result.final_output
        if output is not None and not words:
            self._state = _State(agent=speaking, output=to_data(output), done=True)
            await self._save()
            self._state.output = output
            return None, True
        if output is not None:  # it had ended, and people have a word more
            items = [*result.to_input_list(), *words]
            self._state = _State(agent=speaking, input=well_formed_data(to_jsonable_python(items, fallback=str)))
            await self._save()
            return items, False
        state = result.to_state()
        if words:
            state.add_input(words)
        told = well_formed(state.to_string(context_serializer=lambda context: {}))
        self._state = _State(agent=speaking, state=told, nested=self._nested)
        await self._save()
        for call in self._asking:  # from here on they can go on where they are
            self.run.tools.pause(call, _INSIDE)
        self._asking.clear()
        return state, False

    def requested(self) -> None:
        """A model is asked."""
        self._requests += 1

    async def responded(self, response: Response) -> None:
        """A response is whole: keep it, before any of its tools is called, and complete its texts."""
        self._state.response = response.model_dump(mode="json", by_alias=True, exclude_unset=True)
        await self._save()

    def replayed(self) -> Response | None:
        """The response that an earlier attempt had when it was lost, once. A turn has begun: it is to be the only one."""
        self._stop_after_turn()
        known, self._state.response = self._state.response, None
        return Response.model_validate(known) if known is not None else None

    async def _save(self) -> None:
        await self._kept.save(msgspec.json.encode(self._state), self.voice.texts.take())

    # --- who speaks
    async def _give_word(self, speaker: contextlib.AsyncExitStack, name: str, first: str) -> None:
        """An agent that was handed the conversation speaks as a sub-agent, until it is handed on."""
        if name in ("", first):
            name = ""
        if name != self.voice.name:
            await speaker.aclose()
            run = await speaker.enter_async_context(self.run.sub(name)) if name else self.run
            self.voice = Speaker(run, journal=self.run, name=name, called=self.voice.called)

    # --- people
    async def _resolve(
        self, state: RunState[Any, Any], asked: list[ToolApprovalItem], wait: bool, deadline_s: float
    ) -> None:
        questions = [self._question(item) for item in asked]
        self.voice.called.update({question.id: question.tool for question in questions})
        answers = await ask_all(self.run, questions, wait=wait and self._kept.whole, deadline_s=deadline_s)
        for item, answer in zip(asked, answers, strict=True):
            if answer:
                state.approve(item)
            else:
                state.reject(item, rejection_message=answer.note or None)

    def _question(self, item: ToolApprovalItem) -> Question:
        """What people are asked. A call that was made inside another is named with that: its id is only of its agent."""
        call = str(_field(item.raw_item, "call_id") or _field(item.raw_item, "id"))
        outer = self._nested.get(call)
        name, args = item.tool_name or "tool", _args(_field(item.raw_item, "arguments"))
        ident = f"{outer}.{call}" if outer else call
        shown = self.voice.ident(ident)
        return Question(ident, name, args, shown if self.run.tools.has_call(shown) else None)

    # --- tools
    def _durable(self, agent: Agent[Any]) -> Agent[Any]:
        """The agent, and all it can hand over to, with the journal around tools and models; the user's own stay as is."""
        known = self._copies.get(id(agent))
        if known is not None:
            return known
        inner = self._override or agent.model
        if not isinstance(inner, Model):
            inner = self.config.model_provider.get_model(inner)
        mine = self._copies[id(agent)] = agent.clone(
            model=_Model(self, inner), tools=[self._tool(t) if isinstance(t, FunctionTool) else t for t in agent.tools]
        )
        mine.handoffs = [self._durable(h) if isinstance(h, Agent) else self._handoff(h) for h in agent.handoffs]
        return mine

    def _handoff(self, handoff: Handoff[Any, Any]) -> Handoff[Any, Any]:
        mine = copy.copy(handoff)

        async def invoke(context: Any, args: str) -> Any:
            return self._durable(await handoff.on_invoke_handoff(context, args))

        mine.on_invoke_handoff = invoke
        return mine

    def _tool(self, tool: FunctionTool) -> FunctionTool:
        mine = copy.copy(tool)
        made: dict[str, Any] = {}

        async def invoke(context: Any, args: str) -> Any:
            ident = self.voice.ident(context.tool_call_id)

            async def make(**_: Any) -> Any:
                if tool._is_agent_tool:
                    value = await self._agent_tool(tool, context, args)
                else:
                    value = await tool.on_invoke_tool(context, args)
                made[ident] = carried(value, _carries)
                return value

            try:
                recorded = await self.run.tool(
                    tool.name, _args(args), make, call_id=ident, idempotent=tool.name in self.idempotent
                )
            except CallNotMade:
                return None  # the SDK knows by itself what is asked inside
            except ToolFailed as failed:
                return str((failed.fields.get("error") or {}).get("message", failed.detail))
            return made.pop(ident, recorded)

        mine.on_invoke_tool = invoke
        return mine

    async def _agent_tool(self, tool: FunctionTool, context: Any, args: str) -> Any:
        """An agent used as a tool is a sub-agent while it works; its calls are shown with the run. When people are asked
        inside it, the call is not over: it goes on from there when they have decided."""
        call = context.tool_call_id
        async with self.run.sub(tool._agent_instance.name or tool.name, input=_args(args)) as child:
            voice = Speaker(child, journal=self.run, within=call)
            token = _child.set(voice)
            try:
                output = await tool.on_invoke_tool(context, args)
            finally:
                _child.reset(token)
                await voice.unknown.record()
            await voice.texts.end_all()
            spoken = voice.texts.take()
            for out in spoken:
                await out.close()
            asked = self._asked_inside(context)
            if not asked and not spoken and isinstance(output, str):
                await child.say(output)
            if not asked:
                return output
            self._nested.update(dict.fromkeys(asked, call))
            self._asking.add(self.voice.ident(call))
            raise CallNotMade(_INSIDE, silent=True)
        return "A person stopped this."

    @staticmethod
    def _asked_inside(context: Any) -> list[str]:
        """Ids of the calls that wait for people inside an agent that was used as a tool."""
        pending = peek_agent_tool_run_result(context.tool_call, scope_id=get_agent_tool_state_scope(context))
        items = getattr(pending, "interruptions", None) or []
        return [str(_field(item.raw_item, "call_id") or _field(item.raw_item, "id")) for item in items]


def _carries(value: Any) -> None:
    """Raises when the SDK could not tell a value to a model, or keep it."""
    json.dumps(to_jsonable_python(value, fallback=str), ensure_ascii=False).encode()
    str(value).encode()


class _Model(Model):
    """A model whose responses are written into the session as they come, and kept when they are whole."""

    def __init__(self, going: _Going, inner: Model) -> None:
        self._going = going
        self._inner = inner

    async def get_response(self, *args: Any, **kwargs: Any) -> Any:
        """Not streamed, so not shown; ``run`` streams."""
        return await self._inner.get_response(*args, **kwargs)

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """The response the last attempt had, or a new one."""
        replayed = self._going.replayed()
        if replayed is not None:
            yield ResponseCompletedEvent(response=replayed, sequence_number=0, type="response.completed")
            return
        voice = self._going.voice
        self._going.requested()
        voice.hidden = {handoff.tool_name for handoff in kwargs.get("handoffs") or (args[5] if len(args) > 5 else [])}
        stream: Any = self._inner.stream_response(*args, **kwargs)
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                if isinstance(event, ResponseCompletedEvent):
                    mend(event.response)
                await voice.hear(event)
                if isinstance(event, ResponseCompletedEvent):
                    await self._going.responded(event.response)
                yield event


def _items(told: list[Turn]) -> list[Any]:
    """The conversation as items of the Responses API."""
    items: list[Any] = []
    for turn in told:
        if turn.kind == "call":
            call = {"type": "function_call", "call_id": turn.id, "name": turn.name, "arguments": turn.args}
            items += [call, {"type": "function_call_output", "call_id": turn.id, "output": turn.text}]
        else:
            items.append({"role": turn.kind, "content": turn.text})
    return items


async def _asked(run: RunContext) -> list[Any]:
    """The run's input, with the images and files that came with it."""
    if not run.input.files:
        return [{"role": "user", "content": run.input.text}]
    parts: list[Any] = [{"type": "input_text", "text": run.input.text}]
    for attached in run.input.files:
        kind = attached.get("mediaType") or "application/octet-stream"
        url = f"data:{kind};base64,{base64.b64encode(await run.get_blob(attached['blob'])).decode()}"
        if kind.startswith("image/"):
            parts.append({"type": "input_image", "image_url": url, "detail": "auto"})
        else:
            parts.append({"type": "input_file", "filename": attached.get("name") or "file", "file_data": url})
    return [{"role": "user", "content": parts}]


def _field(raw: Any, name: str) -> Any:
    return raw.get(name) if isinstance(raw, dict) else getattr(raw, name, None)


def _args(text: Any) -> dict[str, Any]:
    """A call's arguments; what is no JSON object is shown as text."""
    try:
        value = well_formed_data(parse(text or "{}"))
    except ValueError:
        value = text
    return value if isinstance(value, dict) else {"input": value}
