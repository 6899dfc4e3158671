"""An agent and its worker, as somebody writes them. Checked by ``test_user_code.py``, never run."""

from __future__ import annotations

from typing import Any, assert_type

import holdfast
from holdfast.agents import Approval, Holdfast, Input, RunContext, Steer
from holdfast.types import AttachmentEntry, ChildEnd, Item


async def look_up(city: str) -> dict[str, Any]:
    return {"city": city, "degrees": 21}


async def main() -> None:
    async with holdfast.connect("http://127.0.0.1:8484", token="…") as hf:
        assert_type(hf, Holdfast)

        @hf.agent("writer")
        async def writer(run: RunContext) -> None:
            assert_type(run.input, Input)
            assert_type(run.input.text, str)
            assert_type(run.input.attachments, list[AttachmentEntry])
            assert_type(run.items, list[Item])
            assert_type(run.history, list[dict[str, str]])
            for item in run.items:
                if item["kind"] == "approval" and item["status"] == "approved":
                    await run.say(f"{item['tool']} was allowed by {item.get('by', 'nobody')}")
            await run.tool("look_up", {"city": "Bern"}, look_up)
            decision = await run.approve("mail", {"to": "ann"}, default="denied")
            assert_type(decision, Approval)
            await run.approve("mail", default="allowed")  # type: ignore[arg-type]
            child = await run.spawn("critic", {"text": "look"})
            assert_type(await child.finished(), ChildEnd)
            async for steer in run.steers():
                assert_type(steer, Steer)
            async with run.message() as out:
                await out.write("high tide")
            try:
                await run.gated_tool("mail", {"to": "ann"}, look_up)
            except holdfast.ToolDenied as denied:
                await run.say(denied.text)

        await hf.serve(slots=2)
