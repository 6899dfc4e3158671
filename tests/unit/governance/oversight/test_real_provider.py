"""The whole flow with somebody else's identity provider, over a network, without a browser."""

from __future__ import annotations

import re
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from holdfast.edge import auth
from holdfast.edge.config import Settings
from holdfast.edge.revocation import Revocations
from holdfast.engines.memory import MemoryEngine
from holdfast.governance.oversight.assembly import login_app
from holdfast.governance.oversight.login_app import HEADER, PATH
from holdfast.governance.oversight.minting import TokenMinter
from holdfast.governance.oversight.settings import LoginSettings, login_config
from holdfast.governance.store.store import Store
from holdfast.hub.clock import Clock
from holdfast.hub.hub import Hub

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:get_jwt_config:DeprecationWarning"),  # of the provider, in its thread
]

SECRET = "s" * 48
PUBLIC = "http://127.0.0.1:7417"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """A provider in a thread. What it imports of authlib is deprecated there, and not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from oidc_provider_mock import User, run_server_in_thread

        people = (
            User(sub="ann", claims={"groups": ["finance"], "email": "ann@acme.example"}),
            User(sub="eve", claims={"groups": ["visitors"]}),
            User(sub="bob", claims={}),
        )
        with run_server_in_thread(user_claims=people, require_nonce=True) as server:
            yield f"http://localhost:{server.server_port}"


@pytest.fixture
async def browser(issuer: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Cookies, before a server that has a login."""
    clock = Clock()
    store = await Store.open(str(tmp_path / "store.db"), clock.wall_ms)
    hub = Hub(MemoryEngine())
    await hub.open()
    secret = tmp_path / "client-secret"
    secret.write_text("anything\n")
    config = login_config(
        LoginSettings(
            oidc_issuer=issuer,
            oidc_client_id="holdfast",
            oidc_client_secret=f"file:{secret}",
            oidc_public_url=PUBLIC,
            oidc_roles="finance=finops",
        )
    )
    assert config is not None
    minter = TokenMinter(SECRET, Settings(), Revocations(hub))
    app = login_app(config, store, minter, SECRET, clock.wall_ms, clock.monotonic)
    server = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        base_url=PUBLIC, mounts={f"all://{PUBLIC.removeprefix('http://')}": server}, trust_env=False
    ) as client:
        yield client
    await hub.close()
    await store.close()


async def login(browser: httpx.AsyncClient, **answer: str) -> httpx.Response:
    """Go to the console's login, say who one is at the provider's own form, come back."""
    begun = await browser.get(PATH, params={"then": "/console/#spend"})
    form = await browser.get(begun.headers["location"])
    assert form.status_code == 200 and "<form" in form.text
    sent = await browser.post(begun.headers["location"], data=answer)
    assert sent.status_code == 302, sent.text
    assert sent.headers["location"].startswith(f"{PUBLIC}{PATH}/callback?")
    return await browser.get(sent.headers["location"])


async def test_somebody_of_the_right_group_comes_in(browser: httpx.AsyncClient) -> None:
    done = await login(browser, sub="ann")
    assert (done.status_code, done.headers["location"]) == (303, "/console/#spend"), done.text
    answer = (await browser.post(f"{PATH}/token", headers={HEADER: "1"})).json()
    principal = auth.Verifier(Settings(), SECRET).verify(answer["token"])
    assert principal.actor == "user:ann" and principal.may("catalogue", "*") and not principal.may("read", "*")
    ended = await browser.post(f"{PATH}/logout", headers={HEADER: "1"})
    assert ended.status_code == 200
    assert (await browser.post(f"{PATH}/token", headers={HEADER: "1"})).status_code == 401


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"sub": "eve"}, "user:eve is in none of the groups"),
        ({"sub": "bob"}, "user:bob is in none of the groups"),
        ({"sub": "stranger"}, "none of the groups"),
        ({"action": "deny"}, "another login"),  # this provider leaves out the state when it refuses
    ],
)
async def test_others_stay_outside_and_are_told_why(
    browser: httpx.AsyncClient, answer: dict[str, str], words: str
) -> None:
    done = await login(browser, **answer)
    assert done.status_code == 403 and re.search(words, done.text)
    assert (await browser.post(f"{PATH}/token", headers={HEADER: "1"})).status_code == 401


async def test_an_address_that_was_used_is_worth_nothing(browser: httpx.AsyncClient) -> None:
    begun = await browser.get(PATH)
    pending = browser.cookies["holdfast-login"]
    sent = await browser.post(begun.headers["location"], data={"sub": "ann"})
    assert (await browser.get(sent.headers["location"])).status_code == 303
    browser.cookies.set("holdfast-login", pending, domain="127.0.0.1")
    assert "ended already" in (await browser.get(sent.headers["location"])).text
