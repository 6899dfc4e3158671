"""How much memory a server uses, where the person says how to see it."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import httpx

from holdfast.audit.lab import AuditOptions

PAGE_BYTES = 4_096


async def used_bytes(options: AuditOptions) -> int | None:
    """Resident memory by process id, or from a Prometheus page; None when neither was given or tells."""
    if options.pid is not None:
        return await asyncio.to_thread(_of_process, options.pid)
    if options.metrics_url:
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
                page = (await client.get(options.metrics_url)).text
        except httpx.HTTPError:
            return None
        found = re.search(r"^process_resident_memory_bytes(?:\{[^}]*\})? (\S+)", page, re.MULTILINE)
        return int(float(found[1])) if found else None
    return None


def _of_process(pid: int) -> int | None:
    statm = Path(f"/proc/{pid}/statm")
    try:
        if statm.exists():
            return int(statm.read_text().split()[1]) * PAGE_BYTES
        return int(subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True).stdout) * 1_024
    except (OSError, ValueError, IndexError, subprocess.CalledProcessError):
        return None
