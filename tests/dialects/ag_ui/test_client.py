"""Unmodified AG-UI clients against a real server: what they hold in the end is what the log says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dialects.ag_ui.conftest import Agents, Node, Site, Start

pytestmark = [pytest.mark.anyio, pytest.mark.process]
VERSIONS = ["1.0", "0.0.59"]


async def view_of(site: Site, thread: str) -> dict[str, Any]:
    async with site.http(site.token()) as http:
        return dict((await http.get(f"/v1/sessions/{thread}")).json()["view"])


async def assert_same(site: Site, thread: str, done: dict[str, Any], node: Node) -> None:
    """The client's messages are the log's fold, text by text, and it had nothing to complain of."""
    view = await view_of(site, thread)
    words = [
        ("tool" if i["kind"] == "tool" else "reasoning" if i["kind"] == "reasoning" else i["role"],
         i["args"] if i["kind"] == "tool" else i["text"])
        for i in view["items"] if i["kind"] in ("message", "reasoning", "tool") and (i["kind"] == "tool" or i["text"])
    ]  # fmt: skip
    held = []
    for message in done["messages"]:
        held += [("tool", call["function"]["arguments"]) for call in message.get("toolCalls") or []]
        if message["role"] in ("user", "assistant", "reasoning") and message.get("content"):
            held.append((message["role"], message["content"]))
    assert sorted(held) == sorted(words)
    assert [w for w in held if w[0] == "user"] == [w for w in words if w[0] == "user"]
    results = [m["content"] for m in done["messages"] if m["role"] == "tool"]
    assert results == [i["result"] for i in view["items"] if i["kind"] == "tool" and "result" in i]
    assert done["state"] == view["state"]
    assert done["error"] is None
    assert node.warnings == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_run_to_its_end(site: Site, agents: Agents, node: Start, version: str) -> None:
    agents.gate.set()
    client = await node("t1", version)
    client.do("say", id="u1", text="When?")
    client.do("run")
    done = await client.done()
    await assert_same(site, "t1", done, client)
    assert [m["role"] for m in done["messages"]] == ["user", "reasoning", "assistant", "tool", "assistant"]
    assert done["messages"][-1]["content"] == "The tide 🌊 rises at six o'clock."
    assert done["state"] == {"topic": "When?", "stage": 2}
    assert client.types()[0] == "RUN_STARTED"
    assert client.types()[-1] == "RUN_FINISHED"
    assert "STEP_STARTED" in client.types()
    assert "CUSTOM" in client.types()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_client_that_goes_away_and_comes_back(site: Site, agents: Agents, node: Start, version: str) -> None:
    client = await node("t2", version)
    client.do("say", id="u1", text="When?")
    client.do("run")
    await client.seen("TEXT_MESSAGE_CONTENT")
    client.do("abort")
    cut = await client.done()
    assert not cut["messages"][-1]["content"].endswith("o'clock.")
    client.do("connect")
    await client.seen("MESSAGES_SNAPSHOT")
    agents.gate.set()
    done = await client.done()
    await assert_same(site, "t2", done, client)
    assert agents.calls == 1
