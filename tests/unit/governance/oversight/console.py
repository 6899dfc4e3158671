"""A browser before the login of a server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import httpx

from holdfast.edge import auth
from holdfast.governance.oversight.login_app import HEADER, PATH
from tests.unit.governance.oversight.identity_provider import ISSUER, SpoiltProvider

SECRET = "s" * 48
PUBLIC = "https://holdfast.example"
SETTINGS = {
    "oidc_issuer": ISSUER,
    "oidc_client_id": "holdfast",
    "oidc_public_url": PUBLIC,
    "oidc_roles": "finance=finops;board=auditor;board=owner",
}
ASK = {HEADER: "1", "origin": PUBLIC, "sec-fetch-site": "same-origin"}


class Console:
    """A browser before the login of a server, and how that server checks tokens."""

    def __init__(self, http: httpx.AsyncClient, provider: SpoiltProvider, verifier: auth.Verifier) -> None:
        self.http = http
        self.provider = provider
        self.verifier = verifier

    async def begin(self, then: str = "/console/") -> str:
        response = await self.http.get(PATH, params={"then": then})
        assert response.status_code == 303, response.text
        return response.headers["location"]

    async def login(self, then: str = "/console/", **more: str) -> httpx.Response:
        state, code = self.provider.consent(await self.begin(then))
        return await self.http.get(f"{PATH}/callback", params={"state": state, "code": code, **more})

    async def token(self, **headers: str) -> httpx.Response:
        return await self.http.post(f"{PATH}/token", headers=ASK | headers)


Open = Callable[..., contextlib.AbstractAsyncContextManager[Console]]
