"""The clients that the suite is run against, each as the command of its driver."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Never

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "web/packages/client"
PYTHON = f"{shlex.quote(sys.executable)} -m conformance.drivers.python"
CLIENTS = ("python", "typescript")
REQUIRE = "import{createRequire}from'node:module';const require=createRequire(import.meta.url);"
"""What `ws`, which is CommonJS, needs in a bundle of modules."""


def command(client: str) -> str:
    """The command of a client's driver. Skips where it cannot run here; fails instead where CI is set."""
    return PYTHON if client == "python" else _typescript()


@functools.cache
def _typescript() -> str:
    node, esbuild = shutil.which("node"), ROOT / "web/node_modules/.bin/esbuild"
    if node is None:
        missing("node is not installed")
    if not (PACKAGE / "dist/index.js").exists() or not esbuild.exists():
        missing("the TypeScript client is not built: npm ci && npm run build, in web/")
    driver = Path(tempfile.mkdtemp(prefix="holdfast-conformance-")) / "driver.mjs"
    options = ["--bundle", "--platform=node", "--format=esm", f"--banner:js={REQUIRE}", f"--outfile={driver}"]
    subprocess.run(
        [str(esbuild), "conformance/driver.ts", *options, "--log-level=warning"], cwd=PACKAGE, check=True, timeout=60
    )
    return shlex.join([node, str(driver)])


def missing(why: str) -> Never:
    """Skip here; on CI nothing may be missing."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
