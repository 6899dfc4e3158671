"""What the adapters of providers' ``converse`` have in common: a loop of model and tools that outlives its worker.

The conversation since the input is saved after every answer, before any of its calls is made. A later attempt goes on from
there: an answer that was whole is not asked for again, its calls have the same ids, and the journal has their results.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec

from holdfast.agents.adapters.answer import Call, ModelAnswer, ProviderStream, RunWriter, call_id
from holdfast.agents.adapters.checkpoint import Checkpoint
from holdfast.agents.adapters.framework import Question, Turn, ask_all, current_run, turns
from holdfast.agents.adapters.functions import Function, functions
from holdfast.agents.adapters.rounds import Rounds
from holdfast.agents.approvals import Approval
from holdfast.agents.errors import ToolFailed, ToolOutcomeUnknown
from holdfast.agents.results import to_model_text
from holdfast.agents.run import RunContext
from holdfast.errors import Refused
from holdfast.protocol import limits
from holdfast.protocol.codec import well_formed
from holdfast.protocol.items import AttachmentEntry

__all__ = ["Rules", "ToolSpecs"]

ToolSpecs = Iterable[Callable[..., Any] | Function | dict[str, Any]]
"""What the model may call: functions, ``Function``, and, as dicts in the provider's own form, tools it runs itself."""

_PAUSE_TURN = "pause_turn"  # Anthropic's word for: send this back and I go on
_TEXT_TYPES = ("text/", "application/json", "application/xml")


class PastMessage(NamedTuple):
    """A message of the conversation before the input: text, and the calls that came with them, which have returned."""

    role: str
    text: str = ""
    calls: Sequence[Turn] = ()


class CallResult(NamedTuple):
    """The result of a call, as text for the model."""

    call: Call
    text: str
    failed: bool = False


class FileContent(NamedTuple):
    """A file that came with the input."""

    name: str
    media_type: str
    data: bytes

    @property
    def base64(self) -> str:
        """Its bytes as text."""
        return base64.b64encode(self.data).decode()

    @property
    def url(self) -> str:
        """Its bytes as a ``data:`` URL."""
        return f"data:{self.media_type};base64,{self.base64}"


class Provider(Protocol):
    """How one API is used. Messages are in its own form."""

    name: str
    text_part: str

    def history(self, past: list[PastMessage]) -> list[Any]:
        """The conversation before the input."""

    def file_part(self, file: FileContent) -> dict[str, Any]:
        """An attachment as a part of the input."""

    def tool_schema(self, function: Function) -> dict[str, Any]:
        """A tool, in the API's form."""

    def request(self, messages: list[Any], tools: list[dict[str, Any]]) -> ProviderStream:
        """Request an answer."""

    async def read(self, writer: RunWriter, stream: ProviderStream) -> ModelAnswer:
        """Write the stream into the run."""

    def answer_messages(self, answer: ModelAnswer) -> list[Any]:
        """An answer, to be sent back."""

    def result_messages(self, results: list[CallResult]) -> list[Any]:
        """The results of the calls of the answer before."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How ``converse`` treats tools: ``converse(…, rules=Rules(gated=["refund"]))``.

    Attributes:
        gated: names of tools that people are asked about before each call.
        idempotent: names of tools that may run again when a lost attempt was inside them.
        wait: let the worker go while people decide; the run's agent is called again from its top afterwards.
        deadline_s: how long they have, seconds.
        requests: how often the model may be asked.
    """

    gated: Collection[str] = ()
    idempotent: Collection[str] = ()
    wait: bool = True
    deadline_s: float = limits.APPROVAL_DEADLINE_S
    requests: int = limits.MODEL_REQUESTS


class _Progress(msgspec.Struct):
    """What is saved; the names of the fields there are those of the first version.

    Attributes:
        messages: what came after the input, in the provider's own form.
        answer: the newest one, as long as ``messages`` does not have it and the results of its calls.
        call_ids: the provider's ids of all calls: ours are counted from them.
        pending_calls: calls that the provider makes itself and was in the middle of when it paused.
        steers: ids of the steers in ``messages``.
    """

    messages: list[Any] = msgspec.field(name="said", default_factory=list)
    answer: ModelAnswer | None = None
    call_ids: list[str] = msgspec.field(name="called", default_factory=list)
    pending_calls: dict[str, Call] = msgspec.field(name="awaited", default_factory=dict)
    steers: list[str] = []
    requests: int = 0


@dataclass
class Conversation:
    """A loop of model and tools in a run.

    Args:
        prompt: what to answer, instead of the run's input and its attachments.

    Raises:
        Refused: ``config.invalid``: a rule names a tool that is not there.
    """

    run: RunContext
    provider: Provider
    tools: ToolSpecs
    rules: Rules
    prompt: str | None = None
    _functions: dict[str, Function] = field(init=False)
    _tool_schemas: list[dict[str, Any]] = field(init=False)
    _checkpoint: Checkpoint = field(init=False)
    _progress: _Progress = field(init=False, default_factory=_Progress)

    def __post_init__(self) -> None:
        tools = list(self.tools)
        self._functions = functions(tool for tool in tools if not isinstance(tool, dict))
        own = [tool for tool in tools if isinstance(tool, dict)]
        self._tool_schemas = [*map(self.provider.tool_schema, self._functions.values()), *own]
        named = {*self.rules.gated, *self.rules.idempotent}
        if missing := named - self._functions.keys():
            raise Refused("config.invalid", f"gated and idempotent name tools that are not there: {sorted(missing)}")
        number = self.run.count("converse")
        self._checkpoint = Checkpoint(self.run, f"converse.{self.provider.name}" + (f".{number}" if number > 1 else ""))

    async def converse(self) -> ModelAnswer:
        """Go on until the model has answered, and return its last answer."""
        await self._load()
        history = await self._history()
        token, rounds = current_run.set(self.run), Rounds(self.run)
        try:
            while True:
                answer = self._progress.answer
                rounds.next(self._progress.requests, len(self._progress.messages))
                results = await self._make_calls(answer.calls) if answer is not None else []
                steers = self._take_steers()
                if answer is not None and not (results or steers or answer.finish == _PAUSE_TURN):
                    return answer
                await self._append_turn(answer, results, steers)
                await self._request(history)
        finally:
            current_run.reset(token)

    async def _load(self) -> None:
        state = await self._checkpoint.load()
        if state is not None:
            self._progress = msgspec.json.decode(state, type=_Progress)
        for upstream_id in self._progress.call_ids:
            call_id(self.run, upstream_id)

    async def _save(self, writer: RunWriter | None = None) -> None:
        await self._checkpoint.save(msgspec.json.encode(self._progress), writer.texts.take() if writer else ())

    # --- the conversation
    async def _history(self) -> list[Any]:
        """The conversation up to the input, as the session has it."""
        past = [turn for turn in turns(self.run) if turn.kind != "call" or self._tool_schemas]
        text = self.run.input.text if self.prompt is None else self.prompt
        files = [await self._load_file(a) for a in self.run.input.files] if self.prompt is None else []
        if not files:
            return [*self.provider.history(past_messages(past)), _user_message(text)]
        parts = [{"type": self.provider.text_part, "text": text}] if text else []
        return [
            *self.provider.history(past_messages(past)),
            {"role": "user", "content": [*parts, *map(self._file_part, files)]},
        ]

    async def _load_file(self, attachment: AttachmentEntry) -> FileContent:
        media_type = attachment.get("mediaType") or "application/octet-stream"
        return FileContent(attachment.get("name") or "file", media_type, await self.run.get_blob(attachment["blob"]))

    def _file_part(self, file: FileContent) -> dict[str, Any]:
        if file.media_type.startswith(_TEXT_TYPES):
            text = f"{file.name}:\n{file.data.decode(errors='replace')}"
            return {"type": self.provider.text_part, "text": text}
        return self.provider.file_part(file)

    def _take_steers(self) -> list[Any]:
        """The steers that came since; each once, whatever was lost in between."""
        fresh = [steer for steer in self._checkpoint.take_steers() if steer.id not in self._progress.steers]
        self._progress.steers += [steer.id for steer in fresh]
        return [_user_message(steer.text) for steer in fresh]

    async def _append_turn(self, answer: ModelAnswer | None, results: list[CallResult], steers: list[Any]) -> None:
        progress = self._progress
        if answer is not None:
            progress.messages += self.provider.answer_messages(answer)
            progress.messages += self.provider.result_messages(results) if results else []
            progress.answer = None
        progress.messages += steers
        if steers:
            self._checkpoint.include_steers()
            await self._save()

    async def _request(self, history: list[Any]) -> None:
        progress = self._progress
        if progress.requests >= self.rules.requests:
            raise Refused("agent.failed", f"the model was asked {progress.requests} times and has not answered yet")
        writer = RunWriter(self.run, self.provider.name, close_texts=False, pending_calls=progress.pending_calls)
        answer = await self.provider.read(
            writer, self.provider.request([*history, *progress.messages], self._tool_schemas)
        )
        progress.requests += 1
        progress.call_ids += writer.call_ids
        progress.answer = answer
        progress.pending_calls = writer.pending_calls if answer.finish == _PAUSE_TURN else {}
        await self._save(writer)

    # --- the calls
    async def _make_calls(self, calls: list[Call]) -> list[CallResult]:
        """Make the calls of an answer: at the same time, those that people have to allow after the others."""
        errors = {call.id: error for call in calls if (error := self._call_error(call))}
        gated = [call for call in calls if call.id not in errors and self._needs_approval(call)]
        free = [call for call in calls if call.id not in errors and call not in gated]
        results = [await self._refuse(call, errors[call.id]) for call in calls if call.id in errors]
        results += await _gather([self._make_call(call) for call in free])
        if gated:
            approvals = await ask_all(
                self.run,
                [
                    Question(call.id.removeprefix(f"{self.run.id}."), call.name, call.arguments, call.id)
                    for call in gated
                ],
                wait=self.rules.wait and self._checkpoint.is_saved,
                deadline_s=self.rules.deadline_s,
            )
            results += await _gather(
                [self._make_decided(c, approval) for c, approval in zip(gated, approvals, strict=True)]
            )
        order = {call.id: number for number, call in enumerate(calls)}
        return sorted(results, key=lambda returned: order[returned.call.id])

    def _needs_approval(self, call: Call) -> bool:
        return call.name in self.rules.gated or call.kind == "mcp_approval_request"

    def _call_error(self, call: Call) -> str:
        """Why a call cannot be made, for the model to do better; empty when it can."""
        if call.kind not in ("function", "mcp_approval_request"):
            raise Refused("config.invalid", f"converse makes calls of functions, not a {call.kind}: use relay")
        try:
            args = call.arguments
            if call.kind == "function":
                if call.name not in self._functions:
                    return f"There is no tool {call.name!r}."
                self._functions[call.name].convert_args(args)
        except ValueError as error:
            return f"The arguments do not fit: {error}"[:500]
        return ""

    async def _refuse(self, call: Call, message: str, code: str = "tool.failed") -> CallResult:
        message = well_formed(message)
        error = {"code": code, "message": message[:500]}
        await self.run.tools.record_result(call.id, call.name, {}, "", error=error)
        return CallResult(call, message, failed=True)

    async def _make_decided(self, call: Call, approval: Approval) -> CallResult:
        if not approval:
            return await self._refuse(call, approval.note or "The tool call was denied.", "tool.denied")
        if call.kind == "function":
            return await self._make_call(call)
        await self.run.tools.record_result(call.id, call.name, {}, "approved")
        return CallResult(call, approval.note)

    async def _make_call(self, call: Call) -> CallResult:
        function = self._functions[call.name]

        async def make(**args: Any) -> Any:
            return await function.invoke(self.run, args)

        try:
            value = await self.run.tool(
                call.name, call.arguments, make, call_id=call.id, idempotent=call.name in self.rules.idempotent
            )
        except ToolOutcomeUnknown:
            raise
        except Exception as error:
            recorded = error.fields.get("error") if isinstance(error, ToolFailed) else None
            recorded = recorded or (self.run.tools.outcome(call.id) or {}).get("error")
            if recorded is None:  # it was not the tool that failed
                raise
            return CallResult(call, str(recorded.get("message", "")), failed=True)
        return CallResult(call, to_model_text(value))


async def _gather(calls: list[Coroutine[Any, Any, CallResult]]) -> list[CallResult]:
    """At the same time; when one of them ends the run, after the others have recorded what came of them."""
    results: list[CallResult] = []
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        results.append(result)
    return results


def _user_message(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def past_messages(turns: list[Turn]) -> list[PastMessage]:
    """Turns with what belongs together put together: an assistant's words, and the calls that followed them."""
    messages: list[PastMessage] = []
    for turn in turns:
        last = messages[-1] if messages else PastMessage("user")
        if turn.kind != "call":
            messages.append(PastMessage(turn.kind, turn.text))
        elif last.role == "assistant":
            messages[-1] = last._replace(calls=[*last.calls, turn])
        else:
            messages.append(PastMessage("assistant", "", [turn]))
    return messages
