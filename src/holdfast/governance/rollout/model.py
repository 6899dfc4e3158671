"""Gates, doors, evidence and verdicts. Pure.

A verdict is a function of rows that somebody else can read again: which gate, of which workflow, as of when, under which
profile. What it says is ``pass``, ``fail``, ``unknown`` or ``not_applicable``; *unknown* is never a pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

GateVerdict = Literal["pass", "fail", "unknown", "not_applicable"]
Cause = Literal["", "stale", "missing", "few", "changed", "cut", "unbuilt"]
"""Why a verdict is unknown: a source is down or too old; there is nothing; there is too little; what is there was changed;
the answer was cut short; nobody has built the gate yet. Only for ``stale`` does the verdict before it stand."""
DoorName = Literal["L", "P", "O", "R"]
DOORS: Final[dict[DoorName, str]] = {
    "L": "launch of a pilot",
    "P": "leaving the pilot",
    "O": "the organisation",
    "R": "running",
}
"""What a gate holds. Only the gates of R stop new runs; those of O stop a statement or a signature."""

Row = Mapping[str, int | str | None]
Rows = Sequence[Row]

DAY_MS: Final = 86_400_000
STANDS_MS: Final = 7 * DAY_MS
"""A verdict stands for so long at most when its sources are down (rule 4)."""


class GateScope(msgspec.Struct, frozen=True):
    """Of what a verdict is.

    Attributes:
        workflow: empty for the organisation.
        as_of_ms: the moment, Unix ms.
        since_ms, until_ms: the window W: the last 28 complete days in the organisation's time zone.
        month: the last closed month, ``2026-10``.
        zone: IANA name of that time zone.
    """

    tenant: str
    workflow: str
    as_of_ms: int
    since_ms: int
    until_ms: int
    month: str = ""
    zone: str = "UTC"


class EvidenceAnswer(msgspec.Struct, frozen=True):
    """What a query answered.

    Attributes:
        query: its name; the text stands in ``queries/NAME.sql``, or the reckoning has that name.
        params: with which it was asked.
        positions: up to where its sources were read: change numbers of domains, and the life of the store.
        digest: of the rows (``digest_of``).
        cut: there were more rows than may be read.
    """

    query: str
    params: dict[str, int | str]
    rows: tuple[dict[str, int | str | None], ...]
    positions: dict[str, int | str] = {}
    digest: str = ""
    cut: bool = False


Evidence = Mapping[str, EvidenceAnswer]
Thresholds = Mapping[str, int | str]


class Ruling(NamedTuple):
    """What a rule makes of evidence.

    Attributes:
        n: rows, runs or people that it is about.
        reason: in a sentence, for whoever has to do something.
        fix: what to do, beginning with a verb; empty where nothing is.
        valid_until_ms: when an input of it expires; None for none.
        cause: of an unknown.
    """

    verdict: GateVerdict
    n: int
    reason: str
    fix: str = ""
    valid_until_ms: int | None = None
    cause: Cause = ""


def passes(n: int, reason: str, valid_until_ms: int | None = None) -> Ruling:
    """It holds."""
    return Ruling("pass", n, reason, "", valid_until_ms)


def fails(n: int, reason: str, fix: str) -> Ruling:
    """It is violated, and that is proven."""
    return Ruling("fail", n, reason, fix)


def unknown(cause: Cause, reason: str, fix: str, n: int = 0) -> Ruling:
    """It cannot be told."""
    return Ruling("unknown", n, reason, fix, None, cause)


def not_applicable(reason: str) -> Ruling:
    """It is about something that is not there, as computed."""
    return Ruling("not_applicable", 0, reason)


class VerdictRow(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict as it is on record.

    Attributes:
        id: ``v-`` and a hash of everything else here but ``since_ms``: what was changed afterwards does not have it.
        profile, version: the thresholds' name and version; ``thresholds`` those that the rule used.
        as_of_ms: of which moment; ``computed_ms`` when; ``since_ms`` since when it is the same verdict.
        evidence: digest of the answers it stands on (``digest_of_evidence``).
    """

    id: str = ""
    tenant: str
    gate: str
    workflow: str
    profile: str
    version: int
    thresholds: dict[str, int | str]
    verdict: GateVerdict
    cause: Cause
    n: int
    reason: str
    fix: str
    as_of_ms: int
    valid_until_ms: int
    computed_ms: int
    since_ms: int = 0
    evidence: str = ""


def digest_of(rows: Rows) -> str:
    """SHA-256 of rows: JSON with sorted keys and no spaces, as text in hexadecimal."""
    return hashlib.sha256(msgspec.json.encode([dict(row) for row in rows], order="sorted")).hexdigest()


def digest_of_evidence(answers: Sequence[EvidenceAnswer]) -> str:
    """SHA-256 of answers, in the order of their names."""
    named = sorted(answers, key=lambda answer: answer.query)
    return hashlib.sha256(msgspec.json.encode(named, order="sorted")).hexdigest()


def identity(row: VerdictRow) -> str:
    """The id that a verdict with this content has."""
    facts: dict[str, Any] = msgspec.to_builtins(row)
    del facts["id"], facts["since_ms"]
    return f"v-{hashlib.sha256(msgspec.json.encode(facts, order='sorted')).hexdigest()[:32]}"


def is_intact(row: VerdictRow) -> bool:
    """Whether a verdict is as it was written."""
    return row.id == identity(row)


def stands_on(row: VerdictRow, answers: Sequence[EvidenceAnswer]) -> bool:
    """Whether answers are those that a verdict was made of, each as it was written."""
    return row.evidence == digest_of_evidence(answers) and all(one.digest == digest_of(one.rows) for one in answers)
