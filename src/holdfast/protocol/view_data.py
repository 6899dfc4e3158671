"""A view as JSON data, as types: runs, branch, hand-off, pages of history (PROTOCOL.md, section 6).

As in ``items.py``: the keys are those of the wire, and no annotation is postponed.
"""

from typing import Any, Literal, NotRequired, TypedDict

from holdfast.protocol.items import Item

RunStatus = Literal["queued", "running", "waiting", "completed", "failed", "cancelled", "lost"]
"""How a run stands; the last four are its end."""


class ErrorEntry(TypedDict):
    """How something failed: a code of the table of errors, or one of the agent's own, and what was wrong."""

    code: str
    message: str


class CancelEntry(TypedDict):
    """That somebody wants a run to stop, and how far that has got.

    Attributes:
        ts: when it was asked for, Unix milliseconds.
        delivered: whether the run's worker has it.
        effective: whether the run ended by it.
        force: without any grace.
        reason: why, in the words of who asked.
    """

    by: str
    ts: int
    delivered: bool
    effective: bool
    force: bool
    reason: NotRequired[str]


class LossEntry(TypedDict):
    """An attempt that was lost: which, why, and when (Unix milliseconds)."""

    attempt: int
    reason: str
    ts: int


class RunEntry(TypedDict):
    """A run as a view has it.

    Attributes:
        seq: position at which it was queued.
        agent: who runs.
        attempt: the newest attempt, 0 before the first.
        attempts: how many it may have.
        version: counts its changes; commands may name it.
        queued_ts, started_ts, ended_ts: Unix milliseconds.
        by: who asked for it.
        name: of a sub-run, within its parent.
        input: the input message it answers.
        parent: the run that started it.
        after: the runs whose end it waits for.
        worker: who executes it.
        error: how it failed.
    """

    id: str
    seq: int
    agent: str
    status: RunStatus
    attempt: int
    attempts: int
    version: int
    queued_ts: int
    by: str
    name: NotRequired[str]
    input: NotRequired[str]
    parent: NotRequired[str]
    after: NotRequired[list[str]]
    worker: NotRequired[str]
    started_ts: NotRequired[int]
    ended_ts: NotRequired[int]
    error: NotRequired[ErrorEntry]
    cancel: NotRequired[CancelEntry]
    losses: NotRequired[list[LossEntry]]


class BranchEntry(TypedDict):
    """Which branch is shown: the input at its end, the answer chosen for each input, and a count of the changes."""

    head: str | None
    runs: dict[str, str]
    version: int


class HandoffEntry(TypedDict):
    """Who has taken over from the agents, and when (Unix milliseconds)."""

    by: str
    ts: int


class ViewData(TypedDict):
    """A view as JSON: what a snapshot carries and ``View.export`` gives.

    Attributes:
        fold: the version of the fold that made it (FOLD-7).
        state: the shared state: any JSON.
        runs: by id, in the order in which they were queued.
        older: number of the newest page of history, 0 for none.
    """

    fold: int
    title: str
    agent: str
    meta: dict[str, Any]
    state: Any
    items: list[Item]
    runs: dict[str, RunEntry]
    branch: BranchEntry
    handoff: HandoffEntry | None
    older: int


class PageData(TypedDict):
    """What left the window of a view: items, and runs that had ended."""

    items: list[Item]
    runs: dict[str, RunEntry]


class HistoryPage(TypedDict):
    """A page of history (SUB-5); ``older`` is the number of the page before, 0 for none."""

    page: PageData
    older: int
