"""What somebody has to do: conditions as sources compute them, and items as people have them. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal, get_args

import msgspec

from holdfast.governance.directory.model import name_key

Severity = Literal["high", "normal", "low"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
Mark = Literal["now", "new", "due", "late"]
"""Of what somebody was told: at once, for it stops something; in a digest, as new or as due; the sponsor, for it is late."""
COMPUTED: Final = "computed"
"""Who closes items: nobody but the computation."""

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
AGAIN_MS: Final = DAY_MS
"""What comes back within so long after it was closed is the same item, due when it was: what is mended for an hour is not
mended."""


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is so, and that somebody has to do something about.

    Attributes:
        key: the same as long as it is the same thing.
        kind: of which sort it is, such as ``gate:6.a`` or ``budget.request``.
        workflow: empty where it is of none.
        role: in which ``person`` has to do it: ``owner`` (whoever acts as owner) or an office.
        person: name; empty where only the office is known.
        sponsor: who is told once it is late; empty for nobody.
        title, why, what: each in a sentence; ``what`` begins with a verb.
        link: path of the console.
        stops: whether it keeps something from running until it is done.
        due_ms: Unix ms; 0 for no date.
    """

    key: str
    kind: str
    workflow: str = ""
    role: str = "owner"
    person: str = ""
    sponsor: str = ""
    title: str
    why: str
    what: str
    link: str = ""
    severity: Severity = "normal"
    stops: bool = False
    due_ms: int = 0


class InboxItem(msgspec.Struct, frozen=True, kw_only=True):
    """A condition as somebody has it to do. What is not here means what it does in ``Condition``.

    Attributes:
        source: whose condition it is.
        minutes: that one of its kind takes: measured, else declared.
        opened_ms: when it was computed first; ``computed_ms``: when what it says was computed last as something else.
        due_ms: the first one that was computed, or an earlier one: it never moves back.
        seen_ms, seen_by: when its person opened it first; 0 for not yet.
        done_ms, done_by: when somebody said last that it is done. It says nothing about whether it is.
        closed_ms: when it was computed as gone; None while it is there. ``closed_by``: ``computed``.
        in_time: closed at its date or before; None while it is there, and without a date.
        reopened: how often it came back.
        marks: of what was told.
    """

    id: str
    tenant: str = "default"
    key: str
    source: str
    kind: str
    workflow: str = ""
    role: str = "owner"
    person: str = ""
    sponsor: str = ""
    title: str
    why: str
    what: str
    link: str = ""
    severity: Severity = "normal"
    stops: bool = False
    minutes: int = 0
    opened_ms: int = 0
    due_ms: int = 0
    computed_ms: int = 0
    seen_ms: int = 0
    seen_by: str = ""
    done_ms: int = 0
    done_by: str = ""
    closed_ms: int | None = None
    closed_by: str = ""
    in_time: bool | None = None
    reopened: int = 0
    marks: tuple[Mark, ...] = ()

    def rank(self, now_ms: int) -> tuple[int, int, int, int, str]:
        """Its place in a list: what stops something, then what is due, then by severity, then by age."""
        due = self.due_ms if self.due_ms and self.due_ms <= now_ms + DAY_MS else 1 << 60
        return (not self.stops, due, SEVERITIES.index(self.severity), self.opened_ms, self.key)


def is_of(item: InboxItem, names: Collection[str]) -> bool:
    """Whether it is somebody's to do who has these names, as names are compared."""
    return bool(item.person) and name_key(item.person) in names
