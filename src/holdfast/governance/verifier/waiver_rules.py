"""The rules of waivers: by the sponsor or the risk officer and never by whoever answers for the workflow, for thirty days at
most, renewed once. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from holdfast.governance.verifier.documents import DAY_MS, Remark, StatedWaiver, against, unsure

LONGEST_MS: Final = 30 * DAY_MS
REST_MS: Final = 90 * DAY_MS
"""A waiver within so long after another one of the same gate renews that one."""


class Roles(NamedTuple):
    """Who answers for a workflow, and who sponsors it."""

    owner: str
    deputy: str
    sponsor: str


def waiver_remarks(
    waiver: StatedWaiver, everyone: Sequence[StatedWaiver], roles: Sequence[Roles] | None
) -> Iterator[Remark]:
    """What is wrong with a waiver.

    Args:
        everyone: all waivers, this one among them.
        roles: of its workflow, or of every workflow for one of the organisation; None where nobody says.
    """
    if waiver.office not in ("sponsor", "risk"):
        yield against(f"it was given in the office of {waiver.office!r:.40}: only sponsor and risk may")
    if not waiver.at_ms < waiver.until_ms <= waiver.at_ms + LONGEST_MS:
        yield against("it lasts for longer than 30 days, or for no time")
    if not waiver.reason.strip():
        yield against("it has no reason")
    if len([one for one in everyone if one.id == waiver.id]) > 1:
        yield against("forged: there are two of its id")
    before = _renewed(waiver, everyone)
    if before is not None and _renewed(before, everyone) is not None:
        yield against("it renews a waiver that was a renewal already")
    if before is None and waiver.renews:
        yield against("forged: what it renews is not there, or long over")
    if before is not None and waiver.renews != before.id:
        yield against("it renews a waiver and does not say so")
    yield from _giver(waiver, roles)


def _giver(waiver: StatedWaiver, roles: Sequence[Roles] | None) -> Iterator[Remark]:
    person = waiver.by.partition(":")[2].casefold()
    if not waiver.by.startswith("user:") or not person:
        yield against(f"{waiver.by!r:.80} is nobody who may waive")
    if roles is None:
        yield unsure("who answered for the workflow is not stated")
        return
    if any(person in (one.owner.casefold(), one.deputy.casefold()) for one in roles):
        yield against(f"it was given by {waiver.by:.80}, who answers for the workflow")
    elif waiver.office == "sponsor" and not any(person == one.sponsor.casefold() for one in roles):
        yield against(f"{waiver.by:.80} is not the sponsor")


def _renewed(waiver: StatedWaiver, everyone: Sequence[StatedWaiver]) -> StatedWaiver | None:
    """The waiver that one renews, by their times and not by what they say."""
    before = [
        one for one in everyone
        if (one.gate, one.workflow) == (waiver.gate, waiver.workflow) and one.id != waiver.id
        and (one.at_ms, one.id) < (waiver.at_ms, waiver.id) and waiver.at_ms - one.until_ms < REST_MS
    ]  # fmt: skip
    return max(before, key=lambda one: (one.at_ms, one.id), default=None)


def roles_now(rows: Mapping[str, Sequence[Mapping[str, int | str | None]]]) -> dict[str, Roles]:
    """Roles by workflow, of rows of the query ``workflow`` by workflow."""
    return {
        workflow: Roles(*(str(some[0][name] or "") for name in ("owner", "deputy", "sponsor")))
        for workflow, some in rows.items()
        if some and {"owner", "deputy", "sponsor"} <= some[0].keys()
    }
