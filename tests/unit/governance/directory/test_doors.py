"""Who gets to the endpoint, with how much, and what is written down of it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from holdfast.governance import limits
from holdfast.governance.directory.scim.endpoint import PATH
from holdfast.governance.store.store import Store
from tests.unit.governance.directory.served_directory import GROUP, PATCH, USER, Provider, provider_of

USERS = "Users"
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


@pytest.fixture
async def provider(store: Store) -> AsyncIterator[Provider]:
    async with provider_of(store) as made:
        yield made


async def status(provider: Provider, authorization: str | None, path: str = "/Users", **more: Any) -> httpx.Response:
    headers = {} if authorization is None else {"authorization": authorization}
    async with httpx.AsyncClient(base_url=f"{provider.site.url}{PATH}", trust_env=False) as http:
        return await http.get(path, headers=headers, **more)


async def test_nobody_comes_in_without_a_token_of_a_tenant(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    access = provider.site.token("user:ann")
    wrong = f"{provider.token[:-1]}{'A' if provider.token[-1] != 'A' else 'B'}"
    for given in (None, "", "Bearer", f"Basic {provider.token}", f"Bearer {wrong}", f"Bearer {access}", provider.token):
        refused = await status(provider, given)
        assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer", given
        assert refused.headers["content-type"].startswith("application/scim+json")
        assert refused.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    for path in ("/ServiceProviderConfig", "/Schemas", "/nothing", ""):
        assert (await status(provider, None, path)).status_code == 401, "nothing is shown to nobody"
    assert provider.directory.heard_ms("acme") is None, "who is refused is no heartbeat"
    assert (await status(provider, f"bearer {provider.token}")).status_code == 200
    async with provider.site.http(provider.token) as http:
        assert (await http.get("/v1/sessions")).status_code == 401, "it opens nothing but the directory"
    assert provider.token not in caplog.text and wrong not in caplog.text


async def test_a_revoked_token_is_refused_at_once_in_another_process_too(provider: Provider, store: Store) -> None:
    token, text = await provider.directory.new_token("acme", "user:ann")
    assert (await status(provider, f"Bearer {text}")).status_code == 200
    from holdfast.governance.directory.service import Directory

    elsewhere = Directory(store, lambda: 10**13)
    await elsewhere.refresh()
    assert await elsewhere.revoke("acme", token.id, "user:bob")
    await provider.extension.changes.look()
    assert (await status(provider, f"Bearer {text}")).status_code == 401
    assert (await status(provider, f"Bearer {provider.token}")).status_code == 200


async def test_nobody_is_let_in_while_changes_cannot_be_seen(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider.extension.changes, "_failed", limits.CHANGES_FAILED_LOOKS)
    assert (await status(provider, f"Bearer {provider.token}")).status_code == 503


async def test_a_tenant_sees_its_own_and_nobody_elses(provider: Provider) -> None:
    ann = await provider.make("ann", externalId="x-1")
    group = (await provider.ask("POST", "/Groups", {"schemas": [GROUP], "displayName": "G"}, status=201))["id"]
    _, other = await provider.directory.new_token("globex", "user:eve")
    provider.http.headers["authorization"] = f"Bearer {other}"
    for path in (f"/Users/{ann}", f"/Groups/{group}"):
        await provider.ask("GET", path, status=404)
        await provider.ask("DELETE", path, status=404)
        await provider.patch(path, {"op": "replace", "path": "displayName", "value": "x"}, status=404)
    await provider.ask("PUT", f"/Users/{ann}", {"schemas": [USER], "userName": "eve"}, status=404)
    assert await provider.found('userName eq "ann"') == await provider.found('externalId eq "x-1"') == []
    assert (await provider.ask("GET", "/Groups", status=200))["totalResults"] == 0
    await provider.make("ann")
    assert [one.id for one in provider.directory.people("acme")] == [ann]


async def test_what_comes_is_bounded_before_it_is_read(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DIRECTORY_BODY_BYTES", 2_000)
    big = {"schemas": [USER], "userName": "ann", "title": "x" * 2_000}
    await provider.ask("POST", "/Users", big, status=413)

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * 1_000

    answer = await provider.http.post("/Users", content=parts())
    assert answer.status_code == 413, "nor where no length was said"
    long = await provider.http.get("/Users", params={"filter": f'userName eq "{"x" * limits.DIRECTORY_QUERY_CHARS}"'})
    assert long.status_code == 413
    monkeypatch.setattr(limits, "DIRECTORY_QUERY_CHARS", 100)
    far = "x" * 200
    await provider.ask("POST", f"/{USERS}/.search", {"filter": f'userName eq "{far}"'}, status=400)
    ann = await provider.make("ann")
    await provider.patch(f"/Users/{ann}", {"op": "add", "path": f'emails[type eq "{far}"]', "value": "x"}, status=400)
    monkeypatch.setattr(limits, "DIRECTORY_OPERATIONS", 2)
    many = {"schemas": [PATCH], "Operations": [{"op": "add", "path": "title", "value": "x"}] * 3}
    await provider.ask("PATCH", f"/Users/{ann}", many, status=400)
    monkeypatch.setattr(limits, "DIRECTORY_USER_BYTES", 500)
    await provider.ask("POST", "/Users", {"schemas": [USER], "userName": "bob", "title": "x" * 600}, status=413)
    assert len(provider.directory.people("acme")) == 1


RUBBISH = (
    b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"a":NaN}', b"[" * 5_000, b'{"a":' * 5_000, b'{"userName":"\\ud800"}',
    b'{"schemas":7}', b'{"userName":{}}', b'{"userName":""}', b'{"userName":"a\\u0000b"}', b'{"userName":"   "}',
    b'{"Operations":{}}', b"{}",
)  # fmt: skip


async def test_rubbish_is_a_named_error_and_makes_nobody(provider: Provider) -> None:
    ann = await provider.make("ann")
    for body in RUBBISH:
        for method, path in (("POST", "/Users"), ("PATCH", f"/Users/{ann}"), ("PUT", f"/Users/{ann}")):
            answer = await provider.http.request(method, path, content=body)
            assert answer.status_code in (400, 204), (method, body[:40], answer.status_code, answer.text)
            assert answer.status_code == 204 or json.loads(answer.content)["status"] == "400"
    assert [one.user_name for one in provider.directory.people("acme")] == ["ann"]


async def test_a_tenant_that_asks_too_often_waits_and_no_other_does(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DIRECTORY_REQUESTS_BURST", 2)
    monkeypatch.setattr(limits, "DIRECTORY_REQUESTS_PER_S", 0.001)
    _, other = await provider.directory.new_token("globex", "user:eve")
    codes = [(await status(provider, f"Bearer {provider.token}")).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    late = await status(provider, f"Bearer {provider.token}")
    assert int(late.headers["retry-after"]) > 1
    assert (await status(provider, f"Bearer {other}")).status_code == 200


async def test_so_many_at_a_time_and_the_place_is_free_afterwards(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DIRECTORY_REQUESTS", 1)
    going, free = asyncio.Event(), asyncio.Event()
    real = provider.directory.hear

    async def hear(tenant: str, source: Any = "scim") -> None:
        going.set()
        await free.wait()
        await real(tenant, source)

    monkeypatch.setattr(provider.directory, "hear", hear)
    first = asyncio.ensure_future(status(provider, f"Bearer {provider.token}"))
    await going.wait()
    assert (await status(provider, f"Bearer {provider.token}")).status_code == 503
    free.set()
    assert (await first).status_code == 200
    assert (await status(provider, f"Bearer {provider.token}")).status_code == 200


async def test_a_filter_that_would_look_at_too_many_is_refused_and_a_name_still_finds(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {name: await provider.make(name) for name in ("ann", "bob", "cem")}
    monkeypatch.setattr(limits, "DIRECTORY_SCAN_ROWS", 2)
    refused = await provider.ask("GET", "/Users", params={"filter": 'userName sw "a"'}, status=400)
    assert refused["scimType"] == "tooMany"
    assert await provider.found('userName eq "bob"') == [made["bob"]]
    monkeypatch.setattr(limits, "DIRECTORY_PAGE_BYTES", 1)
    page = await provider.ask("GET", "/Users", status=200)
    assert (page["totalResults"], page["itemsPerPage"]) == (3, 1), "an answer is bounded; the next page has more"
    monkeypatch.setattr(limits, "DIRECTORY_PEOPLE", 3)
    await provider.ask("POST", "/Users", {"schemas": [USER], "userName": "dot"}, status=403)


async def test_every_request_of_the_provider_is_a_heartbeat(provider: Provider) -> None:
    await provider.ask("GET", "/Users", params={"count": 0}, status=200)
    assert provider.directory.heard_ms("acme") is not None
    assert provider.directory.heard_ms("globex") is None
