"""Bundles: what a page loads for the TypeScript client and for our own pages."""

from __future__ import annotations

import gzip
import json
import subprocess

from benchmarks.processes import HERE
from benchmarks.result import Result, Step, Table, Verdict

WEB = HERE.parent / "web"
PAGES = HERE.parent / "src" / "holdfast" / "pages"
CORE_BYTES = 8 << 10

METHOD = """\
`npm run build` in `web/`: esbuild minifies, gzip compresses. *Core* is what `import { connect } from "holdfast-ai"`
loads at once; what it loads when it is first needed has lines of its own, and `.` is everything of the entry point. Pages
are all scripts and styles of the built page, compressed one by one."""


def steps(rounds: int) -> int:
    """How often ``step`` is called."""
    return 1


def run(step: Step, rounds: int) -> Result:
    """Build and measure."""
    step("npm run build")
    subprocess.run(["npm", "run", "build", "--silent"], cwd=WEB, check=True, capture_output=True)
    sizes: dict[str, int] = json.loads((WEB / "packages/client/dist/sizes.json").read_text())
    rows = [[f"holdfast-ai, {name}" if name != "." else "holdfast-ai", f"{size:,}"] for name, size in sizes.items()]
    for page in ("chat", "console"):
        files = [path for path in (PAGES / page / "assets").iterdir() if path.suffix in (".js", ".css")]
        rows.append([f"page: {page}", f"{sum(len(gzip.compress(path.read_bytes(), 9)) for path in files):,}"])
    table = Table(["bundle", "bytes, min + gzip"], rows)
    core = sizes["core"]
    verdict = Verdict(
        "TypeScript client, core, min + gzip", "≤ 8 KiB, no dependencies", f"{core:,} bytes", core <= CORE_BYTES
    )
    return Result("Bundles", METHOD, [verdict], [table])
