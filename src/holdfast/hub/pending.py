"""Commands that wait for their commit, and the callbacks by which they are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from holdfast.errors import HoldfastError
from holdfast.protocol import wire
from holdfast.session.access import Principal

Outcome = dict[str, Any] | HoldfastError
Callback = Callable[[Outcome], None]
"""Called once with what follows in ``ok``, or with the error."""

_ENCODED: Final = wire.Append(session="", events=[])
"""What is left of an append once it is encoded."""


class PendingCommand:
    """One command.

    Attributes:
        principal: who asks, for checks that need the state; None for what the hub itself asks.
        outcome: what was decided; the callback gets it when the decision is durable.
        notified: the callback was called.
    """

    __slots__ = ("_notify", "actor", "notified", "op", "outcome", "principal")

    def __init__(self, op: wire.Op, actor: str, principal: Principal | None, notify: Callback) -> None:
        self.op = op
        self.actor = actor
        self.principal = principal
        self.outcome: Outcome | None = None
        self.notified = False
        self._notify = notify

    def drop_content(self) -> None:
        """What it appends is encoded: nobody needs the content in this form any more."""
        if type(self.op) is wire.Append:
            self.op = _ENCODED

    def notify(self) -> None:
        """Call the callback with the outcome, once."""
        if not self.notified and self.outcome is not None:
            self.notified = True
            self._notify(self.outcome)

    def fail(self, error: HoldfastError) -> None:
        """The commit failed: whatever was decided is void, refusals too, for they saw what was never stored (LOG-4)."""
        self.outcome = error
        self.notify()


def resolve_into(future: asyncio.Future[dict[str, Any]]) -> Callback:
    """A callback that resolves a future."""

    def notify(outcome: Outcome) -> None:
        if future.done():
            return
        if isinstance(outcome, HoldfastError):
            future.set_exception(outcome)
            future.exception()  # seen: a caller that went away is no error of ours
        else:
            future.set_result(outcome)

    return notify
