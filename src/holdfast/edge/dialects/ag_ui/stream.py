"""A session's log as one AG-UI run: RUN_STARTED, what happens, RUN_FINISHED or RUN_ERROR.

Rules of AG-UI that make this more than a table: one run at a time, everything that was opened is closed before the end,
sub-agents under ids of their own, and a run that waits for people ends with an interrupt and goes on in the next one, as one
does that waits for a tool of the client's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from holdfast.edge.dialects.ag_ui.content import KIND_OF, TEXTS, AgUiEvent, Content, RunInfo
from holdfast.edge.dialects.ag_ui.ends import error_of, last_outcome, reason_of
from holdfast.edge.dialects.ag_ui.messages import AgUiMessage, MessageHistory, comparable, role_of
from holdfast.edge.dialects.ag_ui.user_message import content_of, is_continue_request, message_events, stored_meta
from holdfast.edge.dialects.ag_ui.versions import Version
from holdfast.edge.dialects.life_ids import outgoing_id
from holdfast.protocol import browser_tools, ids
from holdfast.protocol import events as e
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View
from holdfast.protocol.view import ENDED, Entry
from holdfast.session import families

_CUSTOM_EVENTS: Final = frozenset(
    {
        e.SOURCE_CITED,
        e.CANCEL_DELIVERED,
        e.CANCEL_EFFECTIVE,
        e.STEER_DELIVERED,
        e.STEER_DROPPED,
        e.HANDOFF_TAKEN,
        e.HANDOFF_RETURNED,
    }
)
"""Events of ours that AG-UI has no name for and an application may want to show: CUSTOM."""
_ANSWER_SCHEMA: Final = {
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
        self,
        version: Version,
        session: str,
        run: str,
        targets: set[str] | None,
        actor: str = "",
        tools: frozenset[str] = frozenset(),
    ) -> None:
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
        self._ended_subagents: set[str] = set()
        self._approvals: dict[str, AgUiEvent] = {}
        self._browser_calls: dict[
            str, tuple[str | None, str | None]
        ] = {}  # for browsers: the run, and the call if it is for us
        self._head: str | None = None
        self.seq = 0

    # --- snapshots
    def covers_view(self, view: View, client_messages: list[AgUiMessage]) -> bool:
        """Whether a client that has these messages needs none of the view's."""
        return _covers(MessageHistory(self.session, view, subagents=self.version.subagents), view, client_messages)

    def snapshot(
        self, seq: int, view: View, client_messages: list[AgUiMessage] | None, state: Any = None
    ) -> list[AgUiEvent]:
        """The opening of the run, or what brings a client up to date that was given something else before.

        Args:
            seq: the position of the view.
            client_messages: messages the client has; the log's are sent when they differ, and always for None.
            state: the state the client has, where ``client_messages`` is given.
        """
        history = MessageHistory(self.session, view, subagents=self.version.subagents)
        self._load(seq, view, history)
        events: list[AgUiEvent] = []
        if not self._started:
            self._started = True
            events.append(self._run_started(seq, last_outcome(view) if self._joining else None))
        visible: list[Entry] = [*view.visible()]
        open_items = {(i["kind"], i["id"]): i for i in visible if i["kind"] in TEXTS and i["status"] == "open"}
        has_new_text = any(item["length"] for key, item in open_items.items() if key not in self.texts)
        send_messages = client_messages is None or has_new_text or not _covers(history, view, client_messages)
        for key in [key for key in self.texts if send_messages or key not in open_items]:
            events += self.close(key)
        if send_messages:  # what is open has no text in it: that is sent from its beginning below
            events.append(
                {"type": "MESSAGES_SNAPSHOT", "messages": history.without_text(open_items), "metadata": _ALL_ACTIVITIES}
            )
        if client_messages is None or state != view.state:
            events.append({"type": "STATE_SNAPSHOT", "snapshot": view.state})
        self.state = view.state
        for ident, run in self.runs.items():
            if run.parent is not None:
                events += self._subagent_ended(ident) if run.status in ENDED else self._subagent_started(ident)
        for key, item in open_items.items():
            self.lengths[key] = item["length"]
            if key not in self.texts:
                events += self.open_item(key, item)
        events += self.set_steps(
            [(i["name"], i.get("run")) for i in visible if i["kind"] == "step" and i["status"] == "open"]
        )
        return events

    def _load(self, seq: int, view: View, history: MessageHistory) -> None:
        self.stale = False
        self.seq = seq
        self._head = view.branch["head"]
        self.owners.update(history.owners)
        self.runs = {
            ident: RunInfo(
                run["agent"], run["status"], run.get("parent"), run.get("name", ""), run.get("error"), reason_of(run)
            )
            for ident, run in view.runs.items()
        }
        if self._joining and not self._started:
            self.targets = {i for i, r in self.runs.items() if r.parent is None and r.status not in ENDED}
        self._approvals, self._browser_calls, self.calls = {}, {}, {}
        for item in view.items:
            if item["kind"] == "approval" and item["status"] == "pending":
                self._add_approval(item["id"], item.get("run"), item)
            elif item["kind"] == "tool" and item["status"] == "done":
                self.answered_calls.add(item["id"])
            elif item["kind"] == "tool":
                self.calls[item["id"]] = item.get("run")
                self.lengths["tool", item["id"]] = item["length"]

    def _run_started(self, seq: int, last: AgUiEvent | None) -> AgUiEvent:
        self.run = self.run or next(
            (outgoing_id(run, self.life) for run in sorted(self.targets)), f"{self.session}.{seq}"
        )
        event = {"type": "RUN_STARTED", "threadId": self.session, "runId": self.run}
        if self.version.declared:
            event["protocolVersion"] = self.version.declared
        metadata = {
            "runs": [outgoing_id(run, self.life) for run in sorted(self.targets)],
            "seq": seq,
            **({"last": last} if last else {}),
        }
        return {**event, "metadata": {"holdfast": metadata}}

    # --- events
    def events(self, events: list[Event]) -> list[AgUiEvent]:
        """What consecutive events of the log are to the client."""
        sent: list[AgUiEvent] = []
        for event in events if self._started else []:
            if event.last <= self.seq:
                continue
            self.seq = event.last
            for wire_event in self._event(event):
                sent.append({**wire_event, "timestamp": event.ts})
        return sent

    def _event(self, event: Event) -> list[AgUiEvent]:
        kind = KIND_OF.get(event.type)
        if kind is not None:
            return self.on_text(event, kind)
        handler = _HANDLERS.get(event.type)
        if handler is not None:
            return handler(self, event)
        if event.type in _CUSTOM_EVENTS or (not families.is_program(event.type) and event.type not in e.OPERATORS_ONLY):
            return [self._as_custom(event)]
        return []

    def _as_custom(self, event: Event) -> AgUiEvent:
        return self.tag_event(event.run, type="CUSTOM", name=event.type, value=event.data)

    # --- people
    def on_input(self, event: Event) -> list[AgUiEvent]:
        """An input. It is shown unless the client has it, which is where it usually comes from."""
        data, ident = event.data, event.data.get("messageId")
        self.stale = self.stale or data.get("parent") != self._head
        self._head = ident
        if not isinstance(ident, str) or ("message", ident) in self.owners or is_continue_request(data):
            return []
        self.owners["message", ident] = None
        content = content_of(self.session, str(data.get("text", "")), data.get("attachments"))
        if not isinstance(content, str) or stored_meta(
            data.get("meta")
        ):  # that does not stream: the messages are sent whole
            self.stale = True
            return []
        return message_events(ident, role_of(data.get("role") or "user"), content)

    def on_steer(self, event: Event) -> list[AgUiEvent]:
        """Text put into a running run."""
        return message_events(str(event.data.get("steerId")), "user", str(event.data.get("text", "")))

    def on_branch(self, event: Event) -> list[AgUiEvent]:
        """Another branch is shown."""
        self.stale = True
        return []

    def on_approval_requested(self, event: Event) -> list[AgUiEvent]:
        """An approval waits; ``end_events`` makes an interrupt of it."""
        self._add_approval(str(event.data.get("approvalId")), event.run, event.data)
        return []

    def _add_approval(self, ident: str, run: str | None, data: Mapping[str, Any]) -> None:
        tool = data.get("tool")
        if browser_tools.purpose(data) == browser_tools.CALL:
            self._browser_calls[ident] = (
                run,
                browser_tools.offered_call(tool, data.get("args"), self._actor, self._tools),
            )
        else:
            self._approvals[ident] = self._interrupt(ident, run, data)

    def on_approval_decided(self, event: Event) -> list[AgUiEvent]:
        """An approval was decided, by somebody or by its deadline."""
        ident = str(event.data.get("approvalId"))
        if self._browser_calls.pop(ident, None) is not None:
            return []
        self._approvals.pop(ident, None)
        return [self._as_custom(event)]

    def _interrupt(self, ident: str, run: str | None, data: Mapping[str, Any]) -> AgUiEvent:
        """An approval as an interrupt of AG-UI 1.0."""
        tool, deadline = data.get("tool"), data.get("deadline")
        action = {name: data.get(name) for name in ("tool", "args", "hash", "default")}
        interrupt = self.tag_event(
            run,
            id=ids.bind(ident, self.life),
            reason="confirmation",
            message=f"May {tool} be called?",
            responseSchema=_ANSWER_SCHEMA,
            metadata={"holdfast": {**action, "run": run}},
        )
        call = data.get("toolCallId", data.get("call"))
        if isinstance(call, str):
            interrupt["toolCallId"] = call
        if isinstance(deadline, int):
            interrupt["expiresAt"] = datetime.fromtimestamp(deadline / 1_000, UTC).isoformat().replace("+00:00", "Z")
        return interrupt

    # --- runs
    def on_run_queued(self, event: Event) -> list[AgUiEvent]:
        """A run waits for a worker: a new one, or one that waited for people."""
        ident, data = str(event.run), event.data
        if ident in self.runs:
            self.runs[ident].status = "queued"
            return []
        parent = data.get("parent")
        self.runs[ident] = RunInfo(str(data.get("agent", "")), "queued", parent, str(data.get("name", "")))
        if parent is not None:
            return self._subagent_started(ident)
        if self._joining:
            self.targets.add(ident)
        self.stale = self.stale or bool(data.get("regenerates"))
        return []

    def on_run_started(self, event: Event) -> list[AgUiEvent]:
        """An attempt begins."""
        if (run := self.runs.get(str(event.run))) is not None:
            run.status = "running"
        return []

    def on_run_waiting(self, event: Event) -> list[AgUiEvent]:
        """The worker was let go until people have decided."""
        if (run := self.runs.get(str(event.run))) is not None:
            run.status = "waiting"
        return self.close_run(event.run)

    def on_attempt_lost(self, event: Event) -> list[AgUiEvent]:
        """An attempt is lost; what it left open is closed."""
        return [*self.close_run(event.run), self._as_custom(event)]

    def on_cancel(self, event: Event) -> list[AgUiEvent]:
        """Somebody wants runs to stop."""
        for ident in event.data.get("runs") or ():
            if (run := self.runs.get(str(ident))) is not None:
                run.stopped_for = str(event.data.get("reason") or "") or run.stopped_for
        return [self._as_custom(event)]

    def on_run_ended(self, event: Event) -> list[AgUiEvent]:
        """A run has ended."""
        ident = str(event.run)
        info = self.runs.setdefault(ident, RunInfo("", "running"))
        info.status, info.error = str(event.data.get("status")), event.data.get("error")
        if ident in self.targets:
            self._last = ident
        for approval in [a for a, i in self._approvals.items() if i["metadata"]["holdfast"]["run"] == ident]:
            del self._approvals[approval]
        self._browser_calls = {
            ask: browser_call for ask, browser_call in self._browser_calls.items() if browser_call[0] != ident
        }
        return [*self.close_run(event.run), *self._subagent_ended(ident)]

    def _subagent_started(self, ident: str) -> list[AgUiEvent]:
        if ident in self._subagents or ident in self._ended_subagents:
            return []
        self._subagents[ident] = None
        run = self.runs[ident]
        event: AgUiEvent = {"type": "SUBAGENT_STARTED", "subagentRunId": ident, "name": self.name_of(ident)}
        if run.name:
            event["description"] = run.name
        if run.parent in self._subagents or run.parent in self._ended_subagents:
            event["parentSubagentRunId"] = run.parent
        return [self._for_version(event)]

    def _subagent_ended(self, ident: str) -> list[AgUiEvent]:
        if ident not in self._subagents:
            return []
        del self._subagents[ident]
        self._ended_subagents.add(ident)
        run = self.runs[ident]
        if run.status == "completed":
            return [
                self._for_version({"type": "SUBAGENT_FINISHED", "subagentRunId": ident, "outcome": {"type": "success"}})
            ]
        code, message = error_of(run)
        return [self._for_version({"type": "SUBAGENT_ERROR", "subagentRunId": ident, "code": code, "message": message})]

    def _for_version(self, event: AgUiEvent) -> AgUiEvent:
        """A SUBAGENT event, in words the client's version has."""
        if self.version.subagents:
            return event
        value = {name: field for name, field in event.items() if name != "type"}
        return {"type": "CUSTOM", "name": event["type"], "value": value}

    # --- the end
    def end_events(self) -> list[AgUiEvent]:
        """The end of the AG-UI run, when its time has come: all its runs have ended, or one waits for people or the client."""
        if self.stale or not self._started:
            return []
        interrupts = [
            sent for ident, sent in self._approvals.items() if self._is_target(sent["metadata"]["holdfast"]["run"])
        ]
        calls = [call for run, call in self._browser_calls.values() if call is not None and self._is_target(run)]
        live = [ident for ident in self.targets if ident in self.runs and self.runs[ident].status not in ENDED]
        if live and not interrupts and not calls:
            return []
        sent = self._close_all([i["id"] for i in interrupts])
        finished: AgUiEvent = {"type": "RUN_FINISHED", "threadId": self.session, "runId": self.run}
        if interrupts:
            return [*sent, {**finished, "outcome": {"type": "interrupt", "interrupts": interrupts}}]
        if live:
            return [*sent, {**finished, "outcome": self._success(calls)}]
        last = self.runs.get(self._last or next((run for run in reversed(self.runs) if run in self.targets), ""))
        if last is None or last.status == "completed":
            open_calls = [ident for ident, run in self.calls.items() if run in self.targets]
            return [*sent, {**finished, "outcome": self._success(open_calls)}]
        if last.status == "cancelled" and self.version.outcomes:
            return [*sent, {**finished, "outcome": {"type": "cancelled"}}]
        return [*sent, self.run_error(*error_of(last))]

    def run_error(self, code: str, message: str) -> AgUiEvent:
        """RUN_ERROR; nothing follows it."""
        return {"type": "RUN_ERROR", "code": code, "message": message}

    def _success(self, calls: list[str]) -> AgUiEvent:
        """The outcome; the calls are left to the client."""
        return {"type": "success", **({"pendingToolCallIds": calls} if self.version.outcomes and calls else {})}

    def _is_target(self, run: str | None) -> bool:
        while run is not None and run not in self.targets:
            info = self.runs.get(run)
            run = info.parent if info is not None else None
        return run is not None

    def _close_all(self, interrupts: list[str]) -> list[AgUiEvent]:
        """Everything that is still open, closed: a client takes no end before that."""
        events = [closing for run in dict.fromkeys(self.open_runs()) for closing in self.close_run(run)]
        for ident in reversed(list(self._subagents)):
            outcome: AgUiEvent = {"type": "suspended", **({"interruptIds": interrupts} if interrupts else {})}
            events.append(self._for_version({"type": "SUBAGENT_FINISHED", "subagentRunId": ident, "outcome": outcome}))
        self._subagents.clear()
        return events


def _covers(history: MessageHistory, view: View, client_messages: list[AgUiMessage]) -> bool:
    """Whether a client has these messages already; of a windowed view, as the last ones it has."""
    have, want = comparable(client_messages), comparable(history.messages)
    return have == want or (bool(view.older and want) and have[-len(want) :] == want)


_HANDLERS: Final[dict[str, Callable[[Stream, Event], list[AgUiEvent]]]] = {
    e.TOOL_RESULT: Stream.on_tool_result,
    e.STEP_STARTED: Stream.on_step_started,
    e.STEP_FINISHED: Stream.on_step_finished,
    e.STATE_SNAPSHOT: Stream.on_state_snapshot,
    e.STATE_DELTA: Stream.on_state_delta,
    e.ACTIVITY_SNAPSHOT: Stream.on_activity,
    e.ACTIVITY_DELTA: Stream.on_activity_delta,
    e.RAW: Stream.on_raw,
    e.CUSTOM: Stream.on_custom,
    e.INPUT_MESSAGE: Stream.on_input,
    e.INPUT_STEER: Stream.on_steer,
    e.BRANCH_SELECTED: Stream.on_branch,
    e.APPROVAL_REQUESTED: Stream.on_approval_requested,
    e.APPROVAL_RESOLVED: Stream.on_approval_decided,
    e.APPROVAL_EXPIRED: Stream.on_approval_decided,
    e.RUN_QUEUED: Stream.on_run_queued,
    e.RUN_STARTED: Stream.on_run_started,
    e.RUN_WAITING: Stream.on_run_waiting,
    e.RUN_ATTEMPT_LOST: Stream.on_attempt_lost,
    e.RUN_ENDED: Stream.on_run_ended,
    e.CANCEL_REQUESTED: Stream.on_cancel,
}
