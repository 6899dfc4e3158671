"""A budget ends an answer under unmodified AG-UI clients: they see a legal end, and why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import holdfast
from holdfast.edge.config import Settings
from holdfast.engines.memory import MemoryEngine
from holdfast.gateway import budget_news
from holdfast.governance.budgets.braked_agents import BrakedAgents
from holdfast.hub.hub import Hub
from holdfast.protocol import events as e
from tests.dialects.ag_ui.conftest import Agents, Site, Start
from tests.dialects.spent import ASKED, FIELDS, RESUMED, SENTENCE, Spent
from tests.unit.edge.conftest import serving

pytestmark = [pytest.mark.anyio, pytest.mark.process]
ENDS = {"1.0": "RUN_FINISHED", "0.0.59": "RUN_ERROR"}


@pytest.fixture
def spent() -> Spent:
    return Spent()


@pytest.fixture
async def site(settings: Settings, spent: Spent) -> AsyncIterator[Site]:
    async with serving(Hub(MemoryEngine(), policy=BrakedAgents(spent)), settings) as site:
        yield site


def shown(done: dict[str, Any]) -> list[dict[str, Any]]:
    """What the client keeps of the budget."""
    return [m["content"] for m in done["messages"] if m["role"] == "activity" and m["activityType"] == "budget"]


@pytest.mark.parametrize("version", ENDS)
async def test_an_answer_that_a_budget_ends(
    site: Site, agents: Agents, node: Start, spent: Spent, version: str
) -> None:
    client = await node("t1", version)
    client.do("say", id="u1", text="When?")
    client.do("run")
    await client.until_text("rises at ")
    spent.out = True
    agents.gate.set()
    done = await client.done()
    assert [(c["stage"], c["text"], c["budget"], c["decider"]) for c in shown(done)] == [
        ("ended", SENTENCE, FIELDS["budget"], FIELDS["decider"])
    ]
    last = client.events[-1]
    assert last["type"] == ENDS[version]
    if version == "1.0":
        assert last["outcome"] == {"type": "cancelled"} and done["error"] is None
    else:
        assert (last["code"], last["message"]) == ("run.cancelled", f"The run was stopped: {SENTENCE}")
    requested = next(event["value"] for event in client.events if event.get("name") == e.CANCEL_REQUESTED)
    assert requested["reason"] == SENTENCE
    texts = [m["content"] for m in done["messages"] if m["role"] == "assistant" and m.get("content")]
    assert texts == ["The tide 🌊 rises at "], "what was said stays, and nothing more"
    client.do("reload")
    client.do("connect")
    again = await client.done()
    assert shown(again) == shown(done), "who comes later sees it, too"
    started = next(event for event in reversed(client.events) if event["type"] == "RUN_STARTED")
    assert started["metadata"]["holdfast"]["last"]["reason"] == SENTENCE


async def test_an_answer_that_waits_for_more_and_goes_on(site: Site, node: Start) -> None:
    async with holdfast.connect(site.url, token=site.token("agent:host", agents=["*"])) as host:

        @host.agent("model")
        async def model(run: holdfast.RunContext) -> None:
            async with run.message() as out:
                await out.write("so far")
                for news in (ASKED, RESUMED):
                    await run.emit(e.ACTIVITY_SNAPSHOT, budget_news.activity_of(run.id, news))
                await out.write(", and on")

        serve = asyncio.create_task(host.serve(signals=False))
        client = await node("t2", agent="model")
        client.do("say", id="u1", text="When?")
        client.do("run")
        done = await client.done()
        serve.cancel()
        await asyncio.gather(serve, return_exceptions=True)
    assert client.events[-1]["outcome"]["type"] == "success"
    assert [content["stage"] for content in shown(done)] == ["resumed"], "one activity, replaced"
    told = [event["content"]["stage"] for event in client.events if event["type"] == "ACTIVITY_SNAPSHOT"]
    assert told[-1] == "resumed" and "asked" in told
