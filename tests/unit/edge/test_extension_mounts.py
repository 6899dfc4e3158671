"""Applications that an extension mounts, with doors of their own."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.extensions.extension_set import ExtensionSet
from holdfast.engines.memory import MemoryEngine
from holdfast.errors import HoldfastError
from holdfast.extensions import Extension, ExtensionMount, ExtensionSettings, Services
from holdfast.gateway.mounts import calls_a_model, sends_a_key
from holdfast.hub.hub import Hub
from tests.unit.edge.conftest import serving

pytestmark = pytest.mark.anyio


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the path as it came."""
    body = scope["path"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})


def is_ours(scope: Scope) -> bool:
    return dict(scope["headers"]).get(b"x-ours") == b"yes"


class Mounting(Extension):
    """Mounts what a test says."""

    name = "mounting"
    mounted: Sequence[ExtensionMount] = ()

    def mounts(self, services: Services) -> Sequence[ExtensionMount]:
        return self.mounted


def extension(settings: Settings, *mounts: ExtensionMount) -> ExtensionSet:
    one = Mounting(ExtensionSettings(), settings)
    one.mounted = mounts
    return ExtensionSet([one])


async def test_a_mount_answers_without_a_token_and_shares_a_path_by_request(settings: Settings) -> None:
    mounts = (
        ExtensionMount("/door", hello),
        ExtensionMount("/door/{rest:path}", hello, methods=("GET",)),
        ExtensionMount("/v1/sessions", hello, wanted=is_ours),
        ExtensionMount("/v1/{rest:path}", hello, wanted=is_ours, otherwise=True),
    )
    plugged = extension(settings, *mounts)
    async with serving(Hub(MemoryEngine()), settings, pages=True, extensions=plugged) as site, site.http() as http:
        assert (await http.post("/door")).text == "/door"
        assert (await http.get("/door/a/b")).text == "/door/a/b"
        assert (await http.post("/door/a")).status_code == 405
        assert (await http.get("/v1/sessions", headers={"x-ours": "yes"})).text == "/v1/sessions"
        assert (await http.get("/v1/sessions")).status_code == 401, "the server's own, with its doors"
        ours = {"x-ours": "yes"}
        assert (await http.post("/v1/tokens", headers=ours)).status_code == 401, "also the server's own"
        assert (await http.post("/v1/nowhere", headers=ours)).text == "/v1/nowhere"
        assert (await http.post("/v1/nowhere")).json()["error"]["code"] == "route.not_found"
        foreign = await http.get("/door", headers={"host": "evil.example"})
        assert foreign.status_code == 421, "Host is checked before any application"


@pytest.mark.parametrize(
    "mount",
    [
        ExtensionMount("/v1/sessions", hello),
        ExtensionMount("door", hello),
        ExtensionMount("/door", hello, methods=()),
        ExtensionMount("/door", hello, methods=("BREW",)),
    ],
)
def test_what_cannot_be_served_is_refused_when_it_is_plugged_in(settings: Settings, mount: ExtensionMount) -> None:
    extensions = extension(settings, mount)
    with pytest.raises(HoldfastError) as caught:
        Edge(Hub(MemoryEngine(), policy=extensions.policy), settings, extensions=extensions)
    assert caught.value.code == "config.invalid"


@pytest.mark.parametrize(
    ("headers", "model"),
    [
        ({"authorization": "Bearer hfk_abc_def"}, True),
        ({"authorization": "Bearer sk-of-a-provider"}, True),
        ({"x-api-key": "hfk_abc_def"}, True),
        ({}, True),
        ({"authorization": "Bearer eyJhbGciOi.eyJzdWIi.c2ln"}, False),
    ],
)
def test_a_response_is_of_a_model_unless_a_token_of_the_server_asks(headers: dict[str, str], model: bool) -> None:
    raw = httpx.Headers(headers).raw
    scope = {"headers": [(name.lower(), value) for name, value in raw]}
    assert calls_a_model(scope) == model
    assert sends_a_key(scope) == (model and bool(headers))
