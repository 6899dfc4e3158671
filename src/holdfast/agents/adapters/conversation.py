"""What the adapters of providers' ``converse`` have in common: a loop of model and tools that outlives its worker.

The conversation since the input is kept after every answer, before any of its calls is made. A later attempt goes on from
there: an answer that was whole is not asked for again, its calls have the same ids, and the journal has their results.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec

from holdfast.agents.adapters.answer import Answer, Call, RunWriter, Stream, call_id
from holdfast.agents.adapters.checkpoint import Checkpoint
from holdfast.agents.adapters.framework import Question, Turn, ask_all, current, turns
from holdfast.agents.adapters.functions import Function, functions
from holdfast.agents.adapters.rounds import Rounds
from holdfast.agents.approvals import Approval
from holdfast.agents.errors import ToolFailed, ToolOutcomeUnknown
from holdfast.agents.results import to_model_text
from holdfast.agents.run import RunContext
from holdfast.errors import Refused
from holdfast.protocol import limits
from holdfast.protocol.codec import well_formed

Tools = Iterable[Callable[..., Any] | Function | dict[str, Any]]
"""What the model may call: functions, ``Function``, and, as dicts in the provider's own form, tools it runs itself."""

_PAUSED = "pause_turn"  # Anthropic's word for: send this back and I go on
_TEXT_TYPES = ("text/", "application/json", "application/xml")


class PastMessage(NamedTuple):
    """A piece of the conversation before the input: words, and the calls that came with them, which have returned."""

    role: str
    text: str = ""
    calls: Sequence[Turn] = ()


class CallResult(NamedTuple):
    """What came of a call, in words for the model."""

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
    """How one API is spoken to. Messages are in its own form."""

    name: str
    text_part: str

    def past(self, said: list[PastMessage]) -> list[Any]:
        """The conversation before the input."""

    def file(self, attached: FileContent) -> dict[str, Any]:
        """An attachment as a part of the input."""

    def tool(self, function: Function) -> dict[str, Any]:
        """A tool, as the API is told of it."""

    def ask(self, messages: list[Any], tools: list[dict[str, Any]]) -> Stream:
        """Request an answer."""

    async def read(self, scribe: RunWriter, stream: Stream) -> Answer:
        """Write the stream into the run."""

    def heard(self, answer: Answer) -> list[Any]:
        """An answer, to be sent back."""

    def results(self, returned: list[CallResult]) -> list[Any]:
        """What came of the calls of the answer before."""


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
    """What is kept. ``answer`` is the newest one, as long as ``said`` has not got it and what came of its calls.
    ``awaited`` are calls that the provider makes itself and was in the middle of when it paused."""

    said: list[Any] = []
    answer: Answer | None = None
    called: list[str] = []  # the provider's ids of all calls: ours are counted from them
    awaited: dict[str, Call] = {}
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
    tools: Tools
    rules: Rules
    prompt: str | None = None
    _known: dict[str, Function] = field(init=False)
    _offered: list[dict[str, Any]] = field(init=False)
    _kept: Checkpoint = field(init=False)
    _progress: _Progress = field(init=False, default_factory=_Progress)

    def __post_init__(self) -> None:
        tools = list(self.tools)
        self._known = functions(tool for tool in tools if not isinstance(tool, dict))
        own = [tool for tool in tools if isinstance(tool, dict)]
        self._offered = [*map(self.provider.tool, self._known.values()), *own]
        named = {*self.rules.gated, *self.rules.idempotent}
        if missing := named - self._known.keys():
            raise Refused("config.invalid", f"gated and idempotent name tools that are not there: {sorted(missing)}")
        number = self.run.count("converse")
        self._kept = Checkpoint(self.run, f"converse.{self.provider.name}" + (f".{number}" if number > 1 else ""))

    async def go(self) -> Answer:
        """Go on until the model has answered, and return its last answer."""
        await self._recall()
        before = await self._before()
        token, rounds = current.set(self.run), Rounds(self.run)
        try:
            while True:
                answer = self._progress.answer
                rounds.next(self._progress.requests, len(self._progress.said))
                returned = await self._make(answer.calls) if answer is not None else []
                steered = self._steers()
                if answer is not None and not (returned or steered or answer.finish == _PAUSED):
                    return answer
                await self._fold(answer, returned, steered)
                await self._ask(before)
        finally:
            current.reset(token)

    async def _recall(self) -> None:
        state = await self._kept.load()
        if state is not None:
            self._progress = msgspec.json.decode(state, type=_Progress)
        for upstream in self._progress.called:
            call_id(self.run, upstream)

    async def _save(self, scribe: RunWriter | None = None) -> None:
        await self._kept.save(msgspec.json.encode(self._progress), scribe.texts.take() if scribe else ())

    # --- the conversation
    async def _before(self) -> list[Any]:
        """The conversation up to the input, as the session has it."""
        told = [turn for turn in turns(self.run) if turn.kind != "call" or self._offered]
        words = self.run.input.text if self.prompt is None else self.prompt
        attached = [await self._attached(a) for a in self.run.input.files] if self.prompt is None else []
        if not attached:
            return [*self.provider.past(spoken(told)), _user(words)]
        parts = [{"type": self.provider.text_part, "text": words}] if words else []
        return [*self.provider.past(spoken(told)), {"role": "user", "content": [*parts, *map(self._part, attached)]}]

    async def _attached(self, attachment: dict[str, Any]) -> FileContent:
        kind = attachment.get("mediaType") or "application/octet-stream"
        return FileContent(attachment.get("name") or "file", kind, await self.run.get_blob(attachment["blob"]))

    def _part(self, attached: FileContent) -> dict[str, Any]:
        if attached.media_type.startswith(_TEXT_TYPES):
            text = f"{attached.name}:\n{attached.data.decode(errors='replace')}"
            return {"type": self.provider.text_part, "text": text}
        return self.provider.file(attached)

    def _steers(self) -> list[Any]:
        """What people put in since; each once, whatever was lost in between."""
        fresh = [steer for steer in self._kept.take_steers() if steer.id not in self._progress.steers]
        self._progress.steers += [steer.id for steer in fresh]
        return [_user(steer.text) for steer in fresh]

    async def _fold(self, answer: Answer | None, returned: list[CallResult], steered: list[Any]) -> None:
        progress = self._progress
        if answer is not None:
            progress.said += self.provider.heard(answer)
            progress.said += self.provider.results(returned) if returned else []
            progress.answer = None
        progress.said += steered
        if steered:
            self._kept.include_steers()
            await self._save()

    async def _ask(self, before: list[Any]) -> None:
        progress = self._progress
        if progress.requests >= self.rules.requests:
            raise Refused("agent.failed", f"the model was asked {progress.requests} times and has not answered yet")
        scribe = RunWriter(self.run, self.provider.name, closes=False, awaited=progress.awaited)
        answer = await self.provider.read(scribe, self.provider.ask([*before, *progress.said], self._offered))
        progress.requests += 1
        progress.called += scribe.called
        progress.answer = answer
        progress.awaited = scribe.awaited if answer.finish == _PAUSED else {}
        await self._save(scribe)

    # --- the calls
    async def _make(self, calls: list[Call]) -> list[CallResult]:
        """Make the calls of an answer: at the same time, those that people have to allow after the others."""
        refused = {call.id: words for call in calls if (words := self._amiss(call))}
        asked = [call for call in calls if call.id not in refused and self._gated(call)]
        free = [call for call in calls if call.id not in refused and call not in asked]
        made = [await self._refuse(call, refused[call.id]) for call in calls if call.id in refused]
        made += await _together([self._call(call) for call in free])
        if asked:
            decided = await ask_all(
                self.run, [Question(call.id.removeprefix(f"{self.run.id}."), call.name, call.arguments, call.id) for call in asked],
                wait=self.rules.wait and self._kept.whole, deadline_s=self.rules.deadline_s,
            )  # fmt: skip
            made += await _together([self._decided(c, approval) for c, approval in zip(asked, decided, strict=True)])
        order = {call.id: number for number, call in enumerate(calls)}
        return sorted(made, key=lambda returned: order[returned.call.id])

    def _gated(self, call: Call) -> bool:
        return call.name in self.rules.gated or call.kind == "mcp_approval_request"

    def _amiss(self, call: Call) -> str:
        """Why a call cannot be made, for the model to do better; empty when it can."""
        if call.kind not in ("function", "mcp_approval_request"):
            raise Refused("config.invalid", f"converse makes calls of functions, not a {call.kind}: use relay")
        try:
            args = call.arguments
            if call.kind == "function":
                if call.name not in self._known:
                    return f"There is no tool {call.name!r}."
                self._known[call.name].taken(args)
        except ValueError as error:
            return f"The arguments do not fit: {error}"[:500]
        return ""

    async def _refuse(self, call: Call, words: str, code: str = "tool.failed") -> CallResult:
        words = well_formed(words)
        error = {"code": code, "message": words[:500]}
        await self.run.tools.record_result(call.id, call.name, {}, "", error=error)
        return CallResult(call, words, failed=True)

    async def _decided(self, call: Call, approval: Approval) -> CallResult:
        if not approval:
            return await self._refuse(call, approval.note or "The tool call was denied.", "tool.denied")
        if call.kind == "function":
            return await self._call(call)
        await self.run.tools.record_result(call.id, call.name, {}, "approved")
        return CallResult(call, approval.note)

    async def _call(self, call: Call) -> CallResult:
        known = self._known[call.name]

        async def make(**args: Any) -> Any:
            return await known.make(self.run, args)

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


async def _together(calls: list[Coroutine[Any, Any, CallResult]]) -> list[CallResult]:
    """At the same time; when one of them ends the run, after the others have recorded what came of them."""
    made: list[CallResult] = []
    for one in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(one, BaseException):
            raise one
        made.append(one)
    return made


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def spoken(told: list[Turn]) -> list[PastMessage]:
    """Turns with what belongs together put together: an assistant's words, and the calls that followed them."""
    pieces: list[PastMessage] = []
    for turn in told:
        last = pieces[-1] if pieces else PastMessage("user")
        if turn.kind != "call":
            pieces.append(PastMessage(turn.kind, turn.text))
        elif last.role == "assistant":
            pieces[-1] = last._replace(calls=[*last.calls, turn])
        else:
            pieces.append(PastMessage("assistant", "", [turn]))
    return pieces
