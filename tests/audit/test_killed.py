"""A real server, real workers, and a hook that kills them: what people see of a dead agent, and of a dead orchestrator."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from holdfast.audit.budget import ProbeBudget, Redactor
from holdfast.audit.drivers import registry
from holdfast.audit.examine import PROBES, examine
from holdfast.audit.finding import Finding
from holdfast.audit.lab import AuditOptions
from holdfast.audit.recipe import RecipeCall
from holdfast.edge import auth

pytestmark = [pytest.mark.anyio, pytest.mark.process]
WORKER = Path(__file__).parents[2] / "examples" / "audit" / "holdfast_worker.py"
LEASE_S = "1.5"
KILLED = ("resilient.agent_killed", "agents.orchestrator_dies", "agents.direct")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def plant(folder: Path, *, again: bool) -> AsyncIterator[tuple[str, str]]:
    """``holdfast serve`` and a worker for each agent; with ``again`` a dead worker is started again. Address and token."""
    db, port = str(folder / "sessions.db"), free_port()
    url = f"http://127.0.0.1:{port}"
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "holdfast.cli", "serve", "--db", db, "--port", str(port), "--quiet",
        env={**os.environ, "HOLDFAST_LEASE_S": LEASE_S}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert server.stdout is not None
    assert b"ready" in await asyncio.wait_for(server.stdout.readline(), 60)
    secret = auth.read_secret(db)
    assert secret is not None

    async def keep(agent: str) -> None:
        environment = {**os.environ, "AUDIT_WORKER_TOKEN": auth.mint(secret, subject=f"agent:{agent}", agents=["*"])}
        while True:
            worker = await asyncio.create_subprocess_exec(
                sys.executable, str(WORKER), url, agent, str(folder), env=environment
            )
            try:
                await worker.wait()
            finally:
                if worker.returncode is None:
                    worker.kill()
            if not again:
                return

    keeping = [asyncio.create_task(keep(agent)) for agent in ("writer", "reader")]
    try:
        yield url, auth.mint(secret, subject="user:ann", agents=["*"])
    finally:
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        server.kill()
        await server.wait()


async def audit(folder: Path, url: str, token: str, *only: str, lost_s: float = 60.0) -> dict[str, Finding]:
    recipe = structs.replace(registry.RECIPES["holdfast"], ask=[RecipeCall(body={"agent": "writer"})])
    budget = ProbeBudget(requests=100, ask_above=100, total_s=240, answer_s=60)
    endpoint = registry.endpoint(url, recipe, budget, {"authorization": f"Bearer {token}"}, frozenset())
    kill = f"kill -9 $(cat {folder}/.writer.pid)"
    given = AuditOptions(
        prompt="one", second_prompt="two", agents_prompt="needs agents", kill_agent=kill, kill_orchestrator=kill,
        lost_s=lost_s,
    )  # fmt: skip
    probes = [probe for probe in PROBES if probe.id in only]
    contact, found = await examine(endpoint, given, budget, Redactor(token), probes=probes)
    await endpoint.close()
    assert contact.state == "ok", contact
    return {finding.id: finding for finding in found}


@pytest.mark.slow
async def test_another_worker_finishes_what_a_killed_one_began(tmp_path: Path) -> None:
    async with plant(tmp_path, again=True) as (url, token):
        found = await audit(tmp_path, url, token, *KILLED)
    assert {id_: (f.verdict, f.saw) for id_, f in found.items() if f.verdict != "pass"} == {}
    for id_ in KILLED[:2]:
        assert any(step.fault and "kills" in step.what for step in found[id_].timeline)
        assert "complete" in found[id_].saw, found[id_].saw


@pytest.mark.slow
async def test_where_nobody_takes_over_the_audit_says_so(tmp_path: Path) -> None:
    """The run waits for a worker, visibly, for as long as there is none: the audit cannot call that being told."""
    async with plant(tmp_path, again=False) as (url, token):
        found = await audit(tmp_path, url, token, "resilient.agent_killed", lost_s=8.0)
    killed = found["resilient.agent_killed"]
    assert killed.verdict == "fail" and "nothing was said" in killed.saw, killed.saw
