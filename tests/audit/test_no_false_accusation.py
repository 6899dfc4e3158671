"""An endpoint that does everything right passes everything; one with a single fault fails exactly that probe."""

from __future__ import annotations

import sys

import pytest

from holdfast.audit.budget import Budget, Redactor
from holdfast.audit.drivers.http import HttpEndpoint
from holdfast.audit.examine import PROBES, examine
from holdfast.audit.finding import Contact, Finding
from holdfast.audit.lab import Options
from tests.audit.chat_server import FAULTS, RECIPE, ChatServer

KILL = "{} -c \"import urllib.request as r; r.urlopen('http://127.0.0.1:{}/kill-{}', b'')\""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def options(port: int) -> Options:
    return Options(
        prompt="one", second_prompt="two", steer_text="slower", approval_prompt="needs approval",
        agents_prompt="needs agents", kill_agent=KILL.format(sys.executable, port, "agent"),
        kill_orchestrator=KILL.format(sys.executable, port, "orchestrator"), stop_s=2.0, lost_s=2.0,
    )  # fmt: skip


async def audit(fault: str = "", jobs: int = 8) -> tuple[Contact, list[Finding]]:
    async with ChatServer(fault).running() as server:
        budget = Budget(requests=2_000, ask_above=2_000, total_s=120, answer_s=10)
        endpoint = HttpEndpoint(server.url, RECIPE, budget)
        return await examine(endpoint, options(server.port), budget, Redactor(), jobs=jobs)


@pytest.mark.anyio
async def test_an_endpoint_built_to_pass_passes_everything() -> None:
    contact, findings = await audit()
    assert contact.state == "ok" and contact.deterministic and contact.marks_end, contact
    assert {f.id: (f.verdict, f.saw) for f in findings if f.verdict != "pass"} == {}
    assert len(findings) == len(PROBES) == len(FAULTS)


@pytest.mark.anyio
@pytest.mark.parametrize("fault", FAULTS)
async def test_one_planted_fault_fails_exactly_that_probe(fault: str) -> None:
    _, findings = await audit(fault, jobs=1 if fault == "conversations mix" else 8)
    failed = {f.id: f.saw for f in findings if f.verdict == "fail"}
    assert list(failed) == [FAULTS[fault]], failed
    unexplained = {f.id: f.saw for f in findings if f.verdict == "inconclusive" and not f.because}
    assert len(unexplained) <= 2, unexplained
