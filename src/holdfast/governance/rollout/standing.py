"""How a gate stands now, from what was computed of it, what stands of an earlier verdict, and who waived it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from holdfast.governance.rollout.doors import GateStatus
from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.model import Cause, VerdictRow, is_intact
from holdfast.governance.rollout.waivers import GateWaiver


class Records(NamedTuple):
    """Of one gate and workflow: the newest verdict, and the newest that was not for want of a source."""

    newest: VerdictRow | None = None
    stands: VerdictRow | None = None


def status_of(gate: Gate, workflow: str, records: Records, waivers: Sequence[GateWaiver], now_ms: int) -> GateStatus:
    """How it stands. While a source is down the verdict before it stands until it expires (rule 4); what was changed after it
    was written, and what has expired, is unknown."""
    found = _computed(gate, workflow, records, now_ms)
    waiver = next(
        (one for one in waivers if one.gate == gate.name and one.workflow == workflow and one.holds(now_ms)), None
    )
    if waiver is None or found.shown in ("pass", "not_applicable"):
        return found
    return _with(found, shown="waived", waiver=waiver.id)


def _computed(gate: Gate, workflow: str, records: Records, now_ms: int) -> GateStatus:
    if gate.decide is None:
        return _nothing(
            gate,
            workflow,
            "unbuilt",
            "not built yet",
            "Have its sponsor or the risk officer waive it until a date, or wait",
        )
    newest, before = records
    if newest is None:
        return _nothing(gate, workflow, "missing", "nothing was computed yet", "Compute it: holdfast plan status")
    if not is_intact(newest):
        return _nothing(
            gate,
            workflow,
            "changed",
            "the verdict was changed after it was written",
            "Look who changed it: holdfast plan verify",
        )
    if newest.cause == "stale" and before is not None and is_intact(before) and before.valid_until_ms > now_ms:
        return _with(
            _of(before),
            standing=True,
            reason=f"{before.reason} (stands, for {newest.reason})",
            fix=before.fix or newest.fix,
        )
    if newest.valid_until_ms <= now_ms:
        return _nothing(gate, workflow, "stale", "the last verdict has expired", "Compute it: holdfast plan status")
    return _of(newest)


def _of(row: VerdictRow) -> GateStatus:
    return GateStatus(
        gate=row.gate, workflow=row.workflow, verdict=row.verdict, shown=row.verdict, cause=row.cause, n=row.n,
        reason=row.reason, fix=row.fix, as_of_ms=row.as_of_ms, valid_until_ms=row.valid_until_ms, verdict_id=row.id,
        since_ms=row.since_ms,
    )  # fmt: skip


def _nothing(gate: Gate, workflow: str, cause: Cause, reason: str, fix: str) -> GateStatus:
    return GateStatus(
        gate=gate.name, workflow=workflow, verdict="unknown", shown="unknown", cause=cause, reason=reason, fix=fix
    )  # fmt: skip


def _with(status: GateStatus, **changes: Any) -> GateStatus:
    return msgspec.structs.replace(status, **changes)
