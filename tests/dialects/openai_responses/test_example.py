"""``examples/openai_background`` does what its page says."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from .conftest import Site

pytestmark = [pytest.mark.anyio, pytest.mark.process]

EXAMPLE = Path(__file__).parents[3] / "examples" / "openai_background" / "background.py"


async def test_the_example_is_cut_and_goes_on(site: Site) -> None:
    env = {**os.environ, "HOLDFAST_URL": site.url, "HOLDFAST_TOKEN": site.token(agents=["teller"])}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), env=env, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    said = re.fullmatch(r"cut after (\d+) characters\ncompleted: True, (\d+) characters\n", out.decode())
    assert said is not None and 100 < int(said[1]) < int(said[2])
