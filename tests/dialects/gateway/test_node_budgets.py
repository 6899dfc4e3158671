"""A real budget ends answers in the middle, and the official Node clients, unmodified, hear of it (``brake.mjs``): text and
usage first, then an exception of their own; nobody comes again; what was spent is on record and no more than may be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.governance import limits
from holdfast.testing import FakeClock
from tests.dialects.gateway.test_node_clients import run
from tests.fake_upstream.process import FakeUpstream
from tests.unit.governance.app.conftest import alone, both_wires
from tests.unit.governance.app.test_budgeted_calls import TOKENS, brake, budget, holds_together

pytestmark = [pytest.mark.anyio, pytest.mark.process]


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream(tokens=TOKENS, input=30) as upstream:
        yield upstream


@pytest.mark.parametrize("policy", ["error", "truncate"])
@pytest.mark.parametrize("package", ["openai", "openai6", "@anthropic-ai/sdk"])
async def test_a_budget_of_its_own_ends_each_answer(
    fake: FakeUpstream, tmp_path: Path, package: str, policy: str
) -> None:
    fake.reset()
    async with alone(f"sqlite:///{tmp_path / 'store.db'}", FakeClock(), *both_wires(fake)) as served:
        await budget(served, each="run")
        await brake(served, policy)
        seen = await run("brake.mjs", package, served.url, served.key)
        rows = await served.rows(len(seen))
        await holds_together(served, rows)
    assert len(fake.stats().requests) == len(seen), "nobody comes again"
    for (label, told), row in zip(seen.items(), rows, strict=True):
        error: Any = told.get("error")
        granted = row.counts["output"] - limits.BUDGET_TAIL_TOKENS
        assert 0 < len(told["text"].split()) <= granted or label.lower().endswith("whole"), (label, told)
        if not label.lower().endswith("whole"):
            assert told["used"] >= len(told["text"].split()), (label, told)
        if policy == "error":
            assert error["isApiError"] and error["code"] == "budget_exceeded", (label, error)
            assert "'refunds'" in error["message"]
        else:
            assert error is None, (label, error)
