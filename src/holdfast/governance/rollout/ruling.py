"""From evidence to a verdict on record: what holds for all gates, whatever their own rules are. Pure."""

from __future__ import annotations

import msgspec

from holdfast.governance import limits
from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.kin import as_one
from holdfast.governance.rollout.model import (
    STANDS_MS,
    Evidence,
    GateScope,
    Ruling,
    Thresholds,
    VerdictRow,
    identity,
    is_intact,
    unknown,
)
from holdfast.governance.rollout.profiles import Profile


def ruled(gate: Gate, evidence: Evidence, scope: GateScope, thresholds: Thresholds) -> Ruling:
    """What a gate's rule says; where an answer was cut short, a violation is still one, and nothing passes."""
    if gate.decide is None:
        return unknown(
            "unbuilt", "not built yet", "Have its sponsor or the risk officer waive it until a date, or wait"
        )
    absent = [name for name in gate.queries if name not in evidence]
    if absent:
        return unknown("missing", f"{absent[0]} cannot be reckoned by this process", "Ask the server of this store")
    ruling = as_one(gate, gate.decide(evidence, scope, thresholds), evidence)
    cut = sorted(name for name in gate.queries if evidence[name].cut)
    if cut and ruling.verdict != "fail":
        return unknown("cut", f"{cut[0]} has more rows than can be read", "Divide the workflow", ruling.n)
    return ruling


def verdict_row(
    gate: Gate,
    scope: GateScope,
    profile: Profile,
    ruling: Ruling,
    evidence: str,
    before: VerdictRow | None,
    now_ms: int,
) -> VerdictRow:
    """A ruling as it is put on record."""
    expires = scope.as_of_ms + STANDS_MS
    if ruling.valid_until_ms is not None:
        expires = min(expires, ruling.valid_until_ms)
    row = VerdictRow(
        tenant=scope.tenant, gate=gate.name, workflow=scope.workflow, profile=profile.base, version=profile.version,
        thresholds=profile.of(gate.name), verdict=ruling.verdict, cause=ruling.cause, n=ruling.n, reason=ruling.reason,
        fix=ruling.fix, as_of_ms=scope.as_of_ms, valid_until_ms=expires, computed_ms=now_ms, evidence=evidence,
        since_ms=before.since_ms if before is not None and before.verdict == ruling.verdict else now_ms,
    )  # fmt: skip
    return msgspec.structs.replace(row, id=identity(row))


def worth_keeping(row: VerdictRow, before: VerdictRow | None) -> bool:
    """Whether a verdict says anything that the one before it does not: another word, other numbers, or the same after a while;
    and always where the one before it was changed after it was written."""
    if before is None or not is_intact(before):
        return True
    same = (row.verdict, row.cause, row.reason, row.fix, row.version, row.profile)
    if same != (before.verdict, before.cause, before.reason, before.fix, before.version, before.profile):
        return True
    return row.computed_ms - before.computed_ms >= limits.PLAN_AGAIN_MS
