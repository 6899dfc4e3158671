"""A server with a directory, and how an identity provider comes to it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
from scim2_client import BaseSyncSCIMClient

from holdfast.extensions import Extension, ExtensionMount, ExtensionSettings, Services
from holdfast.governance.directory.scim.endpoint import PATH, ScimEndpoint
from holdfast.governance.directory.service import DOMAIN, Directory
from holdfast.governance.store.changes import Changes
from holdfast.governance.store.store import Store
from holdfast.hub.clock import Clock
from tests.extensions.conftest import SETTINGS, served
from tests.unit.edge.conftest import Site

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


AFRESH = httpx.Limits(max_keepalive_connections=0)
"""A connection for each request: the server does not turn off Nagle's algorithm on those it keeps (40 ms each)."""


class WithDirectory(Extension):
    """The domain over a store."""

    name = "peopled"

    def __init__(self, store: Store) -> None:
        super().__init__(ExtensionSettings(), SETTINGS)
        clock = Clock()
        self.changes = Changes(store)
        self.directory = Directory(store, clock.wall_ms)
        self.scim = ScimEndpoint(self.directory, store, self.changes, clock.wall_ms, clock.monotonic)

    def mounts(self, services: Services) -> Sequence[ExtensionMount]:
        return self.scim.mounts()

    async def start(self, services: Services) -> None:
        self.changes.follow(DOMAIN, self.directory.refresh)
        await self.changes.start()

    async def stop(self) -> None:
        self.scim.stop()
        await self.changes.stop()


class Provider:
    """An identity provider of the tenant ``acme``.

    Attributes:
        http: below the address of the endpoint, with its token.
    """

    def __init__(self, site: Site, extension: WithDirectory, token: str) -> None:
        self.site = site
        self.extension = extension
        self.directory = extension.directory
        self.token = token
        headers = {"authorization": f"Bearer {token}", "content-type": "application/scim+json"}
        self.http = httpx.AsyncClient(base_url=f"{site.url}{PATH}", headers=headers, trust_env=False, limits=AFRESH)

    async def ask(self, method: str, path: str, body: Any = None, *, status: int, **more: Any) -> Any:
        """What it is answered, which has to have this status."""
        answer = await self.http.request(method, path, json=body, **more)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def make(self, user_name: str, **fields: Any) -> str:
        """Somebody new: their id."""
        body = {"schemas": [USER], "userName": user_name, **fields}
        made = await self.ask("POST", "/Users", body, status=201)
        return str(made["id"])

    async def patch(self, path: str, *operations: dict[str, Any], status: int = 204) -> Any:
        return await self.ask("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, status=status)

    async def found(self, wanted: str, path: str = "/Users") -> list[str]:
        """The ids of what a filter finds."""
        answer = await self.ask("GET", path, params={"filter": wanted}, status=200)
        assert answer["totalResults"] == len(answer["Resources"])
        return [one["id"] for one in answer["Resources"]]


@contextlib.asynccontextmanager
async def provider_of(store: Store) -> AsyncIterator[Provider]:
    """A server over a store, and a provider with a token."""
    extension = WithDirectory(store)
    async with served([extension]) as site:
        _, token = await extension.directory.new_token("acme", "user:ann")
        provider = Provider(site, extension, token)
        async with provider.http:
            yield provider


class NetworkClient(BaseSyncSCIMClient):
    """The client that the checks of ``scim2-tester`` ask with, over a network."""

    def __init__(self, http: httpx.Client) -> None:
        super().__init__()
        self.http = http

    def _stays_under_base_url(self, endpoint: str) -> bool:
        return True

    def _parse_json(self, response: Any) -> Any:
        return response.json()

    def request(self, method: str, url: str, **more: Any) -> Any:
        return self.http.request(method, url, **more)
