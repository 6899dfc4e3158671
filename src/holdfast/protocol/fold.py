"""The fold: how each event changes a view. One handler per type, in one table; types not in it are skipped (FOLD-1).

A handler returns False for a bad join and changes nothing then. Events that do not fit (an END for something that never
started) are skipped: the fold is total. ``web/packages/client/src/fold.ts`` is the same fold in TypeScript (FOLD-6).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from holdfast.protocol import browser_tools
from holdfast.protocol import events as e
from holdfast.protocol.codec import encode, utf16_len
from holdfast.protocol.conversation import conversation
from holdfast.protocol.events import Event
from holdfast.protocol.items import Item
from holdfast.protocol.patch import PatchError, apply_patch
from holdfast.protocol.view import ENDED, Entry, ViewState


class View(ViewState):
    """The folded state of one session, and how events change it."""

    def apply(self, event: Event) -> bool:
        """Fold one event in. False means a bad join (FOLD-3): the view is unchanged; ask for a snapshot."""
        handler = HANDLERS.get(event.type)
        return handler is None or handler(self, event) is not False

    def apply_all(self, events: Sequence[Event]) -> None:
        """Fold events in, as ``apply`` folds each; deltas of one text come in rows, and it is looked up once for a row."""
        kind, field, ident, text = "", "", None, None
        for event in events:
            type_, data = event.type, event.data
            if type_ != kind or data.get(field) != ident:
                target = DELTA_TARGETS.get(type_)
                if target is None:
                    kind, text = "", None
                    self.apply(event)
                    continue
                kind, field = type_, target[1]
                ident = data.get(field)
                text = self.open.get((target[0], _text(data, field)))
            if text is not None:
                self.size += text.grow(event.offset, data.get("delta")) or 0

    def visible(self) -> list[Item]:
        """The items of the branch shown, turn by turn (CTL-7): ``conversation.conversation``."""
        for text in self.open.values():
            text.flush()
        return conversation(self)


Handler = Callable[[View, Event], bool | None]

DELTA_TARGETS: Final = {
    e.TEXT_CONTENT: ("message", "messageId"),
    e.REASONING_CONTENT: ("reasoning", "messageId"),
    e.TOOL_ARGS: ("tool", "toolCallId"),
}
"""Deltas: the kind of item they grow, and the field that names it."""


def _text(data: dict[str, Any], field: str) -> str:
    value = data.get(field)
    return value if isinstance(value, str) else ""


def _without_empty(**fields: Any) -> dict[str, Any]:
    """The fields that are there: absent means "none" in a view."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}


# --- texts ----------------------------------------------------------------------------------------------------------
def _start_message(view: View, event: Event) -> None:
    ident = _text(event.data, "messageId")
    if ident and ("message", ident) not in view.by_id:
        role = _text(event.data, "role") or "assistant"
        name = _without_empty(name=event.data.get("name"))
        view.add(event, "message", ident, role=role, text="", length=0, status="open", **name)


def _start_reasoning(view: View, event: Event) -> None:
    ident = _text(event.data, "messageId")
    if ident and ("reasoning", ident) not in view.by_id:
        view.add(event, "reasoning", ident, text="", length=0, status="open")


def _start_tool(view: View, event: Event) -> None:
    ident = _text(event.data, "toolCallId")
    tool = view.by_id.get(("tool", ident))
    if tool is not None and tool["status"] in (
        "cut",
        "called",
    ):  # made again: by a later attempt, or allowed now (RUN-4)
        view.reopen(tool, event.attempt)
    elif ident and tool is None:
        message = _without_empty(message=event.data.get("parentMessageId"))
        name = _text(event.data, "toolCallName")
        view.add(event, "tool", ident, name=name, args="", length=0, status="open", **message)


def _delta(view: View, event: Event) -> bool:
    kind, field = DELTA_TARGETS[event.type]
    text = view.open.get((kind, _text(event.data, field)))
    growth = text.grow(event.offset, event.data.get("delta")) if text is not None else 0
    view.size += growth or 0
    return growth is not None


def _close(kind: str, field: str, status: str) -> Handler:
    def close(view: View, event: Event) -> None:
        view.close(kind, _text(event.data, field), status, is_kept=event.data.get("kept") is True)

    return close


def _tool_result(view: View, event: Event) -> None:
    ident = _text(event.data, "toolCallId")
    view.close("tool", ident, "called")
    tool = view.by_id.get(("tool", ident))
    if tool is None or tool["status"] == "done":
        return
    tool["status"] = "done"
    for field, value in (
        ("result", event.data.get("content")),
        ("error", event.data.get("error")),
        ("blob", event.data.get("blob")),
    ):
        if value is not None:
            tool[field] = value
            view.size += len(value) if isinstance(value, str) else len(encode(value))


def _source(view: View, event: Event) -> None:
    message = view.by_id.get(("message", _text(event.data, "messageId")))
    if message is not None:
        fields = ("sourceId", "title", "uri", "quote", "score")
        message.setdefault("sources", []).append(_without_empty(**{f: event.data.get(f) for f in fields}))
        view.size += len(encode(event.data))


# --- steps, activity, state -------------------------------------------------------------------------------------------
def _step_started(view: View, event: Event) -> None:
    name = _text(event.data, "stepName")
    view.add(event, "step", f"step:{name}:{event.seq}", name=name, status="open")


def _step_finished(view: View, event: Event) -> None:
    name = _text(event.data, "stepName")
    for item in reversed(view.unfinished.get(event.run, [])):
        if item["kind"] == "step" and item["name"] == name and item["status"] == "open":
            item["status"] = "complete"
            return


def _activity_snapshot(view: View, event: Event) -> None:
    ident, content = _text(event.data, "messageId"), event.data.get("content")
    item = view.by_id.get(("activity", ident))
    if item is None and ident:
        view.add(event, "activity", ident, name=_text(event.data, "activityType"), content=content)
    elif item is not None and event.data.get("replace") is not False:
        item["content"] = content
    view.size += len(encode(content))


def _activity_delta(view: View, event: Event) -> None:
    item = view.by_id.get(("activity", _text(event.data, "messageId")))
    if item is not None:
        item["content"] = _apply_or_keep(item["content"], event.data.get("patch"))
        view.size += len(encode(event.data.get("patch")))


def _state_snapshot(view: View, event: Event) -> None:
    view.state = event.data.get("snapshot")


def _state_delta(view: View, event: Event) -> None:
    view.state = _apply_or_keep(view.state, event.data.get("delta"))


def _apply_or_keep(document: Any, patch: Any) -> Any:
    """The document patched, or as it was when the patch does not fit."""
    try:
        return apply_patch(document, patch)
    except PatchError:
        return document


# --- people -------------------------------------------------------------------------------------------------------------
def _input_message(view: View, event: Event) -> None:
    data, ident = event.data, _text(event.data, "messageId")
    if not ident or ("message", ident) in view.by_id:
        return
    text = _text(data, "text")
    optional = _without_empty(
        parent=data.get("parent"),
        edits=data.get("edits"),
        agent=data.get("agent"),
        attachments=data.get("attachments"),
        meta=data.get("meta"),
    )
    role = _text(data, "role") or "user"
    view.add(
        event, "message", ident, role=role, text=text, length=utf16_len(text), status="complete", turn=ident, **optional
    )
    view.size += len(text) + (len(encode(data["meta"])) if "meta" in data else 0)
    view.branch["head"] = ident
    view.branch["version"] += 1


def _input_steer(view: View, event: Event) -> None:
    ident = _text(event.data, "steerId")
    if ident and ("steer", ident) not in view.by_id:
        text = _text(event.data, "text")
        view.add(event, "steer", ident, text=text, status="pending")
        view.size += len(text)


def _set_steer_status(status: str) -> Handler:
    def handler(view: View, event: Event) -> None:
        item = view.by_id.get(("steer", _text(event.data, "steerId")))
        if item is not None and item["status"] == "pending":
            item["status"] = status

    return handler


def _branch_selected(view: View, event: Event) -> None:
    head, run = event.data.get("input"), event.data.get("run")
    if isinstance(head, str):
        view.branch["head"] = head
    if isinstance(run, str) and run in view.runs and "input" in view.runs[run]:
        view.branch["runs"][view.runs[run]["input"]] = run
    view.branch["version"] += 1


def _handoff(view: View, event: Event) -> None:
    taken = event.type == e.HANDOFF_TAKEN
    view.handoff = {"by": event.actor, "ts": event.ts} if taken else None


def _session_created(view: View, event: Event) -> None:
    view.title, view.agent = _text(event.data, "title"), _text(event.data, "agent")
    view.meta = event.data.get("meta") or {}


def _session_renamed(view: View, event: Event) -> None:
    view.title = _text(event.data, "title")


# --- approvals ------------------------------------------------------------------------------------------------------------
def _approval_requested(view: View, event: Event) -> None:
    data, ident = event.data, _text(event.data, "approvalId")
    if ident and ("approval", ident) not in view.by_id:
        fields = {f: data.get(f) for f in ("tool", "args", "hash", "deadline", "default")}
        call = _text(data, "toolCallId")
        tool = view.by_id.get(("tool", call))
        if tool is not None and tool["status"] != "done":
            view.mark_asked(tool, approval=ident)
        about = {field: data.get(field) for field in ("requester", "rule", "why")}
        optional = _without_empty(**about, call=call, purpose=browser_tools.purpose(data))
        view.add(event, "approval", ident, status="pending", **fields, **optional)
        view.size += len(encode(data))


def _tool_paused(view: View, event: Event) -> None:
    tool, why = view.by_id.get(("tool", _text(event.data, "toolCallId"))), _text(event.data, "why")
    if tool is not None and tool["status"] in ("called", "cut"):
        view.mark_asked(tool, paused=why or "asks")


def _approval_decided(view: View, event: Event) -> None:
    item = view.by_id.get(("approval", _text(event.data, "approvalId")))
    if item is None or item["status"] != "pending":
        return
    decision = _text(event.data, "decision")
    item["status"] = "expired" if event.type == e.APPROVAL_EXPIRED else decision
    item.update(_without_empty(decision=decision, by=event.data.get("by"), note=event.data.get("note")))


# --- runs -----------------------------------------------------------------------------------------------------------------
def _run_queued(view: View, event: Event) -> None:
    run, data = view.runs.get(event.run or ""), event.data
    if run is not None:  # queued again: a wait is over
        run["status"] = "queued"
        run["version"] += 1
        return
    if not event.run:
        return
    optional = _without_empty(**{f: data.get(f) for f in ("name", "input", "parent", "after")})
    queued: Entry = {
        "id": event.run,
        "seq": event.seq,
        "agent": _text(data, "agent"),
        "status": "queued",
        "attempt": 0,
        "attempts": data.get("attempts", 1),
        "version": 1,
        "queued_ts": event.ts,
        "by": event.actor,
        **optional,
    }
    view.runs[event.run] = queued
    if "parent" not in optional and isinstance(optional.get("input"), str):
        view.branch["runs"].pop(optional["input"], None)  # a new answer is the one shown


def _run_handler(change: Callable[[View, Event, Entry], None]) -> Handler:
    """A handler that changes a known run and counts its version."""

    def handler(view: View, event: Event) -> None:
        run = view.runs.get(event.run or "")
        if run is not None:
            change(view, event, run)
            run["version"] += 1

    return handler


def _run_started(view: View, event: Event, run: Entry) -> None:
    run.update(status="running", attempt=event.data.get("generation", 1), worker=_text(event.data, "worker"))
    run.setdefault("started_ts", event.ts)


def _run_waiting(view: View, event: Event, run: Entry) -> None:
    run["status"] = "waiting"
    view.finish_items(run["id"], pending=False)


def _attempt_lost(view: View, event: Event, run: Entry) -> None:
    loss = {"attempt": event.data.get("generation", 0), "reason": _text(event.data, "reason"), "ts": event.ts}
    run.setdefault("losses", []).append(loss)
    run["status"] = "queued"
    view.finish_items(run["id"], pending=False)


def _run_ended(view: View, event: Event, run: Entry) -> None:
    run.update(status=_text(event.data, "status"), ended_ts=event.ts, **_without_empty(error=event.data.get("error")))
    view.finish_items(run["id"], pending=True)


def _cancel_requested(view: View, event: Event) -> None:
    run_ids = event.data.get("runs")
    for ident in run_ids if isinstance(run_ids, list) else []:
        run: Entry = view.runs.get(ident) if isinstance(ident, str) else None
        if run is not None and run["status"] not in ENDED:
            cancelled = run.get("cancel", {"delivered": False, "effective": False})
            receipts = {field: cancelled[field] for field in ("delivered", "effective")}
            cancel = {**receipts, "by": event.actor, "ts": event.ts, "force": bool(event.data.get("force"))}
            run["cancel"] = {**cancel, **_without_empty(reason=_text(event.data, "reason"))}
            run["version"] += 1


def _receipt(field: str) -> Callable[[View, Event, Entry], None]:
    def change(view: View, event: Event, run: Entry) -> None:
        if "cancel" in run:
            run["cancel"][field] = True

    return change


HANDLERS: Final[dict[str, Handler]] = {
    e.TEXT_START: _start_message,
    e.TEXT_CONTENT: _delta,
    e.TEXT_END: _close("message", "messageId", "complete"),
    e.REASONING_START: _start_reasoning,
    e.REASONING_CONTENT: _delta,
    e.REASONING_END: _close("reasoning", "messageId", "complete"),
    e.TOOL_START: _start_tool,
    e.TOOL_ARGS: _delta,
    e.TOOL_END: _close("tool", "toolCallId", "called"),
    e.TOOL_RESULT: _tool_result,
    e.SOURCE_CITED: _source,
    e.STEP_STARTED: _step_started,
    e.STEP_FINISHED: _step_finished,
    e.ACTIVITY_SNAPSHOT: _activity_snapshot,
    e.ACTIVITY_DELTA: _activity_delta,
    e.STATE_SNAPSHOT: _state_snapshot,
    e.STATE_DELTA: _state_delta,
    e.INPUT_MESSAGE: _input_message,
    e.INPUT_STEER: _input_steer,
    e.STEER_DELIVERED: _set_steer_status("delivered"),
    e.STEER_DROPPED: _set_steer_status("dropped"),
    e.BRANCH_SELECTED: _branch_selected,
    e.HANDOFF_TAKEN: _handoff,
    e.HANDOFF_RETURNED: _handoff,
    e.SESSION_CREATED: _session_created,
    e.SESSION_RENAMED: _session_renamed,
    e.TOOL_PAUSED: _tool_paused,
    e.APPROVAL_REQUESTED: _approval_requested,
    e.APPROVAL_RESOLVED: _approval_decided,
    e.APPROVAL_EXPIRED: _approval_decided,
    e.RUN_QUEUED: _run_queued,
    e.RUN_STARTED: _run_handler(_run_started),
    e.RUN_WAITING: _run_handler(_run_waiting),
    e.RUN_ATTEMPT_LOST: _run_handler(_attempt_lost),
    e.RUN_ENDED: _run_handler(_run_ended),
    e.CANCEL_REQUESTED: _cancel_requested,
    e.CANCEL_DELIVERED: _run_handler(_receipt("delivered")),
    e.CANCEL_EFFECTIVE: _run_handler(_receipt("effective")),
}
