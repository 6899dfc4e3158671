"""Pydantic AI: ``await pydantic_ai.run(run, agent)`` inside an agent makes a Pydantic AI agent durable.

Its text, thinking, tool calls and results, citations and usage go into the session as they come. Its messages are kept
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
from holdfast.agents.adapters.framework import Question, Turn, ask_all, current, plain_id, turns
from holdfast.agents.adapters.rounds import Rounds
from holdfast.agents.adapters.text_repair import carried, mend
from holdfast.agents.adapters.texts import Texts
from holdfast.agents.adapters.unknown import Unknown
from holdfast.agents.errors import CallNotMade
from holdfast.agents.errors import ToolFailed as RecordedFailure
from holdfast.agents.results import to_data
from holdfast.errors import Refused
from holdfast.protocol import limits


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
    kept = Checkpoint(run, "pydantic_ai")
    told = _messages(turns(run))
    before = await kept.load()
    if before is not None:
        told += m.ModelMessagesTypeAdapter.validate_json(before)
        if (done := _finished(agent, told)) is not None:
            return done
    token = current.set(run)
    capabilities = [
        *options.pop("capabilities", ()),
        _Durable(run, kept, wait, deadline_s, idempotent),
        ReinjectSystemPrompt(),
    ]
    try:
        async with agent.iter(
            None if before is not None else prompt or await _prompt(run), message_history=told or None,
            capabilities=capabilities, run_id=f"{run.id}.{run.attempt_number}", conversation_id=run.session.id, **options,
        ) as going:  # fmt: skip
            await _Relay(run, going, kept).go()
            assert going.result is not None
            output = going.result.output
    finally:
        current.reset(token)
    if not isinstance(output, str):
        await run.say(output_words(output), key="output")
    return output


async def sub(agent: Agent[Any, Any], prompt: str, *, name: str = "", **options: Any) -> Any:
    """Run another agent from inside a tool, as a sub-run with its own voice, and return its output.

    Use it where a tool would ``await agent.run(prompt)``. Sub-runs of several tools go on at the same time, and people
    can stop each of them.

    Args:
        name: what the sub-agent is called; the agent's name by default.

    Raises:
        ToolFailed: of Pydantic AI, telling the model that a person stopped the sub-agent.
    """
    above = current.get(None)
    if above is None:
        raise Refused("run.state", "pydantic_ai.sub is for tools of an agent run by pydantic_ai.run")
    async with above.sub(name or agent.name or "agent", input=prompt) as child:
        return await run(child, agent, prompt, **options)
    raise ToolFailed("a person stopped this")


def output_words(output: Any) -> str:
    """A structured answer as people read it."""
    return json.dumps(to_data(output), ensure_ascii=False)


async def _prompt(run: ours.RunContext) -> str | list[m.UserContent]:
    attached: list[m.UserContent] = [
        m.BinaryContent(await run.get_blob(a["blob"]), media_type=a.get("mediaType") or "application/octet-stream")
        for a in run.input.files
    ]
    return [run.input.text, *attached] if attached else run.input.text


def _messages(told: list[Turn]) -> list[m.ModelMessage]:
    """The conversation as Pydantic AI's messages: calls of one response together, then what they returned."""
    out: list[m.ModelMessage] = []
    said: list[m.ModelResponsePart] = []
    returned: list[m.ModelRequestPart] = []

    def flush() -> None:
        if said:
            out.append(m.ModelResponse(parts=list(said)))
        if returned:
            out.append(m.ModelRequest(parts=list(returned)))
        said.clear()
        returned.clear()

    for turn in told:
        if turn.kind == "call":
            said.append(m.ToolCallPart(turn.name, turn.args, tool_call_id=turn.id))
            returned.append(m.ToolReturnPart(turn.name, turn.text, tool_call_id=turn.id))
            continue
        if turn.kind == "user" or returned:
            flush()
        if turn.kind == "user":
            out.append(m.ModelRequest(parts=[m.UserPromptPart(turn.text)]))
        else:
            said.append(m.TextPart(turn.text))
    flush()
    return out


def _finished(agent: Agent[Any, Any], told: list[m.ModelMessage]) -> str | None:
    """The answer, when the attempt was lost after it was whole and before the run ended."""
    last = told[-1] if told else None
    if agent.output_type is str and isinstance(last, m.ModelResponse) and not last.tool_calls:
        return last.text
    return None


class _Relay:
    """Drives the agent node by node and writes what comes into the session."""

    def __init__(self, run: ours.RunContext, going: AgentRun[Any, Any], kept: Checkpoint) -> None:
        self._run = run
        self._going = going
        self._kept = kept
        self._texts = Texts(run)
        self._unknown = Unknown(run, "pydantic_ai")
        self._units: dict[int, Any] = {}  # what each text is a part of, by its place in the response
        self._streamed: set[str] = set()

    async def go(self) -> None:
        async for node in self._going:
            for steer in self._kept.take_steers():
                self._going.enqueue(steer.text)
            if Agent.is_model_request_node(node):
                async with node.stream(self._going.ctx) as events:
                    async for event in events:
                        await self._said(event)
                self._kept.include_steers()  # the request had them
                await self._texts.end_all()
                await self._unknown.record()
            elif Agent.is_call_tools_node(node):
                await self._responded(node.model_response)
                async with node.stream(self._going.ctx) as results:
                    async for result in results:
                        if isinstance(result, m.FunctionToolResultEvent):
                            await self._returned(result.part)
        await self._kept.save(self._state(), self._texts.take())

    def _state(self) -> bytes:
        mine = [msg for msg in self._going.all_messages() if (msg.run_id or "").startswith(f"{self._run.id}.")]
        try:
            return m.ModelMessagesTypeAdapter.dump_json(mine)
        except ValueError:  # half a character, in what a tool raised for example
            mend(mine)
            return m.ModelMessagesTypeAdapter.dump_json(mine)

    async def _responded(self, response: m.ModelResponse) -> None:
        """A response is whole: keep it, before any of its tools is called."""
        mend(response.parts)
        usage = response.usage
        if usage.has_values():
            more = {"cache_read_tokens": usage.cache_read_tokens, "cache_write_tokens": usage.cache_write_tokens}
            await self._run.usage(
                response.model_name or "", input_tokens=usage.input_tokens, output_tokens=usage.output_tokens,
                **{name: count for name, count in more.items() if count},
            )  # fmt: skip
        await self._kept.save(self._state(), self._texts.take())

    async def _said(self, event: Any) -> None:
        if isinstance(event, m.PartStartEvent):
            await self._part(event.index, event.part)
        elif isinstance(event, m.PartEndEvent):
            await self._part_ended(event.index, event.part)
        elif isinstance(event, m.PartDeltaEvent):
            delta = event.delta
            if isinstance(delta, m.TextPartDelta):
                await self._texts.write("message", self._key(event.index), delta.content_delta)
            elif isinstance(delta, m.ThinkingPartDelta):
                await self._texts.write("reasoning", event.index, delta.content_delta or "")
            elif isinstance(delta, m.ToolCallPartDelta) and isinstance(delta.args_delta, str) and delta.tool_call_id:
                await self._grow(delta.tool_call_id, delta.args_delta)
        elif not isinstance(event, m.FinalResultEvent):
            self._unknown.met(type(event).__name__)

    def _key(self, index: int) -> tuple[Any, int]:
        """The key of a text: parts that follow each other are one message, unless the provider had several."""
        return self._units.get(index), index

    async def _part(self, index: int, part: m.ModelResponsePart) -> None:
        if isinstance(part, m.TextPart):
            self._units[index] = part.id
            await self._texts.write("message", self._key(index), part.content)
        elif isinstance(part, m.ThinkingPart):
            self._texts.between()
            await self._texts.write("reasoning", index, part.content)
        elif isinstance(part, m.NativeToolCallPart) or (
            isinstance(part, m.ToolCallPart) and self._shown(part.tool_name)
        ):
            self._texts.between()
            await self._run.tools.announce(_ident(self._run, part.tool_call_id), part.tool_name)
            if isinstance(part.args, str):
                await self._grow(part.tool_call_id, part.args)
        elif not isinstance(part, m.ToolCallPart | m.NativeToolReturnPart):
            self._unknown.met(type(part).__name__)

    async def _part_ended(self, index: int, part: m.ModelResponsePart) -> None:
        if isinstance(part, m.TextPart):
            for citation in part.citations or ():
                for source in citation.sources:
                    await self._texts.cite(self._key(index), *_source(source))
        elif isinstance(part, m.ThinkingPart):
            self._texts.end("reasoning", index)
        elif isinstance(part, m.NativeToolReturnPart):
            await self._run.tools.record_result(_ident(self._run, part.tool_call_id), part.tool_name, {}, part.content)
        elif isinstance(part, (m.ToolCallPart, m.NativeToolCallPart)) and part.tool_call_id not in self._streamed:
            await self._grow(part.tool_call_id, part.args_as_json_str())

    async def _grow(self, call: str, delta: str) -> None:
        if delta:
            self._streamed.add(call)
        await self._run.tools.append_args(_ident(self._run, call), delta)

    def _shown(self, tool: str) -> bool:
        """Whether a call is shown: the tool by which a model gives a structured answer is none to people."""
        known = self._going.ctx.deps.tool_manager.tools or {}
        return tool not in known or known[tool].tool_def.kind != "output"

    async def _returned(self, part: m.ToolReturnPart) -> None:
        """The model is told what a call came to; record it, where the call was not made: denied, or not understood."""
        words = part.model_response_str()
        error = None if part.outcome == "success" else {"code": f"tool.{part.outcome}", "message": words[:500]}
        await self._run.tools.record_result(
            _ident(self._run, part.tool_call_id), part.tool_name, {}, words, error=error
        )


def _ident(run: ours.RunContext, call: str) -> str:
    """A call's id in the session, where models' ids need not be unique."""
    return f"{run.id}.{plain_id(call)}"


def _source(source: m.CitationSource) -> tuple[str]:
    return (
        source.url if isinstance(source, m.WebCitationSource) else source.document_id or source.title or "document",
    )


_APPROVAL, _RESULT = "approval", "result"  # what a call asks of people
_OLD = {
    "tool.asks": _APPROVAL,
    "tool.defers": _RESULT,
}  # how an older version settled such a call; it had another id then


def _carries(value: Any) -> None:
    """Raises when Pydantic AI could not tell a value to a model, or keep it in its messages."""
    m.tool_return_ta.dump_json(value)
    str(value).encode()


@dataclass
class _Durable(AbstractCapability[Any]):
    """Puts the journal around every tool call, and people behind every deferred one."""

    run: ours.RunContext
    kept: Checkpoint
    wait: bool
    deadline_s: float
    idempotent: Container[str]

    def __post_init__(self) -> None:
        self.rounds = Rounds(self.run)

    async def wrap_tool_execute(
        self, ctx: RunContext[Any], *, call: m.ToolCallPart, tool_def: ToolDefinition, args: dict[str, Any],
        handler: Callable[[dict[str, Any]], Any],
    ) -> Any:  # fmt: skip
        """Call the tool, or return what the journal has."""
        made: list[Any] = []

        async def make(**_: Any) -> Any:
            try:
                value = await handler(args)
            except (ApprovalRequired, CallDeferred) as deferred:
                raise CallNotMade(_APPROVAL if isinstance(deferred, ApprovalRequired) else _RESULT, deferred) from None
            told = value.return_value if isinstance(value, m.ToolReturn) else value
            fits = carried(told, _carries)
            if isinstance(value, m.ToolReturn):
                fits = replace(value, return_value=fits, metadata=carried(value.metadata, _carries))
            made.append(fits)
            return told

        ident = _ident(self.run, call.tool_call_id)
        asked = self._asked_before(ident)
        if asked is not None and not ctx.tool_call_approved:
            raise asked
        if self._settled_as(ident) is not None:
            ident += ".approved"
        token = current.set(self.run)
        try:
            recorded = await self.run.tool(
                call.tool_name, call.args_as_dict(), make, call_id=ident, idempotent=call.tool_name in self.idempotent
            )
        except CallNotMade as unsettled:
            assert unsettled.cause is not None
            raise unsettled.cause from None
        except RecordedFailure as failure:
            words = (failure.fields.get("error") or {}).get("message", failure.detail)
            raise ModelRetry(str(words)) from None
        finally:
            current.reset(token)
        return made[0] if made else recorded

    def _asked_before(self, ident: str) -> Exception | None:
        """What the tool raised in an earlier attempt to ask people: it is not executed again for that."""
        how = self.run.tools.pause_reason(ident) or self._settled_as(ident)
        return {_APPROVAL: ApprovalRequired(), _RESULT: CallDeferred()}.get(how or "")

    def _settled_as(self, ident: str) -> str | None:
        error = (self.run.tools.outcome(ident) or {}).get("error") or {}
        return _OLD.get(str(error.get("code")))

    async def handle_deferred_tool_calls(
        self, ctx: RunContext[Any], *, requests: DeferredToolRequests
    ) -> DeferredToolResults:
        """Ask people: may it be called, or, for a call that is made elsewhere, what came of it (in their note)."""
        asked = [*requests.approvals, *requests.calls]
        self.rounds.next([call.tool_call_id for call in asked], len(ctx.messages))
        answers = await ask_all(
            self.run,
            [
                Question(call.tool_call_id, call.tool_name, call.args_as_dict(), _ident(self.run, call.tool_call_id))
                for call in asked
            ],
            wait=self.wait and self.kept.whole, deadline_s=self.deadline_s,
        )  # fmt: skip
        results = DeferredToolResults()
        for call, answer in zip(asked, answers, strict=True):
            denied = answer.note or "The tool call was denied."
            if call in requests.approvals:
                results.approvals[call.tool_call_id] = ToolApproved() if answer else ToolDenied(denied)
            else:
                results.calls[call.tool_call_id] = answer.note if answer else ToolFailed(denied)
            results.answered_by[call.tool_call_id] = answer.by
        return results
