"""A server whose database is taken away says so and acknowledges nothing; one file has one server under all its names (LOG-9)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from holdfast.edge import auth

pytestmark = pytest.mark.process


class Server:
    """``holdfast serve`` as a process of its own."""

    def __init__(self, db: str) -> None:
        command = [sys.executable, "-m", "holdfast.cli", "serve", "--db", db, "--port", "0", "--quiet"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        self.said = ""
        self.url = ""
        for line in self.process.stdout:
            self.said += line
            if found := re.search(r"ready on (http://\S+)", line):
                self.url = found[1]
                break

    def http(self, db: str) -> httpx.Client:
        secret = auth.read_secret(db)
        assert secret is not None
        headers = {"authorization": f"Bearer {auth.mint(secret, subject='user:ann')}"}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(str(tmp_path / "a.db"))
    assert running.url, running.said
    yield running
    running.process.kill()
    running.process.communicate()


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_second_server_is_refused_whatever_the_file_is_called(server: Server, tmp_path: Path, link: object) -> None:
    link(str(tmp_path / "a.db"), str(tmp_path / "b.db"))  # type: ignore[operator]
    second = Server(str(tmp_path / "b.db"))
    second.process.communicate(timeout=30)
    assert second.process.returncode == 1 and second.url == ""
    assert "engine.locked" in second.said and str(server.process.pid) in second.said
    with server.http(str(tmp_path / "a.db")) as http:
        assert http.post("/v1/sessions", json={"session": "s1"}).status_code == 201


def test_nothing_is_acknowledged_once_the_file_is_gone(server: Server, tmp_path: Path) -> None:
    with server.http(str(tmp_path / "a.db")) as http:
        assert http.post("/v1/sessions", json={"session": "s1"}).status_code == 201
        assert http.get("/readyz").json() == {"ready": True, "mode": "ok"}
        os.unlink(tmp_path / "a.db")
        for path, body in (("/v1/sessions", {"session": "s2"}), ("/v1/sessions/s1/messages", {"text": "kept?"})):
            answer = http.post(path, json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "disk.lost"), answer.text
            assert "a.db was deleted" in answer.json()["error"]["message"]
        ready = http.get("/readyz")
        assert ready.status_code == 503 and "a.db was deleted" in ready.json()["why"]
        assert http.get("/v1/sessions/s1").json()["seq"] == 1, "what is open is read on"
    assert not (tmp_path / "a.db").exists()
