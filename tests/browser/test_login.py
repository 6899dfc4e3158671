"""The login to the console in a real browser, with somebody else's identity provider: in, by role, out, and who stays out."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Iterator
from typing import Final

import pytest

from holdfast.edge.pages import PAGES
from tests.browser.chromium import Chromium, Tab
from tests.browser.spending import GovernedServer

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.browser,
    pytest.mark.process,
    pytest.mark.filterwarnings("ignore:get_jwt_config:DeprecationWarning"),  # of the provider, in its thread
]
PEOPLE: Final = {"opal": "platform", "fin": "finance", "olga": "owners", "aud": "risk", "eve": "visitors"}
ROLES: Final = "platform=operator;finance=finops;owners=owner;risk=auditor"
PAGES_OF: Final = {
    "opal": ["sessions", "runs", "connections", "traffic", "spend", "plan"],
    "fin": ["spend", "plan"],
    "olga": ["sessions", "spend", "plan"],
    "aud": ["sessions", "spend", "plan"],
}
NAV: Final = "[...document.querySelectorAll('#top nav a')].map((link) => link.hash.slice(2))"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GovernedServer]:
    if not (PAGES / "console").is_dir():
        if os.environ.get("CI"):
            pytest.fail("the pages are not built, and in CI these tests must run")
        pytest.skip("the pages are not built: make web")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the provider imports of authlib is deprecated there, and not ours
        from oidc_provider_mock import User, run_server_in_thread

        people = tuple(User(sub=name, claims={"groups": [group]}) for name, group in PEOPLE.items())
        with run_server_in_thread(user_claims=people, require_nonce=True) as provider:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            settings = {
                "ISSUER": f"http://localhost:{provider.server_port}", "CLIENT_ID": "holdfast", "ROLES": ROLES,
                "CLIENT_SECRET": "env:OF_THE_PROVIDER", "PUBLIC_URL": f"http://127.0.0.1:{port}", "CONTACT": "Mia of IT",
            }  # fmt: skip
            environment = {f"HOLDFAST_GOVERNANCE_OIDC_{name}": value for name, value in settings.items()}
            running = GovernedServer(
                tmp_path_factory.mktemp("login"), port, {**environment, "OF_THE_PROVIDER": "anything"}
            )
            yield running
            running.stop()


async def log_in(tab: Tab, name: str) -> None:
    """From the console's page to the provider's, and say there who one is."""
    await tab.click("#refused a.primary")
    await tab.until("document.querySelector('input[name=sub]')")
    await tab.type("input[name=sub]", name)
    await tab.click("form [type=submit], form button")


async def log_out(tab: Tab) -> None:
    await tab.run("[...document.querySelectorAll('#top button')].find((n) => n.innerText.includes('log out')).click()")
    await tab.until("document.querySelector('#refused h1')?.innerText === 'You are logged out.'")


async def test_people_come_in_by_their_role_and_go_out_again(server: GovernedServer, browser: Chromium) -> None:
    tab = await browser.tab(f"{server.server.replace('127.0.0.1', 'localhost')}/console/#/keys")  # another name of it
    for name, pages in PAGES_OF.items():
        await log_in(tab, name)
        await tab.until(
            "document.body?.dataset.line === 'live' && document.querySelector('.money-page .data, .nothing')"
        )
        assert await tab.run("location.href") == f"{server.server}/console/#/keys", "where one wanted to go"
        await tab.until(f"JSON.stringify({NAV}) === JSON.stringify({pages})")
        manages = await tab.run("document.querySelector('#new-key') !== null")
        assert manages == (name in ("opal", "fin")), f"{name}: keys are made with the right budget"
        if not manages:
            assert "right budget" in await tab.run("document.querySelector('.money-page').innerText")
        await log_out(tab)
    await log_in(tab, "fin")
    await tab.until("document.body?.dataset.line === 'live'")
    await tab.run("location.hash = ''")
    await tab.until("document.querySelector('h1').innerText === 'Spend'")
    # the login is ended elsewhere: an open page says so, and offers the way in
    await tab.run("fetch('/governance/login/logout', {method: 'POST', headers: {'x-holdfast-console': '1'}})")
    await tab.until("document.querySelector('#refused h1')?.innerText === 'Your login has ended.'")
    assert [error for error in tab.errors if "401" not in error] == []
    await tab.close()


async def test_who_has_no_role_or_did_not_begin_here_stays_outside(server: GovernedServer, browser: Chromium) -> None:
    tab = await browser.tab(f"{server.server}/console/")  # a browser that the first test has left logged out
    await log_in(tab, "eve")
    await tab.until("document.querySelector('h1')?.innerText === 'You are not logged in'")
    words = await tab.run("document.body.innerText")
    assert "user:eve is in none of the groups that have a role here." in words
    assert "Ask Mia of IT to put you into one of them." in words
    assert await tab.run("getComputedStyle(document.querySelector('main')).padding") == "24px", "its style is let in"
    await tab.go(f"{server.server}/governance/login/callback?state=forged&code=stolen")
    assert "was not begun in this browser" in await tab.run("document.body.innerText")
    await tab.go(f"{server.server}/console/")
    await tab.until("document.querySelector('#refused a.primary')")
    await tab.close()
