"""A week of the company: what was planted is found, nothing else is, and the same seed gives the same company."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast.client.client import Client
from holdfast.edge import auth
from tests.unit.company.findings import Findings
from tests.unit.company.small import simulated, small

pytestmark = [pytest.mark.anyio, pytest.mark.process]


async def test_what_is_planted_is_found_and_nothing_else(tmp_path: Path) -> None:
    truths: list[Any] = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        async with simulated(folder) as found:
            findings = Findings(*small(), found)
            assert found.played.runs > 80
            assert set(found.played.statuses) <= {"completed", "failed"}
            assert await findings.check_bills() == 6
            assert await findings.check_waste(await found.site.books()) == 4
            await findings.check_runaway()
            truths.append((found.truth(), await findings.check_ledger()))
            if name == "two":
                await stands_still(found.server.url, found.server.secret)
    assert truths[0] == truths[1], "the same seed gives the same truth and the same sums"


async def stands_still(url: str, secret: str) -> None:
    """The time is the simulation's, everybody is told so, and the server still serves: sessions, runs and models."""
    last = str(small()[0].last_day)
    token = auth.mint(secret, subject="user:ada.berg", capabilities={"*": ["read", "append", "admin"]}, ttl_s=600)
    async with Client(url, token) as client:
        welcome = client.connection.welcome
        assert welcome.simulated is not None
        assert welcome.simulated.startswith(last)
