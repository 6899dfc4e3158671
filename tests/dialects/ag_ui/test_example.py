"""``examples/ag_ui_client`` does what its page says."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.dialects.ag_ui.conftest import HERE, Site, end

pytestmark = [pytest.mark.anyio, pytest.mark.process]

EXAMPLE = Path(__file__).parents[3] / "examples" / "ag_ui_client"


@pytest.mark.usefixtures("packages")
async def test_the_example_leaves_and_joins(site: Site, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(HERE.parent / "node_modules")
    script = shutil.copy(EXAMPLE / "client.mjs", tmp_path)
    env = {**os.environ, "HOLDFAST_URL": site.url, "TOKEN": site.token()}
    env["HOLDFAST_TOKEN"] = site.token("agent:teller", agents=["teller"])
    agent = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE / "agent.py"), env=env, stdout=asyncio.subprocess.PIPE
    )
    client = None
    try:
        async with asyncio.timeout(60):
            assert agent.stdout is not None
            assert await agent.stdout.readline() == b"serving teller\n"
            client = await asyncio.create_subprocess_exec("node", script, env=env, stdout=asyncio.subprocess.PIPE)
            out, _ = await client.communicate()
    finally:
        await end(agent)
        if client is not None:
            await end(client)
    said = re.fullmatch(
        r'left after (\d+) characters\njoined: 278 characters, ending in "23 o\'clock\."\n', out.decode()
    )
    assert said is not None, out.decode()
    assert 60 < int(said[1]) < 278
