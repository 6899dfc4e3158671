"""The endpoint is SCIM 2.0 as somebody else reads the standard: the checks of ``scim2-tester``, at a server."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from scim2_tester import Status, check_server

from holdfast.governance.directory.scim.endpoint import PATH
from holdfast.governance.store.store import Store
from tests.unit.governance.directory.served_directory import AFRESH, NetworkClient, provider_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_the_checks_of_others_find_no_error(store: Store) -> None:
    async with provider_of(store) as provider:
        headers = {"authorization": f"Bearer {provider.token}"}

        def check() -> list[object]:
            with httpx.Client(
                base_url=f"{provider.site.url}{PATH}", headers=headers, trust_env=False, limits=AFRESH
            ) as http:
                return list(check_server(NetworkClient(http)))

        results = await asyncio.to_thread(check)
        wrong = [
            (one.status, one.title, one.reason) for one in results if one.status not in (Status.SUCCESS, Status.SKIPPED)
        ]
        assert not wrong, wrong
        assert sum(one.status is Status.SUCCESS for one in results) > 50
