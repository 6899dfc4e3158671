"""Doors: what the gates that hold one say together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.model import Cause, DoorName, GateVerdict

ShownVerdict = Literal["pass", "fail", "unknown", "not_applicable", "waived"]
OPENS: Final = frozenset({"pass", "not_applicable", "waived"})
"""What lets a door open. *Unknown* is not among it."""


class GateStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a gate stands now.

    Attributes:
        verdict: as computed, or what stands of an earlier one while its sources are down.
        shown: the same, or ``waived``.
        standing: an earlier verdict, for ``reason`` has it that the newest is unknown for want of a source.
        verdict_id: of the record; empty where nothing was ever computed.
        since_ms: since when it is shown so.
        waiver: id, where one holds.
        former: the verdict under the former numbers, for 90 days after they were changed.
    """

    gate: str
    workflow: str
    verdict: GateVerdict
    shown: ShownVerdict
    cause: Cause = ""
    n: int = 0
    reason: str = ""
    fix: str = ""
    as_of_ms: int = 0
    valid_until_ms: int = 0
    standing: bool = False
    verdict_id: str = ""
    since_ms: int = 0
    waiver: str = ""
    former: str = ""


class DoorStatus(msgspec.Struct, frozen=True):
    """How a door stands: open when every gate that holds it passes, is waived or is not applicable.

    Attributes:
        shut_by: gates that fail; ``unknown``: gates that nobody can tell.
    """

    door: DoorName
    open: bool
    shut_by: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def door(name: DoorName, gates: Iterable[Gate], status: Mapping[str, GateStatus]) -> DoorStatus:
    """How a door stands. A gate without a status is unknown."""
    failing, unknown = [], []
    for gate in gates:
        if name not in gate.holds:
            continue
        found = status.get(gate.name)
        shown = found.shown if found is not None else "unknown"
        if shown == "fail":
            failing.append(gate.name)
        elif shown not in OPENS:
            unknown.append(gate.name)
    return DoorStatus(name, not failing and not unknown, tuple(failing), tuple(unknown))
