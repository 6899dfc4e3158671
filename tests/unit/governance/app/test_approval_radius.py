"""What a workflow could do wrong is said where a run of it waits for an approval: to whoever may read, and money to few."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from holdfast.agents.holdfast import Holdfast
from holdfast.agents.run import RunContext
from holdfast.cli.parser import app
from holdfast.cli.radius import UNKNOWN
from holdfast.governance.extension import GovernanceExtension
from holdfast.governance.settings import GovernanceSettings
from holdfast.governance.workflows.model import ManifestTool, WorkflowManifest
from tests.extensions.conftest import SETTINGS, served
from tests.unit.edge.conftest import Site

pytestmark = pytest.mark.anyio
ROUTE = "/v1/x/governance/workflows/radius"
MANIFEST = WorkflowManifest(workflow="refunds", agents=("writer",), tools=(ManifestTool("pay", "write"),))


async def ask(run: RunContext) -> None:
    await run.approve("pay", {"usd": 3})


@contextlib.asynccontextmanager
async def waiting(site: Site) -> AsyncIterator[dict[str, Any]]:
    """The approval for which a run of the agent writer waits in the session s1."""
    async with Holdfast(site.url, token=site.token("agent:writer", tenant="default", agents=["*"])) as worker:
        worker.add_agent("writer", ask)
        serving = asyncio.create_task(worker.serve(signals=False))
        async with site.connect("user:ann", tenant="default") as ann:
            session = await ann.create("s1", agent="writer")
            await session.send("hi")
            async with session.live() as live:
                await live.until(lambda view: any(item["kind"] == "approval" for item in view.items))
            yield next(item for item in (await session.state()).items if item["kind"] == "approval")
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def typed(site: Site, *words: str) -> tuple[int, str]:
    given = [*words, "--url", site.url, "--token", site.token("user:ann", tenant="default")]
    ran = await asyncio.to_thread(CliRunner().invoke, app, given, env={"COLUMNS": "400", "HOLDFAST_TOKEN": None})
    return ran.exit_code, ran.output


async def radius(site: Site, path: str, **capabilities: list[str]) -> tuple[int, dict[str, Any]]:
    token = site.token("user:bob", tenant="default", capabilities=capabilities)
    async with site.http(token) as http:
        answer = await http.get(f"{ROUTE}/{path}")
        return answer.status_code, answer.json()


async def test_who_may_read_the_session_is_told_and_who_may_not_is_refused(tmp_path: Path) -> None:
    extension = GovernanceExtension(GovernanceSettings(url=str(tmp_path / "store.db")), SETTINGS)
    async with served([extension]) as site:
        assert extension.governance is not None
        workflows = extension.governance.workflows
        await workflows.apply(MANIFEST, by="user:kim", tenant="default")
        async with waiting(site) as item:
            path = f"s1?run={item['run']}"
            while (await radius(site, path, s1=["read"]))[1]["workflow"] != "refunds":
                await asyncio.sleep(0.01)  # the journal reads the feed beside what people see
            code, seen = await radius(site, path, s1=["read"])
            assert code == 200 and "writes with 1 tool (pay)" in seen["sentence"] and seen["page"] == ""
            assert "USD" not in seen["sentence"]
            code, seen = await radius(site, path, s1=["read"], **{"*": ["spend"]})
            assert "USD in 28 days" in seen["sentence"] and seen["page"] == "#/plan/workflow/refunds"
            assert (await radius(site, path, s2=["read"]))[0] == 403
            code, said = await typed(site, "approve", "s1")
            assert code == 0 and "Blast radius: refunds writes with 1 tool (pay)" in said and "USD" not in said
            (listed,) = json.loads((await typed(site, "approve", "s1", "--json"))[1])
            assert listed["radius"].startswith("refunds writes")
            code, said = await typed(site, "approve", "s1", item["id"])
            assert code == 0 and said.splitlines()[0].startswith("  Blast radius: refunds") and "approved" in said


async def test_a_server_that_cannot_say_it_lets_decide_all_the_same(tmp_path: Path) -> None:
    extension = GovernanceExtension(GovernanceSettings(url=str(tmp_path / "store.db")), SETTINGS)
    async with served([extension]) as site:
        assert extension.governance is not None
        async with waiting(site) as item:
            await extension.governance.store.close()
            code, said = await typed(site, "approve", "s1", item["id"])
            assert code == 0 and UNKNOWN in " ".join(said.split()) and "approved" in said


async def test_a_server_without_governance_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.cli.radius.httpx.AsyncClient", None)
    async with served([]) as site, waiting(site) as item:
        code, said = await typed(site, "approve", "s1", item["id"])
        assert code == 0 and "radius" not in said.lower() and "approved" in said
