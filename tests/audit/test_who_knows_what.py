"""One fault at a time, beside a twin without any: who was told what, what an end is, and what a history decides.

Each fault is looked for by its probe and by those that could explain it away; ``make prove`` lets every probe look. Audits
mostly wait, so several run at a time, in one process, as the servers do: a busy machine slows both down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from holdfast.audit.budget import Budget, Redactor
from holdfast.audit.drivers.http import HttpEndpoint
from holdfast.audit.examine import PROBES, examine
from holdfast.audit.finding import Finding
from holdfast.audit.lab import Options
from holdfast.audit.probes.probe import Probe
from tests.audit.desk import FAULTS, Desk

pytestmark = pytest.mark.anyio
TWINS = ("", "snapshots")
AT_A_TIME = 8
TRIED = [probe for probe in PROBES if not probe.alone and probe.capability != "agents"]
Found = dict[str, Finding]


def looking_for(faults: Sequence[str]) -> list[Probe]:
    """The probes of these faults, and those whose failure would explain theirs."""
    ids = {FAULTS[fault] for fault in faults if fault in FAULTS}
    ids |= {id_ for probe in TRIED if probe.id in ids for id_ in probe.after}
    return [probe for probe in TRIED if probe.id in ids]


async def audit(fault: str, probes: Sequence[Probe]) -> Found:
    async with Desk("" if fault in TWINS else fault, snapshots=fault == "snapshots").running() as desk:
        budget = Budget(requests=2_000, ask_above=2_000, total_s=300, answer_s=30)
        given = Options(prompt="one", second_prompt="two", approval_prompt="needs approval", stop_s=10.0)
        endpoint = HttpEndpoint(desk.url, desk.recipe, budget)
        contact, found = await examine(endpoint, given, budget, Redactor(), probes=probes, jobs=4)
    assert contact.state == "ok" and contact.deterministic and contact.marks_end, contact
    return {finding.id: finding for finding in found}


async def audit_all(*, whole: bool) -> dict[str, Found]:
    """An audit of each desk, by its fault; the twins are looked at by all probes that some fault needs."""
    gate = asyncio.Semaphore(AT_A_TIME)

    async def one(fault: str) -> Found:
        async with gate:
            return await audit(fault, TRIED if whole else looking_for(list(FAULTS) if fault in TWINS else [fault]))

    desks = [*TWINS, *FAULTS]
    return dict(zip(desks, await asyncio.gather(*map(one, desks)), strict=True))


def told(found: Found, verdicts: Sequence[str] = ("fail",)) -> dict[str, str]:
    """What was seen by the probes with these verdicts."""
    return {f.id: f.saw for f in found.values() if f.verdict in verdicts}


async def test_a_fault_fails_its_probe_and_its_twin_passes() -> None:
    audited = await audit_all(whole=False)
    assert {twin: told(audited[twin], ("fail", "inconclusive")) for twin in TWINS} == {twin: {} for twin in TWINS}
    assert {fault: list(told(audited[fault])) for fault in FAULTS} == {fault: [id_] for fault, id_ in FAULTS.items()}


@pytest.mark.slow
async def test_a_fault_fails_exactly_its_probe_of_all() -> None:
    audited = await audit_all(whole=True)
    assert {twin: told(audited[twin], ("fail", "inconclusive")) for twin in TWINS} == {twin: {} for twin in TWINS}
    assert {fault: list(told(audited[fault])) for fault in FAULTS} == {fault: [id_] for fault, id_ in FAULTS.items()}
