"""A server that is started with no settings is open to nobody but who started it (ACC-6)."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.process


def addresses_of(pid: int, port: int) -> set[str]:
    """The addresses on which a process listens at a port, as the kernel tells them: hexadecimal, in its own order."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            address, _, at = line.split()[1].partition(":")
            if line.split()[3] == "0A" and int(at, 16) == port:
                found.add(address)
    return found


def test_the_default_is_this_machine_and_a_token_made_for_it(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()  # a terminal: only there a token is shown
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")} | {
        "COLUMNS": "4000",
        "TERM": "dumb",
    }
    command = [sys.executable, "-m", "holdfast.cli", "serve", "--port", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    try:
        while b"/console/" not in said:
            said += os.read(ours, 4_096)
        text = said.decode()
        (host, port) = re.findall(r"ready on http://([\d.]+):(\d+)", text)[0]
        assert host == "127.0.0.1" and addresses_of(process.pid, int(port)) == {
            socket.inet_aton(host)[::-1].hex().upper()
        }
        token = re.findall(r"#t=(eyJ[\w.-]+)", text)[0]
        url = f"http://{host}:{port}"
        for headers, status in (({}, 401), ({"authorization": f"Bearer {token}"}, 200)):
            with httpx.Client(base_url=url, headers=headers, trust_env=False) as http:
                assert http.get("/v1/sessions").status_code == status
        assert (tmp_path / "holdfast.db.secret").stat().st_mode & 0o777 == 0o600
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(ours)
