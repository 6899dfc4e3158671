"""Commands of the person's own: how to kill an agent."""

from __future__ import annotations

import asyncio
from typing import Final

HOOK_S: Final = 20.0


async def run_hook(command: str) -> str | None:
    """Run a shell command the person gave; None when it succeeded, else what it said."""
    process = await asyncio.create_subprocess_shell(
        command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(HOOK_S):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"it took longer than {HOOK_S:g} s"
    if process.returncode:
        return f"exit code {process.returncode}: {output[-200:].decode('utf-8', 'replace')}"
    return None
