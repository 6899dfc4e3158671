"""Output items of a response, and the events of how they grow.

The shapes are those of OpenAI's Responses API (openai-python ``types/responses``), as recorded from its streams. Each
event has a ``sequence_number``. A delta's is that of its last character: it counts as many as it has code points, so
the numbers stay what they are when the log merges deltas, and any of them says how much of a text was received.
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Self

import msgspec


class EmittedEvent(msgspec.Struct):
    """One event for the client.

    Attributes:
        first: its number, or for a delta that of its first character.
        data: the event, with its ``sequence_number``.
    """

    first: int
    data: dict[str, Any]

    def after(self, number: int) -> dict[str, Any] | None:
        """What of it comes after a number: all, nothing, or the rest of a delta."""
        if self.data["sequence_number"] <= number:
            return None
        if self.first > number:
            return self.data
        return {**self.data, "delta": self.data["delta"][number - self.first + 1 :]}


class Emitter:
    """Events in order, numbered."""

    def __init__(self) -> None:
        self.next = 0
        self._events: list[EmittedEvent] = []

    def emit(self, type_: str, **fields: Any) -> None:
        """Add an event."""
        self._events.append(EmittedEvent(self.next, {"type": type_, "sequence_number": self.next, **fields}))
        self.next += 1

    def emit_delta(self, type_: str, delta: str, **fields: Any) -> None:
        """Add the event of a text that has grown."""
        if delta:
            last = self.next + len(delta) - 1
            self._events.append(
                EmittedEvent(self.next, {"type": type_, "sequence_number": last, "delta": delta, **fields})
            )
            self.next = last + 1

    def take(self) -> list[EmittedEvent]:
        """The events since the last time."""
        events, self._events = self._events, []
        return events


class OutputItem:
    """One output item.

    Attributes:
        index: its place in ``output``.
        run: whose it is.
        agent: whose item it is; sent as ``agent``, which is ours.
        withdrawn: it was cut by the loss of its attempt: in the response it keeps its place and loses its text.
    """

    delta_type: ClassVar[str] = ""
    _part_at: ClassVar[dict[str, Any]] = {}

    def __init__(self, emitter: Emitter, index: int, ident: str, run: str, agent: str) -> None:
        self._emitter = emitter
        self.index = index
        self.id = ident
        self.run = run
        self.agent = agent
        self.status = "in_progress"
        self.withdrawn = False
        self._parts: list[str] = []

    @property
    def text(self) -> str:
        """Its text so far."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    @property
    def open(self) -> bool:
        """Whether it may still grow."""
        return self.status == "in_progress"

    @property
    def _position(self) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.index}

    def to_json(self) -> dict[str, Any]:
        """The item as JSON."""
        raise NotImplementedError

    def partial(self) -> dict[str, Any]:
        """The item as JSON in a response, where an open one shows its text so far."""
        return self.to_json()

    def restart(self, emitter: Emitter, index: int) -> Self:
        """The item as it goes on in the next part of its run, with what it says from there on."""
        item = copy.copy(self)
        item._emitter, item.index, item._parts = emitter, index, []
        return item

    def begin(self) -> None:
        """Add the event that it is there."""
        self._emitter.emit("response.output_item.added", output_index=self.index, item=self.to_json())

    def append(self, delta: str) -> None:
        """It has grown."""
        self._parts.append(delta)
        self._emitter.emit_delta(self.delta_type, delta, **self._position, **self._part_at)

    def end(self, status: str) -> None:
        """It is ``completed`` or ``incomplete``."""
        self.status = status
        self._emitter.emit("response.output_item.done", output_index=self.index, item=self.to_json())


class OutputMessage(OutputItem):
    """A message of an agent."""

    delta_type = "response.output_text.delta"
    _part_at: ClassVar[dict[str, Any]] = {"content_index": 0, "logprobs": []}

    def __init__(self, *args: Any, commentary: bool) -> None:
        super().__init__(*args)
        self._commentary = commentary
        self._annotations: list[dict[str, Any]] = []

    def _content_part(self) -> dict[str, Any]:
        return {"type": "output_text", "text": self.text, "annotations": list(self._annotations), "logprobs": []}

    def to_json(self) -> dict[str, Any]:
        """See ``OutputItem``."""
        empty = self.open or self.withdrawn
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "status": self.status,
            "agent": self.agent,
            "content": [] if empty else [self._content_part()],
            **({"phase": "commentary"} if self._commentary else {}),
        }

    def partial(self) -> dict[str, Any]:
        """See ``OutputItem``."""
        return {**self.to_json(), "content": [] if self.withdrawn else [self._content_part()]}

    def begin(self) -> None:
        """See ``OutputItem``."""
        super().begin()
        self._emitter.emit("response.content_part.added", **self._position, content_index=0, part=self._content_part())

    def restart(self, emitter: Emitter, index: int) -> Self:
        """See ``OutputItem``."""
        item = super().restart(emitter, index)
        item._annotations = []
        return item

    def add_citation(self, url: str, title: str) -> None:
        """A source was cited, where the text is now."""
        place = len(self.text)
        citation = {"type": "url_citation", "url": url, "title": title, "start_index": place, "end_index": place}
        at = {**self._position, "content_index": 0, "annotation_index": len(self._annotations)}
        self._annotations.append(citation)
        self._emitter.emit("response.output_text.annotation.added", **at, annotation=citation)

    def end(self, status: str) -> None:
        """See ``OutputItem``."""
        at = {**self._position, "content_index": 0}
        self._emitter.emit("response.output_text.done", **at, text=self.text, logprobs=[])
        self._emitter.emit("response.content_part.done", **at, part=self._content_part())
        super().end(status)


class Reasoning(OutputItem):
    """An agent's reasoning: one summary part."""

    delta_type = "response.reasoning_summary_text.delta"
    _part_at: ClassVar[dict[str, Any]] = {"summary_index": 0}

    def _part(self) -> dict[str, Any]:
        return {"type": "summary_text", "text": self.text}

    def to_json(self) -> dict[str, Any]:
        """See ``OutputItem``."""
        empty = self.open or self.withdrawn
        return {
            "id": self.id,
            "type": "reasoning",
            "status": self.status,
            "agent": self.agent,
            "summary": [] if empty else [self._part()],
        }

    def partial(self) -> dict[str, Any]:
        """See ``OutputItem``."""
        return {**self.to_json(), "summary": [] if self.withdrawn else [self._part()]}

    def begin(self) -> None:
        """See ``OutputItem``."""
        super().begin()
        self._emitter.emit(
            "response.reasoning_summary_part.added", **self._position, summary_index=0, part=self._part()
        )

    def end(self, status: str) -> None:
        """See ``OutputItem``."""
        at = {**self._position, "summary_index": 0}
        self._emitter.emit("response.reasoning_summary_text.done", **at, text=self.text)
        self._emitter.emit("response.reasoning_summary_part.done", **at, part=self._part())
        super().end(status)


class FunctionCall(OutputItem):
    """A call of a function that the client offered, and is to carry out."""

    delta_type = "response.function_call_arguments.delta"

    def __init__(self, *args: Any, call: str, name: str) -> None:
        super().__init__(*args)
        self._call, self._name = call, name

    def to_json(self) -> dict[str, Any]:
        """See ``OutputItem``."""
        return {
            "id": self.id,
            "type": "function_call",
            "status": self.status,
            "agent": self.agent,
            "call_id": self._call,
            "name": self._name,
            "arguments": self.text,
        }

    def arguments_complete(self) -> None:
        """The arguments are complete, and with them the item."""
        self.end("completed")

    def end(self, status: str) -> None:
        """See ``OutputItem``."""
        done = "response.function_call_arguments.done"
        self._emitter.emit(done, **self._position, name=self._name, arguments=self.text)
        super().end(status)


class ToolCall(OutputItem):
    """A call of a tool that the agent carries out itself; to clients a call on an MCP server named like the agent."""

    delta_type = "response.mcp_call_arguments.delta"

    def __init__(self, *args: Any, name: str, request: str | None) -> None:
        super().__init__(*args)
        self._name = name
        self._request = request
        self._arguments_done = False
        self._output: str | None = None
        self._error: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """See ``OutputItem``."""
        return {
            "id": self.id,
            "type": "mcp_call",
            "status": self.status,
            "agent": self.agent,
            "approval_request_id": self._request,
            "server_label": self.agent,
            "name": self._name,
            "arguments": self.text,
            "output": self._output,
            "error": self._error,
        }

    def restart(self, emitter: Emitter, index: int) -> Self:
        """See ``OutputItem``; its arguments are needed to understand its result."""
        item = super().restart(emitter, index)
        item._parts = list(self._parts)
        return item

    def begin(self) -> None:
        """See ``OutputItem``."""
        super().begin()
        self._emitter.emit("response.mcp_call.in_progress", **self._position)

    def arguments_complete(self) -> None:
        """The arguments are complete."""
        if not self._arguments_done:
            self._arguments_done = True
            self._emitter.emit("response.mcp_call_arguments.done", **self._position, arguments=self.text)

    def result(self, content: str, error: str | None) -> None:
        """It has its result."""
        self.arguments_complete()
        self._output = content if error is None else None
        if error is not None:
            self._error = {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": error}]}
        self._emitter.emit(f"response.mcp_call.{'completed' if error is None else 'failed'}", **self._position)
        super().end("completed" if error is None else "failed")

    def end(self, status: str) -> None:
        """See ``OutputItem``; without a result."""
        self.arguments_complete()
        super().end(status)


class ApprovalRequest(OutputItem):
    """An action that waits for a decision."""

    def __init__(self, *args: Any, name: str, arguments: str) -> None:
        super().__init__(*args)
        self._name, self._arguments = name, arguments

    def to_json(self) -> dict[str, Any]:
        """See ``OutputItem``."""
        return {
            "id": self.id,
            "type": "mcp_approval_request",
            "agent": self.agent,
            "server_label": self.agent,
            "name": self._name,
            "arguments": self._arguments,
        }
