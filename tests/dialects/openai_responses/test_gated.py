"""Approvals of calls that a model has made, with every adapter, in OpenAI's own client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.dialects.gated import Outbox, serving, some

from .conftest import Site

pytestmark = pytest.mark.anyio


@pytest.fixture
async def outbox(site: Site) -> AsyncIterator[Outbox]:
    async with serving(site.url, site.token("agent:clerks", agents=["*"])) as outbox:
        yield outbox


CASES = sorted({(adapter, held, then) for adapter, held, then, _ in some("one") if then != "reload"})


@pytest.mark.parametrize(("adapter", "held", "then"), CASES)
async def test_a_request_is_answered(site: Site, outbox: Outbox, adapter: str, held: str, then: str) -> None:
    client = site.client()
    first = await client.responses.create(model=f"{adapter}-{held}", input="bo", background=True)
    async with asyncio.timeout(20):
        while not first.output or first.output[-1].type != "mcp_approval_request":
            await asyncio.sleep(0.02)
            first = await client.responses.retrieve(first.id)
    request = first.output[-1]
    assert (request.name, outbox.mails) == ("send_mail", [])
    assert [item.status for item in first.output[:-1]] == ([] if adapter == "plain" else ["incomplete"])  # type: ignore[union-attr]
    approve = then == "approve"
    answer: Any = {
        "type": "mcp_approval_response", "approval_request_id": request.id, "approve": approve, "reason": "no",
    }  # fmt: skip
    last = await client.responses.create(model=f"{adapter}-{held}", previous_response_id=first.id, input=[answer])
    assert last.status == "completed"
    assert outbox.mails == (["bo"] if approve else [])
    assert last.output_text.startswith("Sent to bo." if approve else "Not sent")
    made = [item for item in last.output if item.type == "mcp_call" and item.status == "completed"]
    if approve:
        (call,) = made
        assert call.output == "Sent to bo."
        assert call.approval_request_id == (None if adapter == "plain" else request.id)
    assert all(item.status != "in_progress" for item in last.output if item.type == "mcp_call")
