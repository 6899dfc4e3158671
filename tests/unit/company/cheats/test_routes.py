"""The routes: only whoever may audit sees the moves and plays one, and what comes back is what a page shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from holdfast.company.cheats.catalogue import MOVES
from holdfast.company.cheats.extension import ROOT
from holdfast.company.clock import CompanyClock
from holdfast.company.server import CompanyServer, serving
from holdfast.edge import auth

pytestmark = pytest.mark.anyio
NOW_MS = 1_790_000_000_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[CompanyServer]:
    """A server of a company that has nothing yet."""
    async with serving(tmp_path, CompanyClock(NOW_MS), "127.0.0.1", 0, pages=False) as found:
        yield found


def asking(server: CompanyServer, *verbs: str) -> httpx.AsyncClient:
    token = auth.mint(server.secret, subject="user:you", capabilities={"*": list(verbs)}, ttl_s=60)
    return httpx.AsyncClient(base_url=server.url, headers={"authorization": f"Bearer {token}"}, timeout=60)


async def test_whoever_may_audit_plays_them(server: CompanyServer) -> None:
    async with asking(server, "audit") as client:
        listed = (await client.get(ROOT)).json()["moves"]
        assert [one["name"] for one in listed] == [move.facts.name for move in MOVES]
        played = await client.post(f"{ROOT}/netting")
        assert played.status_code == 200
        found = played.json()
        assert found["naive"]["green"] and not found["naive_before"]["green"]
        assert (found["move"]["gate"], found["before"]["verdict"], found["after"]["verdict"]) == ("4.a", "fail", "fail")
        assert (await client.post(f"{ROOT}/netting")).json() == found, "it can be pressed again"
        assert (await client.post(f"{ROOT}/bribery")).status_code == 404
        assert (await client.post(f"{ROOT}/alias")).status_code == 400, "a company without people has nobody to cheat"


async def test_nobody_else_does(server: CompanyServer) -> None:
    async with asking(server, "read", "spend", "admin") as client:
        assert (await client.get(ROOT)).status_code == 403
        assert (await client.post(f"{ROOT}/netting")).status_code == 403
