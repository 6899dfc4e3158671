"""Pages that documents print, bundled with the unmodified packages they name, and served as a site of their own would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CLIENTS = Path(__file__).parent / "clients"
PACKAGES = CLIENTS / "node_modules"
ESBUILD = ROOT / "web/node_modules/.bin/esbuild"
PAGE = re.compile(r"^```tsx\n// ([\w-]+)\.tsx\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROOT_OF_PAGE = 'createRoot(document.getElementById("root")!)'
HTML = '<!doctype html><meta charset="utf-8"><div id="root"></div><script type="module" src="{}.js"></script>'


def needed() -> None:
    """Skip, or in CI fail, where the packages of others are not installed."""
    if not (PACKAGES / ".installed").exists() or not ESBUILD.exists():
        if os.environ.get("CI"):
            pytest.fail("the front ends are not installed, and in CI these tests must run")
        pytest.skip("the front ends are not installed: make tests/browser/clients/node_modules/.installed")


class Pages:
    """A site with pages. Attributes: ``url``: its origin; ``token``: what it answers to ``/token``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = ""
        pages = self

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path != "/token":
                    return super().do_GET()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(pages.token.encode())
                return None

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), lambda *about: Handler(*about, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def build(self, documents: Sequence[str], server: str) -> None:
        """Bundle every page that the documents print, for a server at another address than the one they say."""
        source = self.folder / "source"
        source.mkdir()
        shutil.copy(CLIENTS / "thread.tsx", source)
        names = []
        for document in documents:
            for name, body in PAGE.findall((ROOT / "docs/howto" / document).read_text()):
                names.append(name)
                body = body.replace("http://127.0.0.1:7417", server).replace(
                    ROOT_OF_PAGE, f"(window.root = {ROOT_OF_PAGE})"
                )
                (source / f"{name}.tsx").write_text(body)
                (self.folder / f"{name}.html").write_text(HTML.format(name))
        entries = ROOT / "web/packages/client/dist"
        command = [
            str(ESBUILD), *(str(source / f"{name}.tsx") for name in names), "--bundle", "--format=esm", "--jsx=automatic",
            f"--outdir={self.folder}", f"--alias:react={PACKAGES / 'react'}", "--log-level=error",
            f"--alias:@ag-ui/client={PACKAGES / '@assistant-ui/react-ag-ui/node_modules/@ag-ui/client'}",
            f"--alias:holdfast-ai/assistant-ui={entries / 'assistant-ui/index.js'}",
            '--define:process.env.NODE_ENV="production"',
        ]  # fmt: skip
        subprocess.run(command, check=True, timeout=60, env={**os.environ, "NODE_PATH": str(PACKAGES)})


@contextmanager
def pages() -> Iterator[Pages]:
    """The site, while it is served."""
    with tempfile.TemporaryDirectory(prefix="holdfast-pages-") as folder:
        site = Pages(Path(folder))
        thread = threading.Thread(target=site.http.serve_forever, daemon=True)
        thread.start()
        try:
            yield site
        finally:
            site.http.shutdown()
            site.http.server_close()
            thread.join()
