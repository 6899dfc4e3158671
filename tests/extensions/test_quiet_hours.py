"""An extension that uses every part of the port, in a server that serves it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from holdfast.edge.request import Requests
from holdfast.protocol import codec
from tests.extensions.conftest import SETTINGS, served
from tests.extensions.quiet_hours.extension import CONSUMER, RECORDER, QuietHours, QuietSettings
from tests.unit.edge.conftest import Site

pytestmark = pytest.mark.anyio

BILLS = "/v1/x/quiet_hours/sessions/s1/bills"
BILL = {"model": "m", "input_tokens": 3, "output_tokens": 4}


def house(**settings: object) -> QuietHours:
    return QuietHours(QuietSettings(**settings), SETTINGS)  # type: ignore[arg-type]


@pytest.fixture
async def site(anyio_backend: str) -> AsyncIterator[Site]:
    async with served([house(words=("launch",))], pages=True) as site:
        async with site.http(site.token()) as http:
            assert (await http.post("/v1/sessions", json={"session": "s1", "agent": "writer"})).status_code == 201
        yield site


async def test_its_route_asks_the_one_access_function(site: Site) -> None:
    """ACC-2."""
    async with site.http() as http:
        assert (await http.post(BILLS, json=BILL)).status_code == 401
    few = site.token(capabilities={"s1": ["read", "append"], "s2": ["record"]})
    async with site.http(few) as http:
        refused = await http.post(BILLS, json=BILL)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "auth.denied")
        assert (await http.get("/v1/x/quiet_hours/report")).json()["error"]["code"] == "auth.denied"
        assert (await http.post(BILLS.replace("s1", "no session!"), json=BILL)).json()["error"]["code"] == (
            "input.session_id"
        )


async def test_the_body_of_its_route_is_bounded_before_anything_decodes_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    decode = codec.decode
    monkeypatch.setattr(codec, "decode", lambda raw, *more: decoded.append(len(raw)) or decode(raw, *more))
    async with site.http(site.token()) as http:
        large = await http.post(BILLS, content=b'{"model": "' + b"m" * 4_000 + b'"}')
        assert (large.status_code, large.json()["error"]["code"]) == (413, "input.too_large")
        assert not decoded
        deep = await http.post(BILLS, content=b'{"model": ' + b"[" * 600 + b"]" * 600 + b"}")
        assert deep.json()["error"]["code"] == "input.too_deep"
        assert (await http.post(BILLS, json={**BILL, "more": 1})).json()["error"]["code"] == "input.malformed"


async def test_a_token_revoked_while_the_body_comes_is_noticed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[bool] = []
    monkeypatch.setattr(Requests, "_recheck", lambda *_: checked.append(True))
    async with site.http(site.token()) as http:
        assert (await http.post(BILLS, json=BILL)).status_code == 201
    assert checked


async def test_it_records_usage_under_its_own_name(site: Site) -> None:
    async with site.http(site.token()) as http:
        assert (await http.post(BILLS, json=BILL)).status_code == 201
        events = (await http.get("/v1/sessions/s1/events?after=0")).json()["frames"]
    (event,) = [event for frame in events for event in frame["events"] if event["type"] == "usage.recorded"]
    assert event["actor"] == RECORDER and event["data"]["by"] == "user:ann"


async def test_it_reads_the_feed_under_a_name(site: Site) -> None:
    async with site.http(site.token()) as http:
        counter = site.edge.extensions.of("quiet_hours").counter  # type: ignore[attr-defined]
        await http.post(BILLS, json=BILL)
        while "usage.recorded" not in counter.counts:
            counter.news.clear()
            await counter.news.wait()
        report = (await http.get("/v1/x/quiet_hours/report")).json()
        assert report["counts"]["usage.recorded"] == 1
    async with site.http(site.token("user:op", tenant=site.edge.listener.settings.operator_tenant)) as http:
        consumers = (await http.get("/v1/consumers")).json()["consumers"]
        assert CONSUMER in [one["consumer"] for one in consumers]


async def test_its_policy_asks_for_an_approval_once(site: Site) -> None:
    say = {"text": "launch it", "agent": "writer"}
    async with site.http(site.token()) as http:
        assert (await http.post("/v1/sessions/s1/messages", json={**say, "text": "hello"})).status_code in (200, 201)
        refused = (await http.post("/v1/sessions/s1/messages", json=say)).json()["error"]
        assert refused["code"] == "approval.needed" and "launch" in refused["message"]
        decided = await http.post(f"/v1/sessions/s1/approvals/{refused['approval']}", json={"decision": "approved"})
        assert decided.status_code == 200, decided.text
        assert (await http.post("/v1/sessions/s1/messages", json=say)).status_code in (200, 201)
        again = (await http.post("/v1/sessions/s1/messages", json=say)).json()["error"]
        assert again["code"] == "approval.needed"


async def test_its_policy_denies(anyio_backend: str) -> None:
    async with served([house(closed=True)]) as site, site.http(site.token()) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        refused = (await http.post("/v1/sessions/s1/messages", json={"text": "hi"})).json()["error"]
        assert (refused["code"], "closed" in refused["message"]) == ("policy.denied", True)


async def test_its_page_is_under_its_prefix_with_its_own_content_security(site: Site) -> None:
    async with site.http() as http:
        page = await http.get("/quiet/")
        chat = await http.get("/")
    assert page.status_code == 200 and "The house is quiet" in page.text
    (policy,) = page.headers.get_list("content-security-policy")
    assert "img-src 'self' https://img.example" in policy and "script-src 'self'" in policy
    assert "img.example" not in chat.headers["content-security-policy"]


async def test_its_routes_are_described(site: Site) -> None:
    async with site.http() as http:
        document = (await http.get("/openapi.json")).json()
    described = document["paths"][BILLS.replace("s1", "{session}")]["post"]
    assert described["tags"] == ["quiet_hours"] and described["description"] == "Needs `record`."
    reference = described["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert document["components"]["schemas"][reference.rpartition("/")[2]]["required"]


async def test_whoever_connects_is_told_what_plugs_in(site: Site) -> None:
    async with site.connect("user:ann") as ann:
        assert ann.connection.welcome.extensions == ("quiet_hours",)
    async with site.http(site.token()) as http:
        assert (await http.get("/v1/sessions")).headers["x-holdfast-extensions"] == "quiet_hours"
    async with served([]) as bare, bare.connect("user:ann") as ann, bare.http() as http:
        assert ann.connection.welcome.extensions == ()
        assert "x-holdfast-extensions" not in (await http.get("/healthz")).headers
