"""What was used of every model, as changes of prices ask for it."""

from __future__ import annotations

import pytest

from holdfast.gateway.port import Served
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.ledger.used import UsedModels
from holdfast.governance.pricing.model import UsedModel
from tests.unit.governance.ledger.conftest import NOON, opening, used

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000


async def test_the_last_rows_of_a_time_are_summed_by_model_and_class(ledger: Ledger) -> None:
    for number, model in enumerate(("m1", "m1", "m2")):
        billed = used(model, input=100, cache_read=40, output=10, reasoning=5)
        await ledger.open(opening(f"a{number}", model=model))
        await ledger.settle(Served(f"a{number}", "served", (billed,), at_ms=NOON))
    await ledger.open(opening("late"))
    await ledger.settle(Served("late", "served", (used(),), at_ms=NOON + HOUR_MS))
    await ledger.correct("default", "a1", why="the bill says so", counts={"input": 300, "output": 20})
    found = await UsedModels(ledger.store).used(NOON, NOON + HOUR_MS)
    assert sorted(found, key=lambda each: each.model) == [
        UsedModel("openai", "up", "m1", {"input": 400, "cache_read": 40, "output": 30, "reasoning": 5}, 2),
        UsedModel("openai", "up", "m2", {"input": 100, "cache_read": 40, "output": 10, "reasoning": 5}, 1),
    ]
    assert await UsedModels(ledger.store).used(0, NOON) == []
