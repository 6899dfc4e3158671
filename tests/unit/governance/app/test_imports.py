"""A report of any size is brought to a server that has the store open."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from holdfast.cli.parser import app
from holdfast.edge.config import Settings
from holdfast.edge.extensions.extension_set import ExtensionSet
from holdfast.engines.memory import MemoryEngine
from holdfast.governance.extension import GovernanceExtension
from holdfast.governance.settings import GovernanceSettings
from holdfast.hub.hub import Hub
from holdfast.protocol.limits import MESSAGE_BYTES
from holdfast.testing import FakeClock
from tests.unit.edge.conftest import serving
from tests.unit.governance.app.conftest import settings_of

pytestmark = pytest.mark.anyio

HEAD = "BilledCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceProviderName,x_Model\n"
LINE = "0.01,USD,2026-11-03T00:00:00Z,2026-11-04T00:00:00Z,Usage,openai,gpt-5\n"


async def test_a_report_that_is_larger_than_a_request_comes_in_pieces(clock: FakeClock, tmp_path: Path) -> None:
    lines = 2 * MESSAGE_BYTES // len(LINE) + 7
    report = tmp_path / "bill.csv"
    report.write_text(HEAD + LINE * lines)
    server = Settings(db="memory:", port=0, drain_s=1, extensions=("governance",))
    extension = GovernanceExtension(GovernanceSettings(url=f"sqlite:///{tmp_path / 'store.db'}"), server)
    extension.upstreams = settings_of()
    extensions = ExtensionSet([extension])
    hub = Hub(MemoryEngine(), clock=clock, policy=extensions.policy)
    async with serving(hub, server, extensions=extensions) as site:
        token = site.token(capabilities={"*": ["budget", "spend"]})

        def typed(*words: str) -> Any:
            return CliRunner().invoke(app, ["ledger", "--url", site.url, "--token", token, *words])

        for words in ("2026-11-03 to 2026-11-03", "it was here already"):
            found = await asyncio.to_thread(typed, "import", str(report))
            assert found.exit_code == 0 and words in found.output, found.output
        assert f"{lines:,} lines, {lines / 100:.2f} USD" in found.output
