"""Commands of the person's own: how to kill an agent."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import Final

HOOK_S: Final = 20.0
_SHOWN: Final = 200


async def run_hook(command: str) -> str | None:
    """Run a shell command the person gave; None when it succeeded, else what it said.

    Its words go into a file and no pipe: what it leaves running (an agent that was started again) may hold a pipe open for
    ever, and the end of the command is what is waited for.
    """
    with tempfile.TemporaryFile() as words:
        process = await asyncio.create_subprocess_shell(
            command, stdin=asyncio.subprocess.DEVNULL, stdout=words, stderr=asyncio.subprocess.STDOUT
        )
        try:
            async with asyncio.timeout(HOOK_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            return f"it took longer than {HOOK_S:g} s"
        if not process.returncode:
            return None
        words.seek(-min(words.seek(0, os.SEEK_END), _SHOWN), os.SEEK_END)
        return f"exit code {process.returncode}: {words.read().decode('utf-8', 'replace')}"
