"""The example in a real browser: React's ``useChat``, the SDK's own WebSocket transport, and no package of ours."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from holdfast.session.access import full_access
from tests.browser.chromium import Chromium, Tab
from tests.browser.conftest import browser
from tests.dialects.ai_sdk.conftest import Line

__all__ = ["browser"]
pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.process]

EXAMPLE = Path(__file__).parents[3] / "examples" / "ai_sdk_usechat"
COUNTED = "".join(f"{number} " for number in range(1, 101))
ANSWER = "(document.querySelector('article.assistant')?.textContent ?? '')"


@pytest.fixture(scope="module")
def page() -> None:
    """The page, built."""
    if not (EXAMPLE / "node_modules").is_dir():
        if os.environ.get("CI"):
            pytest.fail("needs `npm ci` in examples/ai_sdk_usechat, and in CI this test must run")
        pytest.skip("needs `npm ci` in examples/ai_sdk_usechat")
    built = subprocess.run(["npm", "run", "build"], cwd=EXAMPLE, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr


class Served:
    """The application on a line that can be cut."""

    def __init__(self, hub: Any, line: Line) -> None:
        self.hub = hub
        self.line = line
        self.url = f"http://127.0.0.1:{line.port}/"

    async def runs(self, chat: str) -> list[dict[str, Any]]:
        _, _, view = await self.hub.hub.snapshot(full_access(self.hub.tenant, "system:test"), chat)
        return list(json.loads(view)["runs"].values())


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: None) -> AsyncIterator[Served]:
    monkeypatch.setenv("SESSIONS", f"sqlite:///{tmp_path}/sessions.db")
    monkeypatch.setenv("PACE_S", "0.03")
    spec = importlib.util.spec_from_file_location("example_ai_sdk_usechat", EXAMPLE / "app.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    server = uvicorn.Server(uvicorn.Config(module.app, port=0, log_level="error", ws="websockets-sansio"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done()
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with Line(port).running() as line:
        yield Served(module.hub, line)
    server.should_exit = True
    await task


async def ask(tab: Tab, text: str) -> str:
    """Write and send; the chat's name."""
    await tab.until("document.querySelector('input') !== null")
    await tab.type("input", text)
    await tab.click("form button:not([type])")
    await tab.until(f"{ANSWER}.length > 40")
    return str(await tab.run("location.hash.slice(1)"))


async def settled(tab: Tab) -> str:
    """The answer once it is complete."""
    await tab.until("document.querySelector('main')?.dataset.status === 'ready'")
    assert await tab.run("document.querySelectorAll('article').length") == 2
    return str(await tab.run(ANSWER))


async def test_reload_cut_and_a_second_tab(browser: Chromium, served: Served) -> None:
    tab = await browser.tab(served.url)
    chat = await ask(tab, "count")
    await tab.reload()
    await tab.until(f"{ANSWER}.length > 60")
    other = await browser.tab(f"{served.url}#{chat}")
    await other.until(f"{ANSWER}.length > 80")
    assert served.line.cut()
    assert await settled(tab) == await settled(other) == COUNTED
    (run,) = await served.runs(chat)
    assert run["status"] == "completed"
    for one in (tab, other):
        await one.close()


async def test_stop_in_another_tab_and_approve(browser: Chromium, served: Served) -> None:
    tab = await browser.tab(served.url)
    chat = await ask(tab, "count")
    other = await browser.tab(f"{served.url}#{chat}")
    await other.click("form button[type=button]")
    cut = await settled(tab)
    (run,) = await served.runs(chat)
    assert run["status"] == "cancelled" and COUNTED.startswith(cut) and cut != COUNTED
    await tab.close()
    await other.close()

    tab = await browser.tab(served.url)
    chat = await ask(tab, "mail")
    await tab.until("document.querySelector('.tool[data-state=approval-requested]') !== null")
    await tab.reload()
    await tab.click(".tool button")
    await tab.until("document.querySelector('.tool[data-state=output-available]') !== null")
    said = await settled(tab)
    assert said.startswith(COUNTED) and said.endswith("\nSent: mail"), said
    assert tab.errors == []
    with contextlib.suppress(RuntimeError):
        await tab.close()
