from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.engines.port import Engine, Index, Key, LogAppend
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.protocol.events import Event
from holdfast.protocol.frames import Frame, encode_frame
from tests.sim.crash_vfs import CrashVFS, Disk

KEY = Key("acme", "s1")


def frame(first: int, count: int = 1, size: int = 0) -> Frame:
    events = [Event(seq, 1, "agent:a", "RAW", {"event": seq, "pad": "x" * size}) for seq in range(first, first + count)]
    return encode_frame(KEY.session, events)


async def add(engine: Engine, expected: int, *, size: int = 0, essential: bool = False, **more: Any) -> None:
    await engine.append(
        LogAppend(KEY, "i1", expected, [frame(expected + 1, size=size)], 2, essential=essential, **more)
    )


async def tail(engine: Engine) -> int:
    head = await engine.head(KEY)
    assert head is not None
    frames = await engine.read(KEY, 0, max_bytes=1 << 30)
    assert (frames[-1].last if frames else 0) == head.tail
    return head.tail


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "x.db")


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[Disk]:
    """A disk whose operations can be made to fail; engines use it through the VFS ``faulty``."""
    disk = Disk()
    vfs = CrashVFS("faulty", disk)
    yield disk
    vfs.unregister()


@pytest.fixture
async def engine(path: str, disk: Disk, anyio_backend: str) -> AsyncIterator[SqliteEngine]:
    """An engine with one session, on the faulty disk, that tries to recover often."""
    engine = SqliteEngine(path, vfs="faulty", reserve_bytes=256 << 10, probe_s=0.01)
    await engine.open()
    await engine.create(KEY, "i1", 1, Index(participants=("ada",), title="Tides"))
    yield engine
    disk.on_operation = None
    await engine.close()


def fail_when(disk: Disk, matches: Callable[[str, str], bool], error: Callable[[], Exception]) -> list[str]:
    """Make operations fail while they match; answers a list that fills with what failed."""
    failed: list[str] = []

    def on_operation(kind: str, name: str) -> None:
        if matches(kind, name):
            failed.append(f"{kind} {name}")
            raise error()

    disk.on_operation = on_operation
    return failed
