"""What lists hold, as types: a session in the list of sessions, somebody who is present (docs/reference/frames.md).

As in ``items.py``: the keys are those of the wire, and no annotation is postponed.
"""

from typing import Any, TypedDict

from holdfast.protocol.view_data import RunStatus


class LastInput(TypedDict):
    """The newest input of a session: who, and the beginning of what they said."""

    actor: str
    text: str


class SessionCard(TypedDict, total=False):
    """What a list shows of a session, each field only where there is something to say.

    Attributes:
        agent: the session's own.
        labels: of the newest top-level run, where a token gave it some.
        people: up to four who take part.
        queued, running, waiting: how many top-level runs stand so.
        approvals: how many wait for a person.
        run: how the newest top-level run stands.
        last: the newest input.
        taken_by: who has taken over from the agents.
    """

    agent: str
    labels: dict[str, str]
    people: list[str]
    queued: int
    running: int
    waiting: int
    approvals: int
    run: RunStatus
    last: LastInput
    taken_by: str


class SessionRow(TypedDict):
    """A session in a list.

    Attributes:
        tail: position of its last event.
        created_ms, active_ms: Unix milliseconds.
        read: the position up to which the person has seen it.
        unread: whether something came after that.
    """

    session: str
    title: str
    incarnation: str
    tail: int
    created_ms: int
    active_ms: int
    read: int
    unread: bool
    card: SessionCard


class ConnectionEntry(TypedDict):
    """A connection: whose, and the ``surface`` and ``device`` that were named as it was made."""

    actor: str
    surface: str
    device: str
    connection: str


class PresenceEntry(ConnectionEntry):
    """Somebody who is in a session now: a reader, or a worker that executes a run of it.

    Attributes:
        doing: what they do here, as they say; of a worker ``{"run": …}``.
        since_ms: Unix milliseconds.
    """

    doing: dict[str, Any]
    since_ms: int
