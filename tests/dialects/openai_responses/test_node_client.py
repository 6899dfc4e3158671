"""OpenAI's Node client, unmodified, over durable runs (``client.mjs``)."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from holdfast.agents.run import RunContext

from .conftest import Site
from .test_python_client import WORDS, teller

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
NODE = shutil.which("node")
if NODE is None or not (HERE.parent / "node_modules" / "openai").is_dir():
    if os.environ.get("CI"):
        pytest.fail("needs Node and `npm ci` in tests/dialects, and in CI these tests must run", pytrace=False)
    pytest.skip("node and `npm ci` in tests/dialects are needed", allow_module_level=True)


async def test_the_node_client_reads_is_cut_goes_on_and_cancels(site: Site) -> None:
    lost = asyncio.Event()

    async def doubtful(run: RunContext) -> None:
        async with run.message() as out:
            await out.write("It is a")
            await run.flush()
            if run.attempt_number == 1:
                lost.set()
                run.attempt.released = True  # let go without an end: the lease runs out, another attempt follows
                raise ConnectionError
            await out.write("t six.")

    await site.serve(teller=teller, doubtful=doubtful)
    site.cutter.budget = 6_000
    process = await asyncio.create_subprocess_exec(
        str(NODE), str(HERE / "client.mjs"), site.url, f"http://127.0.0.1:{site.cutter.port}", site.token(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err.decode()
    seen = json.loads(out)
    text = "".join(WORDS)
    assert seen["created"] == {"status": "completed", "text": text}
    assert seen["cut"] is True and 0 < len(seen["resumed"]["before"]) < len(text)
    assert seen["resumed"]["text"] == text and seen["resumed"]["last"] == "response.completed"
    assert seen["resumed"]["numbers"] == sorted(set(seen["resumed"]["numbers"]))
    assert seen["helper"] == {"text": text, "snapshot": text}
    assert seen["replayed"] == text
    assert lost.is_set() and seen["retried"] == "It is at six."
    assert seen["cancelled"] == ["queued", "cancelled"]
    assert seen["refused"]["status"] == 404 and seen["refused"]["code"] == "session.not_found"
    assert seen["refused"]["type"] == "invalid_request_error"
