"""An endpoint that does everything right passes everything; one with a single fault fails exactly that probe.

Each endpoint stands under the whole audit. Audits mostly wait, so several run at a time, in one process.
"""

from __future__ import annotations

import asyncio
import sys

import pytest

from holdfast.audit.budget import ProbeBudget, Redactor
from holdfast.audit.drivers.http import HttpEndpoint
from holdfast.audit.examine import PROBES, examine
from holdfast.audit.finding import Contact, Finding
from holdfast.audit.lab import AuditOptions
from tests.audit.chat_server import FAULTS, RECIPE, ChatServer

KILL = (
    "{} -I -S -c \"import socket as s; c = s.create_connection(('127.0.0.1', {})); "
    "c.send(b'POST /kill-{} HTTP/1.1\\r\\n\\r\\n'); c.recv(99)\""
)
AT_A_TIME = 4
ALONE = "conversations mix"
"""The server with this fault mixes whatever runs at the same time: there the probes go one by one."""

Audited = tuple[Contact, list[Finding]]


def options(port: int) -> AuditOptions:
    return AuditOptions(
        prompt="one", second_prompt="two", steer_text="slower", approval_prompt="needs approval",
        agents_prompt="needs agents", kill_agent=KILL.format(sys.executable, port, "agent"),
        kill_orchestrator=KILL.format(sys.executable, port, "orchestrator"), stop_s=2.0, lost_s=2.0,
    )  # fmt: skip


async def audit(fault: str = "") -> Audited:
    async with ChatServer(fault).running() as server:
        budget = ProbeBudget(requests=2_000, ask_above=2_000, total_s=300, answer_s=10)
        endpoint = HttpEndpoint(server.url, RECIPE, budget)
        return await examine(
            endpoint, options(server.port), budget, Redactor(), jobs=1 if fault == ALONE else 8,
        )  # fmt: skip


async def audit_all(faults: list[str]) -> dict[str, Audited]:
    gate = asyncio.Semaphore(AT_A_TIME)

    async def one(fault: str) -> Audited:
        async with gate:
            return await audit(fault)

    longest_first = sorted(faults, key=lambda fault: fault != ALONE)
    return dict(zip(longest_first, await asyncio.gather(*map(one, longest_first)), strict=True))


@pytest.fixture(scope="module")
def audited(request: pytest.FixtureRequest) -> dict[str, Audited]:
    """The audits that the selected tests look at, by fault; the good endpoint's is under the empty name."""
    here = [item for item in request.session.items if item.path == request.path and isinstance(item, pytest.Function)]
    wanted = [item.callspec.params["fault"] if hasattr(item, "callspec") else "" for item in here]
    return asyncio.run(audit_all(wanted))


def test_an_endpoint_built_to_pass_passes_everything(audited: dict[str, Audited]) -> None:
    contact, findings = audited[""]
    assert contact.state == "ok" and contact.deterministic and contact.marks_end, contact
    assert {f.id: (f.verdict, f.saw) for f in findings if f.verdict != "pass"} == {}
    assert len(findings) == len(PROBES) == len(FAULTS)


@pytest.mark.slow  # by the clock: a busy machine can outrun what is planted
@pytest.mark.parametrize("fault", FAULTS)
def test_one_planted_fault_fails_exactly_that_probe(audited: dict[str, Audited], fault: str) -> None:
    _, findings = audited[fault]
    failed = {f.id: f.saw for f in findings if f.verdict == "fail"}
    assert list(failed) == [FAULTS[fault]], failed
    unexplained = {f.id: f.saw for f in findings if f.verdict == "inconclusive" and not f.because}
    assert len(unexplained) <= 2, unexplained
