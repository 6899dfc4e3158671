"""Two readings of a domain at once: the one that began earlier does not have the last word."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.gateway.settings import GatewaySettings
from holdfast.governance.app import Governance
from holdfast.testing import FakeClock
from tests.unit.governance import postgres_server

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("domain", ["keys", "organisation", "prices", "budgets", "routing"])
async def test_who_began_to_read_earlier_does_not_have_the_last_word(clock: FakeClock, domain: str) -> None:
    """On PostgreSQL two readings go side by side, and may end in either order."""
    governance = Governance(await postgres_server.empty_database(), clock, GatewaySettings())
    await governance.start()
    try:
        service = getattr(governance, domain)
        at_once = most = 0
        real = governance.store.read

        async def read(work: Any) -> Any:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            try:
                await asyncio.sleep(0)
                return await real(work)
            finally:
                at_once -= 1

        governance.store.read = read  # type: ignore[method-assign]
        await governance.changes.stop()  # it looks by itself, too
        await governance.budgets.stop()
        at_once = most = 0
        await asyncio.gather(service.refresh(), service.refresh(), service.refresh())
        assert most == 1
    finally:
        await governance.stop()
