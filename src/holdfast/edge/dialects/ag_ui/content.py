"""What agents write, as AG-UI events: texts, tool calls, steps, state, activities.

Wire format: the events of AG-UI 1.0 (https://docs.ag-ui.com/concepts/events) and what its client enforces. The log may hold
more than a client accepts (anybody who may append, may append an odd event), so every event is built from the fields that
are known to be right, and one that does not fit is left out, as the fold leaves it out.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.edge.dialects.ag_ui.messages import content_of, result_id, result_text, role_of
from holdfast.edge.dialects.ag_ui.versions import Version
from holdfast.protocol.events import Event
from holdfast.protocol.patch import PatchError, apply_patch
from holdfast.protocol.view import Entry

AgUiEvent = dict[str, Any]
"""An AG-UI event."""

TEXTS: Final = {
    "message": ("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "messageId"),
    "reasoning": ("REASONING_MESSAGE_START", "REASONING_MESSAGE_CONTENT", "REASONING_MESSAGE_END", "messageId"),
    "tool": ("TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "toolCallId"),
}
"""Kinds of items that grow: their START, delta and END, and the field that names them."""
KIND_OF: Final = {type_: kind for kind, types in TEXTS.items() for type_ in types[:3]}
_PATCH_OPERANDS: Final = {
    "add": "value",
    "replace": "value",
    "test": "value",
    "move": "from",
    "copy": "from",
    "remove": "",
}


class RunInfo(msgspec.Struct):
    """A run, as far as the projection needs it. ``stopped_for`` is the reason of whoever stopped it, empty for none."""

    agent: str
    status: str
    parent: str | None = None
    name: str = ""
    error: Any = None
    stopped_for: str = ""


class Content:
    """What the client has open, and how content changes it. ``stream.Stream`` adds runs and people.

    Attributes:
        runs: by id.
        texts: what is open in the client, ``(kind, id)``, and the run it belongs to.
        lengths: UTF-16 code units of each text the client has.
        owners: the sub-agent a message is of; None for root runs and people.
        calls: tool calls without a result, and their runs. ``answered_calls``: those with one.
        state: the shared state the client has.
    """

    def __init__(self, version: Version) -> None:
        self.version = version
        self.runs: dict[str, RunInfo] = {}
        self.texts: dict[tuple[str, str], str | None] = {}
        self.lengths: dict[tuple[str, str], int] = {}
        self.owners: dict[tuple[str, str], str | None] = {}
        self.calls: dict[str, str | None] = {}
        self.answered_calls: set[str] = set()
        self.state: Any = None
        self._steps: dict[tuple[str | None, str], list[str | None]] = {}

    def subagent_of(self, run: str | None) -> str | None:
        """The sub-agent a run is; None for root runs and for what people do."""
        info = self.runs.get(run or "")
        return run if info is not None and info.parent is not None else None

    def _owner(self, run: str | None) -> str | None:
        """Whom the client takes a step for: without sub-agents all are the agent's."""
        return self.subagent_of(run) if self.version.subagents else None

    def tag_event(self, run: str | None, **fields: Any) -> AgUiEvent:
        tag = self.subagent_of(run)
        return {**fields, "subagentRunId": tag} if tag is not None and self.version.subagents else fields

    def on_text(self, event: Event, kind: str) -> list[AgUiEvent]:
        start, content, end, field = TEXTS[kind]
        ident = event.data.get(field)
        if not isinstance(ident, str):
            return []
        key = (kind, ident)
        if event.type == start:
            return [] if key in self.texts or not ident else [self.start_event(key, event.run, event.data)]
        if key not in self.texts:
            return []
        if event.type == end:
            return self.close(key)
        delta = self._new_text(key, event)
        return [self.tag_event(event.run, type=content, **{field: ident}, delta=delta)] if delta else []

    def start_event(self, key: tuple[str, str], run: str | None, data: dict[str, Any]) -> AgUiEvent:
        """A START, for an event's data or for an item of a view."""
        kind, ident = key
        self.texts[key] = run
        if kind == "tool":
            owner = self.subagent_of(run)
            self.calls[ident] = run
            name, parent = data.get("toolCallName", data.get("name")), data.get("parentMessageId", data.get("message"))
            event = self.tag_event(run, type="TOOL_CALL_START", toolCallId=ident, toolCallName=str(name or ""))
            if isinstance(parent, str) and parent and self.owners.get(("message", parent), owner) == owner:
                event["parentMessageId"] = parent
            return event
        self.owners[key] = self.subagent_of(run)
        role = "reasoning" if kind == "reasoning" else role_of(data.get("role", "assistant"))
        event = self.tag_event(run, type=TEXTS[kind][0], messageId=ident, role=role)
        name = data.get("name")
        if kind == "message" and isinstance(name, str) and name:
            event["name"] = name
        elif role == "assistant" and self.subagent_of(run):
            event["name"] = self.name_of(str(run))
        return event

    def open_item(self, key: tuple[str, str], item: Entry) -> list[AgUiEvent]:
        """What is open in a view: its START and all its text, for a client takes what follows a START for the whole."""
        kind, ident = key
        _, content, _, field = TEXTS[kind]
        events, text = [self.start_event(key, item.get("run"), item)], item["args" if kind == "tool" else "text"]
        return (
            [*events, self.tag_event(item.get("run"), type=content, **{field: ident}, delta=text)] if text else events
        )

    def name_of(self, run: str) -> str:
        return self.runs[run].agent.rpartition("/")[2]

    def _new_text(self, key: tuple[str, str], event: Event) -> str:
        """The part of a delta that the client does not have: a call that is made again repeats its arguments."""
        delta = event.data.get("delta")
        if not isinstance(delta, str):
            return ""
        begin, have = event.offset or 0, self.lengths.get(key, 0)
        units = delta.encode("utf-16-le")
        self.lengths[key] = max(have, begin + len(units) // 2)
        return units[2 * max(0, have - begin) :].decode("utf-16-le", "replace") if begin < have else delta

    def close(self, key: tuple[str, str]) -> list[AgUiEvent]:
        run = self.texts.pop(key)
        return [self.tag_event(run, type=TEXTS[key[0]][2], **{TEXTS[key[0]][3]: key[1]})]

    def on_tool_result(self, event: Event) -> list[AgUiEvent]:
        ident = event.data.get("toolCallId")
        if not isinstance(ident, str) or ident in self.answered_calls:
            return []
        self.answered_calls.add(ident)
        events = self.close(("tool", ident)) if ("tool", ident) in self.texts else []
        run = self.calls.pop(ident, event.run)
        result = {
            "messageId": result_id(ident),
            "toolCallId": ident,
            "content": result_text(event.data),
            "role": "tool",
        }
        return [*events, self.tag_event(run, type="TOOL_CALL_RESULT", **result)]

    # steps, state, activities, whatever else
    def set_steps(self, steps: list[tuple[str, str | None]]) -> list[AgUiEvent]:
        """These steps are open, by name and run, whatever was before; inner ones of the same name count as one."""
        before, self._steps = self._steps, {}
        for name, run in steps:
            self._steps.setdefault((self._owner(run), name), []).append(run)
        ended = [(runs[0], key[1]) for key, runs in before.items() if key not in self._steps]
        started = [(runs[0], key[1]) for key, runs in self._steps.items() if key not in before]
        return [
            *(self.tag_event(run, type="STEP_FINISHED", stepName=name) for run, name in ended),
            *(self.tag_event(run, type="STEP_STARTED", stepName=name) for run, name in started),
        ]

    def on_step_started(self, event: Event) -> list[AgUiEvent]:
        """A step begins."""
        name = str(event.data.get("stepName", ""))
        runs = self._steps.setdefault((self._owner(event.run), name), [])
        runs.append(event.run)
        return [self.tag_event(event.run, type="STEP_STARTED", stepName=name)] if len(runs) == 1 else []

    def on_step_finished(self, event: Event) -> list[AgUiEvent]:
        key = (self._owner(event.run), str(event.data.get("stepName", "")))
        runs = self._steps.get(key, [])
        if event.run not in runs:
            return []
        runs.remove(event.run)
        if runs:
            return []
        del self._steps[key]
        return [self.tag_event(event.run, type="STEP_FINISHED", stepName=key[1])]

    def on_state_snapshot(self, event: Event) -> list[AgUiEvent]:
        self.state = event.data.get("snapshot")
        return [self.tag_event(event.run, type="STATE_SNAPSHOT", snapshot=self.state)]

    def on_state_delta(self, event: Event) -> list[AgUiEvent]:
        try:
            self.state = apply_patch(self.state, event.data.get("delta"))
        except PatchError:
            return []
        return [self.tag_event(event.run, type="STATE_DELTA", delta=event.data["delta"])]

    def on_activity(self, event: Event) -> list[AgUiEvent]:
        ident, data = event.data.get("messageId"), event.data
        if not isinstance(ident, str):
            return []
        sent_event = self.tag_event(
            event.run,
            type="ACTIVITY_SNAPSHOT",
            messageId=ident,
            activityType=str(data.get("activityType", "")),
            content=content_of(data.get("content")),
        )
        return [{**sent_event, "replace": False} if data.get("replace") is False else sent_event]

    def on_activity_delta(self, event: Event) -> list[AgUiEvent]:
        ident, patch = event.data.get("messageId"), event.data.get("patch")
        if not isinstance(ident, str) or not is_patch(patch):
            return []
        kind = str(event.data.get("activityType", ""))
        return [self.tag_event(event.run, type="ACTIVITY_DELTA", messageId=ident, activityType=kind, patch=patch)]

    def on_raw(self, event: Event) -> list[AgUiEvent]:
        sent_event = self.tag_event(event.run, type="RAW", event=event.data.get("event", event.data))
        source = event.data.get("source")
        return [{**sent_event, "source": source} if isinstance(source, str) else sent_event]

    def on_custom(self, event: Event) -> list[AgUiEvent]:
        name = str(event.data.get("name", ""))
        return [self.tag_event(event.run, type="CUSTOM", name=name, value=event.data.get("value"))]

    def open_runs(self) -> list[str | None]:
        """Whose texts and steps are open."""
        return [*self.texts.values(), *(run for runs in self._steps.values() for run in runs)]

    def close_run(self, run: str | None) -> list[AgUiEvent]:
        """What a run has open, closed (FOLD-4)."""
        events = [event for key in [k for k, owner in self.texts.items() if owner == run] for event in self.close(key)]
        for key, runs in list(self._steps.items()):
            self._steps[key] = [owner for owner in runs if owner != run]
            if not self._steps[key]:
                del self._steps[key]
                events.append(self.tag_event(run, type="STEP_FINISHED", stepName=key[1]))
        return events


def is_patch(patch: Any) -> bool:
    """Whether a client takes it for a JSON Patch (RFC 6902); it gives the run up otherwise."""
    return isinstance(patch, list) and all(_is_operation(operation) for operation in patch)


def _is_operation(operation: Any) -> bool:
    if not isinstance(operation, dict) or operation.get("op") not in _PATCH_OPERANDS:
        return False
    needs = _PATCH_OPERANDS[operation["op"]]
    pointers = [operation.get("path"), *([operation.get("from")] if needs == "from" else [])]
    return all(isinstance(p, str) and (not p or p[0] == "/") for p in pointers) and (not needs or needs in operation)
