"""The routes that hurt: only for an admin's token, only from this machine, only the demo's own processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from holdfast.demo.extension import Demo, DemoSettings
from holdfast.edge import auth
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.extensions.extension_set import ExtensionSet
from holdfast.engines.memory import MemoryEngine
from holdfast.hub.hub import Hub

pytestmark = pytest.mark.anyio


class Site:
    """The demo's routes in this process, and a victim in another."""

    def __init__(self, folder: Path, hub: Hub, host: str) -> None:
        settings = Settings(db="memory:", host=host)
        demo = Demo(DemoSettings(pids_file=str(folder / "pids.json")), settings)
        self.edge = Edge(hub, settings, pages=True, extensions=ExtensionSet([demo]))
        self.victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (folder / "pids.json").write_text(json.dumps({"librarian": self.victim.pid}))

    def http(self, peer: str = "127.0.0.1", verbs: tuple[str, ...] = ("read", "admin")) -> httpx.AsyncClient:
        assert self.edge.secret is not None
        token = auth.mint(self.edge.secret, subject="user:you", capabilities={"*": list(verbs)})
        transport = httpx.ASGITransport(self.edge.app, client=(peer, 5))
        headers = {"authorization": f"Bearer {token}"}
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7417", headers=headers)


@pytest.fixture
def host() -> str:
    return "127.0.0.1"


@pytest.fixture
async def site(tmp_path: Path, host: str, anyio_backend: str) -> AsyncIterator[Site]:
    hub = Hub(MemoryEngine())
    await hub.open()
    site = Site(tmp_path, hub, host)
    await site.edge.start()
    yield site
    await site.edge.stop()
    site.victim.kill()
    site.victim.wait()
    await hub.close(1.0)


async def test_kill(site: Site) -> None:
    async with site.http() as http:
        assert (await http.post("/demo/kill/librarian")).status_code == 200
    assert site.victim.wait(10) == -signal.SIGKILL


async def test_freeze_and_thaw_are_seen(site: Site) -> None:
    async with site.http() as http:
        await http.post("/demo/freeze/librarian")
        if Path("/proc/self/stat").exists():
            os.waitpid(site.victim.pid, os.WUNTRACED)
            assert (await http.get("/demo/info")).json()["processes"] == {"librarian": "frozen"}
        await http.post("/demo/thaw/librarian")
        if Path("/proc/self/stat").exists():
            os.waitpid(site.victim.pid, os.WCONTINUED)
            assert (await http.get("/demo/info")).json()["processes"] == {"librarian": "running"}


@pytest.mark.parametrize(("peer", "verbs"), [("192.0.2.7", ("admin",)), ("127.0.0.1", ("read", "control"))])
async def test_refused(site: Site, peer: str, verbs: tuple[str, ...]) -> None:
    async with site.http(peer, verbs) as http:
        answer = await http.post("/demo/kill/librarian")
    assert answer.status_code == 403
    assert site.victim.poll() is None


async def test_nothing_without_a_token(site: Site) -> None:
    async with site.http() as http:
        del http.headers["authorization"]
        for path in ("/demo/kill/librarian", "/demo/cut/c1"):
            assert (await http.post(path)).status_code == 401
        assert (await http.get("/demo/info")).status_code == 401


@pytest.mark.parametrize("target", ["server", "clerk", "1", "init", "%2e%2e"])
async def test_only_what_the_supervisor_named(site: Site, target: str) -> None:
    async with site.http() as http:
        assert (await http.post(f"/demo/kill/{target}")).status_code in (400, 404)


async def test_a_process_that_is_gone(site: Site) -> None:
    site.victim.kill()
    site.victim.wait()
    async with site.http() as http:
        assert (await http.post("/demo/kill/librarian")).status_code == 400


async def test_the_page_and_what_other_devices_are_told(site: Site) -> None:
    async with site.http() as http:
        page = await http.get("/")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "<script>" not in page.text
        info = (await http.get("/demo/info")).json()
    assert "share" not in info
    assert info["open"] is False


@pytest.mark.parametrize("host", ["0.0.0.0"])
async def test_another_device_gets_a_token_that_cannot_administer(site: Site) -> None:
    async with site.http() as http:
        info = (await http.get("/demo/info", params={"session": "s1"})).json()
    if "share" not in info:
        pytest.skip("this machine is in no network")
    assert info["qr"].startswith("<svg")
    token, session = info["share"].partition("#t=")[2].split("&s=")
    assert session == "s1"
    principal = site.edge.verifier.verify(token)
    assert principal.may("control", "s1")
    assert not principal.may("admin", "s1")


async def test_where_no_supervisor_runs_nothing_is_there_to_break(site: Site, tmp_path: Path) -> None:
    (tmp_path / "pids.json").unlink()
    async with site.http() as http:
        assert (await http.get("/demo/info")).json()["processes"] == {}
        assert (await http.post("/demo/kill/librarian")).json()["error"]["code"] == "input.malformed"
