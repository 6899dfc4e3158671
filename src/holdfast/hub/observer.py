"""Who is told of what happens to sessions in memory: once per commit, after it is durable.

This is where whatever follows from a log plugs in: subscriptions, workers, lists, presence, the feed; and where a cluster
would publish what was committed. Observers are called on the loop, in the order in which the hub names them; they may
not wait, and they may not fail.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from holdfast.protocol.events import Event
from holdfast.protocol.frames import Frame

S = TypeVar("S")


class Commit:
    """What one commit made durable.

    Attributes:
        events: in order, as the view was folded with them.
        frames: the same, encoded once.
        size: bytes of the frames' payloads.
        types: which types of events there are.
        has_control: more than content was written: lists, leases, deadlines or assignments may have changed.
        has_notices: the feed has news.
    """

    __slots__ = ("events", "frames", "has_control", "has_notices", "size", "types")

    def __init__(
        self, events: list[Event], frames: list[Frame], types: set[str], *, has_control: bool, has_notices: bool
    ) -> None:
        self.events = events
        self.frames = frames
        self.types = types
        self.has_control = has_control
        self.has_notices = has_notices
        self.size = sum([len(frame.payload) for frame in frames])


class SessionObserver(Generic[S]):
    """Somebody who is told; what it does not care for it leaves as it is here. ``S`` is a session in memory."""

    def loaded(self, session: S) -> None:
        """The session was folded from the engine, for the first time or after a failed commit."""

    def committed(self, session: S, commit: Commit) -> None:
        """A commit is durable, and the session's view is at its end."""

    def missed(self, session: S, events: list[Event]) -> None:
        """Events are durable whose commit had been reported as failed; the session's view has them."""

    def deleted(self, session: S) -> None:
        """This life of the session is over, and its tombstone durable."""
