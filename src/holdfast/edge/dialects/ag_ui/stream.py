"""A session's log as one AG-UI run: RUN_STARTED, what happens, RUN_FINISHED or RUN_ERROR.

Rules of AG-UI that make this more than a table: one run at a time, everything that was opened is closed before the end,
sub-agents under ids of their own, and a run that waits for people ends with an interrupt and goes on in the next one, as one
does that waits for a tool of the client's.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from holdfast.edge.dialects.ag_ui.content import KIND, TEXTS, Content, Known, Sent
from holdfast.edge.dialects.ag_ui.ends import last_of, why
from holdfast.edge.dialects.ag_ui.messages import History, Message, essence, role_of
from holdfast.edge.dialects.ag_ui.said import asks_to_go_on, content_of, kept_of, said_whole
from holdfast.edge.dialects.ag_ui.versions import Version
from holdfast.edge.dialects.lives import told
from holdfast.protocol import browser_tools, ids
from holdfast.protocol import events as e
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View
from holdfast.protocol.view import ENDED
from holdfast.session import families

_TOLD: Final = frozenset(
    {e.SOURCE_CITED, e.CANCEL_REQUESTED, e.CANCEL_DELIVERED, e.CANCEL_EFFECTIVE, e.STEER_DELIVERED, e.STEER_DROPPED,
     e.HANDOFF_TAKEN, e.HANDOFF_RETURNED}
)  # fmt: skip
"""Events of ours that AG-UI has no name for and an application may want to show: CUSTOM."""
_ANSWER: Final = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "note": {"type": "string"}},
    "required": ["approved"],
}
"""What answers an interrupt (JSON Schema)."""

_ALL_ACTIVITIES: Final = {"@ag-ui/client": {"authoritativeActivityTypes": None}}
"""Tells a client of 1.0 that activities it has and the snapshot has not are gone."""


class Stream(Content):
    """The projection of one session onto one AG-UI run. It is given a snapshot's view first, then events in order.

    Args:
        session: the session; its id is the thread's.
        run: the client's id of the run; empty to use the id of the run that is joined.
        targets: the runs whose end is the end of this one; None for all root runs that live when it begins.
        actor: the person whose client it is.
        tools: the names of the tools the client declared.

    Attributes:
        life: the incarnation of the session.
        targets: as given, or found.
        seq: the position of the log the client is at.
        stale: the client must be given a fresh snapshot: another branch is shown, or something came that does not stream.
    """

    def __init__(
        self, version: Version, session: str, run: str, targets: set[str] | None, actor: str = "",
        tools: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        super().__init__(version)
        self._actor = actor
        self._tools = tools
        self.session = session
        self.run = run
        self.life = ""
        self.stale = False
        self._joining = targets is None
        self.targets: set[str] = targets or set()
        self._last: str | None = None
        self._started = False
        self._subagents: dict[str, None] = {}
        self._gone: set[str] = set()
        self._approvals: dict[str, Sent] = {}
        self._asks: dict[str, tuple[str | None, str | None]] = {}  # for browsers: the run, and the call if it is for us
        self._head: str | None = None
        self.seq = 0

    # --- snapshots
    def covers(self, view: View, known: list[Message]) -> bool:
        """Whether a client that has these messages needs none of the view's."""
        return _covered(History(self.session, view, subagents=self.version.subagents), view, known)

    def snapshot(self, seq: int, view: View, known: list[Message] | None, state: Any = None) -> list[Sent]:
        """The opening of the run, or what brings a client up to date that was given something else before.

        Args:
            seq: the position of the view.
            known: messages the client has; the log's are sent when they differ, and always for None.
            state: the state the client has, where ``known`` is given.
        """
        history = History(self.session, view, subagents=self.version.subagents)
        self._learn(seq, view, history)
        sent: list[Sent] = []
        if not self._started:
            self._started = True
            sent.append(self._run_started(seq, last_of(view) if self._joining else None))
        shown = view.visible()
        still = {(i["kind"], i["id"]): i for i in shown if i["kind"] in TEXTS and i["status"] == "open"}
        begun = any(item["length"] for key, item in still.items() if key not in self.texts)
        told = known is None or begun or not _covered(history, view, known)
        for key in [key for key in self.texts if told or key not in still]:
            sent += self.close(key)
        if told:  # what is open has no text in it: it is told from its beginning below
            sent.append({"type": "MESSAGES_SNAPSHOT", "messages": history.without(still), "metadata": _ALL_ACTIVITIES})
        if known is None or state != view.state:
            sent.append({"type": "STATE_SNAPSHOT", "snapshot": view.state})
        self.state = view.state
        for ident, run in self.runs.items():
            if run.parent is not None:
                sent += self._subagent_ended(ident) if run.status in ENDED else self._subagent_started(ident)
        for key, item in still.items():
            self.lengths[key] = item["length"]
            if key not in self.texts:
                sent += self.told(key, item)
        sent += self.steps_are(
            [(i["name"], i.get("run")) for i in shown if i["kind"] == "step" and i["status"] == "open"]
        )
        return sent

    def _learn(self, seq: int, view: View, history: History) -> None:
        self.stale = False
        self.seq = seq
        self._head = view.branch["head"]
        self.owners.update(history.owners)
        self.runs = {
            ident: Known(run["agent"], run["status"], run.get("parent"), run.get("name", ""), run.get("error"))
            for ident, run in view.runs.items()
        }
        if self._joining and not self._started:
            self.targets = {i for i, r in self.runs.items() if r.parent is None and r.status not in ENDED}
        self._approvals, self._asks, self.calls = {}, {}, {}
        for item in view.items:
            if item["kind"] == "approval" and item["status"] == "pending":
                self._ask(item["id"], item.get("run"), item)
            elif item["kind"] == "tool" and item["status"] == "done":
                self.answered.add(item["id"])
            elif item["kind"] == "tool":
                self.calls[item["id"]] = item.get("run")
                self.lengths["tool", item["id"]] = item["length"]

    def _run_started(self, seq: int, last: Sent | None) -> Sent:
        self.run = self.run or next((told(run, self.life) for run in sorted(self.targets)), f"{self.session}.{seq}")
        sent = {"type": "RUN_STARTED", "threadId": self.session, "runId": self.run}
        if self.version.declared:
            sent["protocolVersion"] = self.version.declared
        about = {
            "runs": [told(run, self.life) for run in sorted(self.targets)],
            "seq": seq,
            **({"last": last} if last else {}),
        }
        return {**sent, "metadata": {"holdfast": about}}

    # --- events
    def events(self, events: list[Event]) -> list[Sent]:
        """What consecutive events of the log are to the client."""
        sent: list[Sent] = []
        for event in events if self._started else []:
            if event.last <= self.seq:
                continue
            self.seq = event.last
            for one in self._event(event):
                sent.append({**one, "timestamp": event.ts})
        return sent

    def _event(self, event: Event) -> list[Sent]:
        kind = KIND.get(event.type)
        if kind is not None:
            return self.text(event, kind)
        handler = _HANDLERS.get(event.type)
        if handler is not None:
            return handler(self, event)
        if event.type in _TOLD or (not families.is_program(event.type) and event.type not in e.OPERATORS_ONLY):
            return [self._as_custom(event)]
        return []

    def _as_custom(self, event: Event) -> Sent:
        return self.tagged(event.run, type="CUSTOM", name=event.type, value=event.data)

    # --- people
    def said(self, event: Event) -> list[Sent]:
        """An input. It is shown unless the client has it, which is where it usually comes from."""
        data, ident = event.data, event.data.get("messageId")
        self.stale = self.stale or data.get("parent") != self._head
        self._head = ident
        if not isinstance(ident, str) or ("message", ident) in self.owners or asks_to_go_on(data):
            return []
        self.owners["message", ident] = None
        content = content_of(self.session, str(data.get("text", "")), data.get("attachments"))
        if not isinstance(content, str) or kept_of(
            data.get("meta")
        ):  # that does not stream: the messages are sent whole
            self.stale = True
            return []
        return said_whole(ident, role_of(data.get("role") or "user"), content)

    def steered(self, event: Event) -> list[Sent]:
        """Words put into a running run."""
        return said_whole(str(event.data.get("steerId")), "user", str(event.data.get("text", "")))

    def branched(self, event: Event) -> list[Sent]:
        """Another branch is shown."""
        self.stale = True
        return []

    def asked(self, event: Event) -> list[Sent]:
        """An approval waits; ``ending`` makes an interrupt of it."""
        self._ask(str(event.data.get("approvalId")), event.run, event.data)
        return []

    def _ask(self, ident: str, run: str | None, data: dict[str, Any]) -> None:
        tool = data.get("tool")
        if tool in browser_tools.ASKS:
            self._asks[ident] = run, browser_tools.offered(tool, data.get("args"), self._actor, self._tools)
        else:
            self._approvals[ident] = self._interrupt(ident, run, data)

    def decided(self, event: Event) -> list[Sent]:
        """An approval was decided, by somebody or by its deadline."""
        ident = str(event.data.get("approvalId"))
        if self._asks.pop(ident, None) is not None:
            return []
        self._approvals.pop(ident, None)
        return [self._as_custom(event)]

    def _interrupt(self, ident: str, run: str | None, data: dict[str, Any]) -> Sent:
        """An approval as an interrupt of AG-UI 1.0."""
        tool, deadline = data.get("tool"), data.get("deadline")
        action = {name: data.get(name) for name in ("tool", "args", "hash", "default")}
        sent = self.tagged(
            run, id=ids.bind(ident, self.life), reason="confirmation", message=f"May {tool} be called?", responseSchema=_ANSWER,
            metadata={"holdfast": {**action, "run": run}},
        )  # fmt: skip
        call = data.get("toolCallId", data.get("call"))
        if isinstance(call, str):
            sent["toolCallId"] = call
        if isinstance(deadline, int):
            sent["expiresAt"] = datetime.fromtimestamp(deadline / 1_000, UTC).isoformat().replace("+00:00", "Z")
        return sent

    # --- runs
    def queued(self, event: Event) -> list[Sent]:
        """A run waits for a worker: a new one, or one that waited for people."""
        ident, data = str(event.run), event.data
        if ident in self.runs:
            self.runs[ident].status = "queued"
            return []
        parent = data.get("parent")
        self.runs[ident] = Known(str(data.get("agent", "")), "queued", parent, str(data.get("name", "")))
        if parent is not None:
            return self._subagent_started(ident)
        if self._joining:
            self.targets.add(ident)
        self.stale = self.stale or bool(data.get("regenerates"))
        return []

    def started(self, event: Event) -> list[Sent]:
        """An attempt begins."""
        if (run := self.runs.get(str(event.run))) is not None:
            run.status = "running"
        return []

    def waiting(self, event: Event) -> list[Sent]:
        """The worker was let go until people have decided."""
        if (run := self.runs.get(str(event.run))) is not None:
            run.status = "waiting"
        return self.close_run(event.run)

    def lost(self, event: Event) -> list[Sent]:
        """An attempt is lost; what it left open is closed."""
        return [*self.close_run(event.run), self._as_custom(event)]

    def ended(self, event: Event) -> list[Sent]:
        """A run has ended."""
        ident = str(event.run)
        known = self.runs.setdefault(ident, Known("", "running"))
        known.status, known.error = str(event.data.get("status")), event.data.get("error")
        if ident in self.targets:
            self._last = ident
        for approval in [a for a, i in self._approvals.items() if i["metadata"]["holdfast"]["run"] == ident]:
            del self._approvals[approval]
        self._asks = {ask: about for ask, about in self._asks.items() if about[0] != ident}
        return [*self.close_run(event.run), *self._subagent_ended(ident)]

    def _subagent_started(self, ident: str) -> list[Sent]:
        if ident in self._subagents or ident in self._gone:
            return []
        self._subagents[ident] = None
        run = self.runs[ident]
        sent: Sent = {"type": "SUBAGENT_STARTED", "subagentRunId": ident, "name": self.name(ident)}
        if run.name:
            sent["description"] = run.name
        if run.parent in self._subagents or run.parent in self._gone:
            sent["parentSubagentRunId"] = run.parent
        return [self._told(sent)]

    def _subagent_ended(self, ident: str) -> list[Sent]:
        if ident not in self._subagents:
            return []
        del self._subagents[ident]
        self._gone.add(ident)
        run = self.runs[ident]
        if run.status == "completed":
            return [self._told({"type": "SUBAGENT_FINISHED", "subagentRunId": ident, "outcome": {"type": "success"}})]
        code, message = why(run)
        return [self._told({"type": "SUBAGENT_ERROR", "subagentRunId": ident, "code": code, "message": message})]

    def _told(self, sent: Sent) -> Sent:
        """A SUBAGENT event, in words the client's version has."""
        if self.version.subagents:
            return sent
        value = {name: field for name, field in sent.items() if name != "type"}
        return {"type": "CUSTOM", "name": sent["type"], "value": value}

    # --- the end
    def ending(self) -> list[Sent]:
        """The end of the AG-UI run, when its time has come: all its runs have ended, or one waits for people or the client."""
        if self.stale or not self._started:
            return []
        waits = [
            sent for ident, sent in self._approvals.items() if self._is_target(sent["metadata"]["holdfast"]["run"])
        ]
        calls = [call for run, call in self._asks.values() if call is not None and self._is_target(run)]
        live = [ident for ident in self.targets if ident in self.runs and self.runs[ident].status not in ENDED]
        if live and not waits and not calls:
            return []
        sent = self._closed([i["id"] for i in waits])
        finished: Sent = {"type": "RUN_FINISHED", "threadId": self.session, "runId": self.run}
        if waits:
            return [*sent, {**finished, "outcome": {"type": "interrupt", "interrupts": waits}}]
        if live:
            return [*sent, {**finished, "outcome": self._success(calls)}]
        last = self.runs.get(self._last or next((run for run in reversed(self.runs) if run in self.targets), ""))
        if last is None or last.status == "completed":
            open_calls = [ident for ident, run in self.calls.items() if run in self.targets]
            return [*sent, {**finished, "outcome": self._success(open_calls)}]
        if last.status == "cancelled" and self.version.outcomes:
            return [*sent, {**finished, "outcome": {"type": "cancelled"}}]
        return [*sent, self.failed(*why(last))]

    def failed(self, code: str, message: str) -> Sent:
        """RUN_ERROR; nothing follows it."""
        return {"type": "RUN_ERROR", "code": code, "message": message}

    def _success(self, calls: list[str]) -> Sent:
        """The outcome; the calls are left to the client."""
        return {"type": "success", **({"pendingToolCallIds": calls} if self.version.outcomes and calls else {})}

    def _is_target(self, run: str | None) -> bool:
        while run is not None and run not in self.targets:
            known = self.runs.get(run)
            run = known.parent if known is not None else None
        return run is not None

    def _closed(self, waits: list[str]) -> list[Sent]:
        """Everything that is still open, closed: a client takes no end before that."""
        sent = [one for run in dict.fromkeys(self.open_runs()) for one in self.close_run(run)]
        for ident in reversed(list(self._subagents)):
            outcome: Sent = {"type": "suspended", **({"interruptIds": waits} if waits else {})}
            sent.append(self._told({"type": "SUBAGENT_FINISHED", "subagentRunId": ident, "outcome": outcome}))
        self._subagents.clear()
        return sent


def _covered(history: History, view: View, known: list[Message]) -> bool:
    """Whether a client has these messages already; of a windowed view, as the last ones it has."""
    have, want = essence(known), essence(history.messages)
    return have == want or (bool(view.older and want) and have[-len(want) :] == want)


_HANDLERS: Final[dict[str, Callable[[Stream, Event], list[Sent]]]] = {
    e.TOOL_RESULT: Stream.tool_result,
    e.STEP_STARTED: Stream.step_started,
    e.STEP_FINISHED: Stream.step_finished,
    e.STATE_SNAPSHOT: Stream.state_snapshot,
    e.STATE_DELTA: Stream.state_delta,
    e.ACTIVITY_SNAPSHOT: Stream.activity,
    e.ACTIVITY_DELTA: Stream.activity_delta,
    e.RAW: Stream.raw,
    e.CUSTOM: Stream.custom,
    e.INPUT_MESSAGE: Stream.said,
    e.INPUT_STEER: Stream.steered,
    e.BRANCH_SELECTED: Stream.branched,
    e.APPROVAL_REQUESTED: Stream.asked,
    e.APPROVAL_RESOLVED: Stream.decided,
    e.APPROVAL_EXPIRED: Stream.decided,
    e.RUN_QUEUED: Stream.queued,
    e.RUN_STARTED: Stream.started,
    e.RUN_WAITING: Stream.waiting,
    e.RUN_ATTEMPT_LOST: Stream.lost,
    e.RUN_ENDED: Stream.ended,
}
