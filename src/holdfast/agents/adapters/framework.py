"""What the adapters of frameworks have in common.

A framework has a state of its own (its messages, its checkpoints), and a run may go on in another process, after days.
So the state is kept in the session: as a blob, named by a ``CUSTOM`` event of the run (``Kept``). People's decisions are
asked for together (``ask_all``), and the conversation is taken from the session's view (``turns``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

from holdfast.agents.approvals import Approval
from holdfast.agents.attempt import Steer
from holdfast.agents.errors import Released
from holdfast.agents.output import TextOut
from holdfast.agents.results import from_content
from holdfast.agents.run import RunContext
from holdfast.client.feed import Snapshot
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire

KEPT = "holdfast.kept"
"""Name of the ``CUSTOM`` event that says where a framework's state is: ``{framework, blob, steers?}``."""

current: ContextVar[RunContext] = ContextVar("holdfast run")
"""The run on whose behalf code is executing: for what a framework calls back, tools for example."""


class Kept:
    """A framework's state of one run, outliving the worker that executes it.

    Args:
        framework: whose state it is; an agent that changed its framework finds nothing. Words after a dot tell several
            states of one framework in one run apart.
    """

    def __init__(self, run: RunContext, framework: str) -> None:
        self._run = run
        self._framework = framework
        self._newest: bytes | None = None
        self._again: list[Steer] = []
        self._taken: set[str] = set()
        self._included: set[str] = set()

    @property
    def steered(self) -> bool:
        """Whether people have put in words that were not taken yet."""
        return bool(self._again or self._run.attempt.steers)

    def take_steers(self) -> list[Steer]:
        """As ``RunContext.take_steers``, with those first that an attempt had taken and lost."""
        taken = [*self._again, *self._run.take_steers()]
        self._again = []
        self._taken.update(steer.id for steer in taken)
        return taken

    def include_steers(self) -> None:
        """The steers taken so far are in the state from here on."""
        self._included |= self._taken

    async def recall(self) -> bytes | None:
        """The state an earlier attempt kept last, or None. It is read from the log: nobody but the run can write there.

        Also tells the run's tools which calls an earlier attempt wrote down without beginning them.
        """
        run = self._run
        if run.attempt_number == 1 or run.since is None:
            return None
        blob, steers, announced, begun = "", set[str](), set[str](), set[str]()
        async with run.session.events(run.since) as log:
            async for entry in log:
                if isinstance(entry, Snapshot):
                    return None  # the log cannot be read from there: begin anew
                if entry.run != run.id:
                    continue
                if entry.type == e.RUN_STARTED and entry.data.get("generation") == run.attempt_number:
                    break
                value = entry.data.get("value")
                if entry.type == e.CUSTOM and entry.data.get("name") == KEPT and isinstance(value, dict):
                    whose = str(value.get("framework"))
                    if whose.split(".")[0] != self._framework.split(".")[0]:
                        blob, steers = "", set()
                        continue
                    steers |= set(value.get("steers", ()))
                    blob = value["blob"] if whose == self._framework else blob
                elif entry.type == e.TOOL_START:
                    announced.add(entry.data["toolCallId"])
                elif entry.type == e.TOOL_END:
                    begun.add(entry.data["toolCallId"])
        run.tools.unbegun.update(announced - begun)
        self._taken, self._included = set(steers), steers
        self._again = [
            Steer(item["id"], item["text"], item["actor"])
            for item in run.view.items
            if item["kind"] == "steer" and item.get("run") == run.id and item["status"] == "delivered"
            and item["id"] not in steers
        ]  # fmt: skip
        return await run.get_blob(blob) if blob else None

    async def save(self, state: bytes, ended: Iterable[TextOut] = ()) -> None:
        """Keep the state, and complete the texts that are in it: a later attempt says neither more nor less again.

        In a local sub-run nothing is kept: a later attempt of its parent makes another one.
        """
        run = self._run
        if not run.local and state != self._newest:
            blob = await run.put_blob(state)
            steers = {"steers": sorted(self._included)} if self._included else {}
            await run.emit(e.CUSTOM, {"name": KEPT, "value": {"framework": self._framework, "blob": blob, **steers}})
            self._newest = state
        for out in ended:  # in the same append, unless a lot is on its way
            await out.close(kept=not run.local)


class Texts:
    """The texts a framework writes at a time, each under a key of its own."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._open: dict[tuple[str, Any], TextOut] = {}
        self._ended: list[TextOut] = []

    async def write(self, kind: str, key: Any, text: str) -> None:
        """Append to the ``message`` or the ``reasoning`` of a key; the first text opens it."""
        if not text:
            return
        out = self._open.get((kind, key))
        if out is None:
            out = self._run.message() if kind == "message" else self._run.reasoning()
            self._open[kind, key] = await out.__aenter__()
        await out.write(text)

    def message(self, key: Any) -> TextOut | None:
        """The open message of a key."""
        return self._open.get(("message", key))

    def end(self, kind: str, key: Any) -> None:
        """Nothing more comes under this key; ``take`` gives it for completion."""
        out = self._open.pop((kind, key), None)
        if out is not None:
            self._ended.append(out)

    def end_all(self) -> None:
        """Nothing more comes under any key."""
        self._ended.extend(self._open.values())
        self._open.clear()

    def take(self) -> list[TextOut]:
        """The texts that have ended and are not completed yet."""
        ended, self._ended = self._ended, []
        return ended


class Question(NamedTuple):
    """Something to ask people: ``id`` names it within the run, the same in every attempt."""

    id: str
    tool: str
    args: dict[str, Any]


async def ask_all(
    run: RunContext, questions: Sequence[Question], *, wait: bool, deadline_s: float = limits.APPROVAL_DEADLINE_S
) -> list[Approval]:
    """Ask for several approvals at once and return them, in order, when all are decided.

    With ``wait`` the worker is let go until then (``Released``), except in a local sub-run, which lives in its parent's
    attempt. The agent is then called again from its top, and asks the same again.
    """
    attempt = run.attempt
    idents = [f"{run.id}.a.{question.id}" for question in questions]
    for ident, question in zip(idents, questions, strict=True):
        if not attempt.decisions.get(ident, {}).get("decision"):
            answer = await attempt.request(
                wire.Ask(
                    session=attempt.session, run=attempt.run, generation=attempt.generation, approval=ident,
                    tool=question.tool, args=question.args, deadline_s=deadline_s,
                )
            )  # fmt: skip
            if answer.get("decision"):
                attempt.decisions.setdefault(ident, answer)

    def pending() -> list[str]:
        return [ident for ident in idents if not attempt.decisions.get(ident, {}).get("decision")]

    if wait and not run.local and pending():
        await run.close_texts()
        answer = await attempt.request(
            wire.Wait(session=attempt.session, run=attempt.run, generation=attempt.generation, approvals=pending())
        )
        if answer.get("waiting"):
            attempt.released = True
            raise Released
    while pending():
        await attempt.change()
    return [
        Approval(
            ident, decided["decision"] == "approved", question.args, str(decided.get("by", "")),
            str(decided.get("note") or ""),
        )
        for ident, question, decided in ((i, q, attempt.decisions[i]) for i, q in zip(idents, questions, strict=True))
    ]  # fmt: skip


_NOT_IN_IDS = re.compile("[^A-Za-z0-9_-]")  # what providers accept in a call's id, and 40 characters of it


class Turn(NamedTuple):
    """One piece of the conversation: ``kind`` is ``user``, ``assistant`` or ``call``; a call has what it returned."""

    kind: str
    text: str = ""
    id: str = ""
    name: str = ""
    args: str = ""
    run: str = ""


def turns(run: RunContext, *, children: bool = False) -> list[Turn]:
    """The conversation before the run's own input, in order, finished tool calls included.

    Args:
        children: also what sub-runs said: where a framework hands the conversation from agent to agent.
    """
    told: list[Turn] = []
    for item in run.items:
        below = "parent" in run.view.runs.get(item.get("run", ""), {})
        if item["id"] == run.input.message_id or (below and not children):
            continue
        by = item.get("run", "")
        if item["kind"] == "message" and item["text"]:
            told.append(Turn("user" if item["role"] == "user" else "assistant", item["text"], item["id"], run=by))
        elif item["kind"] == "tool" and item["status"] == "done":
            result = from_content(item.get("result") or json.dumps(str(item.get("error", {}).get("message", ""))))
            result = result if isinstance(result, str) else item["result"]
            told.append(
                Turn("call", result, _NOT_IN_IDS.sub("_", item["id"])[-40:], item["name"], item["args"] or "{}", by)
            )
    return told
