"""What somebody is told, and what became of each way of telling. Pure."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from holdfast.governance import limits

State = Literal["waiting", "sent", "given up"]


class Delivery(msgspec.Struct, frozen=True):
    """What became of one way of telling.

    Attributes:
        tries: so far. ``due_ms``: when the next one is, Unix ms; while one is under way, when it counts as failed.
        why: of the last one that failed; never anything secret.
    """

    state: State = "waiting"
    tries: int = 0
    due_ms: int = 0
    why: str = ""

    def after(self, why: str | None, now_ms: int) -> Delivery:
        """What it is after a try that failed for a reason; None for one that did not fail."""
        if why is None:
            return replace(self, state="sent", due_ms=0, why="")
        if self.tries >= limits.ALERT_TRIES:
            return replace(self, state="given up", due_ms=0, why=why)
        wait_s = min(limits.ALERT_BACKOFF_MAX_S, limits.ALERT_BACKOFF_S * 4 ** (self.tries - 1))
        return replace(self, due_ms=now_ms + int(wait_s * 1_000), why=why)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message.

    Attributes:
        id: within the tenant, the same at every try.
        type: such as ``budget.alert``; webhooks are told apart by it.
        text: in a sentence; the subject of a mail.
        lines: what else a mail says; ``html`` the same as a page, escaped; empty for none.
        data: what a webhook says.
        people: addresses of those who get it; none for those that the settings name.
    """

    id: str
    tenant: str
    type: str
    at_ms: int
    text: str
    lines: tuple[str, ...] = ()
    html: str = ""
    data: dict[str, Any] = {}
    people: tuple[str, ...] = ()
