"""Which rows of the journal somebody asks for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from holdfast.errors import Refused
from holdfast.governance.actions import moment_of

FLAGS: Final = ("top", "interactive", "seated", "memory", "side_effects", "unclassified", "lost", "test")
"""What can be asked of a run with ``yes`` or ``no``."""
NAMES: Final = ("workflow", "since_ms", "until_ms", "recorded", *FLAGS, "cursor", "limit")
"""All that a question may say."""


class JournalQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of a workflow that were queued in a time.

    Attributes:
        workflow: empty for all.
        since_ms: the first moment; ``until_ms`` the first one after it, None for no end. Unix ms.
        recorded: False for runs that the ledger paid for, and the journal does not have.
        top: whether people or programs began it, and no other run.
        interactive: whether somebody was there; ``seated``: or its key says that somebody waits.
        memory, side_effects, unclassified: whether it called such a tool.
        lost: whether what it did is not known, or not yet.
        test: whether it counts for no gate.
        after: ``(queued_ms, id)`` of the last row that is there already.
    """

    workflow: str = ""
    since_ms: int = 0
    until_ms: int | None = None
    recorded: bool = True
    top: bool | None = None
    interactive: bool | None = None
    seated: bool | None = None
    memory: bool | None = None
    side_effects: bool | None = None
    unclassified: bool | None = None
    lost: bool | None = None
    test: bool | None = None
    after: tuple[int, str] | None = None


def question_of(facts: Mapping[str, str]) -> JournalQuestion:
    """A question as a query has it: flags as ``yes`` and ``no``, what is empty is not asked. Raises ``input.malformed``."""
    flags = {name: _flag(facts.get(name, ""), name) for name in (*FLAGS, "recorded")}
    recorded = flags.pop("recorded") is not False
    until = facts.get("until_ms", "")
    return JournalQuestion(
        workflow=facts.get("workflow", ""), since_ms=moment_of(facts.get("since_ms") or "0", "since_ms"),
        until_ms=moment_of(until, "until_ms") if until else None, recorded=recorded, after=_after(facts.get("cursor", "")),
        **flags,
    )  # fmt: skip


def cursor_of(queued_ms: int, ident: str) -> str:
    """What to ask with for the rows after one."""
    return f"{queued_ms}:{ident}"


def _after(cursor: str) -> tuple[int, str] | None:
    at_ms, mark, ident = cursor.partition(":")
    return (moment_of(at_ms, "cursor"), ident) if mark or cursor else None


def _flag(text: str, name: str) -> bool | None:
    if text not in ("", "yes", "no"):
        raise Refused("input.malformed", f"{name} {text!r:.40}: yes or no")
    return None if not text else text == "yes"
