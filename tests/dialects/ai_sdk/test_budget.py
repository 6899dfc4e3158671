"""A budget ends an answer under the unmodified chats of ``ai`` 5, 6 and 7: they see a legal end, and why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.server import port_of, running
from holdfast.engines.memory import MemoryEngine
from holdfast.gateway import budget_news
from holdfast.governance.budgets.braked_agents import BrakedAgents
from holdfast.hub.hub import Hub
from holdfast.protocol import events as e
from tests.dialects.ai_sdk.agents import Pace, serve, words
from tests.dialects.ai_sdk.conftest import Line, Site
from tests.dialects.ai_sdk.test_chats import WIRES, assert_complete, texts_of
from tests.dialects.spent import ASKED, FIELDS, RESUMED, SENTENCE, Spent

pytestmark = [pytest.mark.anyio, pytest.mark.process]
every_wire = pytest.mark.parametrize(("version", "wire"), WIRES)


@pytest.fixture
def spent() -> Spent:
    return Spent()


@pytest.fixture
async def site(tmp_path: Path, packages: None, spent: Spent) -> AsyncIterator[Site]:
    hub = Hub(MemoryEngine(), policy=BrakedAgents(spent))
    await hub.open()
    edge = Edge(hub, Settings(db="memory:", port=0, drain_s=1.0))
    async with running(edge) as server, Line(port_of(server)).running() as line:
        site = Site(edge, port_of(server), line)
        async with serve(f"http://127.0.0.1:{site.port}", site.token("agent:host", agents=["*"])):
            yield site
        for chat in site.chats:
            await chat.end()


def shown(chat: dict[str, Any]) -> list[dict[str, Any]]:
    """What the last message holds of the budget."""
    return [part["data"] for part in chat["messages"][-1]["parts"] if part["type"] == "data-budget"]


@every_wire
async def test_an_answer_that_a_budget_ends(site: Site, spent: Spent, pace: Pace, version: str, wire: str) -> None:
    chat = await site.chat(version, wire)
    pace.let(50)
    sending = chat.begin("send", text="hello")
    await chat.do("until", chars=200)
    spent.out = True
    pace.free()
    ended = await sending
    assert ended["status"] == "ready" and ended["notes"]["errors"] == [], "it is no error of the chat"
    (told,) = shown(ended)
    assert (told["stage"], told["text"], told["decider"]) == ("ended", SENTENCE, FIELDS["decider"])
    metadata = ended["messages"][-1]["metadata"]["holdfast"]
    assert (metadata["status"], metadata["by"], metadata["reason"]) == ("cancelled", "policy:budget", SENTENCE)
    assert_complete(ended)
    assert 0 < len("".join(texts_of(ended))) < len("".join(words())), "what was said stays"
    assert len(ended["notes"]["finished"]) == 1 and not ended["notes"]["finished"][0]["isError"]
    async with site.http() as http:
        messages = (await http.get(f"/v1/ai-sdk/{version}/writer/c1")).json()
    assert shown({"messages": messages}) == [told], "who comes later sees it, too"


@every_wire
async def test_an_answer_that_waits_for_more_and_goes_on(site: Site, version: str, wire: str) -> None:
    async with holdfast.connect(site.url, token=site.token("agent:gateway", agents=["*"])) as host:

        @host.agent("model")
        async def model(run: holdfast.RunContext) -> None:
            async with run.message() as out:
                await out.write("so far")
                for news in (ASKED, RESUMED):
                    await run.emit(e.ACTIVITY_SNAPSHOT, budget_news.activity_of(run.id, news))
                    await run.flush()
                await out.write(", and on")

        serving = asyncio.create_task(host.serve(signals=False))
        chat = await site.chat(version, wire, agent="model")
        ended = await chat.do("send", text="hello")
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    assert (ended["status"], texts_of(ended)) == ("ready", ["so far, and on"])
    assert [told["stage"] for told in shown(ended)] == ["resumed"], "one part, replaced"
