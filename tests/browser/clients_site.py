"""A server, an agent of every adapter, and pages of other people's packages, bundled as their users bundle them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from holdfast.edge.config import Settings
from holdfast.engines.memory import MemoryEngine
from holdfast.hub.hub import Hub
from tests.browser import chromium
from tests.dialects.gated import ADAPTERS, HELD, Outbox, serving
from tests.unit.edge.conftest import Site
from tests.unit.edge.conftest import serving as serving_site

HERE = Path(__file__).parent / "clients"
ROOT = HERE.parents[2]
ESBUILD = ROOT / "web" / "node_modules" / ".bin" / "esbuild"
BUILT = ROOT / "web" / "packages" / "client" / "dist"
PAGES = ("ai-sdk", "ag-ui", "copilotkit")
NAMES = [f"{adapter}-{held}" for adapter in ADAPTERS for held in HELD.values()]
HTML = '<!doctype html><meta charset="utf-8"><div id="root"></div><link rel="stylesheet" href="{0}.css">\
<script type="module" src="{0}.js"></script>'


def missing() -> str:
    """What these tests need and do not find; empty when all is there."""
    if shutil.which("node") is None or not (HERE / "node_modules").exists():
        return "needs Node and `npm ci` in tests/browser/clients"
    return "" if ESBUILD.exists() and BUILT.exists() else "needs `make web`"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def end_headers(self) -> None:
        """Bundles are large, and stay as they are: the browser need not compile them anew for each tab."""
        self.send_header("cache-control", "max-age=3600, immutable")
        super().end_headers()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the pages."""
    if why := missing():
        if os.environ.get("CI"):
            pytest.fail(f"{why}, and in CI these tests must run")
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("pages")
    command = [
        str(ESBUILD), *(f"{page}.tsx" for page in PAGES), "--bundle", "--format=esm", "--jsx=automatic",
        f"--outdir={folder}", '--define:process.env.NODE_ENV="production"', "--log-level=error", "--minify",
        *(f"--loader:.{kind}=dataurl" for kind in ("woff", "woff2", "ttf")),
    ]  # fmt: skip
    subprocess.run(command, cwd=HERE, env={**os.environ, "NODE_PATH": str(HERE / "node_modules")}, check=True)
    for page in PAGES:
        (folder / f"{page}.html").write_text(HTML.format(page))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Clients:
    """Where everything is.

    Attributes:
        outbox: the mails that were sent.
    """

    def __init__(self, site: Site, outbox: Outbox, pages: str, browser: chromium.Chromium) -> None:
        self.site, self.outbox = site, outbox
        self._pages, self._browser = pages, browser
        self._runtime: asyncio.subprocess.Process | None = None
        self._port = 0

    async def runtime(self, version: str = "@ag-ui/client") -> str:
        """The address of CopilotKit's runtime, which is started if it is not running."""
        if self._runtime is None:
            self._runtime = await asyncio.create_subprocess_exec(
                "node", "runtime.mjs", self.site.url, self.site.token("user:ann"), str(self._port), version, *NAMES,
                "writer", cwd=HERE, stdout=asyncio.subprocess.PIPE, env={**os.environ, "COPILOTKIT_TELEMETRY_DISABLED": "true"},
            )  # fmt: skip
            assert self._runtime.stdout is not None
            async with asyncio.timeout(60):
                while not (line := (await self._runtime.stdout.readline()).decode()).startswith("http://"):
                    assert line, "the runtime ended"
            self._url = line.strip()
            self._port = int(self._url.split(":")[2].split("/")[0])
        return self._url

    async def end_runtime(self) -> None:
        """As ``kill -9`` does."""
        if self._runtime is not None:
            self._runtime.kill()
            await self._runtime.wait()
            self._runtime = None

    async def open(self, way: str, agent: str, thread: str, **more: str) -> chromium.Tab:
        """A page in a tab of its own; ``more`` is in its address."""
        page = way if way in PAGES else "ai-sdk"
        about = {"way": way, "agent": agent, "thread": thread, "server": self.site.url, **more}
        about |= {"runtime": await self.runtime()} if page == "copilotkit" else {"token": self.site.token("user:ann")}
        return await self._browser.tab(f"{self._pages}/{page}.html?{urlencode(about)}")


@pytest.fixture(scope="module")
async def clients(pages: str, browser: chromium.Chromium) -> AsyncIterator[Clients]:
    async with contextlib.AsyncExitStack() as stack:
        settings = Settings(db="memory:", port=0, drain_s=1, origins=(pages,))
        site = await stack.enter_async_context(serving_site(Hub(MemoryEngine()), settings))
        outbox = await stack.enter_async_context(serving(site.url, site.token("agent:clerks", agents=["*"])))
        found = Clients(site, outbox, pages, browser)
        stack.push_async_callback(found.end_runtime)
        yield found
