"""Logging in to the console: what leads in, and every way in which somebody stays outside."""

from __future__ import annotations

import html
import logging
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest

from holdfast.edge.config import Settings
from holdfast.edge.revocation import Revocations
from holdfast.engines.memory import MemoryEngine
from holdfast.errors import HoldfastError, Refused
from holdfast.governance import limits
from holdfast.governance.oversight.login_app import HEADER, PATH
from holdfast.governance.oversight.minting import TokenMinter
from holdfast.governance.oversight.roles import ROLES
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.oversight import console_logins
from holdfast.hub.hub import Hub
from holdfast.testing import FakeClock
from tests.unit.governance.oversight.console import ASK, PUBLIC, Console, Open
from tests.unit.governance.oversight.identity_provider import ISSUER, KEY, OTHER_KEY, SpoiltProvider, jwk

pytestmark = pytest.mark.anyio


def reason(response: httpx.Response) -> str:
    """Why somebody stayed outside; nothing was given to them."""
    assert response.status_code in (400, 403, 502, 503), response.status_code
    assert "holdfast-session" not in str(response.headers.get_list("set-cookie"))
    return response.text


async def test_who_logs_in_gets_a_short_token_with_the_rights_of_their_roles(console: Console) -> None:
    console.provider.claims["groups"] = ["finance", "board", "others"]
    response = await console.login("/console/spend?by=team")
    assert (response.status_code, response.headers["location"]) == (303, "/console/spend?by=team")
    answer = (await console.token()).json()
    assert answer["roles"] == ["auditor", "finops", "owner"] and answer["actor"] == "user:ann"
    principal = console.verifier.verify(answer["token"])
    wanted = ROLES["auditor"] | ROLES["finops"] | ROLES["owner"]
    assert {verb for capability in principal.capabilities for verb in capability.verbs} == wanted
    assert set(answer["verbs"]) == wanted and not principal.may("admin", "*")
    assert principal.expires_ms is not None and answer["expires_in_s"] <= limits.LOGIN_TOKEN_S
    assert (await console.token()).json()["token"] != answer["token"]


async def test_cookies_are_as_narrow_as_they_can_be(console: Console) -> None:
    begun = await console.http.get(PATH)
    pending = begun.headers["set-cookie"]
    state, code = console.provider.consent(begun.headers["location"])
    done = await console.http.get(f"{PATH}/callback", params={"state": state, "code": code})
    session = next(one for one in done.headers.get_list("set-cookie") if "holdfast-session" in one)
    for cookie, name, same_site in (
        (pending, "__Host-holdfast-login", "lax"),
        (session, "__Host-holdfast-session", "strict"),
    ):
        low = cookie.lower()
        assert cookie.startswith(f"{name}=") and f"samesite={same_site}" in low and "domain" not in low
        assert "httponly" in low and "secure" in low and "path=/" in low and "max-age=" in low
    assert all(part not in pending for part in (state, console.provider.challenges[code])), "it is sealed"
    assert begun.headers["cache-control"] == done.headers["cache-control"] == "no-store"


async def test_nothing_secret_is_stored_or_logged(
    console: Console, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="holdfast")
    await console.login()
    secret = console.http.cookies["__Host-holdfast-session"]
    token = (await console.token()).json()["token"]

    def everything(connection: Any) -> str:
        return str(connection.execute(console_logins.select()).fetchall())

    stored = await store.read(everything)
    assert "user:ann" in stored and secret not in stored and token not in stored
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("holdfast")]
    assert ours and not any(secret in line or token in line or "code-0" in line for line in ours)


async def test_a_logout_ends_the_login_and_every_token_it_gave(console: Console) -> None:
    await console.login()
    cookie = console.http.cookies["__Host-holdfast-session"]
    token = (await console.token()).json()["token"]
    console.verifier.verify(token)
    response = await console.http.post(f"{PATH}/logout", headers=ASK)
    assert response.status_code == 200 and 'holdfast-session=""' in response.headers["set-cookie"]
    with pytest.raises(Refused) as refused:
        console.verifier.verify(token)
    assert refused.value.code == "auth.revoked"
    console.http.cookies.set("__Host-holdfast-session", cookie, domain="holdfast.example")
    assert (await console.token()).status_code == 401, "a copy of the cookie opens nothing any more"
    assert (await console.http.post(f"{PATH}/logout", headers=ASK)).status_code == 200


async def test_a_login_ends_by_itself(console: Console, clock: FakeClock, store: Store) -> None:
    await console.login()
    clock.advance(limits.LOGIN_SESSION_S - 60)
    answer = (await console.token()).json()
    assert answer["expires_in_s"] <= 60, "no token lives longer than the login"
    clock.advance(60)
    assert (await console.token()).json()["error"]["code"] == "auth.required"
    await console.login()
    rows = await store.read(lambda connection: connection.execute(console_logins.select()).fetchall())
    assert len(rows) == 1, "those that are over are forgotten"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "https://holdfast.example.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {HEADER: None},
    ],
)
async def test_no_foreign_page_gets_a_token_or_logs_anybody_out(
    console: Console, headers: dict[str, str | None]
) -> None:
    await console.login()
    sent = {name: value for name, value in (ASK | headers).items() if value is not None}
    for path in ("token", "logout"):
        response = await console.http.post(f"{PATH}/{path}", headers=sent)
        assert (response.status_code, response.json()["error"]["code"]) == (403, "auth.origin")
        assert (await console.http.get(f"{PATH}/{path}", headers=ASK)).status_code == 405
    assert (await console.token()).status_code == 200, "still logged in"


# --- the answer that comes back -----------------------------------------------------------------------------------------
async def test_an_answer_belongs_to_the_browser_that_began(console: Console, opened: Open) -> None:
    state, code = console.provider.consent(await console.begin())
    async with opened() as other:
        assert "not begun in this browser" in reason(
            await other.http.get(f"{PATH}/callback", params={"state": state, "code": code})
        )
        await other.begin()
        assert "another login" in reason(
            await other.http.get(f"{PATH}/callback", params={"state": state, "code": code})
        )
    assert "another login" in reason(await console.http.get(f"{PATH}/callback", params={"code": code}))


async def test_an_answer_is_taken_once(console: Console) -> None:
    begun = await console.begin()
    pending = console.http.cookies["__Host-holdfast-login"]
    state, code = console.provider.consent(begun)
    assert (await console.http.get(f"{PATH}/callback", params={"state": state, "code": code})).status_code == 303
    console.http.cookies.clear()
    console.http.cookies.set("__Host-holdfast-login", pending, domain="holdfast.example")
    again = await console.http.get(
        f"{PATH}/callback", params={"state": state, "code": console.provider.consent(begun)[1]}
    )
    assert "ended already" in reason(again)


async def test_a_code_is_good_for_the_login_it_was_given_to(console: Console) -> None:
    _, stolen = console.provider.consent(await console.begin())
    state, _ = console.provider.consent(await console.begin())
    response = await console.http.get(f"{PATH}/callback", params={"state": state, "code": stolen})
    assert "invalid_grant" in reason(response), "the verifier is another"


async def test_a_login_takes_ten_minutes_at_most(console: Console, clock: FakeClock) -> None:
    state, code = console.provider.consent(await console.begin())
    clock.advance(limits.LOGIN_S + 1)
    assert "too long ago" in reason(await console.http.get(f"{PATH}/callback", params={"state": state, "code": code}))


async def test_the_provider_may_refuse_and_may_say_who_it_is(console: Console) -> None:
    state, _ = console.provider.consent(await console.begin())
    refusal = await console.http.get(f"{PATH}/callback", params={"state": state, "error": "<b>access_denied</b>"})
    assert "&lt;b&gt;access_denied" in reason(refusal) and "<b>" not in refusal.text
    assert "another identity provider" in reason(await console.login(iss="https://evil.example"))
    assert (await console.login(iss=ISSUER)).status_code == 303
    state, code = console.provider.consent(await console.begin())
    twice = await console.http.get(f"{PATH}/callback?state={state}&code={code}&code=x")
    assert "twice" in reason(twice)


async def test_who_has_no_role_is_told_whom_to_ask_and_the_operator_reads_who_it_was(
    opened: Open, provider: SpoiltProvider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.claims["groups"] = ["visitors"]
    async with opened(oidc_contact="Mia <mia@acme.example>") as console:
        with caplog.at_level(logging.INFO, "holdfast.governance"):
            page = reason(refused := await console.login())
        assert "user:ann is in none of the groups that have a role here." in page
        assert "Ask Mia &lt;mia@acme.example&gt; to put you into one of them." in page
        assert "user:ann is in none of the groups" in caplog.text
        assert "style-src 'sha256-" in refused.headers["content-security-policy"]
        # the provider would say the same again: it is asked to ask
        again = await console.http.get(f"{PATH}?again=1")
        assert "prompt=login" in again.headers["location"] and f'href="{PATH}?again=1"' in page
        assert "prompt=" not in await console.begin()


async def test_a_browser_goes_to_the_public_address_once_before_its_login_begins(console: Console) -> None:
    begun = await console.http.get(PATH, params={"then": "/console/#/bill"}, headers={"host": "10.0.0.7:7417"})
    assert begun.headers["location"] == f"{PUBLIC}{PATH}?then=%2Fconsole%2F%23%2Fbill&moved=1"
    assert "set-cookie" not in begun.headers, "its cookies would stay behind"
    proxied = await console.http.get(begun.headers["location"], headers={"host": "10.0.0.7:7417"})
    assert proxied.headers["location"].startswith(ISSUER), "a proxy names this server otherwise: no circle"


@pytest.mark.parametrize(
    "then", ["//evil.example", "https://evil.example", "/\\evil.example", "", "console", "/a\nb", "/" * 2_000]
)
async def test_nobody_is_sent_anywhere_else(console: Console, then: str) -> None:
    assert (await console.login(then)).headers["location"] == "/console/"


# --- the identity token -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"iss": "https://evil.example"}, "Invalid claim: 'iss'"),
        ({"aud": "another"}, "Invalid claim: 'aud'"),
        ({"aud": ["holdfast", "another"]}, "Missing claim: 'azp'"),
        ({"azp": "another"}, "Invalid claim: 'azp'"),
        ({"nonce": "replayed"}, "Invalid claim: 'nonce'"),
        ({"nonce": None}, "Missing claim: 'nonce'"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "Missing claim: 'exp'"),
        ({"iat": 4_000_000_000}, "issued in the future"),
        ({"iat": None}, "Missing claim: 'iat'"),
        ({"nbf": 4_000_000_000}, "not yet valid"),
        ({"sub": None}, "Missing claim: 'sub'"),
        ({"at_hash": "AAAA"}, "Invalid claim: 'at_hash'"),
        ({"groups": []}, "none of the groups"),
        ({"groups": None}, "none of the groups"),
        ({"groups": ["Finance", "finance "]}, "none of the groups"),
        ({"groups": {"finance": True}}, "no list of groups"),
        ({"groups": [["finance"]]}, "no list of groups"),
        ({"sub": "ann\nroot"}, "names nobody"),
        ({"sub": "a b"}, "names nobody"),
        ({"sub": "x" * 200}, "names nobody"),
    ],
)
async def test_a_token_that_is_not_to_be_believed(console: Console, claims: dict[str, Any], words: str) -> None:
    console.provider.claims |= claims
    assert words in html.unescape(reason(await console.login()))
    assert (await console.token()).status_code == 401


@pytest.mark.parametrize(
    "sign",
    [
        lambda claims: jwt.encode(claims, None, "none"),
        lambda claims: jwt.encode(claims, "holdfast" * 8, "HS256", {"kid": "k1"}),
        lambda claims: jwt.encode(claims, OTHER_KEY, "RS256", {"kid": "k1"}),
        lambda claims: jwt.encode(claims, OTHER_KEY, "RS256", {"kid": "k2"}),
        lambda claims: jwt.encode(claims, KEY, "RS512", {"kid": "k1"}),
        lambda claims: "a.b.c",
        lambda claims: "",
        lambda claims: None,
        lambda claims: "a" * 1_000,
    ],
)
async def test_a_signature_that_proves_nothing(console: Console, sign: Callable[[dict[str, Any]], Any]) -> None:
    console.provider.sign = sign
    assert "identity token" in reason(await console.login())


async def test_a_new_key_of_the_provider_is_found(console: Console, clock: FakeClock) -> None:
    await console.login()
    console.provider.keys = [jwk(OTHER_KEY, "k2")]
    console.provider.sign = lambda claims: jwt.encode(claims, OTHER_KEY, "RS256", {"kid": "k2"})
    assert "key that the provider does not have" in reason(await console.login()), "it is not asked all the time"
    clock.advance(limits.LOGIN_SKEW_S)
    assert (await console.login()).status_code == 303


async def test_an_address_counts_when_the_provider_has_verified_it(opened: Open, provider: SpoiltProvider) -> None:
    async with opened(oidc_actor_claim="email") as console:
        provider.claims |= {"email": "ann@acme.example"}
        assert "not verified" in reason(await console.login())
        provider.claims |= {"email_verified": True}
        assert (await console.login()).status_code == 303
        assert (await console.token()).json()["actor"] == "user:ann@acme.example"


# --- the provider -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"issuer": "https://evil.example"}, "calls itself"),
        ({"issuer": f"{ISSUER}/"}, "calls itself"),
        ({"token_endpoint": None}, "token_endpoint"),
        ({"jwks_uri": "http://id.example/keys"}, "jwks_uri"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE"),
    ],
)
async def test_a_provider_that_is_not_who_it_should_be(console: Console, metadata: dict[str, Any], words: str) -> None:
    console.provider.metadata = metadata
    assert words in reason(await console.http.get(PATH))


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (httpx.Response(500), 502),
        (httpx.Response(404), 403),
        (httpx.Response(200, text="<html>"), 403),
        (httpx.Response(200, json=[]), 403),
        (httpx.Response(302, headers={"location": "https://evil.example"}), 403),
        (httpx.Response(200, content=b"[" * 100_000), 403),
        (httpx.Response(200, content=b" " * (limits.LOGIN_HTTP_BYTES + 1)), 403),
    ],
)
async def test_a_provider_that_answers_rubbish(console: Console, answer: httpx.Response, status: int) -> None:
    console.provider.answer = lambda request: answer
    response = await console.http.get(PATH)
    assert response.status_code == status and "identity provider" in reason(response)
    console.provider.answer = lambda request: None
    assert (await console.login()).status_code == 303, "and then it recovers"


async def test_a_provider_that_is_not_there(console: Console) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no")

    console.provider.answer = fail
    assert "cannot be reached" in reason(await console.http.get(PATH))


@pytest.mark.parametrize(
    ("methods", "where"),
    [
        (None, "header"),
        (["client_secret_basic"], "header"),
        (["client_secret_post"], "body"),
        (["private_key_jwt"], ""),
    ],
)
async def test_the_client_secret_goes_where_the_provider_takes_it(
    opened: Open, provider: SpoiltProvider, monkeypatch: pytest.MonkeyPatch, methods: list[str] | None, where: str
) -> None:
    monkeypatch.setenv("OIDC_SECRET", "s3cr3t")
    provider.metadata["token_endpoint_auth_methods_supported"] = methods
    async with opened(oidc_client_secret="env:OIDC_SECRET") as console:
        response = await console.login()
        if not where:
            assert "takes no client secret" in reason(response)
            return
        assert response.status_code == 303
        asked = next(request for request in provider.requests if request.url.path == "/token")
        assert ("authorization" in asked.headers) == (where == "header")
        assert (b"s3cr3t" in asked.content) == (where == "body") and "s3cr3t" not in str(asked.url)
        monkeypatch.delenv("OIDC_SECRET")


async def test_a_secret_that_cannot_be_had_lets_nobody_in(opened: Open) -> None:
    async with opened(oidc_client_secret="env:OIDC_NOT_THERE") as console:
        assert "OIDC_NOT_THERE" in reason(await console.login())


def test_a_server_that_mints_no_tokens_has_no_login() -> None:
    with pytest.raises(HoldfastError, match="HS256") as refused:
        TokenMinter(None, Settings(), Revocations(Hub(MemoryEngine())))
    assert refused.value.code == "config.invalid"
