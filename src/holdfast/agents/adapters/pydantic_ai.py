"""Pydantic AI: ``await pydantic_ai.run(run, agent)`` inside an agent makes a Pydantic AI agent durable.

Its text, thinking, tool calls and results, citations and usage go into the session as they come. Its messages are saved
after every response, so a later attempt goes on where the last one was, with the results its tools had. Tools that
require approval ask people and let the worker go. Steers are enqueued. Tested with Pydantic AI 2.68.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from typing import Any

from pydantic_ai import Agent, AgentRun, ModelRetry, RunContext, ToolFailed
from pydantic_ai import messages as m
from pydantic_ai.capabilities import AbstractCapability, ReinjectSystemPrompt
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, ToolApproved, ToolDefinition, ToolDenied

import holdfast.agents.run as ours
from holdfast.agents.adapters.checkpoint import Checkpoint
from holdfast.agents.adapters.framework import Question, Turn, ask_all, current_run, plain_id, turns
from holdfast.agents.adapters.rounds import Rounds
from holdfast.agents.adapters.text_repair import ensure_encodable, repair
from holdfast.agents.adapters.texts import Texts
from holdfast.agents.adapters.unknown import UnknownEvents
from holdfast.agents.errors import CallNotMade
from holdfast.agents.errors import ToolFailed as RecordedFailure
from holdfast.agents.results import to_data
from holdfast.errors import Refused
from holdfast.protocol import limits

__all__ = ["output_text", "run", "sub"]


async def run(
    run: ours.RunContext,
    agent: Agent[Any, Any],
    prompt: str | None = None,
    *,
    wait: bool = True,
    deadline_s: float = limits.APPROVAL_DEADLINE_S,
    idempotent: Container[str] = (),
    **options: Any,
) -> Any:
    """Run a Pydantic AI agent on the run's input and return its output.

    Args:
        prompt: what to ask instead of the run's input and its attachments.
        wait: let the worker go while people decide about tools that require approval; this run's agent is called again
            from its top afterwards.
        deadline_s: how long they have, seconds.
        idempotent: names of tools that may run again when a lost attempt was inside them. Otherwise the run fails then,
            with ``tool.outcome_unknown``.
        options: of ``Agent.iter``: ``deps``, ``model``, ``usage_limits`` …

    Raises:
        ToolOutcomeUnknown: see ``idempotent``. Whatever the agent raises is raised.
    """
    checkpoint = Checkpoint(run, "pydantic_ai")
    history = _history_messages(turns(run))
    recorded = await checkpoint.load()
    if recorded is not None:
        history += m.ModelMessagesTypeAdapter.validate_json(recorded)
        if (answer := _final_answer(agent, history)) is not None:
            return answer
    token = current_run.set(run)
    capabilities = [
        *options.pop("capabilities", ()),
        _Durable(run, checkpoint, wait, deadline_s, idempotent),
        ReinjectSystemPrompt(),
    ]
    try:
        async with agent.iter(
            None if recorded is not None else prompt or await _prompt(run),
            message_history=history or None,
            capabilities=capabilities,
            run_id=f"{run.id}.{run.attempt_number}",
            conversation_id=run.session.id,
            **options,
        ) as agent_run:
            await _Relay(run, agent_run, checkpoint).execute()
            assert agent_run.result is not None
            output = agent_run.result.output
    finally:
        current_run.reset(token)
    if not isinstance(output, str):
        await run.say(output_text(output), key="output")
    return output


async def sub(agent: Agent[Any, Any], prompt: str, *, name: str = "", **options: Any) -> Any:
    """Run another agent from inside a tool, as a sub-run with an actor of its own, and return its output.

    Use it where a tool would ``await agent.run(prompt)``. Sub-runs of several tools go on at the same time, and people
    can stop each of them.

    Args:
        name: what the sub-agent is called; the agent's name by default.

    Raises:
        ToolFailed: of Pydantic AI, telling the model that a person stopped the sub-agent.
    """
    parent = current_run.get(None)
    if parent is None:
        raise Refused("run.state", "pydantic_ai.sub is for tools of an agent run by pydantic_ai.run")
    async with parent.sub(name or agent.name or "agent", input=prompt) as child:
        return await run(child, agent, prompt, **options)
    raise ToolFailed("a person stopped this")


def output_text(output: Any) -> str:
    """A structured answer as people read it."""
    return json.dumps(to_data(output), ensure_ascii=False)


async def _prompt(run: ours.RunContext) -> str | list[m.UserContent]:
    files: list[m.UserContent] = [
        m.BinaryContent(await run.get_blob(a["blob"]), media_type=a.get("mediaType") or "application/octet-stream")
        for a in run.input.files
    ]
    return [run.input.text, *files] if files else run.input.text


def _history_messages(turns: list[Turn]) -> list[m.ModelMessage]:
    """The conversation as Pydantic AI's messages: calls of one response together, then what they returned."""
    messages: list[m.ModelMessage] = []
    response_parts: list[m.ModelResponsePart] = []
    return_parts: list[m.ModelRequestPart] = []

    def flush() -> None:
        if response_parts:
            messages.append(m.ModelResponse(parts=list(response_parts)))
        if return_parts:
            messages.append(m.ModelRequest(parts=list(return_parts)))
        response_parts.clear()
        return_parts.clear()

    for turn in turns:
        if turn.kind == "call":
            response_parts.append(m.ToolCallPart(turn.name, turn.args, tool_call_id=turn.id))
            return_parts.append(m.ToolReturnPart(turn.name, turn.text, tool_call_id=turn.id))
            continue
        if turn.kind == "user" or return_parts:
            flush()
        if turn.kind == "user":
            messages.append(m.ModelRequest(parts=[m.UserPromptPart(turn.text)]))
        else:
            response_parts.append(m.TextPart(turn.text))
    flush()
    return messages


def _final_answer(agent: Agent[Any, Any], messages: list[m.ModelMessage]) -> str | None:
    """The answer, when the attempt was lost after it was whole and before the run ended."""
    last = messages[-1] if messages else None
    if agent.output_type is str and isinstance(last, m.ModelResponse) and not last.tool_calls:
        return last.text
    return None


class _Relay:
    """Drives the agent node by node and writes what comes into the session."""

    def __init__(self, run: ours.RunContext, agent_run: AgentRun[Any, Any], checkpoint: Checkpoint) -> None:
        self._run = run
        self._agent_run = agent_run
        self._checkpoint = checkpoint
        self._texts = Texts(run)
        self._unknown = UnknownEvents(run, "pydantic_ai")
        self._part_ids: dict[int, Any] = {}  # what each text is a part of, by its place in the response
        self._streamed: set[str] = set()

    async def execute(self) -> None:
        async for node in self._agent_run:
            for steer in self._checkpoint.take_steers():
                self._agent_run.enqueue(steer.text)
            if Agent.is_model_request_node(node):
                async with node.stream(self._agent_run.ctx) as events:
                    async for event in events:
                        await self._handle_event(event)
                self._checkpoint.include_steers()  # the request had them
                await self._texts.end_all()
                await self._unknown.record()
            elif Agent.is_call_tools_node(node):
                await self._save_response(node.model_response)
                async with node.stream(self._agent_run.ctx) as results:
                    async for result in results:
                        if isinstance(result, m.FunctionToolResultEvent):
                            await self._record_return(result.part)
        await self._checkpoint.save(self._dump_messages(), self._texts.take())

    def _dump_messages(self) -> bytes:
        messages = [msg for msg in self._agent_run.all_messages() if (msg.run_id or "").startswith(f"{self._run.id}.")]
        try:
            return m.ModelMessagesTypeAdapter.dump_json(messages)
        except ValueError:  # half a character, in what a tool raised for example
            repair(messages)
            return m.ModelMessagesTypeAdapter.dump_json(messages)

    async def _save_response(self, response: m.ModelResponse) -> None:
        """A response is whole: save it, before any of its tools is called."""
        repair(response.parts)
        usage = response.usage
        if usage.has_values():
            more = {"cache_read_tokens": usage.cache_read_tokens, "cache_write_tokens": usage.cache_write_tokens}
            await self._run.usage(
                response.model_name or "",
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                **{name: count for name, count in more.items() if count},
            )
        await self._checkpoint.save(self._dump_messages(), self._texts.take())

    async def _handle_event(self, event: Any) -> None:
        if isinstance(event, m.PartStartEvent):
            await self._start_part(event.index, event.part)
        elif isinstance(event, m.PartEndEvent):
            await self._end_part(event.index, event.part)
        elif isinstance(event, m.PartDeltaEvent):
            delta = event.delta
            if isinstance(delta, m.TextPartDelta):
                await self._texts.write("message", self._text_key(event.index), delta.content_delta)
            elif isinstance(delta, m.ThinkingPartDelta):
                await self._texts.write("reasoning", event.index, delta.content_delta or "")
            elif isinstance(delta, m.ToolCallPartDelta) and isinstance(delta.args_delta, str) and delta.tool_call_id:
                await self._append_args(delta.tool_call_id, delta.args_delta)
        elif not isinstance(event, m.FinalResultEvent):
            self._unknown.count(type(event).__name__)

    def _text_key(self, index: int) -> tuple[Any, int]:
        """The key of a text: parts that follow each other are one message, unless the provider had several."""
        return self._part_ids.get(index), index

    async def _start_part(self, index: int, part: m.ModelResponsePart) -> None:
        if isinstance(part, m.TextPart):
            self._part_ids[index] = part.id
            await self._texts.write("message", self._text_key(index), part.content)
        elif isinstance(part, m.ThinkingPart):
            self._texts.break_message()
            await self._texts.write("reasoning", index, part.content)
        elif isinstance(part, m.NativeToolCallPart) or (
            isinstance(part, m.ToolCallPart) and self._is_shown(part.tool_name)
        ):
            self._texts.break_message()
            await self._run.tools.announce(_session_call_id(self._run, part.tool_call_id), part.tool_name)
            if isinstance(part.args, str):
                await self._append_args(part.tool_call_id, part.args)
        elif not isinstance(part, m.ToolCallPart | m.NativeToolReturnPart):
            self._unknown.count(type(part).__name__)

    async def _end_part(self, index: int, part: m.ModelResponsePart) -> None:
        if isinstance(part, m.TextPart):
            for citation in part.citations or ():
                for source in citation.sources:
                    await self._texts.cite(self._text_key(index), *_source_uri(source))
        elif isinstance(part, m.ThinkingPart):
            self._texts.end("reasoning", index)
        elif isinstance(part, m.NativeToolReturnPart):
            await self._run.tools.record_result(
                _session_call_id(self._run, part.tool_call_id), part.tool_name, {}, part.content
            )
        elif isinstance(part, (m.ToolCallPart, m.NativeToolCallPart)) and part.tool_call_id not in self._streamed:
            await self._append_args(part.tool_call_id, part.args_as_json_str())

    async def _append_args(self, call: str, delta: str) -> None:
        if delta:
            self._streamed.add(call)
        await self._run.tools.append_args(_session_call_id(self._run, call), delta)

    def _is_shown(self, tool: str) -> bool:
        """Whether a call is shown: the tool by which a model gives a structured answer is none to people."""
        tools = self._agent_run.ctx.deps.tool_manager.tools or {}
        return tool not in tools or tools[tool].tool_def.kind != "output"

    async def _record_return(self, part: m.ToolReturnPart) -> None:
        """A result goes to the model; record it, where the call was not made: denied, or not understood."""
        text = part.model_response_str()
        error = None if part.outcome == "success" else {"code": f"tool.{part.outcome}", "message": text[:500]}
        await self._run.tools.record_result(
            _session_call_id(self._run, part.tool_call_id), part.tool_name, {}, text, error=error
        )


def _session_call_id(run: ours.RunContext, call: str) -> str:
    """A call's id in the session, where models' ids need not be unique."""
    return f"{run.id}.{plain_id(call)}"


def _source_uri(source: m.CitationSource) -> tuple[str]:
    return (
        source.url if isinstance(source, m.WebCitationSource) else source.document_id or source.title or "document",
    )


_NEEDS_APPROVAL, _NEEDS_RESULT = "approval", "result"  # what a call asks of people
_LEGACY_CODES = {
    "tool.asks": _NEEDS_APPROVAL,
    "tool.defers": _NEEDS_RESULT,
}  # how an older version ended such a call; it had another id then


def _check_encodable(value: Any) -> None:
    """Raises when Pydantic AI could not send a value to a model, or save it in its messages."""
    m.tool_return_ta.dump_json(value)
    str(value).encode()


@dataclass
class _Durable(AbstractCapability[Any]):
    """Puts the journal around every tool call, and people behind every deferred one."""

    run: ours.RunContext
    checkpoint: Checkpoint
    wait: bool
    deadline_s: float
    idempotent: Container[str]

    def __post_init__(self) -> None:
        self.rounds = Rounds(self.run)

    async def wrap_tool_execute(
        self,
        ctx: RunContext[Any],
        *,
        call: m.ToolCallPart,
        tool_def: ToolDefinition,
        args: dict[str, Any],
        handler: Callable[[dict[str, Any]], Any],
    ) -> Any:
        """Call the tool, or return what the journal has."""
        results: list[Any] = []

        async def make(**_: Any) -> Any:
            try:
                value = await handler(args)
            except (ApprovalRequired, CallDeferred) as deferred:
                raise CallNotMade(
                    _NEEDS_APPROVAL if isinstance(deferred, ApprovalRequired) else _NEEDS_RESULT, deferred
                ) from None
            content = value.return_value if isinstance(value, m.ToolReturn) else value
            encodable = ensure_encodable(content, _check_encodable)
            if isinstance(value, m.ToolReturn):
                encodable = replace(
                    value, return_value=encodable, metadata=ensure_encodable(value.metadata, _check_encodable)
                )
            results.append(encodable)
            return content

        ident = _session_call_id(self.run, call.tool_call_id)
        request = self._earlier_request(ident)
        if request is not None and not ctx.tool_call_approved:
            raise request
        if self._legacy_reason(ident) is not None:
            ident += ".approved"
        token = current_run.set(self.run)
        try:
            recorded = await self.run.tool(
                call.tool_name, call.args_as_dict(), make, call_id=ident, idempotent=call.tool_name in self.idempotent
            )
        except CallNotMade as not_made:
            assert not_made.cause is not None
            raise not_made.cause from None
        except RecordedFailure as failure:
            message = (failure.fields.get("error") or {}).get("message", failure.detail)
            raise ModelRetry(str(message)) from None
        finally:
            current_run.reset(token)
        return results[0] if results else recorded

    def _earlier_request(self, ident: str) -> Exception | None:
        """What the tool raised in an earlier attempt to ask people: it is not executed again for that."""
        reason = self.run.tools.pause_reason(ident) or self._legacy_reason(ident)
        return {_NEEDS_APPROVAL: ApprovalRequired(), _NEEDS_RESULT: CallDeferred()}.get(reason or "")

    def _legacy_reason(self, ident: str) -> str | None:
        error = (self.run.tools.outcome(ident) or {}).get("error") or {}
        return _LEGACY_CODES.get(str(error.get("code")))

    async def handle_deferred_tool_calls(
        self, ctx: RunContext[Any], *, requests: DeferredToolRequests
    ) -> DeferredToolResults:
        """Ask people: may it be called, or, for a call that is made elsewhere, what came of it (in their note)."""
        calls = [*requests.approvals, *requests.calls]
        self.rounds.next([call.tool_call_id for call in calls], len(ctx.messages))
        answers = await ask_all(
            self.run,
            [
                Question(
                    call.tool_call_id,
                    call.tool_name,
                    call.args_as_dict(),
                    _session_call_id(self.run, call.tool_call_id),
                )
                for call in calls
            ],
            wait=self.wait and self.checkpoint.is_saved,
            deadline_s=self.deadline_s,
        )
        results = DeferredToolResults()
        for call, answer in zip(calls, answers, strict=True):
            denied = answer.note or "The tool call was denied."
            if call in requests.approvals:
                results.approvals[call.tool_call_id] = ToolApproved() if answer else ToolDenied(denied)
            else:
                results.calls[call.tool_call_id] = answer.note if answer else ToolFailed(denied)
            results.answered_by[call.tool_call_id] = answer.by
        return results
