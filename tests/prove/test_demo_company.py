"""The whole demo company: ninety days, and everything that is planted in them found by the product.

How long it takes is told and not asserted: the machine may be busy.
"""

from __future__ import annotations

import hashlib
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.company import truth
from holdfast.company.description import described
from holdfast.company.plants import planted
from holdfast.company.simulation import Simulation
from tests.unit.company.findings import Findings

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.process,
    pytest.mark.skipif("HOLDFAST_DEMO_COMPANY" not in os.environ, reason="minutes: make prove runs it"),
]
SEED = 7


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_ninety_days_and_every_plant(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    company, plants = described(), planted()
    assert company.days == 90
    sealed = truth.seal_plan(tmp_path, company, plants, SEED)
    began = time.monotonic()
    async with Simulation(company, plants, SEED, tmp_path).running() as found:
        record_property("seconds", round(time.monotonic() - began))
        record_property("runs", found.played.runs)
        assert found.played.runs >= 5_000
        findings = Findings(company, plants, found)
        differences = await findings.check_bills()
        kinds = await findings.check_waste(await found.site.books())
        await findings.check_runaway()
        sums = await findings.check_ledger()
        august, september = (plants.bill.since, plants.bill.until), (plants.replacement.since, company.last_day)
        await findings.check_variance(august, september)
        asked = await findings.check_budgets()
        assert asked["state"] == "denied" and asked["why"].startswith("Forecast of 2026-09-"), (
            "it was told, and asked for"
        )
        peels = await findings.check_routing()
        peelable = peels[plants.peelable.workflow]
        assert peelable.cheaper == plants.peelable.cheaper and peelable.clears and (peelable.confidence or 0) >= 0.95
    assert set(sums) >= {"gpt-5", plants.own_model.model, plants.replacement.first, plants.replacement.then}
    record_property("planted differences found", differences + kinds)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    record_property("seconds of CPU", round(sum(each.ru_utime + each.ru_stime for each in used)))
    assert hashlib.sha256((tmp_path / truth.PLAN).read_bytes()).hexdigest() == sealed
