"""The description of the REST API is true: whatever it allows is answered as it says, and nothing makes the server fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance
from starlette.routing import Route

from holdfast.edge import openapi
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.http import OP_ROUTES
from holdfast.edge.server import port_of, running
from holdfast.engines.memory import MemoryEngine
from holdfast.hub.hub import Hub

from .conftest import Site

CHECKS = (not_a_server_error, status_code_conformance, response_schema_conformance)


class Served:
    """A server on a loop of its own, in a thread: schemathesis asks from outside."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        hub = Hub(MemoryEngine())
        await hub.open()
        edge = Edge(hub, Settings(db="memory:", port=0, drain_s=0, requests_per_s=1e6))
        async with running(edge) as server:
            self.site = Site(edge, port_of(server))
            self._ready.set()
            await self._done.wait()

    def __enter__(self) -> Site:
        self._thread.start()
        assert self._ready.wait(10)
        return self.site

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with Served() as site:
        yield site


SCHEMA = schemathesis.openapi.from_dict(openapi.document(OP_ROUTES))
OPERATIONS = {f"{found.ok().method.upper()} {found.ok().path}": found.ok() for found in SCHEMA.get_all_operations()}


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_is_answered_as_described(served: Site, name: str) -> None:
    headers = {"Authorization": f"Bearer {served.token('user:schema', agents=['*'])}"}
    with httpx.Client(headers=headers, base_url=served.url, trust_env=False) as http:
        http.post("/v1/sessions", json={"session": "s1", "agent": "w"})

    @given(case=OPERATIONS[name].as_strategy())
    @hypothesis.settings(
        max_examples=15, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def holds(case: schemathesis.Case) -> None:
        if "session" in case.path_parameters and case.method != "DELETE":
            case.path_parameters["session"] = "s1"
        case.call_and_validate(base_url=served.url, headers=headers, checks=list(CHECKS))

    holds()


BESIDE = {"/openapi.json", "/healthz", "/readyz", "/metrics"}
"""Routes that are not of the API."""


def test_the_document_names_every_route(served: Site) -> None:
    routes = {
        (method.lower(), route.path)
        for route in served.edge.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    paths = openapi.document(OP_ROUTES)["paths"]
    described = {(method, path) for path, methods in paths.items() for method in methods}
    assert described == {(method, path) for method, path in routes if path not in BESIDE}


def test_a_state_that_is_known_is_not_sent_again(served: Site) -> None:
    headers = {"Authorization": f"Bearer {served.token('user:ann')}"}
    with httpx.Client(headers=headers, base_url=served.url, trust_env=False) as http:
        http.post("/v1/sessions", json={"session": "tagged", "agent": "w"})
        tag = http.get("/v1/sessions/tagged").headers["etag"]
        for known in (tag, f'"other", W/{tag}', "*"):
            same = http.get("/v1/sessions/tagged", headers={"if-none-match": known})
            assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
        http.patch("/v1/sessions/tagged", json={"title": "newer"})
        newer = http.get("/v1/sessions/tagged", headers={"if-none-match": tag})
        assert newer.status_code == 200 and newer.headers["etag"] != tag
