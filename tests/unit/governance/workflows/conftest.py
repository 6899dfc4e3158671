"""Workflows of a store of either kind, in an organisation with two teams."""

from __future__ import annotations

import pytest

from holdfast.governance.organisation.document import parse
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.store.store import Store
from holdfast.governance.workflows.service import Workflows
from holdfast.testing import FakeClock

TEAMS = b"teams: [{name: sales}, {name: support}]\n"


@pytest.fixture
async def organisation(store: Store, clock: FakeClock) -> Organisation:
    made = Organisation(store, clock.wall_ms)
    await made.refresh()
    await made.change(parse(TEAMS, "yaml"), by="user:ann")
    return made


@pytest.fixture
async def workflows(store: Store, organisation: Organisation, clock: FakeClock) -> Workflows:
    made = Workflows(store, organisation, clock.wall_ms)
    await made.refresh()
    return made
