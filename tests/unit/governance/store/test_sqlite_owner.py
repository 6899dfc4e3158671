"""One process owns a SQLite store; what it acknowledged outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select, text

from holdfast.errors import HoldfastError
from holdfast.governance import limits
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.facts import store_facts
from holdfast.testing import FakeClock

pytestmark = pytest.mark.anyio

WRITER = """
import asyncio, sys, time
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.facts import store_facts

async def main():
    store = await Store.open(sys.argv[1], lambda: int(time.time() * 1_000))
    async def write(writer):
        for n in range(1_000_000):
            await store.insert(store_facts, [{"name": f"t{writer}-{n}", "value": "v"}])
            print(f"t{writer}-{n}", flush=True)  # only now
    await asyncio.gather(*map(write, range(16)))

asyncio.run(main())
"""


def begin(path: Path) -> subprocess.Popen[str]:
    """A process that owns a store and writes to it; it has acknowledged something already."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


async def test_a_second_owner_is_refused_and_told_who_is_the_first(tmp_path: Path, clock: FakeClock) -> None:
    process = begin(tmp_path / "store.db")
    try:
        with pytest.raises(HoldfastError) as refused:
            await Store.open(str(tmp_path / "store.db"), clock.wall_ms)
        assert refused.value.code == "engine.locked"
        assert f"process {process.pid} on {os.uname().nodename} since 20" in refused.value.detail
    finally:
        process.kill()
        process.communicate()


async def test_the_same_process_does_not_open_it_twice(tmp_path: Path, clock: FakeClock) -> None:
    first = await Store.open(str(tmp_path / "store.db"), clock.wall_ms)
    with pytest.raises(HoldfastError, match=f"process {os.getpid()} on .* since 20"):
        await Store.open(f"sqlite:///{tmp_path}/store.db", clock.wall_ms)
    await first.close()
    await (await Store.open(str(tmp_path / "store.db"), clock.wall_ms)).close()


async def test_nothing_acknowledged_is_lost_when_the_owner_is_killed(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "store.db"
    process = begin(path)
    assert process.stdout is not None
    acknowledged = {process.stdout.readline().strip() for _ in range(500)}
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    acknowledged |= set(rest.split()[:-1])  # the last line may have been cut
    store = await Store.open(str(path), clock.wall_ms)
    found = await store.read(lambda c: set(c.execute(select(store_facts.c.name)).scalars()))
    assert len(acknowledged) >= 500 and acknowledged <= found
    await store.close()


async def test_a_store_with_much_in_its_log_closes_and_is_complete_in_itself(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark of a closing store is a commit, too, when nobody is there any more to copy the log beside it."""
    monkeypatch.setattr(limits, "STORE_CHECKPOINT_PAGES", 0)
    await test_the_file_is_complete_in_itself_after_a_close(tmp_path, clock)


async def test_the_file_is_complete_in_itself_after_a_close(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "store.db"
    store = await Store.open(str(path), clock.wall_ms)
    await store.insert(store_facts, [{"name": "t1", "value": "v"}])
    await store.close()
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    again = await Store.open(str(copy), clock.wall_ms)
    assert (
        await again.read(lambda c: c.execute(text("SELECT value FROM store_facts WHERE name = 't1'")).scalar()) == "v"
    )
    await again.close()
