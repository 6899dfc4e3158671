"""The context of a run: its input, the conversation, and everything it can do in its run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from holdfast.agents import approvals, browser_tools, history
from holdfast.agents.approvals import Approval
from holdfast.agents.attempt import Attempt, Steer
from holdfast.agents.errors import Released, ToolDenied
from holdfast.agents.input import Input
from holdfast.agents.output import ActivityOut, StateOut, StepOut, TextOut
from holdfast.agents.subruns import SpawnedRun, SubRun, spawn
from holdfast.agents.tools import CallIds, Tool, Tools
from holdfast.client.session import Session
from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.codec import well_formed, well_formed_data
from holdfast.protocol.fold import View
from holdfast.protocol.items import Item


class RunContext:
    """One run, as its agent sees it.

    Attributes:
        id: of the run.
        agent: whose run it is.
        parent: id of the run that started it, or None.
        attempt_number: 1 for the first try. A later one gets the journal of the earlier ones.
        by: the actor who asked.
        labels: what the work is for, by name, for example ``{"team": "sales"}``; from the token of who asked, read-only.
            A sub-run has its parent's.
        input: what to answer.
        session: the session, for everything that is not of this run.
        view: the session as it was when this attempt began; empty when the worker's token does not grant ``read``.
        state: the session's shared state.
        tools: the run's tool calls and their journal; ``tool`` is the easy way to them.
        local: whether it is a sub-run inside its parent's attempt.
        since: the position in the log just before this run was queued; None in a local sub-run.
    """

    def __init__(
        self,
        attempt: Attempt,
        session: Session,
        agent: str,
        input: Input,
        view: View,
        tools: Tools,
        *,
        by: str = "",
        labels: Mapping[str, str] = MappingProxyType({}),
        parent: str | None = None,
        turn: str | None = None,
        local: bool = False,
        since: wire.Cursor | None = None,
        completed_messages: frozenset[str] = frozenset(),
        track: Callable[[Attempt, bool], None],
    ) -> None:
        self.attempt = attempt
        self.session = session
        self.id, self.agent, self.parent, self.by = attempt.run, agent, parent, by
        self.labels: Mapping[str, str] = MappingProxyType(dict(labels))
        self.attempt_number = attempt.generation
        self.input = input
        self.view = view
        self.turn = turn
        self.state = StateOut(attempt, view.state)
        self._track = track
        self.local = local
        self.tools = tools
        self.since = since
        self._completed_messages = completed_messages
        self._ids = CallIds(attempt.run)
        self._open_texts: dict[str, TextOut] = {}
        self._counts: dict[str, int] = {}
        self._steer_callbacks: list[Callable[[Steer], None]] = []
        attempt.on_change = self._deliver_steers

    def __repr__(self) -> str:
        return f"<RunContext {self.id} of {self.agent}, attempt {self.attempt_number}>"

    def count(self, what: str) -> int:
        """1, 2, 3 … for each ``what``: parts of ids that are the same in every attempt."""
        self._counts[what] = self._counts.get(what, 0) + 1
        return self._counts[what]

    # --- input
    @property
    def items(self) -> list[Item]:
        """The items of the conversation that this run answers (PROTOCOL.md, section 6), tools and sub-agents included."""
        return history.branch(self.view, self.turn, self.id)

    @property
    def history(self) -> list[dict[str, str]]:
        """The conversation's messages as chat models take them, the input last: ``[{"role", "content"}, …]``.

        Without ``read`` an agent knows its input and nothing else.
        """
        if not self.view.items and self.input.text:
            return [{"role": "user", "content": self.input.text}]
        return history.messages(self.items)

    @property
    def cancelled(self) -> bool:
        """Whether somebody stops this run. The agent's task is cancelled then; this is for code that cannot be."""
        return self.attempt.is_over

    # --- output
    def message(self, role: str = "assistant", *, name: str = "", key: str = "") -> TextOut:
        """A message, written as it comes: ``async with run.message() as out: await out.write(token)``.

        Args:
            key: names it within the run. A later attempt that finds it complete does not show it again
                (``out.replayed``); without a key every attempt speaks anew.
        """
        data = {"role": role, **({"name": name} if name else {})}
        if not key:
            return self._text("message", f"{self.id}.{self.attempt_number}.m{self.count('message')}", data)
        prefix = f"{self.id}.k.{key}."
        replayed = any(ident.startswith(prefix) for ident in self._completed_messages)
        return self._text("message", f"{prefix}{self.attempt_number}", data, replayed, keyed=True)

    def reasoning(self) -> TextOut:
        """A piece of reasoning, written as it comes."""
        return self._text("reasoning", f"{self.id}.{self.attempt_number}.r{self.count('reasoning')}", {})

    def _text(
        self, kind: str, ident: str, data: dict[str, Any], replayed: bool = False, *, keyed: bool = False
    ) -> TextOut:
        return TextOut(self.attempt, kind, ident, data, self._open_texts, replayed, keyed)

    async def say(self, text: str, *, role: str = "assistant", key: str = "") -> str:
        """A whole message at once; returns its id."""
        async with self.message(role, key=key) as out:
            await out.write(text)
        return out.id

    async def close_texts(self) -> None:
        """Complete every text that is open."""
        for text in list(self._open_texts.values()):
            await text.close()

    def step(self, name: str) -> StepOut:
        """A named step, shown while its block runs: ``async with run.step("search"): …``."""
        return StepOut(self.attempt, name)

    async def activity(self, name: str, content: Any) -> ActivityOut:
        """Show something structured; change it with the returned object's ``set`` and ``patch``."""
        out = ActivityOut(self.attempt, f"{self.id}.{self.attempt_number}.a{self.count('activity')}", name)
        await out.set(content)
        return out

    async def usage(self, model: str, *, input_tokens: int = 0, output_tokens: int = 0, **more: Any) -> None:
        """Record what a model call used; only operators read it."""
        data = {"model": model, "input_tokens": input_tokens, "output_tokens": output_tokens, **more}
        await self.attempt.producer.write(e.USAGE_RECORDED, data)

    async def emit(self, type_: str, data: dict[str, Any]) -> None:
        """Append an event of any type a client may append, for example ``CUSTOM``."""
        await self.attempt.producer.write(type_, data)

    async def flush(self) -> None:
        """Wait until everything said so far is durable."""
        await self.attempt.producer.flush()

    # --- blobs
    async def put_blob(self, data: bytes) -> str:
        """Keep bytes beside the log, for whoever may read the session; returns their id, to be named in an event.

        Raises:
            Refused: ``config.invalid`` where there are no blobs, ``input.too_large``.
        """
        if self.tools.store is None:
            raise Refused("config.invalid", "blobs cannot be kept here")
        return await self.tools.store(data)

    async def get_blob(self, blob: str) -> bytes:
        """The bytes of a blob of this session, an attachment for example. Raises ``Refused`` (``blob.not_found``)."""
        if self.tools.load is None:
            raise Refused("blob.not_found", "blobs cannot be read here")
        return await self.tools.load(blob)

    # --- tools and approvals
    async def tool(
        self,
        name: str,
        args: dict[str, Any],
        fn: Tool,
        *,
        call_id: str | None = None,
        idempotent: bool = False,
        message: str | None = None,
    ) -> Any:
        """Call a tool as ``fn(**args)`` and return its result, which should be JSON.

        The call is durable before it begins and its result after it ended. An attempt that repeats a call whose result
        is recorded gets that result, and the tool does not run. Of a result that is not JSON the nearest JSON is
        recorded (see ``holdfast.agents.results``); that is what a later attempt gets.

        Args:
            call_id: the model's id for the call, when it is the same in every attempt. Otherwise calls are told apart
                by name and arguments.
            idempotent: run it again when an earlier attempt began it and was lost.
            message: id of the message the call belongs to.

        Raises:
            ToolOutcomeUnknown: an earlier attempt began it, and whether it took effect is not known.
            ToolFailed: the recorded result is a failure. A failure in this attempt is raised as it is.
        """
        ident = call_id or self._ids.next("c", name, args)
        return await self.tools.call(ident, name, args, fn, idempotent=idempotent, message=message)

    async def approve(
        self,
        tool: str,
        args: dict[str, Any] | None = None,
        *,
        wait: bool = False,
        deadline_s: float = limits.APPROVAL_DEADLINE_S,
        default: Literal["approved", "denied"] = "denied",
        self_approve: bool = False,
        call_id: str | None = None,
        purpose: Literal["decision", "call"] = "decision",
    ) -> Approval:
        """Ask people whether exactly this may be done; truthy when it may.

        Args:
            wait: let the worker go until it is decided, however long that takes (RUN-5). The agent is then called
                again from its top, and gets here with the answer: what it does before must be repeatable, which tools
                and keyed messages are.
            deadline_s: seconds until it is denied, when nobody has decided.
            default, self_approve: what silence means, and whether an agent may decide: no more than is shown here, for an
                agent does not loosen the rule about itself.
            call_id: the tool call that is asked about, when a model has made one: people see one thing then, and
                ``tool`` makes the call once they have allowed it.
            purpose: ``call`` when a program answers, and nobody is to be shown a decision.

        Raises:
            Refused: ``approval.rule`` when ``default`` or ``self_approve`` asks for more.
        """
        tool, args = well_formed(tool), well_formed_data(args or {})
        self._check_may_wait(wait)
        if wait:
            await self.close_texts()
        if call_id is not None:
            await self.tools.show(call_id, tool, args)
        approval = await approvals.ask(
            self.attempt,
            self._ids.next("a", tool, args),
            tool,
            args,
            wait=wait,
            deadline_s=deadline_s,
            default=default,
            self_approve=self_approve,
            call=call_id,
            purpose=purpose,
        )
        if call_id is not None:
            self.tools.close_args(call_id)
        if approval is None:
            self.attempt.released = True
            raise Released
        return approval

    def _check_may_wait(self, wait: bool) -> None:
        if wait and self.local:
            raise Refused("run.state", "a sub-run lives inside its parent's attempt and cannot let the worker go")

    async def gated_tool(
        self,
        name: str,
        args: dict[str, Any],
        fn: Tool,
        *,
        wait: bool = False,
        idempotent: bool = False,
        deadline_s: float = limits.APPROVAL_DEADLINE_S,
    ) -> Any:
        """Ask, and call the tool with exactly the approved arguments. Raises ``ToolDenied`` when it may not be done."""
        approval = await self.approve(name, args, wait=wait, deadline_s=deadline_s)
        if not approval:
            raise ToolDenied(name, approval)
        return await self.tool(name, approval.args, fn, idempotent=idempotent)

    async def browser_tool(
        self,
        name: str,
        args: dict[str, Any],
        *,
        person: str | None = None,
        wait: bool = False,
        deadline_s: float = browser_tools.DEADLINE_S,
        claim_s: float = browser_tools.CLAIM_S,
        tries: int = browser_tools.TRIES,
        call_id: str | None = None,
    ) -> Any:
        """Call a tool that a page has (``serveTools`` of the TypeScript client); exactly one tab of all runs it.

        It is journalled as ``tool`` is: a later attempt gets the recorded result, or waits for the same tab.

        Args:
            person: the only actor whose tabs may take it, ``run.by`` for example; anybody's unless given.
            wait: let the worker go meanwhile, as in ``approve``.
            deadline_s: seconds until a tab must have taken it.
            claim_s: seconds that the tab which took it has to answer. Then its answer is refused and the call is
                offered anew, so the tool may run again: give ``tries=1`` where it must not.
            tries: how often it is offered.
            call_id: as for ``tool``.

        Raises:
            ToolFailed: no tab took or answered it in time, a person denied it, or the tool failed there.
        """
        self._check_may_wait(wait)
        return await browser_tools.call(
            self.tools,
            self.approve,
            self.get_blob,
            call_id or self._ids.next("c", name, args),
            name,
            args,
            person=person,
            wait=wait,
            deadline_s=deadline_s,
            claim_s=claim_s,
            tries=tries,
        )

    # --- other agents
    async def spawn(self, agent: str, input: dict[str, Any] | str, *, name: str = "", attempts: int = 1) -> SpawnedRun:
        """Start a run of another agent, for any worker that serves it. It ends when this run ends, if not before.

        Args:
            name: names it within this run, so that a later attempt finds it; by default the agent's name and a number.
        """
        name = name or f"{agent}.{self.count('spawn:' + agent)}"
        return await spawn(self.attempt, self.session, agent, input, name, attempts)

    def _child_context(self, attempt: Attempt, agent: str, input: Input) -> RunContext:
        """The context of a sub-run in this attempt."""
        tools = Tools(attempt, {}, set(), self.tools.load, self.tools.store)
        return RunContext(
            attempt,
            self.session,
            f"{self.agent}/{agent}",
            input,
            self.view,
            tools,
            by=f"agent:{self.agent}",
            labels=self.labels,
            parent=self.id,
            turn=self.turn,
            local=True,
            completed_messages=self._completed_messages,
            track=self._track,
        )

    def sub(self, agent: str, name: str = "", input: dict[str, Any] | str = "") -> SubRun[RunContext]:
        """A sub-run in this very attempt, with its own actor and its own cancel:
        ``async with run.sub("searcher") as child: await child.say(…)``.

        When a person stops only the sub-run, its block is cancelled and left quietly (``child.cancelled``).

        Args:
            name: names it within this run; by default another one for every attempt.

        Raises:
            Refused: ``run.ended``, on entering, when an earlier attempt has completed a sub-run of that name.
        """
        number = self.count("sub:" + agent)
        name, child_input = name or f"{agent}.{number}.{self.attempt_number}", Input(input)
        return SubRun(
            self.attempt,
            agent,
            name,
            child_input,
            lambda attempt: self._child_context(attempt, agent, child_input),
            self._track,
        )

    # --- people
    async def steers(self) -> AsyncIterator[Steer]:
        """What people put into the run while it runs, as it comes; each is confirmed to them when it is given out."""
        while True:
            for steer in self.take_steers():
                yield steer
            await self.attempt.wait_for_change()

    def take_steers(self) -> list[Steer]:
        """The steers that have come, confirmed, without waiting: look between two model calls."""
        taken = list(self.attempt.steers)
        self.attempt.steers.clear()
        for steer in taken:
            self.attempt.confirm_receipt(steer.id)
        return taken

    def on_steer(self, callback: Callable[[Steer], None]) -> None:
        """Call back with every steer, confirmed; those that have come already first."""
        self._steer_callbacks.append(callback)
        self._deliver_steers()

    def _deliver_steers(self) -> None:
        if self._steer_callbacks and self.attempt.steers:
            for steer in self.take_steers():
                for callback in self._steer_callbacks:
                    callback(steer)
