"""Waivers: a gate is passed over, by name, with a reason, until a date. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.rollout.model import DAY_MS

Office = Literal["sponsor", "risk"]
LONGEST_MS: Final = 30 * DAY_MS
AGAIN_MS: Final = 90 * DAY_MS
"""A waiver within so long after another one renews it; what is a renewal itself is not renewed."""


class GateWaiver(msgspec.Struct, frozen=True, kw_only=True):
    """A waiver.

    Attributes:
        office: in which the giver gives it.
        renews: id of the one before it; empty for a first.
        ended_ms: when it was taken back; None for not.
    """

    id: str
    tenant: str
    gate: str
    workflow: str
    by: str
    office: Office
    reason: str
    at_ms: int
    until_ms: int
    renews: str = ""
    ended_ms: int | None = None
    ended_by: str = ""

    def holds(self, at_ms: int) -> bool:
        """Whether it holds at a moment."""
        return self.at_ms <= at_ms < self.until_ms and (self.ended_ms is None or at_ms < self.ended_ms)


def office_of(
    person: str, *, sponsor: str, owners: Iterable[str], may_waive: bool, same: Callable[[str, str], bool]
) -> Office:
    """In which office somebody may waive.

    Args:
        person: who gives it.
        owners: owner and deputy of the workflow.
        may_waive: whether their token has the verb ``waive``: the risk officer's.
        same: whether two names are one person's.

    Raises:
        Refused: ``waiver.invalid`` for owner and deputy, whatever else they are, and for everybody else.
    """
    if any(same(person, name) for name in owners if name):
        raise Refused("waiver.invalid", f"{person} owns the workflow, or is its deputy: neither waives its gates")
    if sponsor and same(person, sponsor):
        return "sponsor"
    if may_waive:
        return "risk"
    raise Refused("waiver.invalid", f"{person} is neither the sponsor nor the risk officer")


def renewed(before: Sequence[GateWaiver], at_ms: int, until_ms: int, reason: str) -> str:
    """The id of the waiver that a new one of the same gate and workflow renews; empty for a first.

    Raises:
        Refused: ``waiver.invalid`` for one that is too long, without a reason, or a second renewal.
    """
    if not reason.strip() or len(reason) > limits.WAIVER_REASON_CHARS:
        raise Refused("waiver.invalid", f"a waiver has a reason, of at most {limits.WAIVER_REASON_CHARS} characters")
    if not at_ms < until_ms <= at_ms + LONGEST_MS:
        raise Refused("waiver.invalid", "a waiver lasts for at most 30 days, and ends in the future")
    recent = [one for one in before if at_ms - one.until_ms < AGAIN_MS]
    if recent and recent[-1].renews:
        raise Refused("waiver.invalid", f"it was waived and renewed already, the last time by {recent[-1].by}")
    return recent[-1].id if recent else ""
