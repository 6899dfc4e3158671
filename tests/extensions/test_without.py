"""The session server is whole without any extension: here none can be imported, and a session runs an agent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

BLOCKED = """
import importlib.metadata, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name == "holdfast.demo" or name.startswith(("holdfast.demo.", "tests.extensions.quiet_hours")):
            raise ModuleNotFoundError(f"{name} is left out")

found = importlib.metadata.entry_points

def entry_points(**wanted):
    assert wanted.get("group") != "holdfast.extensions", "nobody named an extension, and one was looked for"
    return found(**wanted)

sys.meta_path.insert(0, Blocked())
importlib.metadata.entry_points = entry_points
"""
SERVER = BLOCKED + "\nfrom holdfast.cli.parser import main\nmain()\n"
AGENT = (
    BLOCKED
    + """
import asyncio, sys
import holdfast
from holdfast.edge import auth

async def main(url, db):
    token = auth.mint(auth.read_secret(db), subject="user:ann", agents=["*"])
    async with holdfast.connect(url, token=token) as hf:
        @hf.agent("writer")
        async def write(run):
            async with run.message() as out:
                await out.write(f"You said: {run.input}.")
        worker = asyncio.create_task(hf.serve())
        session = await hf.create("s1", agent="writer")
        print(await (await session.send("hello")).text())
        worker.cancel()
        await asyncio.wait([worker])

asyncio.run(main(*sys.argv[1:]))
"""
)


def run(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def test_a_server_without_extensions_runs_an_agent(tmp_path: Path) -> None:
    database = str(tmp_path / "s.db")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    server = subprocess.Popen(
        run(SERVER, "serve", "--port", "0", "--db", database, "--quiet"), stdout=subprocess.PIPE, text=True, env=environ
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        agent = subprocess.run(run(AGENT, url, database), capture_output=True, text=True, timeout=60, env=environ)
        assert agent.stdout.strip() == "You said: hello.", agent.stderr
    finally:
        server.terminate()
        server.communicate(timeout=20)
    assert server.returncode == 0


def test_help_without_the_demo_names_no_demo() -> None:
    done = subprocess.run(run(SERVER, "--help"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and " serve " in done.stdout and " demo " not in done.stdout
    assert subprocess.run(run(SERVER, "demo"), capture_output=True, timeout=60).returncode == 2
