"""A week of the company: what was planted is found, nothing else is, and the same seed gives the same company."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.client.client import Client
from holdfast.company.simulation import Simulated
from holdfast.company.steering import TENANT
from holdfast.edge import auth
from holdfast.governance.budgets.requests import Requester
from holdfast.governance.ledger.agent_usage import AgentUsage
from holdfast.governance.ledger.reader import LedgerReader
from holdfast.protocol.fold import View
from holdfast.protocol.view import ENDED
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
    await findings.check_plan()
    await findings.check_runaway()
    await findings.check_budgets()
    await findings.check_routing()
    return await findings.check_ledger()


async def test_what_is_planted_is_found_and_nothing_else(tmp_path: Path) -> None:
    async with simulated(tmp_path) as found:
        await checked(Findings(*small(), found))
        await stands_still(found)
        await brakes_while_one_watches(found)


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


async def brakes_while_one_watches(found: Simulated) -> None:
    """Whoever writes there sees an answer end in the middle, and another one wait for a person and go on."""
    server = found.server
    token = auth.mint(server.secret, subject="user:you", capabilities={"*": ["read", "append"]}, ttl_s=600)
    desk = server.governance.budget_desk
    async with Client(server.url, token) as client:
        ended = await watched(client, "brake-error", "ended")
        assert ended["policy"] == "error" and ended["budget"] == "brake-error"
        waiting = asyncio.create_task(watched(client, "brake-ask", "resumed"))
        await watched(client, "brake-ask", "asked", writes=False)
        while not (requests := (await desk.requests(Requester("user:you", TENANT), "waiting"))["requests"]):
            await asyncio.sleep(0.05)  # people are told that somebody is asked a moment before the request is on record
        (request,) = requests
        await desk.decide(Requester("user:you", TENANT), request["id"], "approved")
        assert (await waiting)["policy"] == "ask"
        async with client.session("brake-ask").live() as live:
            view = await live.until(lambda view: all(run["status"] in ENDED for run in view.runs.values()))
    assert {run["status"] for run in view.runs.values()} == {"completed"}
    assert any("The answer is whole" in text for item in view.items if isinstance(text := item.get("text"), str))


async def watched(client: Client, session: str, stage: str, *, writes: bool = True) -> dict[str, Any]:
    """Write there, and see the budget at this stage: what everybody is told."""
    opened = client.session(session)
    if writes:
        await opened.send("Carriers in the north.")

    def told(view: View) -> dict[str, Any] | None:
        shown = [item["content"] for item in view.items if item.get("name") == "budget"]
        return next((content for content in shown if content["stage"] == stage), None)

    async with opened.live() as live:
        return told(await live.until(lambda view: told(view) is not None)) or {}


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
