"""Holdfast under its own audit, through its own protocol and through the dialects that others speak."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

import holdfast
from holdfast.audit.budget import ProbeBudget, Redactor
from holdfast.audit.drivers import registry
from holdfast.audit.examine import PROBES, examine
from holdfast.audit.lab import AuditOptions
from holdfast.audit.recipe import Recipe, RecipeCall
from holdfast.edge import auth
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.server import port_of, running
from holdfast.engines.memory import MemoryEngine
from holdfast.hub.hub import Hub

pytestmark = pytest.mark.anyio
WORDS = 50


async def answer(run: holdfast.RunContext, pace_s: float) -> None:
    """Counts; asks for approval, or calls a sub-agent, when it is told to."""
    told = str(run.input)
    if "approval" in told:
        await run.approve("send", {"to": "ann"})
    if "agents" in told:
        await run.spawn("writer", "read")
    async with run.message() as out:
        for number in range(WORDS):
            await out.write(f"{told[:3]}{number} ")
            await asyncio.sleep(pace_s)


@contextlib.asynccontextmanager
async def site(pace_s: float = 0.012) -> AsyncIterator[tuple[str, str]]:
    """A server with a worker: its address, and a token for people."""
    hub = Hub(MemoryEngine())
    await hub.open()
    edge = Edge(hub, Settings(db="memory:", port=0, drain_s=1))
    async with running(edge) as server:
        assert edge.secret is not None
        url = f"http://127.0.0.1:{port_of(server)}"
        token = auth.mint(edge.secret, subject="user:ann", agents=["*"])
        agent = auth.mint(edge.secret, subject="agent:writer", agents=["writer"])
        async with holdfast.connect(url, token=agent) as hf:
            hf.agent("writer")(lambda run: answer(run, pace_s))
            serving = asyncio.create_task(hf.serve())
            yield url, token
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def verdicts(url: str, token: str, recipe: Recipe, *only: str, **options: str) -> dict[str, tuple[str, str]]:
    budget = ProbeBudget(requests=500, ask_above=500, total_s=100, answer_s=15)
    endpoint = registry.endpoint(url, recipe, budget, {"authorization": f"Bearer {token}"}, frozenset())
    probes = [probe for probe in PROBES if not only or probe.id in only]
    given = AuditOptions(prompt="one", second_prompt="two", **options)  # type: ignore[arg-type]
    contact, found = await examine(endpoint, given, budget, Redactor(token), probes=probes, jobs=6)
    await endpoint.close()
    assert contact.state == "ok", contact
    return {finding.id: (finding.verdict, finding.saw) for finding in found}


async def test_holdfast_passes_its_own_audit() -> None:
    recipe = structs.replace(registry.RECIPES["holdfast"], ask=[RecipeCall(body={"agent": "writer"})])
    async with site() as (url, token):
        found = await verdicts(url, token, recipe, approval_prompt="needs approval", agents_prompt="needs agents")
    skipped = {"resilient.agent_killed", "agents.orchestrator_dies"}
    assert {id_: told for id_, told in found.items() if told[0] != "pass" and id_ not in skipped} == {}


async def test_holdfast_passes_as_openai_responses_in_the_background() -> None:
    """The same server through the eyes of a client that has never heard of it."""
    recipe = registry.RECIPES["openai-responses-background"]
    body = {"model": "writer", "stream": True, "input": "{prompt}", "background": True, "store": True}
    recipe = structs.replace(recipe, ask=[RecipeCall(body=body)])
    async with site() as (url, token):
        found = await verdicts(
            f"{url}/v1/responses", token, recipe, "resilient.resume", "resilient.no_repeat", "resilient.end_marked",
            "resilient.keeps_generating", "continuity.middle", "control.stop", "control.disconnect",
        )  # fmt: skip
    assert {id_: told for id_, told in found.items() if told[0] != "pass"} == {}


async def test_holdfast_passes_as_an_ai_sdk_server() -> None:
    """With the two routes that this server has beyond the SDK's own: the messages so far, and a stop that is one."""
    recipe = structs.replace(
        registry.RECIPES["ai-sdk"], stop=RecipeCall(method="DELETE", path="{base}/{chat}/stream"),
    )  # fmt: skip
    async with site() as (url, token):
        found = await verdicts(
            f"{url}/v1/ai-sdk/v6/writer", token, recipe, "resilient.half_open", "resilient.end_marked",
            "continuity.middle", "continuity.from_start", "control.stop", "control.stop_both",
        )  # fmt: skip
    assert {id_: told for id_, told in found.items() if told[0] != "pass"} == {}


@pytest.mark.process
async def test_validate_is_a_gate_for_releases(tmp_path: Path) -> None:
    async with site() as (url, token):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "holdfast.cli", "validate", "--agent", "writer", "--url", url, "--token", token,
            "--prompt", "one", "--second-prompt", "two", "--jobs", "6", "--json", str(tmp_path / "r.json"),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()
    report = json.loads((tmp_path / "r.json").read_text())
    assert set(report["capabilities"].values()) == {"pass"} and token not in told.decode()


@pytest.mark.process
@pytest.mark.slow
async def test_the_example_audits_what_it_starts(tmp_path: Path) -> None:
    """Only with endpoints whose packages the tests have anyway."""
    run = Path(__file__).parents[2] / "examples" / "audit" / "run.py"
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(run), "fastapi", "websocket", "holdfast", "--out", str(tmp_path), "--only", "continuity.middle",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()
    verdicts = {
        name: json.loads((tmp_path / f"{name}.json").read_text())["capabilities"]["continuity"]
        for name in ("fastapi", "websocket", "holdfast")
    }
    assert verdicts == {"fastapi": "fail", "websocket": "fail", "holdfast": "pass"}
    assert "| Holdfast |" in (tmp_path / "table.md").read_text()
