"""Whether a verdict holds: its numbers, its time, and how it is said to stand. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from holdfast.governance.verifier.content import STANDS_MS
from holdfast.governance.verifier.documents import (
    Remark,
    StatedPlan,
    StatedProfile,
    StatedVerdict,
    StatedWaiver,
    against,
    note,
    unsure,
)
from holdfast.governance.verifier.published import PROFILES, base_numbers

SKEW_MS: Final = 300_000
"""Clocks differ by so much at most."""
OPEN: Final = ("pass", "not_applicable")


def numbers(
    verdict: StatedVerdict, profiles: Sequence[StatedProfile] | None, people: Iterable[str]
) -> Iterator[Remark]:
    """Whether the thresholds are the published ones, or those of a version of the profile that somebody else set."""
    if verdict.profile not in PROFILES:
        yield against(f"forged: there is no profile {verdict.profile!r:.40}")
        return
    base = base_numbers(verdict.profile, verdict.gate)
    if verdict.version == 0:
        if verdict.thresholds != base:
            yield against(
                f"its numbers are not the published ones, and no profile says so: {_differences(verdict, base)}"
            )
        if verdict.profile != "enterprise":  # what nobody chose is this one
            yield against(f"nobody chose the profile {verdict.profile}")
        elif None not in _then(profiles, verdict.computed_ms):
            yield against("it was made under numbers that did not hold then")
        return
    if profiles is None:
        yield unsure(f"version {verdict.version} of the numbers is not stated")
        return
    version = next((one for one in profiles if one.version == verdict.version and one.base == verdict.profile), None)
    if version is None:
        yield against(f"forged: there is no version {verdict.version} of the profile {verdict.profile}")
        return
    wanted = {**base, **version.thresholds.get(verdict.gate, {})}
    if verdict.thresholds != wanted:
        yield against(f"its numbers are not those of version {version.version}: {_differences(verdict, wanted)}")
    if version not in _then(profiles, verdict.computed_ms):
        yield against("it was made under numbers that did not hold then")
    if version.by.partition(":")[2].casefold() in {name.casefold() for name in people if name}:
        yield against(
            f"version {version.version} of the numbers was set by {version.by:.80}, who answers for the workflow"
        )


def _then(profiles: Sequence[StatedProfile] | None, at_ms: int) -> list[StatedProfile | None]:
    """The version that held at a moment, and the one just before it: whoever computed may have looked a little earlier."""
    return [
        max((one for one in profiles or () if one.at_ms <= moment), key=lambda one: one.version, default=None)
        for moment in (at_ms, at_ms - SKEW_MS)
    ]


def _differences(verdict: StatedVerdict, wanted: dict[str, int | str]) -> str:
    names = sorted(
        name for name in wanted.keys() | verdict.thresholds.keys() if wanted.get(name) != verdict.thresholds.get(name)
    )
    return ", ".join(f"{name} is {verdict.thresholds.get(name)}, should be {wanted.get(name)}" for name in names)[:200]


def times(verdict: StatedVerdict, plan: StatedPlan, now_ms: int) -> Iterator[Remark]:
    """Whether its moments are in order, and whether it still holds."""
    if verdict.valid_until_ms > verdict.as_of_ms + STANDS_MS:
        yield against("it stands for more than seven days")
    if not verdict.as_of_ms <= verdict.computed_ms <= min(plan.as_of_ms, now_ms) + SKEW_MS:
        yield against("it says of another time that it was made then")
    if plan.as_of_ms > now_ms + SKEW_MS:
        yield against("the plan is of the future")
    if verdict.valid_until_ms <= now_ms and not _said_unknown(verdict):
        yield unsure(f"it has expired on {day(verdict.valid_until_ms)}: export the plan again")


def _said_unknown(verdict: StatedVerdict) -> bool:
    return verdict.status is not None and verdict.status.shown in ("unknown", "waived")


def standing(verdict: StatedVerdict, plan: StatedPlan, waivers: Sequence[StatedWaiver]) -> Iterator[Remark]:
    """Whether a gate stands as it is said to.

    Args:
        waivers: those that were found to be good.
    """
    status = verdict.status
    if status is None:
        return
    over = verdict.valid_until_ms <= plan.as_of_ms
    if over and status.shown not in ("unknown", "waived"):
        yield against(f"it expired on {day(verdict.valid_until_ms)} and is passed off as {status.shown}")
        return
    computed = "unknown" if over else verdict.verdict
    if status.verdict != computed and not (status.verdict == "unknown" and status.cause == "changed"):
        yield against(f"it is {computed}, and is said to stand as {status.verdict}")
    if status.verdict_id not in ("", verdict.id):
        yield against("how it stands is said of another verdict")
    if status.standing and verdict.cause == "stale":
        yield against("a verdict without its source is said to stand")
    holding = [
        one
        for one in waivers
        if one.gate == verdict.gate and one.workflow == verdict.workflow and one.holds(plan.as_of_ms)
    ]
    waived = bool(holding) and status.verdict not in OPEN
    if status.shown == "waived" and not waived:
        yield against("it is shown as waived, and no good waiver of it holds")
    elif status.shown != "waived" and status.shown != status.verdict:
        yield against(f"it is shown as {status.shown}, and stands as {status.verdict}")
    elif status.shown == "waived":
        yield note(f"waived until {day(min(one.until_ms for one in holding))}")


def day(at_ms: int) -> str:
    """A moment as a day, in UTC."""
    try:
        return f"{datetime.datetime.fromtimestamp(at_ms / 1_000, datetime.UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return "a day that there is not"
