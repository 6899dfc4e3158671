"""What operations answer, as types: the fields of an ``ok`` beside ``op`` and ``id`` (docs/reference/operations.md).

The same over REST and in process. As in ``items.py``: the keys are those of the wire, and no annotation is postponed.
"""

from typing import Any, Final, Literal, NotRequired, TypedDict

from holdfast.protocol import wire
from holdfast.protocol.items import Decision
from holdfast.protocol.view_data import ErrorEntry, HistoryPage, RunStatus


class EmptyAnswer(TypedDict):
    """It is done, and there is nothing to say about it."""


class WriteAnswer(TypedDict):
    """Of what writes: the positions of what it wrote; ``last`` is ``first - 1`` when nothing was.

    Attributes:
        duplicate: the same was sent before, and this is its answer.
    """

    first: int
    last: int
    duplicate: NotRequired[Literal[True]]


class CreateAnswer(WriteAnswer):
    """Of ``create``: ``incarnation`` is the life of the session."""

    incarnation: str


class DeleteAnswer(TypedDict):
    """Of ``delete``: nothing is left that has positions."""

    duplicate: NotRequired[Literal[True]]


class SendAnswer(WriteAnswer):
    """Of ``send`` and ``regenerate``.

    Attributes:
        messageId: of the input.
        run: what answers it; None when nobody was addressed, or the agents are muted.
        served: whether a worker is there for it; without one it waits (RUN-7). Absent when the run is over.
    """

    messageId: str
    run: str | None
    served: NotRequired[bool]


class CancelAnswer(WriteAnswer):
    """Of ``cancel``: all runs that are stopped, sub-runs included, and which of them have ended already."""

    runs: list[str]
    ended: list[str]


class InterruptAnswer(SendAnswer):
    """Of ``interrupt``: ``cancelled`` are the runs it stopped; where it stopped any, the others are as for ``cancel``."""

    runs: NotRequired[list[str]]
    ended: NotRequired[list[str]]
    cancelled: list[str]


class SteerAnswer(WriteAnswer):
    """Of ``steer``."""

    steerId: str
    run: str


class ResolveAnswer(WriteAnswer):
    """Of ``resolve``."""

    decision: Decision
    by: str


class SelectAnswer(WriteAnswer):
    """Of ``select``: how often the branch shown has changed."""

    version: int


class EndAnswer(WriteAnswer):
    """Of ``end``: how the run has ended, whatever the attempt said."""

    status: RunStatus


class SpawnAnswer(WriteAnswer):
    """Of ``spawn``: ``generation`` is that of the attempt, 0 while it is queued; ``existing``: it was there already."""

    run: str
    generation: int
    status: RunStatus
    existing: bool


class AskAnswer(WriteAnswer):
    """Of ``ask``: ``decision`` is empty while it waits."""

    approvalId: str
    decision: Literal["approved", "denied", ""]
    by: str
    note: str
    hash: str


class WaitAnswer(WriteAnswer):
    """Of ``wait``: False when all were decided already."""

    waiting: bool


class SubscribeAnswer(TypedDict):
    """Of ``subscribe``: the life of the session, and its last position."""

    session: str
    incarnation: str
    tail: int


class ServeAnswer(TypedDict):
    """Of ``serve``: what is served now."""

    agents: list[str]
    slots: int


class HeartbeatAnswer(TypedDict):
    """Of ``heartbeat``: attempts that are not held any more, as ``[session, run, generation]``."""

    fenced: list[list[Any]]


class PingAnswer(TypedDict):
    """Of ``ping``: the server's time, Unix milliseconds."""

    now_ms: int


class ChildEnd(TypedDict):
    """How a run ended that another run has started: what ``SpawnedRun.finished`` gives."""

    run: str
    name: str | None
    status: RunStatus
    error: ErrorEntry | None


ANSWERS: Final[dict[type[wire.Op], Any]] = {
    wire.Ping: PingAnswer,
    wire.Watch: EmptyAnswer,
    wire.Unwatch: EmptyAnswer,
    wire.Subscribe: SubscribeAnswer,
    wire.Unsubscribe: EmptyAnswer,
    wire.History: HistoryPage,
    wire.Read: EmptyAnswer,
    wire.Presence: EmptyAnswer,
    wire.Create: CreateAnswer,
    wire.Rename: WriteAnswer,
    wire.Delete: DeleteAnswer,
    wire.Append: WriteAnswer,
    wire.Send: SendAnswer,
    wire.Cancel: CancelAnswer,
    wire.Steer: SteerAnswer,
    wire.Interrupt: InterruptAnswer,
    wire.Resolve: ResolveAnswer,
    wire.Regenerate: SendAnswer,
    wire.Select: SelectAnswer,
    wire.Take: WriteAnswer,
    wire.GiveBack: WriteAnswer,
    wire.Serve: ServeAnswer,
    wire.Heartbeat: HeartbeatAnswer,
    wire.Received: WriteAnswer,
    wire.End: EndAnswer,
    wire.Spawn: SpawnAnswer,
    wire.Ask: AskAnswer,
    wire.Wait: WaitAnswer,
}
"""The answer of each operation, but those of the connection itself, and of ``attach``, which answers an assignment."""
