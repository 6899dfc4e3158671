"""Approvals of calls that a model has made, with every adapter, in unmodified AG-UI clients."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.dialects.ag_ui.conftest import Site, Start
from tests.dialects.ag_ui.holding import view_of
from tests.dialects.gated import Outbox, serving, some

pytestmark = [pytest.mark.anyio, pytest.mark.process]


@pytest.fixture
async def outbox(site: Site) -> AsyncIterator[Outbox]:
    async with serving(site.url, site.token("agent:clerks", agents=["*"])) as outbox:
        yield outbox


@pytest.mark.parametrize(("adapter", "held", "then", "version"), some("1.0", "0.0.59"))
async def test_an_interrupt_is_answered(
    site: Site, outbox: Outbox, node: Start, adapter: str, held: str, then: str, version: str
) -> None:
    client = await node("t1", version, agent=f"{adapter}-{held}")
    client.do("say", id="u1", text="bo")
    client.do("run")
    done = await client.done()
    assert done["error"] is None
    (interrupt,) = done["interrupts"]
    assert interrupt["metadata"]["holdfast"]["args"]["to"] == "bo"
    calls = [call for m in done["messages"] for call in m.get("toolCalls") or []]
    if adapter != "plain":
        assert [(call["id"], call["function"]["arguments"].replace(" ", "")) for call in calls] == [
            (interrupt["toolCallId"], '{"to":"bo"}')
        ]
    assert outbox.mails == []
    if then == "reload":
        client.do("reload")
        client.do("connect")
        assert (await client.done())["interrupts"] == [interrupt]
    payload = {"approved": then != "deny", "note": "no"}
    resume = [{"interruptId": interrupt["id"], "status": "resolved", "payload": payload}]
    client.do("run", parameters={"resume": resume})
    done = await client.done()
    assert done["error"] is None and done["interrupts"] == [] and client.warnings == []
    assert outbox.mails == ([] if then == "deny" else ["bo"])
    said = [m["content"] for m in done["messages"] if m["role"] == "assistant" and m.get("content")]
    assert len(said) == 1 and said[0].startswith("Not sent" if then == "deny" else "Sent to bo.")
    now = [call for m in done["messages"] for call in m.get("toolCalls") or []]
    assert [call["function"]["arguments"].replace(" ", "") for call in now] in ([], ['{"to":"bo"}'])
    results = [m for m in done["messages"] if m["role"] == "tool"]
    assert len(results) == len(now)
    client.do("reload")
    client.do("connect")
    again = (await client.done())["messages"]
    assert [(m["id"], m["role"]) for m in again] == [(m["id"], m["role"]) for m in done["messages"]]
    assert next(iter((await view_of(site, "t1"))["runs"].values()))["status"] == "completed"
