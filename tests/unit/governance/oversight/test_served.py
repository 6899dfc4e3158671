"""The login at a real server, behind its checks of Host and Origin; what it gives opens the server's own doors."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from holdfast.governance.keys.actions import ROOT
from holdfast.governance.oversight.login_app import HEADER, PATH
from tests.unit.governance.governed_server import governed
from tests.unit.governance.oversight.identity_provider import ISSUER, SpoiltProvider

pytestmark = pytest.mark.anyio

PUBLIC = "http://127.0.0.1:7417"
LOGIN = {
    "oidc_issuer": ISSUER,
    "oidc_client_id": "holdfast",
    "oidc_public_url": PUBLIC,
    "oidc_roles": "finance=finops",
    "oidc_tenant": "acme",
}


async def test_the_console_gets_a_token_that_the_server_takes(tmp_path: Path) -> None:
    provider = SpoiltProvider(lambda: int(time.time()))
    async with governed(tmp_path / "store.db", LOGIN, provider.transport()) as (site, _), site.http() as http:
        moved = await http.get(PATH, params={"then": "/console/#/spend"})  # this client came by another port
        assert moved.headers["location"] == f"{PUBLIC}{PATH}?then=%2Fconsole%2F%23%2Fspend&moved=1"
        begun = await http.get(moved.headers["location"].removeprefix(PUBLIC))
        assert begun.status_code == 303 and begun.headers["x-frame-options"] == "DENY"
        state, code = provider.consent(begun.headers["location"])
        done = await http.get(f"{PATH}/callback", params={"state": state, "code": code})
        assert done.headers["location"] == "/console/#/spend", done.text
        token = (await http.post(f"{PATH}/token", headers={HEADER: "1"})).json()["token"]
        asked = {"authorization": f"Bearer {token}"}
        assert (await http.get(ROOT, headers=asked)).json() == {"keys": []}
        assert (await http.get(ROOT)).status_code == 401, "the cookie alone opens nothing"
        assert (await http.get("/v1/sessions", headers=asked)).status_code in (200, 403)
        assert (await http.get("/v1/connections", headers=asked)).status_code == 403
        foreign = await http.post(f"{PATH}/token", headers={HEADER: "1", "origin": "https://evil.example"})
        assert foreign.json()["error"]["code"] == "auth.origin"
        assert (await http.get(PATH, headers={"host": "evil.example"})).status_code == 421
        assert (await http.post(f"{PATH}/logout", headers={HEADER: "1"})).status_code == 200
        void = await http.get(ROOT, headers=asked)
        assert void.json()["error"]["code"] == "auth.revoked", "the token ends with the login, at once"
        assert (await http.post(f"{PATH}/token", headers={HEADER: "1"})).status_code == 401
        missing: httpx.Response = await http.get(f"{PATH}/nothing")
        assert missing.status_code == 404


async def test_an_operator_ends_somebodys_login(tmp_path: Path) -> None:
    provider = SpoiltProvider(lambda: int(time.time()))
    async with governed(tmp_path / "store.db", LOGIN, provider.transport()) as (site, _), site.http() as http:
        state, code = provider.consent((await http.get(PATH, params={"moved": "1"})).headers["location"])
        await http.get(f"{PATH}/callback", params={"state": state, "code": code})
        token = (await http.post(f"{PATH}/token", headers={HEADER: "1"})).json()["token"]
        async with site.http(site.token("user:root")) as operator:
            assert (await operator.post("/v1/tokens/revoke", json={"sub": "user:ann"})).status_code < 300
        void = await http.get(ROOT, headers={"authorization": f"Bearer {token}"})
        assert void.json()["error"]["code"] == "auth.revoked"
        again = await http.post(f"{PATH}/token", headers={HEADER: "1"})
        assert again.json()["error"]["code"] == "auth.required", "the login gives no other"


async def test_without_an_issuer_there_is_no_login(tmp_path: Path) -> None:
    async with governed(tmp_path / "store.db") as (site, _), site.http() as http:
        assert (await http.get(PATH)).status_code == 404
