"""Approvals of calls that a model has made, with every adapter, in the unmodified chats of ``ai`` 6 and 7."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.dialects.ai_sdk.conftest import Site
from tests.dialects.gated import Outbox, serving, some

pytestmark = [pytest.mark.anyio, pytest.mark.process]


@pytest.fixture
async def outbox(site: Site) -> AsyncIterator[Outbox]:
    async with serving(site.url, site.token("agent:clerks", agents=["*"])) as outbox:
        yield outbox


def parts(shown: dict[str, Any]) -> list[dict[str, Any]]:
    """The tool parts of the last message."""
    return [part for part in shown["messages"][-1]["parts"] if "toolCallId" in part]


def texts(shown: dict[str, Any]) -> str:
    return "".join(part["text"] for part in shown["messages"][-1]["parts"] if part["type"] == "text")


@pytest.mark.parametrize(("adapter", "held", "then", "way"), some("v7-ws", "v7-sse", "v6-sse"))
async def test_the_button_works(site: Site, outbox: Outbox, adapter: str, held: str, then: str, way: str) -> None:
    """As a page presses it: the chat sends the answer by itself, and the same part shows what came of it."""
    version, wire = way.split("-")
    chat = await site.chat(version, wire, agent=f"{adapter}-{held}")
    shown = await chat.do("send", text="bo")
    asked = [part for part in parts(shown) if part["state"] == "approval-requested"]
    assert len(asked) == 1, parts(shown)
    assert (asked[0]["type"], asked[0]["input"]["to"]) == ("tool-send_mail", "bo")
    assert outbox.mails == []
    if then == "reload":
        async with site.http() as http:
            so_far = (await http.get(f"/v1/ai-sdk/{version}/{adapter}-{held}/c1")).json()
        await chat.do("fresh", messages=so_far)
        shown = await chat.do("resume")
        (again,) = [part for part in parts(shown) if part["state"] == "approval-requested"]
        assert again == asked[0]
    await chat.do("approve", approval=asked[0]["approval"]["id"], approved=then != "deny", reason="no")
    shown = await chat.do("until", said="Not sent" if then == "deny" else "Sent to bo.")
    view = await site.ended()
    assert outbox.mails == ([] if then == "deny" else ["bo"])
    assert next(iter(view.runs.values()))["status"] == "completed"
    assert shown.get("error") is None
    states = {part["toolCallId"]: part["state"] for part in parts(shown)}
    wanted = "output-denied" if then == "deny" else "output-available"
    assert states[asked[0]["toolCallId"]] == wanted
    assert all(state in (wanted, "output-available") for state in states.values()), parts(shown)
    async with site.http() as http:
        kept = (await http.get(f"/v1/ai-sdk/{version}/{adapter}-{held}/c1")).json()
    assert [m["id"] for m in kept] == [m["id"] for m in shown["messages"]]
    assert {p["toolCallId"]: p["state"] for p in kept[-1]["parts"] if "toolCallId" in p} == states
