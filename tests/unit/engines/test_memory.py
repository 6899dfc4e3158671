"""The planted failures of the memory engine, and a copy of it that is put back."""

from __future__ import annotations

import pytest

from holdfast.engines.memory import MemoryEngine
from holdfast.engines.port import Index
from holdfast.errors import CommitFailed
from tests.unit.engines.conftest import KEY, add, tail

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("outcome", "code", "applied", "left"),
    [("not_applied", "disk.full", False, 1), ("unknown", "commit.unknown", False, 1), ("unknown", "commit.unknown", True, 2)],
)  # fmt: skip
async def test_planted_failures_come_once_and_in_order(outcome: str, code: str, applied: bool, left: int) -> None:
    engine = MemoryEngine()
    await engine.create(KEY, "i1", 1, Index())
    await add(engine, 0)
    engine.fail_next(outcome, code, applied=applied)
    with pytest.raises(CommitFailed) as caught:
        await add(engine, 1, notices=[{"n": 1}], index=Index(title="new"))
    assert (caught.value.outcome, caught.value.code) == (outcome, code)
    assert await tail(engine) == left
    assert len((await engine.feed("", 9)).notices) == (left == 2)
    await add(engine, left)
    assert await tail(engine) == left + 1


async def test_a_copy_put_into_a_new_engine_is_found_by_name_and_by_what_waits() -> None:
    engine = MemoryEngine()
    await engine.create(KEY, "i1", 1, Index(queued=("writer",)))
    other = MemoryEngine()
    other.restore(engine.backup())
    assert [row.head.key for row in (await other.list(KEY.tenant, limit=9)).rows] == [KEY]
    assert list((await other.queued(KEY.tenant, "writer")).keys) == [KEY]
