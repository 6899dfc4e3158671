"""What a client holds, against what the log says."""

from __future__ import annotations

import json
from typing import Any

from tests.dialects.ag_ui.conftest import Node, Site


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
    messages = []
    for message in done["messages"]:
        messages += [("tool", call["function"]["arguments"]) for call in message.get("toolCalls") or []]
        if message["role"] in ("user", "assistant", "reasoning") and message.get("content"):
            messages.append((message["role"], message["content"]))
    assert sorted(messages) == sorted(words)
    assert [w for w in messages if w[0] == "user"] == [w for w in words if w[0] == "user"]
    results = [m["content"] for m in done["messages"] if m["role"] == "tool"]
    assert results == [i["result"] for i in view["items"] if i["kind"] == "tool" and "result" in i]
    assert done["state"] == view["state"]
    assert done["error"] is None
    assert node.warnings == []


def events_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
