"""Finding sessions is bounded work, whoever asks for what: counted in steps of SQLite's machine, not in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast.engines.port import Index, Key
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.protocol import limits

pytestmark = pytest.mark.anyio

FEW, MANY = 60, 1_200
SCAN = 20


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Counted:
    """An engine with one reading connection, and what its queries cost."""

    def __init__(self, engine: SqliteEngine) -> None:
        self.engine = engine
        self.steps = 0
        assert engine._store.readers is not None
        (connection,) = engine._store.readers._connections
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, self._ran)

    def _ran(self, profile: Any) -> None:
        self.steps += profile["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

    async def cost(self, verb: str, *what: Any, **how: Any) -> int:
        self.steps = 0
        await getattr(self.engine, verb)(*what, **how)
        return self.steps


@pytest.fixture
async def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Counted]]:
    """Two tenants' worth of sessions: few, and twenty times as many. Old ones alone are Ann's and the narrow token's."""
    monkeypatch.setattr(limits, "LIST_SCAN", SCAN)
    made = []
    for sessions in (FEW, MANY):
        engine = SqliteEngine(str(tmp_path / f"{sessions}.db"), readers=1)
        await engine.open()
        made.append(Counted(engine))
        await asyncio.gather(
            *(
                engine.create(
                    Key("acme", f"{'old' if n < FEW // 2 else 'new'}-{n:05}"), "i1", n,
                    Index(participants=("user:ann",) if n < 3 else ("user:bob",), queued=("writer",), title=f"tide {n}"),
                )
                for n in range(sessions)
            )
        )  # fmt: skip
    yield made
    for counted in made:
        await counted.engine.close()


ASKED: list[dict[str, Any]] = [
    {"names": ("old-00001",)},
    {"names": ("old-0000*",)},
    {"names": ("old-0000*", "old-00017", "none*")},
    {"names": ("old*",)},
    {"names": ("new*",)},
    {"names": ("old*", "new*")},
    {"names": None},
    {"user": "user:ann"},
    {"user": "user:ann", "names": ("old*",)},
    {"user": "user:bob"},
    {"user": "user:bob", "names": ("old*", "new-0000*")},
    {"search": "nothing"},
    {"search": "tide nothing", "names": ("new*",)},
    {"search": "nothing", "user": "user:bob"},
]


@pytest.mark.parametrize("asked", ASKED, ids=str)
@pytest.mark.parametrize("limit", [1, 10])
async def test_a_list_costs_the_same_however_many_sessions_there_are(
    stores: list[Counted], asked: dict[str, Any], limit: int
) -> None:
    few, many = [await store.cost("list", "acme", limit=limit, **asked) for store in stores]
    assert 0 < many <= few * 1.2 + 40, f"{many} steps among {MANY} sessions, {few} among {FEW}"


@pytest.mark.parametrize("names", [None, ("old-00001",), ("old*",), ("new*",)], ids=str)
async def test_so_does_a_look_for_work(stores: list[Counted], names: tuple[str, ...] | None) -> None:
    few, many = [await store.cost("queued", "acme", "writer", names=names) for store in stores]
    assert 0 < many <= few * 1.2 + 40, f"{many} steps among {MANY} sessions, {few} among {FEW}"


async def test_a_narrow_page_is_found_among_many(stores: list[Counted]) -> None:
    page = await stores[1].engine.list("acme", names=("old-0000*",), limit=1)
    assert [row.head.key.session for row in page.rows] == ["old-00009"]


async def test_finding_what_runs_costs_as_much_as_runs_and_not_as_much_as_ever_ran(stores: list[Counted]) -> None:
    costs = []
    for counted in stores:
        for n in (7, 8, 40):
            await counted.engine.create(Key("acme", f"now-{n}"), "i1", n, Index(card={"running": 1}))
        costs.append(await counted.cost("live", "acme"))
    assert costs[0] == costs[1], costs
