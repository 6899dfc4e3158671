"""Profiles: the numbers of the rules, for three kinds of organisation, and versions of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from holdfast.errors import Refused
from holdfast.governance.rollout.model import DAY_MS
from holdfast.governance.rollout.registry import BY_NAME

BASES: Final[dict[str, dict[str, dict[str, int | str]]]] = {
    "enterprise": {},
    "startup": {"1.b": {"days": 14, "runs": 100}, "6.a": {"own_unit": 0}},
    "team": {"1.b": {"days": 7, "runs": 50}, "6.a": {"own_unit": 0, "accepted_days": 365}, "6.b": {"percent": 80}},
}
"""What differs from the gates' own numbers, by profile and gate. ``enterprise``: none; ``startup``: one that sells to
enterprises; ``team``: one team."""

BESIDE_MS: Final = 90 * DAY_MS
"""For so long after a change the result under the former numbers is shown beside the one under the new."""


class Profile(msgspec.Struct, frozen=True):
    """A version of the numbers.

    Attributes:
        base: ``enterprise``, ``startup`` or ``team``.
        version: 0 for the base itself, as long as nobody changed anything.
        thresholds: by gate, what differs from the base.
        by, reason, at_ms: who changed it, why and when.
    """

    base: str = "enterprise"
    version: int = 0
    thresholds: dict[str, dict[str, int | str]] = {}
    by: str = ""
    reason: str = ""
    at_ms: int = 0

    def of(self, gate: str) -> dict[str, int | str]:
        """The numbers of a gate's rule."""
        own = BY_NAME[gate].thresholds
        return {**own, **_of(BASES[self.base], gate), **_of(self.thresholds, gate)}


def _of(some: Mapping[str, Mapping[str, int | str]], gate: str) -> Mapping[str, int | str]:
    return some.get(gate, {})


def checked(base: str, thresholds: Mapping[str, Mapping[str, int | str]]) -> None:
    """Refuse a profile that is none (``workflow.invalid``): an unknown base, gate or number, or one of another type."""
    if base not in BASES:
        raise Refused("workflow.invalid", f"profile {base!r:.40}: {', '.join(BASES)}")
    for gate, numbers in thresholds.items():
        own = BY_NAME[gate].thresholds if gate in BY_NAME else {}
        for name, value in numbers.items():
            if (
                name not in own
                or type(value) is not type(own[name])
                or (isinstance(value, int) and not 0 <= value < 1 << 40)
            ):
                raise Refused("workflow.invalid", f"gate {gate!r:.8} has no number {name!r:.40} like {value!r:.40}")
