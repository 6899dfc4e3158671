"""What a probe found, and what a report is made of."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

Verdict = Literal["pass", "fail", "inconclusive", "not_applicable"]
Capability = Literal["resilient", "continuity", "control", "agents"]
CAPABILITIES: Final = ("resilient", "continuity", "control")
DETACHED: Final = ("resilient.keeps_generating", "control.disconnect")
"""Probes that see whether a run goes on without its reader."""


class Step(msgspec.Struct, kw_only=True):
    """One moment of a probe: at ``at_s`` seconds ``source`` did ``what`` to ``target``; ``fault`` when the audit broke it."""

    at_s: float
    source: str
    target: str
    what: str
    fault: bool = False


class Finding(msgspec.Struct, kw_only=True):
    """One probe's result.

    Attributes:
        did, expected, saw: in words. because: ids of findings that explain this one.
        lacks: the endpoint offers no way at all to do it. measured: numbers, unit last in their names.
        timeline: what happened when. evidence: bytes as they came, redacted.
    """

    id: str
    capability: Capability
    title: str
    verdict: Verdict
    did: str
    expected: str
    saw: str
    because: list[str] = []
    lacks: bool = False
    measured: dict[str, float] = {}
    timeline: list[Step] = []
    evidence: list[str] = []
    took_s: float = 0.0


class Contact(msgspec.Struct, kw_only=True):
    """How the endpoint behaved when nothing was broken.

    Attributes:
        state: ``ok``, or why nothing could be audited: ``unreachable``, ``refused``, ``redirect``, ``hangs``,
            ``never_ends``, ``flood``, ``garbage``, ``empty``, ``unmatched`` (messages came, and the recipe's rule for text
            never matched), ``one_piece`` (it does not stream).
        deterministic: whether the same prompt gave the same answer; None when that is unknown.
        marks_end: whether the stream says that an answer is complete.
    """

    state: str
    message: str = msgspec.field(name="told")
    deterministic: bool | None = None
    marks_end: bool = False
    answer_chars: int = 0
    bytes: int = 0
    pieces: int = 0
    took_s: float = 0.0
    first_s: float = 0.0
    silence_s: float = 0.0
    evidence: str = ""


class Score(msgspec.Struct, kw_only=True):
    """How a capability did, in probes."""

    passed: int = 0
    failed: int = 0
    inconclusive: int = 0
    not_applicable: int = 0


class Advice(msgspec.Struct, kw_only=True):
    """A diagnosis or a piece of the prescription: its name, what it means here, and the findings it rests on."""

    name: str
    text: str
    because: list[str] = []
    code: str = ""


class Report(msgspec.Struct, kw_only=True):
    """Everything an audit says. ``capabilities`` holds one verdict each; ``probes`` say why."""

    capabilities: dict[str, Verdict]
    probes: list[Finding]
    audit: int = 1
    target: str = ""
    build: str = ""
    """Which build the target says it is (``holdfast validate``); empty where it was not asked."""
    driver: str = ""
    began: str = ""
    took_s: float = 0.0
    requests: int = 0
    contact: Contact
    multi_agent: Verdict = "not_applicable"
    scores: dict[str, Score] = {}
    diagnosis: list[Advice] = []
    prescription: list[Advice] = []
    inputs: dict[str, Any] = {}
    before: str = ""
    """When the earlier report began that this one is compared with; empty: with none."""
    changed: list[dict[str, str]] = []


def verdict_of(findings: list[Finding]) -> Verdict:
    """A capability's verdict: one failure fails it; without any, one open question leaves it open."""
    found = {finding.verdict for finding in findings}
    for verdict in ("fail", "inconclusive", "pass"):
        if verdict in found:
            return verdict
    return "not_applicable"


def score_of(findings: list[Finding]) -> Score:
    """How many probes of each verdict."""
    counts = dict.fromkeys(("pass", "fail", "inconclusive", "not_applicable"), 0)
    for finding in findings:
        counts[finding.verdict] += 1
    return Score(
        passed=counts["pass"],
        failed=counts["fail"],
        inconclusive=counts["inconclusive"],
        not_applicable=counts["not_applicable"],
    )
