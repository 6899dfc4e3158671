"""A week of the company: what was planted is found, nothing else is, and the same seed gives the same company."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.client.client import Client
from holdfast.company.simulation import Simulated
from holdfast.edge import auth
from holdfast.governance.ledger.agent_usage import AgentUsage
from holdfast.governance.ledger.reader import LedgerReader
from tests.unit.company.findings import Findings
from tests.unit.company.small import day, simulated, small

pytestmark = [pytest.mark.anyio, pytest.mark.process]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def checked(findings: Findings) -> dict[str, int]:
    """All of it is found; the sums by model."""
    played = findings.found.played
    assert played.runs > 80
    assert played.statuses["completed"] >= played.runs * 0.9, "some meet an outage that was planted"
    assert await findings.check_bills() == 6
    assert await findings.check_waste(await findings.found.site.books()) == 4
    await findings.check_variance((day(0), day(2)), (day(3), day(6)))
    await findings.check_runaway()
    return await findings.check_ledger()


async def test_what_is_planted_is_found_and_nothing_else(tmp_path: Path) -> None:
    async with simulated(tmp_path) as found:
        await checked(Findings(*small(), found))
        await stands_still(found)


async def stands_still(found: Simulated) -> None:
    """It stays the last day, everybody who connects is told that it is made up, and agents, gateway and ledger go on."""
    server, last_day = found.server, str(small()[0].last_day)
    now_ms = server.governance.clock.wall_ms()
    token = auth.mint(server.secret, subject="user:ada", capabilities={"*": ["read", "append"]}, ttl_s=600)
    async with Client(server.url, token) as client:
        session = client.session("after-all")
        await session.create(agent="ad-copy")
        run = await session.send("Two lines about our new lorries, please.", agent="ad-copy")
        assert (client.connection.welcome.simulated or "").startswith(last_day)
        assert await run.text()
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        assert (await http.get("/healthz")).headers["x-holdfast-simulated"].startswith(last_day)
    assert server.governance.clock.wall_ms() == now_ms
    await server.governance.gateway.settled()
    await AgentUsage(server.edge.hub.engine, server.governance.ledger).read()
    (row,) = await LedgerReader(server.governance.store).of_session("default", "after-all")
    assert (row.day, row.run, row.workflow) == (last_day, run.id, "ad-copy")
    assert row.billed_nano


@pytest.mark.slow
async def test_the_same_seed_gives_the_same_truth_and_the_same_sums(tmp_path: Path) -> None:
    told: list[Any] = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        async with simulated(tmp_path / name) as found:
            told.append((found.truth(), await checked(Findings(*small(), found))))
    assert told[0] == told[1]
    async with simulated(tmp_path, seed=2) as found:
        assert found.truth() != told[0][0], "another seed gives another company"
