"""The official Node clients, unmodified, through a gateway (``chat.mjs``, ``messages.mjs``): what they read, which errors
they raise, and that each attempt is billed as the fake provider knows it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.gateway.port import BrakePolicy, Served
from tests.fake_upstream.process import FakeUpstream
from tests.unit.gateway.bills import billed_exactly, costs_nothing
from tests.unit.gateway.conftest import KEY, served, upstreams_of
from tests.unit.gateway.test_brake import bounded

pytestmark = [pytest.mark.anyio, pytest.mark.process]

HERE = Path(__file__).parent
NODE = shutil.which("node")
if NODE is None or not (HERE / "node_modules" / "openai6").is_dir():
    if os.environ.get("CI"):
        pytest.fail("needs Node and `npm ci` in tests/dialects/gateway, and in CI these tests must run", pytrace=False)
    pytest.skip("node and `npm ci` in tests/dialects/gateway are needed", allow_module_level=True)

TEXT = "the quick brown fox jumps"
CALL = {"text": "the quick brown"}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


async def run(*command: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        str(NODE), *command, cwd=HERE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(90):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err.decode()
    seen: dict[str, Any] = json.loads(out)
    return seen


async def compare(settled: list[Served], fake: FakeUpstream) -> dict[str, list[Served]]:
    """Every attempt beside the provider's truth; those that did not end well, by how."""
    requests = fake.stats(ended=len(settled)).requests
    assert len(requests) == len(settled)
    odd: dict[str, list[Served]] = {}
    for one, request in zip(settled, requests, strict=True):
        if request.outcome == "done":
            assert one.outcome == "served"
            billed_exactly(one, request)
        else:
            odd.setdefault(request.outcome, []).append(one)
            if request.outcome == "refused":
                costs_nothing(one)
            else:
                assert one.estimated is not None and one.estimated.total_input > 0 and not one.billed
                assert 0 < one.estimated.total_output <= 2 * request.generated
    return odd


@pytest.mark.parametrize("package", ["openai", "openai6"])
async def test_openai(fake: FakeUpstream, package: str) -> None:
    fake.reset()
    async with served(*upstreams_of(fake, retries=0)) as site:
        seen = await run("chat.mjs", package, site.url, KEY)
        odd = await compare(await site.meter.all_settled(len(site.meter.opened)), fake)
    assert seen["whole"] == {"text": TEXT, "usage": 5} and seen["usage"] == 5
    assert {seen[name] for name in ("raw", "helper", "response", "responseRaw", "responseHelper")} == {TEXT}
    assert json.loads(seen["tool"]["arguments"]) == json.loads(seen["toolStreamed"]) == CALL
    assert (seen["image"], seen["vectors"]) == ("the quick", 2)
    kinds = {
        400: "BadRequestError",
        404: "NotFoundError",
        429: "RateLimitError",
        500: "InternalServerError",
        503: "InternalServerError",
    }
    for status, kind in kinds.items():
        error = seen[f"refused{status}"]
        assert (error["kind"], error["status"]) == (kind, status) and f"fails with {status}" in error["message"]
    assert (seen["unmetered"]["status"], seen["unmetered"]["code"]) == (404, "call.unmetered")
    assert seen["noModel"]["code"] == "model.unknown"
    assert (seen["noKey"]["kind"], seen["noKey"]["code"]) == ("AuthenticationError", "key.unknown")
    for wire in ("chat", "response"):
        for knob in ("cut", "close"):
            error = seen[f"{wire}_{knob}"]
            assert error.get("isApiError") and error.get("kind") is None and error["code"] == "upstream.failed", error
        assert seen[f"{wire}_error"]["isApiError"] and "fake upstream" in seen[f"{wire}_error"]["message"]
    assert seen["cancelled"] >= 5
    assert {outcome: len(found) for outcome, found in odd.items()} == {
        "refused": 5, "cut": 2, "closed": 2, "error": 2, "aborted": 2,
    }  # fmt: skip
    assert {(one.outcome, one.reason) for one in odd["aborted"]} == {("cut", "caller.left")}


async def test_anthropic(fake: FakeUpstream) -> None:
    fake.reset()
    async with served(*upstreams_of(fake, retries=0)) as site:
        seen = await run("messages.mjs", site.url, KEY)
        odd = await compare(await site.meter.all_settled(len(site.meter.opened)), fake)
    assert seen["whole"] == {"text": TEXT, "output": 5, "read": 7} and seen["thinking"] == "thinking"
    assert seen["raw"] == seen["helper"] == TEXT and seen["tool"] == seen["toolStreamed"] == CALL
    assert seen["image"] == "the quick"
    kinds = {
        400: "BadRequestError",
        404: "NotFoundError",
        429: "RateLimitError",
        500: "InternalServerError",
        529: "InternalServerError",
    }
    for status, kind in kinds.items():
        assert (seen[f"refused{status}"]["kind"], seen[f"refused{status}"]["status"]) == (kind, status)
    assert seen["noKey"]["kind"] == "AuthenticationError"
    assert (seen["counting"]["status"], seen["counting"]["details"]) == (404, {"error_code": "call.unmetered"})
    for knob in ("cut", "close"):
        assert seen[knob]["isApiError"] and seen[knob]["details"] == {"error_code": "upstream.failed"}, seen[knob]
    assert seen["error"]["type"] == "overloaded_error"
    assert {outcome: len(found) for outcome, found in odd.items()} == {
        "refused": 5, "cut": 1, "closed": 1, "error": 1, "aborted": 1,
    }  # fmt: skip
    for one in odd["cut"] + odd["aborted"]:
        assert one.estimated is not None and one.estimated.raw, "message_start said what the input was"


@pytest.mark.parametrize("policy", ["error", "truncate"])
@pytest.mark.parametrize("package", ["openai", "openai6", "@anthropic-ai/sdk"])
async def test_a_budget_ends_an_answer_in_the_middle(fake: FakeUpstream, package: str, policy: BrakePolicy) -> None:
    fake.reset()
    fake.always(tokens=400, input=30)
    try:
        async with served(*upstreams_of(fake)) as site:
            bounded(site, on_brake=policy)
            seen = await run("brake.mjs", package, site.url, KEY)
    finally:
        fake.always()
    assert site.meter.asked == len(seen), "nobody comes again"
    for label, told in seen.items():
        error = told.get("error")
        if not label.lower().endswith("whole"):
            assert told["text"].startswith("the quick brown fox") and told["used"] > 0, (label, told)
        if policy == "error":
            assert error["isApiError"] and error["code"] == "budget_exceeded", (label, error)
            assert error["type"] == ("billing_error" if package.startswith("@") else "budget_exceeded")
        else:
            assert error is None, (label, error)
