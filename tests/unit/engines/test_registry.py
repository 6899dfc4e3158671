"""Engines are imported when an address names them: what keeps logs in memory loads no database library."""

from __future__ import annotations

import subprocess
import sys

import pytest

from holdfast.engines.address import engine_for
from holdfast.engines.memory import MemoryEngine
from holdfast.engines.registry import ENGINES
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.errors import HoldfastError

LOADED = """
import sys
{code}
found = sorted(name for name in sys.modules if name in ("apsw", "sqlite3", "_sqlite3") or name.startswith("holdfast.engines.sqlite"))
print(",".join(found))
"""
SERVES = """
import asyncio, httpx
from holdfast.cli import parser
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.server import port_of, running
from holdfast.engines.address import engine_for
from holdfast.hub.hub import Hub

async def main():
    hub = Hub(engine_for("memory:"))
    await hub.open()
    async with running(Edge(hub, Settings(db="memory:", port=0, drain_s=0), pages=True)) as server:
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"http://127.0.0.1:{port_of(server)}/readyz")).status_code == 200

asyncio.run(main())
"""


def database_modules(code: str) -> str:
    """What of a database library a process has loaded once it has run the code."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(code=code)], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "code",
    [
        "import holdfast",
        "import holdfast; holdfast.EmbeddedHub('memory:'); holdfast.connect",
        "import holdfast.cli.parser",
        SERVES,
    ],
    ids=["import", "embedded", "command line", "server"],
)
def test_nothing_of_a_database_is_loaded_for_what_keeps_its_logs_in_memory(code: str) -> None:
    assert database_modules(code) == ""


def test_the_engine_that_is_named_is_loaded() -> None:
    code = "import holdfast; holdfast.EmbeddedHub('sqlite:///x.db')"
    assert "holdfast.engines.sqlite.engine" in database_modules(code).split(",")


def test_addresses_name_engines(tmp_path: object) -> None:
    assert set(ENGINES) == {"memory", "sqlite"}
    assert isinstance(engine_for("memory:"), MemoryEngine)
    assert isinstance(engine_for(f"sqlite:///{tmp_path}/a.db"), SqliteEngine)
    with pytest.raises(HoldfastError, match="no engine"):
        engine_for("postgres://x")
