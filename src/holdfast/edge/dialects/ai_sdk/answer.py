"""One run's answer as the chunks of a UI message stream (AI SDK 5 to 7; ``ai/src/ui-message-stream/ui-message-chunks.ts``).

A snapshot and live events go one way: an event is folded into a small view of the run and its sub-runs, and what the
client does not have of an item yet is sent. So a stream may begin anywhere, and go on after a snapshot, without a
repeat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from holdfast.edge.dialects.ai_sdk.calls import Chunk, SdkClient
from holdfast.edge.dialects.ai_sdk.parts import MessageParts
from holdfast.edge.dialects.ai_sdk.states import AnswerState
from holdfast.edge.dialects.life_ids import outgoing_id
from holdfast.edge.local_subscription import SubscriptionMessage
from holdfast.protocol import events as e
from holdfast.protocol import ids
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View
from holdfast.protocol.view import ENDED, UNFINISHED, Entry

_CHANGED_ITEM: Final = {
    e.TEXT_START: ("message", "messageId"), e.TEXT_CONTENT: ("message", "messageId"), e.TEXT_END: ("message", "messageId"),
    e.REASONING_START: ("reasoning", "messageId"), e.REASONING_CONTENT: ("reasoning", "messageId"),
    e.REASONING_END: ("reasoning", "messageId"), e.SOURCE_CITED: ("message", "messageId"),
    e.TOOL_START: ("tool", "toolCallId"), e.TOOL_ARGS: ("tool", "toolCallId"), e.TOOL_END: ("tool", "toolCallId"),
    e.TOOL_RESULT: ("tool", "toolCallId"),
    e.ACTIVITY_SNAPSHOT: ("activity", "messageId"), e.ACTIVITY_DELTA: ("activity", "messageId"),
    e.INPUT_STEER: ("steer", "steerId"), e.STEER_DELIVERED: ("steer", "steerId"), e.STEER_DROPPED: ("steer", "steerId"),
    e.APPROVAL_REQUESTED: ("approval", "approvalId"), e.APPROVAL_RESOLVED: ("approval", "approvalId"),
    e.APPROVAL_EXPIRED: ("approval", "approvalId"),
}  # fmt: skip
"""The item an event changes: its kind, and the field that names it."""


class ClientPosition(msgspec.Struct, frozen=True):
    """What a client has that was let go at an approval or a call of its own, and comes back with the answer.

    Attributes:
        seq: sent so far, with ``incarnation``; None when the client did not say.
        open: what was not finished then: characters sent of a text, how far a tool call was (0, -1, -2), or an approval.
        cited: how many sources were sent of the texts that were not finished.
        bound: calls shown as one part with their approval.
        places: the parts in which each approval was asked for.
        step: the parts of the last step in which there may be more to come.
        answered: the approvals it decides now.
    """

    answered: frozenset[str] = frozenset()
    incarnation: str = ""
    seq: int | None = None
    open: dict[str, int] = {}
    cited: dict[str, int] = {}
    bound: dict[str, str] = {}
    places: dict[str, list[str]] = {}
    step: list[str] = []


class Answer:
    """A run's answer, chunk by chunk. One SDK message is one root run; its id is the run's.

    Args:
        client: who it is sent to; its version alone will do.
        position: what the client has of this very message, when it goes on with it.
        state: where the shared state stands in it, when that is known; else it stands first.

    Attributes:
        done: the last chunk was made.
    """

    def __init__(
        self,
        session: str,
        run: str,
        client: SdkClient | int,
        position: ClientPosition | None = None,
        state: AnswerState | None = None,
    ) -> None:
        client = SdkClient(client) if isinstance(client, int) else client
        self.session = session
        self.run = run
        self.done = False
        self._version = client.version
        self._position = position
        self._state = state
        self._incarnation = ""
        self._seq = 0
        self._view = View()
        self._parts = MessageParts(run, client)
        self._usage: Counter[str] = Counter()

    # --- messages of the session
    def chunks(self, message: SubscriptionMessage) -> Iterator[Chunk]:
        """The chunks that a message of the session makes."""
        for chunk in self._chunks(message):
            yield self._bind_ids(chunk)

    def _bind_ids(self, chunk: Chunk) -> Chunk:
        """The chunk as it is sent: what the client may act on says the life of the session (LIFE-1)."""
        if "approvalId" in chunk:
            return {**chunk, "approvalId": ids.bind(chunk["approvalId"], self._incarnation)}
        if chunk["type"] == "start":
            return {**chunk, "messageId": outgoing_id(chunk["messageId"], self._incarnation)}
        if chunk["type"] == "data-approval":
            return {**chunk, "data": {**chunk["data"], "id": ids.bind(chunk["data"]["id"], self._incarnation)}}
        return chunk

    def _chunks(self, message: SubscriptionMessage) -> Iterator[Chunk]:
        if self.done:
            return
        if message.op == "snapshot":
            self._incarnation, self._seq = message.incarnation or "", message.seq or 0
            yield from self._open(message.view or {})
        elif message.op == "events":
            for event in message.events:
                if event.last > self._seq:
                    self._seq = event.last
                    yield from self._event(event)
        elif message.op == "skip":
            self._seq = max(self._seq, message.to or 0)
        elif message.op == "closed":
            yield from self.close_with_error(message.code or "session.deleted")
        if message.op in ("snapshot", "events") and not self.done:
            yield from self._finish_if_done()

    def close_with_error(self, why: str) -> Iterator[Chunk]:
        """The stream ends before the run does: nothing stays open, and the client sees an error."""
        if not self.done:
            self.done = True
            self._view.export()
            yield from self._parts.close_texts(self._view.items)
            yield {"type": "error", "errorText": why}

    def _open(self, view: dict[str, Any]) -> Iterator[Chunk]:
        """Everything a client must have before live events make sense to it."""
        runs: dict[str, Any] = {}
        for ident, run in view["runs"].items():  # in the order they were queued: parents come first
            if ident == self.run or run.get("parent") in runs:
                runs[ident] = run
        items = [item for item in view["items"] if item.get("run") in runs]
        self._view = View.load({**view, "runs": runs, "items": items})
        self._parts.set_view(runs)
        for item in items:
            self._add_call(item)
        continues = self._position is not None
        if self._position is not None:
            self._restore(self._position)
            self._position = None
        root = runs.get(self.run)
        if root is None:
            self.done = True
            yield {"type": "error", "errorText": f"run {self.run!r:.80} is not in this session's window"}
            return
        if self._parts.start_message():
            metadata = {"session": self.session, "run": self.run, "agent": root["agent"], "input": root.get("input")}
            yield {"type": "start", "messageId": self.run, "messageMetadata": {"holdfast": metadata}}
            if not continues:  # within a step the SDK finds the tool calls it has
                yield {"type": "start-step"}
        yield from self._all_items(self._answer_state(root))

    def _add_call(self, item: Entry) -> None:
        if item["kind"] in ("tool", "approval"):
            self._parts.calls.add_item(item)

    def _restore(self, position: ClientPosition) -> None:
        known_seq = self._seq if position.seq is None or position.incarnation != self._incarnation else position.seq
        items = self._view.items
        self._parts.restore(items, known_seq, position.open, position.cited)
        self._parts.calls.restore(
            items, known_seq, position.open, position.bound, position.places, position.step, position.answered
        )

    def _answer_state(self, root: dict[str, Any]) -> AnswerState:
        if self._state is None:
            return AnswerState(0, self._view.state)
        return self._state if root["status"] in ENDED else AnswerState(self._state.seq, self._view.state)

    def _all_items(self, state: AnswerState | None = None) -> Iterator[Chunk]:
        self._view.export()  # open texts are joined now
        entries: list[tuple[int, Entry, Entry]] = [(i["seq"], i, {}) for i in self._view.items]
        entries += [(run["seq"], None, run) for ident, run in self._view.runs.items() if ident != self.run]
        entries += [(state.seq, None, {})] if state is not None and state.value else []
        for _, item, run in sorted(entries, key=lambda entry: entry[0]):
            if item is not None or run:
                yield from self._parts.item_chunks(item) if item is not None else self._parts.sub_run_chunks(run)
            elif state is not None:
                yield from self._parts.data_chunks("state", "state", state.value)

    # --- events
    def _event(self, event: Event) -> Iterator[Chunk]:
        runs, type_, data = self._view.runs, event.type, event.data
        if type_ in (e.STATE_SNAPSHOT, e.STATE_DELTA):
            self._view.apply(event)
            yield from self._parts.data_chunks("state", "state", self._view.state)
            return
        if type_ == e.CANCEL_REQUESTED:
            self._view.apply(event)
            return
        is_included = event.run in runs or (type_ == e.RUN_QUEUED and data.get("parent") in runs)
        if not is_included:
            return
        self._view.apply(event)
        if type_ in e.DELTAS:
            kind, field = _CHANGED_ITEM[type_]
            yield from self._parts.append_delta(kind, data[field], data["delta"])
        elif type_ in _CHANGED_ITEM:
            kind, field = _CHANGED_ITEM[type_]
            item = self._view.by_id.get((kind, str(data.get(field))))
            if item is not None:
                self._view.export()
                self._add_call(item)
                yield from self._parts.item_chunks(item)
        elif type_ in (e.STEP_STARTED, e.STEP_FINISHED):
            for step in (item for item in self._view.items if item["kind"] == "step"):
                yield from self._parts.item_chunks(step)
        elif type_.startswith("run."):
            yield from self._all_items()
        elif type_ == e.CUSTOM and isinstance(data.get("name"), str):  # in no view: sent once, stored nowhere
            yield {"type": f"data-{data['name']}", "data": data.get("value"), "transient": True}
        elif type_ == e.USAGE_RECORDED:
            self._usage.update({k: v for k, v in data.items() if type(v) is int})

    # --- ends
    def _finish_if_done(self) -> Iterator[Chunk]:
        """The end of the run, or of what can be sent before somebody decides."""
        root = self._view.runs[self.run]
        if root["status"] in ENDED:
            self.done = True
            yield from self._end(root)
        elif self._waits_for_client():
            self.done = True
            self._view.export()
            yield from self._parts.calls.pause()
            open_, calls = self._parts.unfinished(self._view.items), self._parts.calls
            cited = self._parts.source_counts(open_)
            position_fields = (open_, cited, calls.merged_approvals, calls.pending_parts, calls.step)
            position = ClientPosition(frozenset(), self._incarnation, self._seq, *position_fields)
            metadata = {
                "since": encode(position).decode()
            }  # one string: the SDK merges objects, and would keep what is over
            yield from self._parts.close_texts(self._view.items)
            yield {"type": "finish-step"}
            reason = {} if self._version < 6 else {"finishReason": "tool-calls"}
            yield {"type": "finish", **reason, "messageMetadata": {"holdfast": metadata}}

    def _end(self, root: Entry) -> Iterator[Chunk]:
        yield from self._parts.calls.finish()
        status = root["status"]
        metadata: dict[str, Any] = {"status": status}
        if self._usage:
            metadata["usage"] = dict(self._usage)
        if status == "completed":
            reason = {} if self._version < 6 else {"finishReason": "stop"}
            yield {"type": "finish-step"}
            yield {"type": "finish", **reason, "messageMetadata": {"holdfast": metadata}}
            return
        error = root.get("error") or {}
        by, why = (root.get("cancel", {}).get(field) for field in ("by", "reason"))
        metadata |= {name: value for name, value in (("error", error), ("by", by), ("reason", why)) if value}
        yield {"type": "message-metadata", "messageMetadata": {"holdfast": metadata}}
        if status == "cancelled":
            yield {
                "type": "abort",
                **({"reason": f"cancelled by {by}{f': {why}' if why else ''}"} if by and self._version >= 6 else {}),
            }
        else:
            text = error.get("message") or ("no worker finished it" if status == "lost" else "the agent failed")
            yield {"type": "error", "errorText": f"{status}: {text}"}

    def _waits_for_client(self) -> bool:
        """It must decide, or run a tool, before more can be expected: the SDK sends its answer when the stream has ended."""
        blocked: set[str] = set()
        for item in self._parts.calls.approvals:
            if self._parts.calls.awaits(item):
                run = item["run"]
                while run is not None:  # those above wait for it
                    blocked.add(run)
                    above = self._view.runs.get(run)
                    run = above.get("parent") if above is not None else None
        return bool(blocked) and all(
            item.get("status") not in UNFINISHED
            or item["run"] in blocked
            or item["kind"] in ("approval", "steer", "step")
            for item in self._view.items
        )
