"""The control state of a session: everything the session program needs to decide, folded from the session's own events.

It holds no content: what people read lives in the view (``protocol/fold.py``). All of it is plain structs, so it can be
stored as a snapshot and loaded again.
"""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.protocol.frames import ProducerKey


class CancelState(msgspec.Struct):
    """A cancel on its way: who asked and why, when the grace ends (Unix ms), and whether the worker has it."""

    by: str
    deadline_ms: int
    delivered: bool = False
    reason: str = ""


class SteerState(msgspec.Struct):
    """A steer's text for a run, which its worker has not confirmed yet."""

    text: str
    by: str


class CallState(msgspec.Struct, omit_defaults=True):
    """A journalled tool call. ``done`` with its result, or started by ``generation`` with an unknown outcome (RUN-4).

    ``paused`` says why it is known not to have been made after all: people are asked first. Then it may be started again.
    """

    name: str
    generation: int
    paused: str = ""
    done: bool = False
    content: Any = None
    error: Any = None
    blob: str | None = None


class RunState(msgspec.Struct, omit_defaults=True):
    """A run that has not ended. ``status`` is ``queued``, ``running`` or ``waiting``.

    Attributes:
        generation: number of the newest attempt; 0 before the first.
        losses: attempts lost so far; ``attempts`` is how many tries the run has.
        by: the actor who queued it.
        input: id of the input message it (or its topmost ancestor) answers.
        task: what a sub-run was given.
        open: texts the run has open, ``kind:id`` to length in UTF-16 code units.
        after: runs that must end before this one may be claimed.
        version: counts changes, for compare-and-set (LOG-8).
        labels: of whoever queued it, or of its parent.
        life: the incarnation in which the newest attempt began; empty before the first, and in logs of version 0.1.
    """

    id: str
    agent: str
    status: str
    by: str
    attempts: int
    queued_ms: int
    input: str | None = None
    parent: str | None = None
    name: str | None = None
    task: dict[str, Any] = {}
    local: bool = False
    concurrent: bool = False
    after: list[str] = []
    generation: int = 0
    losses: int = 0
    worker: str = ""
    lease_s: float = 0.0
    version: int = 1
    cancel: CancelState | None = None
    steers: dict[str, SteerState] = {}
    waits: list[str] = []
    open: dict[str, int] = {}
    journal: dict[str, CallState] = {}
    journal_bytes: int = 0
    life: str = ""
    labels: dict[str, str] = {}


class EndedRun(msgspec.Struct, omit_defaults=True):
    """What is remembered of a run that ended. ``generation`` is 0 where version 0.1 remembered it."""

    status: str
    agent: str
    input: str | None = None
    parent: str | None = None
    name: str | None = None
    generation: int = 0
    labels: dict[str, str] = {}


class ApprovalState(msgspec.Struct, omit_defaults=True):
    """An approval asked for by an agent, the asker; ``decision`` is empty while it is pending, ``by`` is the approver.

    Attributes:
        default: what silence means.
        requester: the person whose message led to it; of a command, whoever asked for it.
        command: the digest of the command that a policy wants approved; empty for an agent's action.
        rule: the rule for which that policy wants it: another rule is another approval.
        purpose: ``decision`` of a person, or ``call``, which a program answers.
        used: the command was let through, which happens once.
    """

    run: str
    tool: str
    args: dict[str, Any]
    hash: str
    asker: str
    deadline_ms: int
    decision: str = ""
    by: str = ""
    note: str = ""
    default: str = "denied"
    requester: str = ""
    command: str = ""
    rule: str = ""
    purpose: str = "decision"
    used: bool = False


class InputState(msgspec.Struct, omit_defaults=True):
    """An input message: what it continues, the agent it was for, and who said it."""

    parent: str | None
    agent: str
    by: str = ""


class State(msgspec.Struct):
    """The control state of one session.

    ``runs`` holds those that have not ended, in the order they were queued; ``ended`` the newest that have.
    ``aliases`` say which input an actor's key names where that is not the input's id, and ``precancelled`` which inputs
    were cancelled before they arrived (CTL-2), by ``ACTOR KEY`` each. ``loose`` are texts opened outside any run.
    ``texts`` are the newest texts ever opened, ``kind:id`` to the run that opened them.
    """

    session: str
    incarnation: str
    tail: int = 0
    ts: int = 0
    created_by: str = ""
    title: str = ""
    agent: str = ""
    state_bytes: int = 0
    participants: dict[str, int] = {}
    runs: dict[str, RunState] = {}
    ended: dict[str, EndedRun] = {}
    approvals: dict[str, ApprovalState] = {}
    inputs: dict[str, InputState] = {}
    aliases: dict[str, str] = {}
    head: str | None = None
    branch_version: int = 0
    taken_by: str | None = None
    precancelled: dict[str, int] = {}
    loose: dict[str, int] = {}
    texts: dict[str, str] = {}
    producers: dict[str, list[ProducerKey]] = {}
    keyed: dict[str, list[ProducerKey]] = {}


def trim_oldest(entries: dict[str, Any], max_entries: int) -> None:
    """Forget the oldest entries beyond a bound."""
    while len(entries) > max_entries:
        del entries[next(iter(entries))]
