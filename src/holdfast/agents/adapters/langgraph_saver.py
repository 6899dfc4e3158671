"""LangGraph's checkpoints of one run, saved in the session (an implementation of its checkpoint saver)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from langgraph.checkpoint.memory import InMemorySaver

from holdfast.agents.adapters.checkpoint import Checkpoint
from holdfast.agents.output import TextOut

_Typed = tuple[str, bytes]  # LangGraph's serialised values: how, and what


class _GraphCheckpoint(msgspec.Struct, array_like=True):
    thread: str
    namespace: str
    id: str
    checkpoint: _Typed
    metadata: _Typed
    parent: str | None


class _Write(msgspec.Struct, array_like=True):
    thread: str
    namespace: str
    checkpoint: str
    task: str
    index: int
    channel: str
    value: _Typed
    path: str


class _Value(msgspec.Struct, array_like=True):
    thread: str
    namespace: str
    channel: str
    version: str | int | float
    value: _Typed


class InterruptPosition(msgspec.Struct, array_like=True, frozen=True):
    """Which interrupt of a tool call one is: the first, the second …"""

    call: str
    number: int


class NodeCallState(msgspec.Struct):
    """What is known of tool calls whose node is not done: LangGraph starts it again from its top after an interrupt.

    Attributes:
        places: of interrupts that tool calls raised, by the interrupts' ids.
        answers: what each call's interrupts return, in the order in which it raises them.
        results: what calls returned.
    """

    places: dict[str, InterruptPosition] = {}
    answers: dict[str, list[_Typed]] = {}
    results: dict[str, _Typed] = {}


class _State(msgspec.Struct):
    checkpoints: list[_GraphCheckpoint] = []
    writes: list[_Write] = []
    values: list[_Value] = []
    calls: NodeCallState = msgspec.field(default_factory=NodeCallState)


class SessionSaver(InMemorySaver):
    """Checkpoints in memory while the graph runs, and in the session whenever a step is over.

    Attributes:
        calls: saved with them.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.calls = NodeCallState()

    async def load(self) -> bool:
        """Load what an earlier attempt saved; False when there is nothing."""
        raw = await self.checkpoint.load()
        if raw is None:
            return False
        state = msgspec.json.decode(raw, type=_State)
        for c in state.checkpoints:
            self.storage[c.thread][c.namespace][c.id] = (c.checkpoint, c.metadata, c.parent)
        for w in state.writes:
            key = (w.thread, w.namespace, w.checkpoint)
            self.writes[key][w.task, w.index] = (w.task, w.channel, w.value, w.path)
        for v in state.values:
            self.blobs[v.thread, v.namespace, v.channel, v.version] = v.value
        self.calls = state.calls
        return bool(state.checkpoints)

    async def save(self, finished_texts: Iterable[TextOut] = ()) -> None:
        """Save the checkpoints, and complete the texts that were written up to here."""
        await self.checkpoint.save(msgspec.json.encode(self._to_state()), finished_texts)

    def serialize(self, value: Any) -> _Typed:
        """A value as it is saved."""
        typed: _Typed = self.serde.dumps_typed(value)
        return typed

    def deserialize(self, typed: _Typed) -> Any:
        """The value again."""
        return self.serde.loads_typed(typed)

    def _to_state(self) -> _State:
        """The newest checkpoint of each namespace with its ancestors' snapshots left out: a run only goes forward."""
        state = _State(calls=self.calls)
        for thread, namespaces in self.storage.items():
            for namespace, checkpoints in namespaces.items():
                if not checkpoints:
                    continue
                newest = max(checkpoints)
                checkpoint, metadata, parent = checkpoints[newest]
                state.checkpoints.append(_GraphCheckpoint(thread, namespace, newest, checkpoint, metadata, parent))
                versions = self.serde.loads_typed(checkpoint)["channel_versions"]
                for (task, index), (_, channel, value, path) in self.writes.get(
                    (thread, namespace, newest), {}
                ).items():
                    state.writes.append(_Write(thread, namespace, newest, task, index, channel, value, path))
                for channel, version in versions.items():
                    blob = self.blobs.get((thread, namespace, channel, version))
                    if blob is not None:
                        state.values.append(_Value(thread, namespace, channel, version, blob))
        return state
