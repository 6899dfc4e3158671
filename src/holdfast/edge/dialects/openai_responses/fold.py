"""The fold from a run's events to a response, and to the events of its stream. Pure: a function of the log.

Whoever folds the same run gets the same items with the same numbers: any server, any reconnect, before and after
compaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from holdfast.edge.dialects.openai_responses.ids import Ref, approval_request_id
from holdfast.edge.dialects.openai_responses.items import (
    ApprovalRequest,
    EmittedEvent,
    Emitter,
    FunctionCall,
    OutputItem,
    OutputMessage,
    Reasoning,
    ToolCall,
)
from holdfast.protocol import events as e
from holdfast.protocol.browser_tools import ASKS
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Event

_TERMINAL: Final = {
    "completed": "response.completed",
    "failed": "response.failed",
    "cancelled": "response.incomplete",
}
"""The client libraries know no event for a cancelled response: it is sent as incomplete, with status ``cancelled``."""
_CACHED: Final = ("cached_tokens", "cached_input_tokens", "cache_read_input_tokens", "cache_read_tokens")


class ResponseFold:
    """A response while its run is folded.

    Args:
        ref: what is folded: a run, or what follows a wait of it.
        echo: fields of the request that a response repeats.
        functions: names of the functions that the client offered.

    Attributes:
        ended: the response has ended; nothing that follows belongs to it.
        started: the part that ``ref`` names was reached.
        waits: seqs of the root run's waits so far.
    """

    def __init__(self, ref: Ref, echo: dict[str, Any], functions: frozenset[str] = frozenset()) -> None:
        self.ref = ref
        self.ended = self.started = False
        self.waits: list[int] = []
        self._echo, self._functions = echo, functions
        self._agents: dict[str, str] = {}  # of the root run and the runs below it
        self._requests: dict[str, str] = {}  # by call: the approval it waits for, or was allowed by
        self._status = "queued"
        self._error: dict[str, str] | None = None
        self._created = self._completed = 0
        self._reset()

    def _reset(self) -> None:
        """Nothing is emitted yet."""
        self._emitter = Emitter()
        self._output: list[OutputItem] = []
        self._open: dict[tuple[str, str], OutputItem] = {}
        self._calls: dict[str, int] = {}
        self._usage: dict[str, int] | None = None
        self._progress = False

    def apply(self, event: Event) -> list[EmittedEvent]:
        """Fold one event in; the events for the client, if any."""
        if self.ended:
            return []
        if event.type == e.RUN_QUEUED:
            self._on_run_queued(event)
        handler = _HANDLERS.get(event.type)
        if handler is not None and event.run in self._agents:
            handler(self, event)
        emitted = self._emitter.take()
        return emitted if self.started else []

    def response(self) -> dict[str, Any]:
        """The response as it stands."""
        return {
            "id": self.ref.id,
            "object": "response",
            "created_at": self._created // 1_000,
            "status": self._status,
            "background": True,
            "completed_at": self._completed // 1_000 if self._status == "completed" else None,
            "error": self._error,
            "incomplete_details": None,
            "model": self._agents.get(self.ref.run, ""),
            "conversation": {"id": self.ref.session},
            "output": [item.partial() for item in self._output],
            "usage": self._totals(),
            **self._echo,
        }

    def _totals(self) -> dict[str, Any] | None:
        if self._usage is None:
            return None
        used = self._usage
        return {
            "input_tokens": used["input"],
            "input_tokens_details": {"cached_tokens": used["cached"]},
            "output_tokens": used["output"],
            "output_tokens_details": {"reasoning_tokens": used["reasoning"]},
            "total_tokens": used["input"] + used["output"],
        }

    # --- the run
    def _on_run_queued(self, event: Event) -> None:
        if event.run is None or event.run in self._agents:
            return
        if event.seq == self.ref.queued_seq:
            self._agents[event.run] = str(event.data.get("agent", ""))
            if self.ref.start == 0:
                self._begin(event)
        elif event.data.get("parent") in self._agents:
            self._agents[event.run] = str(event.data.get("agent", ""))

    def _begin(self, event: Event) -> None:
        open_items = list(self._open.items())  # of sub-runs that speak on while their parent waits
        self._reset()
        self.started, self._created, self._status = True, event.ts, "queued"
        for type_ in ("response.created", "response.queued"):
            self._emitter.emit(type_, response=self.response())
        for key, item in open_items:
            self._add_item(*key, item.restart(self._emitter, len(self._output)))

    def _on_run_started(self, event: Event) -> None:
        if event.run == self.ref.run:
            self._status = "in_progress"
            if not self._progress:
                self._progress = True
                self._emitter.emit("response.in_progress", response=self.response())

    def _on_run_waiting(self, event: Event) -> None:
        self._close_run(event)
        if event.run != self.ref.run:
            return
        self.waits.append(event.seq)
        if event.seq == self.ref.start:
            self._begin(event)
        elif self.started:
            self._finish("completed", event)

    def _on_attempt_lost(self, event: Event) -> None:
        for item in self._close_run(event):
            item.withdrawn = True
        if event.run == self.ref.run:
            self._status = "queued"

    def _on_run_ended(self, event: Event) -> None:
        self._close_run(event)
        if event.run != self.ref.run:
            return
        status = str(event.data.get("status"))
        if status in ("failed", "lost"):
            error = event.data.get("error") or {"code": "run.lost", "message": "no attempt came to an end"}
            self._error = {"code": "server_error", "message": f"{error.get('code')}: {error.get('message')}"}
        self._finish({"lost": "failed"}.get(status, status), event)

    def _finish(self, status: str, event: Event) -> None:
        for key in list(self._open):
            self._open.pop(key).end("incomplete")
        self._status, self._completed, self.ended = status, event.ts, True
        self._emitter.emit(_TERMINAL.get(status, "response.incomplete"), response=self.response())

    def _close_run(self, event: Event) -> list[OutputItem]:
        """The end of a run, or of an attempt, closes what it left open (FOLD-4)."""
        open_items = [(key, item) for key, item in self._open.items() if item.run == event.run]
        for key, item in open_items:
            del self._open[key]
            item.end("incomplete")
        return [item for _, item in open_items]

    # --- items
    def _item_args(self, event: Event, prefix: str, ident: str) -> tuple[Any, ...]:
        run = event.run or ""
        return (self._emitter, len(self._output), f"{prefix}_{ident}", run, self._agents[run])

    def _add_item(self, kind: str, ident: str, item: OutputItem) -> None:
        self._output.append(item)
        self._open[kind, ident] = item
        item.begin()

    def _on_message(self, event: Event) -> None:
        ident = str(event.data.get("messageId"))
        commentary = event.run != self.ref.run or event.data.get("role", "assistant") != "assistant"
        self._add_item("message", ident, OutputMessage(*self._item_args(event, "msg", ident), commentary=commentary))

    def _on_reasoning(self, event: Event) -> None:
        ident = str(event.data.get("messageId"))
        self._add_item("reasoning", ident, Reasoning(*self._item_args(event, "rs", ident)))

    def _on_tool(self, event: Event) -> None:
        ident, name = str(event.data.get("toolCallId")), str(event.data.get("toolCallName"))
        count = self._calls[ident] = self._calls.get(ident, 0) + 1
        call = ident if count == 1 else f"{ident}~{count}"  # a later attempt made it again
        item: OutputItem
        if event.run == self.ref.run and name in self._functions:
            item = FunctionCall(*self._item_args(event, "fc", call), call=call, name=name)
        else:
            item = ToolCall(*self._item_args(event, "mcp", call), name=name, request=self._requests.get(ident))
        self._add_item("tool", ident, item)

    def _on_delta(self, event: Event) -> None:
        kind, field = _DELTAS[event.type]
        item = self._open.get((kind, str(event.data.get(field))))
        delta = event.data.get("delta")
        if item is not None and isinstance(delta, str):
            item.append(delta)

    def _on_end(self, event: Event) -> None:
        kind, field = _ENDS[event.type]
        item = self._open.pop((kind, str(event.data.get(field))), None)
        if item is not None:
            item.end("completed")

    def _on_tool_end(self, event: Event) -> None:
        key = ("tool", str(event.data.get("toolCallId")))
        item = self._open.get(key)
        if isinstance(item, FunctionCall):
            del self._open[key]
            item.arguments_complete()
        elif isinstance(item, ToolCall):
            item.arguments_complete()

    def _on_tool_result(self, event: Event) -> None:
        item = self._open.pop(("tool", str(event.data.get("toolCallId"))), None)
        error = event.data.get("error")
        if isinstance(item, ToolCall):
            message = error.get("message", error.get("code")) if isinstance(error, dict) else error
            item.result(_text(event.data.get("content")), None if error is None else _text(message))
        elif item is not None:
            item.end("completed")

    def _on_source(self, event: Event) -> None:
        message_id = f"msg_{event.data.get('messageId')}"
        for item in reversed(self._output):
            if isinstance(item, OutputMessage) and item.id == message_id:
                item.add_citation(_text(event.data.get("uri")), _text(event.data.get("title")))
                return

    def _on_approval(self, event: Event) -> None:
        name, arguments = _text(event.data.get("tool")), encode(event.data.get("args")).decode()
        if name in ASKS:  # pages answer those, not people
            return
        approval = _text(event.data.get("approvalId"))
        place = self._item_args(event, "mcpr", approval_request_id(self.ref.session, self.ref.incarnation, approval))
        call = _text(event.data.get("toolCallId"))
        self._requests[call] = place[2]
        call_item = self._open.pop(("tool", call), None)
        if call_item is not None:  # the call is made, and another item, once it is allowed
            call_item.end("incomplete")
        item = ApprovalRequest(*place, name=name, arguments=arguments)
        self._output.append(item)
        item.begin()
        item.end("completed")

    def _on_usage(self, event: Event) -> None:
        used = self._usage = self._usage or dict.fromkeys(("input", "output", "cached", "reasoning"), 0)
        used["input"] += _count(event.data, "input_tokens")
        used["output"] += _count(event.data, "output_tokens")
        used["cached"] += _count(event.data, *_CACHED)
        used["reasoning"] += _count(event.data, "reasoning_tokens")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else encode(value).decode()


def _count(data: dict[str, Any], *names: str) -> int:
    value = next((data[name] for name in names if isinstance(data.get(name), int)), 0)
    return max(0, value)


_DELTAS: Final = {
    e.TEXT_CONTENT: ("message", "messageId"),
    e.REASONING_CONTENT: ("reasoning", "messageId"),
    e.TOOL_ARGS: ("tool", "toolCallId"),
}
_ENDS: Final = {e.TEXT_END: ("message", "messageId"), e.REASONING_END: ("reasoning", "messageId")}

_HANDLERS: Final[dict[str, Callable[[ResponseFold, Event], None]]] = {
    e.RUN_STARTED: ResponseFold._on_run_started,
    e.RUN_WAITING: ResponseFold._on_run_waiting,
    e.RUN_ATTEMPT_LOST: ResponseFold._on_attempt_lost,
    e.RUN_ENDED: ResponseFold._on_run_ended,
    e.TEXT_START: ResponseFold._on_message,
    e.REASONING_START: ResponseFold._on_reasoning,
    e.TOOL_START: ResponseFold._on_tool,
    **dict.fromkeys(_DELTAS, ResponseFold._on_delta),
    **dict.fromkeys(_ENDS, ResponseFold._on_end),
    e.TOOL_END: ResponseFold._on_tool_end,
    e.TOOL_RESULT: ResponseFold._on_tool_result,
    e.SOURCE_CITED: ResponseFold._on_source,
    e.APPROVAL_REQUESTED: ResponseFold._on_approval,
    e.USAGE_RECORDED: ResponseFold._on_usage,
}
