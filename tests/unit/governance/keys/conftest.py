"""Keys in a store of either kind, in an organisation that has a workflow."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from holdfast.governance.keys.service import GatewayKeys
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.store.store import Store
from holdfast.testing import FakeClock


@pytest.fixture
async def organisation(store: Store, clock: FakeClock) -> Organisation:
    made = Organisation(store, clock.wall_ms)
    await made.refresh()
    await made.declare("mail", "sales")
    return made


@pytest.fixture
async def keys(store: Store, organisation: Organisation, clock: FakeClock) -> AsyncIterator[GatewayKeys]:
    made = GatewayKeys(store, organisation, clock.wall_ms)
    await made.refresh()
    yield made
    await made.stop()
