"""A demo of our own and a browser, shared by the tests of a module."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.client.client import Client
from holdfast.edge import auth
from holdfast.edge.pages import PAGES
from holdfast.protocol.codec import canonical
from holdfast.protocol.fold import View
from holdfast.protocol.frames import decode_frame
from tests.browser import chromium
from tests.browser.fjordline import Fjordline

PACE_S = "0.02"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


class Demo:
    """The demo as ``make demo`` runs it: a supervisor, a server and two workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "holdfast.cli",
            "demo",
            "--port",
            str(port),
            "--data",
            str(folder),
            "--no-browser",
        ]
        environment = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**environment, "HOLDFAST_DEMO_PACE": PACE_S, "COLUMNS": "4000"},
        )  # fmt: skip
        assert self._process.stdout is not None
        said: list[str] = []
        for line in self._process.stdout:
            said.append(line)
            if found := re.search(r"(http://\S+?)/#t=(\S+)", line):
                self.server, self.token = found[1], found[2]
                break
        else:
            raise RuntimeError("the demo did not start:\n" + "".join(said))
        self._reading = threading.Thread(target=self._process.stdout.read, daemon=True)
        self._reading.start()

    def page(self, session: str = "") -> str:
        """The page's address, as the terminal or the second-tab link gives it."""
        return f"{self.server}/#t={self.token}" + (f"&s={session}" if session else "")

    def stop(self) -> None:
        """As Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reading.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def client(self) -> Client:
        """A Python client with the page's token."""
        return Client(self.server, self.token)

    def minted(self, subject: str, **more: Any) -> str:
        """A token of somebody else's."""
        secret = auth.read_secret(str(self.folder / "demo.db"))
        assert secret is not None
        return auth.mint(secret, subject=subject, **more)

    async def log(self, session: str) -> View:
        """The whole log, read over REST and folded here: what the page is held to."""
        view, after, tail = View(), 0, 1
        headers = {"authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(base_url=self.server, headers=headers, trust_env=False) as http:
            while after < tail:
                answer = await http.get(f"/v1/sessions/{session}/events", params={"after": after})
                answer.raise_for_status()
                page = answer.json()
                tail = page["tail"]
                for frame in page["frames"]:
                    for event in decode_frame(canonical(frame)).events if frame["op"] == "events" else []:
                        assert view.apply(event)
                    after = frame["to"]
        return view


def need_pages(page: str) -> None:
    """Nothing to test where the pages were never built."""
    if not (PAGES / page).is_dir():
        if os.environ.get("CI"):
            pytest.fail("the pages are not built, and in CI these tests must run")
        pytest.skip("the pages are not built: make web")


@pytest.fixture(scope="session")
def fjordline() -> Iterator[Fjordline]:
    """The demo company. Who changes something of it changes what no other test looks at."""
    need_pages("console")
    with tempfile.TemporaryDirectory(prefix="holdfast-company-") as folder:
        running = Fjordline(Path(folder))
        yield running
        running.stop()


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    need_pages("chat")
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as folder:
        running = Demo(Path(folder))
        yield running
        running.stop()


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[chromium.Chromium]:
    path = chromium.find()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium, and in CI these tests must run")
        pytest.skip("no Chromium on this machine")
    async with chromium.Chromium(path) as running:
        yield running


class Chat:
    """What a person does on the page, in one tab."""

    def __init__(self, demo: Demo, tab: chromium.Tab) -> None:
        self.demo = demo
        self.tab = tab

    async def ask(self, text: str, agent: str = "librarian") -> None:
        """Write to an agent and send with Enter."""
        await self.tab.click("#new")
        await self.tab.until("document.body.dataset.line === 'live'")
        await self.tab.click(f"#agents input[value={agent}]")
        await self.tab.type("#words", text)
        await self.tab.press("Enter")
        await self.tab.until("holdfast.session !== null")

    @property
    async def session(self) -> str:
        return str(await self.tab.run("holdfast.session.id"))

    async def mid_answer(self) -> None:
        """Wait until the answer itself has begun and is far from its end."""
        text = ".run.root[data-status=running] > .body > .message[data-status=open] .text"
        await self.tab.until(f"[...document.querySelectorAll('{text}')].some((n) => n.textContent.length > 60)")

    async def ended(self, status: str = "completed") -> None:
        """Wait until the answer shown has ended so."""
        await self.tab.until(f"document.querySelector('.run.root:last-of-type')?.dataset.status === '{status}'", 90)

    async def answer(self) -> str:
        """The text of the last answer shown, as it stands in the document."""
        texts = "[...document.querySelectorAll('.run.root > .body > .message:not(.superseded) > .text')]"
        return str(await self.tab.run(f"{texts}.at(-1).textContent"))

    async def break_it(self, what: str, button: int = 0) -> None:
        """Press one of the buttons that hurt."""
        await self.tab.click(f".break-row[aria-label='{what}'] button:nth-of-type({button + 1})")

    async def line(self) -> str:
        """The newest line about a recovery."""
        return str(await self.tab.run("holdfast.recoveries[0]?.text ?? ''"))

    async def exact(self) -> View:
        """The page is live and shows exactly what the log holds: its fold, and every text in the document."""
        await self.tab.until("document.body.dataset.line === 'live' && holdfast.session.status === 'live'")
        log = await self.demo.log(await self.session)
        await self.tab.until(f"holdfast.session.cursor.seq >= {await self.tail()}")
        shown: dict[str, Any] = await self.tab.run("holdfast.session.view.export()")
        assert canonical(shown) == canonical(log.export())
        texts = await self.tab.run(
            "Object.fromEntries([...document.querySelectorAll('#list [data-id] > .text')].map((n) => [n.parentNode.dataset.id, n.textContent]))"
        )
        wanted = {item["id"]: item["text"] for item in log.visible() if item["kind"] in ("message", "steer")}
        assert {ident: text for ident, text in texts.items() if ident in wanted} == wanted
        assert self.tab.errors == []
        return log

    async def tail(self) -> int:
        async with self.demo.client() as client, client.session(await self.session).live() as live:
            return int(live.seq)


@pytest.fixture
async def chat(demo: Demo, browser: chromium.Chromium) -> AsyncIterator[Chat]:
    tab = await browser.tab(demo.page())
    yield Chat(demo, tab)
    await tab.close()
