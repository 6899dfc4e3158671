"""What the feed says of notable events, as types: facts of bounded size, and nothing that anybody said (``hub/notices.py``).

Told apart by ``type``. As in ``items.py``: the keys are those that are stored, and no annotation is postponed.
"""

from typing import Any, Literal, NotRequired, TypedDict

from holdfast.protocol.items import Decision
from holdfast.protocol.view_data import RunStatus


class NoticeBase(TypedDict):
    """What every notice says: which event it is, by session, life and position, when (Unix milliseconds), and by whom."""

    session: str
    incarnation: str
    seq: int
    ts: int
    actor: str


class RunFacts(NoticeBase):
    """Of an event of a run: the run; its agent, parent and labels as far as they are remembered."""

    run: str | None
    agent: NotRequired[str]
    parent: NotRequired[str]
    labels: NotRequired[dict[str, str]]


class QueuedNotice(RunFacts):
    """A run waits for a worker; ``input`` is the input message it answers."""

    type: Literal["run.queued"]
    input: NotRequired[str | None]


class AttemptLostNotice(RunFacts):
    """An attempt is lost; ``retry``: the run is queued again."""

    type: Literal["run.attempt_lost"]
    generation: NotRequired[int]
    reason: NotRequired[str]
    retry: NotRequired[bool]


class EndedNotice(RunFacts):
    """A run has ended.

    Attributes:
        forced: the session ended it.
        error: the code of the error, where it is a plain name.
        participants: who takes part in the session.
        connected: whether any of them reads it now.
    """

    type: Literal["run.ended"]
    status: RunStatus
    forced: NotRequired[bool]
    error: NotRequired[str]
    participants: list[str]
    connected: bool


class ApprovalRequestedNotice(RunFacts):
    """Somebody is asked; ``deadline`` in Unix milliseconds, the others as in ``EndedNotice``."""

    type: Literal["approval.requested"]
    approval: str
    tool: str
    deadline: int
    purpose: Literal["decision", "call"]
    participants: list[str]
    connected: bool


class ApprovalDecidedNotice(RunFacts):
    """An approval was decided, by somebody or by its deadline, or it was used."""

    type: Literal["approval.resolved", "approval.expired", "approval.used"]
    approval: str
    decision: NotRequired[Decision]
    by: NotRequired[str]


class CancelNotice(NoticeBase):
    """Somebody wants runs to stop; ``deadline`` is when the session ends them itself, Unix milliseconds."""

    type: Literal["cancel.requested"]
    runs: list[str]
    scope: NotRequired[str]
    force: NotRequired[bool]
    deadline: NotRequired[int | None]
    input: NotRequired[str | None]


class RecordedNotice(NoticeBase):
    """What a recorder or a policy has written, by the event's own type: its numbers and truths under plain names.

    Attributes:
        numbers: the first of them; text is not among them.
        model: of ``usage.recorded``.
        run, agent, parent, labels, attempt: where it was written inside a run.
    """

    type: str
    numbers: dict[str, int | float | bool]
    model: NotRequired[Any]
    run: NotRequired[str]
    attempt: NotRequired[int]
    agent: NotRequired[str]
    parent: NotRequired[str]
    labels: NotRequired[dict[str, str]]


NoticeData = (
    QueuedNotice | AttemptLostNotice | EndedNotice | ApprovalRequestedNotice | ApprovalDecidedNotice | CancelNotice | RecordedNotice
)  # fmt: skip
"""Anything that stands in the feed."""
