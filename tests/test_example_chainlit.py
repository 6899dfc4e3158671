"""``examples/chainlit_app`` in a browser, with Chainlit itself installed as the example's page says."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.browser import chromium
from tests.browser.chromium import Tab

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples" / "chainlit_app"
WHOLE = "".join(f"tide {number}, " for number in range(1, 61)).strip()
ANSWERS = "[...document.querySelectorAll('[data-step-type=assistant_message]')].map(node => node.innerText.trim())"
SAID = "[...document.querySelectorAll('[data-step-type=user_message]')]"
STOP = "document.querySelector('#stop-button')"
SOCKETS = """
window.sockets = [];
window.WebSocket = class extends WebSocket { constructor(...all) { super(...all); window.sockets.push(this); } };
"""
pytestmark = [  # slow: it installs Chainlit, which is a minute of its own
    pytest.mark.anyio, pytest.mark.process, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400),
]  # fmt: skip


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def python() -> Path:
    """A Python with what the example needs and nothing else; kept in ``build`` until the requirements change."""
    locked = FOLDER / "requirements.txt"
    mark = hashlib.sha256(locked.read_bytes() + sys.version.encode()).hexdigest()[:12]
    room = ROOT / "build" / f"chainlit-{mark}"
    room.parent.mkdir(exist_ok=True)
    with open(room.parent / "chainlit.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers share the tests of this file
        _install(room, locked)
    return room / "bin" / "python"


def _install(room: Path, locked: Path) -> None:
    if not (room / ".installed").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", room], check=True)
        pip = [sys.executable, "-m", "pip", "--python", room / "bin" / "python", "--disable-pip-version-check"]
        install = ["install", "--quiet", "--no-compile", "--no-deps", "--require-hashes", "-r", locked]
        subprocess.run([*pip, *install], check=True)
        (room / ".installed").touch()


@contextlib.asynccontextmanager
async def chainlit(python: Path, data: Path, port: int = 0) -> AsyncIterator[str]:
    """The app in a process of its own, with its files in ``data``."""
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    command = [python, "-m", "chainlit", "run", FOLDER / "app.py", "--headless", "--port", str(port)]
    env = {
        **os.environ, "CHAINLIT_APP_ROOT": str(data), "CHAINLIT_AUTH_SECRET": "s" * 40,
        "SESSIONS": f"sqlite:///{data}/sessions.db", "PACE_S": "0.12",
        "PYTHONPATH": str(ROOT / "src"),
    }  # fmt: skip
    log = (data / "log").open("ab")
    process = await asyncio.create_subprocess_exec(*command, cwd=data, env=env, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as http:
            while True:
                assert process.returncode is None, (data / "log").read_text()
                with contextlib.suppress(httpx.TransportError):
                    if (await http.get(url)).status_code == 200:
                        break
                await asyncio.sleep(0.2)
        yield url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        log.close()


@pytest.fixture(scope="module")
async def site(python: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with chainlit(python, tmp_path_factory.mktemp("chainlit")) as url:
        yield url


@pytest.fixture
async def browser() -> AsyncIterator[chromium.Chromium]:
    path = chromium.find()
    if path is None:
        pytest.skip("there is no browser")
    async with chromium.Chromium(path) as browser:
        yield browser


async def enter(browser: chromium.Chromium, url: str, name: str) -> Tab:
    """A tab of a person who has logged in."""
    tab = await browser.tab(f"{url}/login")
    await tab.until("!!document.querySelector('#email')")
    await tab.type("#email", name)
    await tab.type("#password", "tide")
    await tab.click("button[type=submit]")
    await tab.until("!!document.querySelector('#chat-input')")
    return tab


async def ask(tab: Tab, text: str) -> None:
    """Say something and wait for the answer to be under way.

    Until it is connected Chainlit's page forgets words, or keeps them and does not send them; what it sends it shows at
    once. So they are typed over what is there, again, until they are shown.
    """
    await tab.until("!!document.querySelector('#chat-input')")
    for patience_s in (5.0, 5.0, 10.0, 10.0, 60.0):
        await tab.type("#chat-input", text)
        await tab.click("#chat-submit")
        with contextlib.suppress(AssertionError):
            await tab.until(f"{SAID}.some(node => node.innerText.includes('{text}'))", patience_s)
            break
    await tab.until(f"{ANSWERS}.at(-1)?.includes('{text} 5,')")


async def test_an_answer_survives_a_reload_and_is_there_once(site: str, browser: chromium.Chromium) -> None:
    tab = await enter(browser, site, "ann")
    await ask(tab, "tide")
    assert WHOLE not in str(await tab.run(ANSWERS))
    await tab.reload()
    await tab.until(f"{ANSWERS}.length === 1 && !!{STOP}")  # it is still being made, and can be stopped
    before = (await tab.run(ANSWERS))[0]
    assert WHOLE.startswith(before) and before != WHOLE
    await tab.until(f"{ANSWERS}[0].length > {len(before)}")  # and it goes on by itself
    await tab.until(f"{ANSWERS}[0] === {WHOLE!r} && !{STOP}")
    assert await tab.run(ANSWERS) == [WHOLE]
    await tab.reload()
    await tab.until(f"{ANSWERS}.length > 0")
    assert await tab.run(ANSWERS) == [WHOLE]
    assert await tab.run("document.querySelectorAll('[data-step-type=user_message]').length") == 1


async def test_a_page_that_lost_its_connection_gets_what_it_missed(site: str, browser: chromium.Chromium) -> None:
    tab = await enter(browser, site, "eve")
    await tab.call("Page.addScriptToEvaluateOnNewDocument", source=SOCKETS)
    await tab.reload()
    await ask(tab, "tide")
    await tab.until("window.sockets.some(socket => socket.readyState === 1)")
    await tab.run("window.sockets.forEach(socket => socket.close())")
    heard = len((await tab.run(ANSWERS))[0])
    now = f"{ANSWERS}[0]"  # it catches up while the answer is made, not only in the end
    await tab.until(f"{now}.length > {heard} && {WHOLE!r}.startsWith({now}) && {now} !== {WHOLE!r} && !!{STOP}")
    await tab.until(f"{ANSWERS}[0] === {WHOLE!r} && !{STOP}")
    assert await tab.run(ANSWERS) == [WHOLE]


async def test_a_second_tab_follows_and_its_stop_button_stops(site: str, browser: chromium.Chromium) -> None:
    tab = await enter(browser, site, "bob")
    await ask(tab, "wind")
    second = await browser.tab(site + str(await tab.run("location.pathname")))
    await second.until(f"{ANSWERS}[0]?.includes('wind 6,') && !!{STOP}")
    await second.click("#stop-button")
    for one in (tab, second):
        await one.until(f"!{STOP}")
        (answer, *_) = await one.run(ANSWERS)
        assert "wind 60," not in answer
    await second.reload()
    await second.until(f"{ANSWERS}.length > 0")
    assert (await second.run(ANSWERS))[0] == answer


async def test_a_thread_is_for_its_owner_alone(site: str, browser: chromium.Chromium) -> None:
    tab = await enter(browser, site, "cleo")
    await ask(tab, "rain")
    address = site + str(await tab.run("location.pathname"))
    await tab.run("fetch('/logout', {method: 'POST'}).then(answer => answer.status)")
    other = await enter(browser, site, "dora")
    assert await other.run(f"fetch('/project/thread/{address.rsplit('/', 1)[1]}').then(answer => answer.status)") == 401
    assert "rain" not in await other.run("document.body.innerText")


async def test_an_answer_is_taken_up_after_a_restart(
    python: Path, tmp_path: Path, browser: chromium.Chromium, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_LEASE_S", "2")
    async with chainlit(python, tmp_path) as url:
        tab = await enter(browser, url, "ann")
        await ask(tab, "tide")
        address = url + str(await tab.run("location.pathname"))
        await tab.close()
    async with chainlit(python, tmp_path, int(url.rsplit(":", 1)[1])):
        tab = await browser.tab(address)
        await tab.until(f"{ANSWERS}.length === 1 && {ANSWERS}[0] === {WHOLE!r}")
        assert await tab.run(ANSWERS) == [WHOLE]
