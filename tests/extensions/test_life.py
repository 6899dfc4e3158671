"""Extensions start in order before anybody is served, and stop in reverse; one that fails leaves nothing running."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx
import pytest

import holdfast
from holdfast.edge import auth
from holdfast.edge.app import Edge
from holdfast.edge.extensions.extension_set import ExtensionSet
from holdfast.edge.extensions.port import Extension, ExtensionSettings
from holdfast.edge.extensions.services import Services
from holdfast.edge.extensions.static_pages import ExtensionPages
from holdfast.edge.server import running
from holdfast.engines.address import engine_for
from holdfast.errors import HoldfastError
from holdfast.hub.hub import Hub
from holdfast.protocol import limits
from tests.extensions.conftest import SETTINGS, served
from tests.extensions.quiet_hours.extension import CONSUMER, QuietHours, QuietSettings

pytestmark = pytest.mark.anyio


class Noted(Extension):
    """Writes down what happens to it."""

    name = "noted"

    def __init__(self, name: str, steps: list[str], *, fails: str = "") -> None:
        super().__init__(ExtensionSettings(), SETTINGS)
        self.name = name  # type: ignore[misc]
        self._steps = steps
        self._fails = fails

    async def start(self, services: Services) -> None:
        self._steps.append(f"start {self.name}")
        await asyncio.sleep(0)
        if self._fails == "start":
            raise OSError("no disk")

    async def stop(self) -> None:
        self._steps.append(f"stop {self.name}")
        if self._fails == "stop":
            raise OSError("no disk")
        if self._fails == "hang":
            await asyncio.Event().wait()


async def test_they_start_in_order_and_stop_in_reverse() -> None:
    steps: list[str] = []
    async with served([Noted("a", steps), Noted("b", steps)]) as site, site.http() as http:
        assert steps == ["start a", "start b"]
        assert (await http.get("/readyz")).status_code == 200
        steps.append("served")
    assert steps == ["start a", "start b", "served", "stop b", "stop a"]


async def test_one_that_does_not_start_stops_those_before_it_and_nothing_is_served() -> None:
    steps: list[str] = []
    extensions = [Noted("a", steps), Noted("b", steps), Noted("c", steps, fails="start"), Noted("d", steps)]
    with pytest.raises(HoldfastError) as refused:
        async with served(extensions):
            pytest.fail("it serves")
    assert refused.value.code == "config.invalid"
    assert "extension 'c' did not start: OSError: no disk" in refused.value.detail
    assert steps == ["start a", "start b", "start c", "stop b", "stop a"]


@pytest.mark.parametrize("fails", ["stop", "hang"])
async def test_one_that_does_not_stop_keeps_no_other_running(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXTENSION_STOP_S", 0.05)
    steps: list[str] = []
    async with served([Noted("a", steps), Noted("b", steps, fails=fails)]):
        pass
    assert steps[-2:] == ["stop b", "stop a"]


async def test_an_embedded_hub_starts_and_stops_them_too() -> None:
    steps: list[str] = []
    hub = holdfast.EmbeddedHub("memory:", extensions=[Noted("a", steps), Noted("b", steps)])
    async with hub:
        assert steps == ["start a", "start b"]
    assert steps == ["start a", "start b", "stop b", "stop a"]
    failing = holdfast.EmbeddedHub("memory:", extensions=[Noted("a", steps), Noted("c", steps, fails="start")])
    with pytest.raises(HoldfastError, match="'c' did not start"):
        await failing.open()
    assert steps[-1] == "stop a"
    with pytest.raises(HoldfastError, match="not started"):
        failing.check_started()


async def test_an_embedded_hub_asks_their_policy() -> None:
    class WithoutPages(QuietHours):
        def pages(self) -> Sequence[ExtensionPages]:
            return ()

    quiet = WithoutPages(QuietSettings(closed=True), SETTINGS)
    async with holdfast.EmbeddedHub("memory:", extensions=[quiet]) as hub:
        with pytest.raises(holdfast.Refused, match="closed"):
            await hub.session("s1").start(lambda text: iter([text]), "hello")


async def test_what_it_has_read_of_the_feed_outlives_it() -> None:
    """The hub is still open when it is stopped, and its consumer is there at the next start."""
    hub = Hub(engine_for("memory:"), policy=(plugged := ExtensionSet([QuietHours(QuietSettings(), SETTINGS)])).policy)
    await hub.open()
    edge = Edge(hub, SETTINGS, extensions=plugged)
    await edge.start()
    await edge.stop()
    assert CONSUMER in [consumer.name for consumer in await hub.engine.consumers()]
    await edge.start()
    await edge.stop()
    await hub.close(0)


async def test_nobody_connects_while_they_start() -> None:
    found: list[str] = []

    class Looks(Extension):
        name = "looks"

        async def start(self, services: Services) -> None:
            async with httpx.AsyncClient(trust_env=False) as http:
                try:
                    await http.get(f"http://127.0.0.1:{services.settings.port or 1}/readyz")
                except httpx.ConnectError:
                    found.append("nobody listens")

    plugged = ExtensionSet([Looks(ExtensionSettings(), SETTINGS)])
    hub = Hub(engine_for("memory:"), policy=plugged.policy)
    await hub.open()
    async with running(Edge(hub, SETTINGS, extensions=plugged)):
        assert found == ["nobody listens"]


async def test_a_request_that_comes_before_the_start_or_after_the_stop_is_told_to_come_again() -> None:
    plugged = ExtensionSet([QuietHours(QuietSettings(), SETTINGS)])
    hub = Hub(engine_for("memory:"), policy=plugged.policy)
    await hub.open()
    edge = Edge(hub, SETTINGS, extensions=plugged)
    assert edge.secret is not None
    headers = {"authorization": f"Bearer {auth.mint(edge.secret, subject='user:ann')}"}
    transport = httpx.ASGITransport(edge.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as http:
        for status in (503, 200, 503):
            answer = await http.get("/v1/x/quiet_hours/report")
            assert answer.status_code == status, answer.text
            if status == 503:
                assert answer.json()["error"]["code"] == "server.restarting"
                await edge.start()
            else:
                await edge.stop()
        await edge.stop()
    await hub.close(0)
