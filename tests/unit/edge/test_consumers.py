"""A consumer of the feed that does not get on is seen by operators, counted, said once, and let go by nobody but them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from holdfast.edge.config import Settings
from holdfast.edge.consumers import Consumers, overdue
from holdfast.engines.port import Consumer
from holdfast.hub import operations
from holdfast.protocol import limits, wire
from holdfast.session.access import full_access
from tests.unit.cli.test_client_commands import run_command

from .conftest import Site

pytestmark = pytest.mark.anyio


async def leave_unread(site: Site, session: str) -> None:
    """Something happens that consumers have not read."""
    ann = full_access("acme", "user:ann")
    await operations.execute(site.hub, ann, wire.Create(session=session, agent="w"))
    await operations.execute(site.hub, ann, wire.Send(session=session, text="x"))


def test_too_much_and_too_long() -> None:
    now_ms = 10**12
    week_ms = int(limits.CONSUMER_UNREAD_S * 1_000)
    assert overdue(Consumer("c", "p", limits.CONSUMER_UNREAD, now_ms - week_ms), now_ms) is None
    assert overdue(Consumer("c", "p", limits.CONSUMER_UNREAD + 1, now_ms), now_ms) == "count"
    assert overdue(Consumer("c", "p", 1, now_ms - week_ms - 1), now_ms) == "age"
    assert overdue(Consumer("c", "p", 0, None), now_ms) is None


@pytest.fixture
def settings() -> Settings:
    return Settings(db="memory:", port=0, drain_s=1, operator_tenant="acme")


async def test_an_operator_of_another_tenant_lets_nobody_go(site: Site) -> None:
    await site.hub.engine.advance("bills", await site.hub.engine.feed_end())
    async with site.http(site.token("user:op", tenant="default")) as http:
        for method, path in (("GET", "/v1/consumers"), ("DELETE", "/v1/consumers/bills")):
            refused = await http.request(method, path)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "auth.denied")
    assert [consumer.name for consumer in await site.hub.engine.consumers()] == ["bills"]


async def test_operators_see_it_and_release_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await site.hub.engine.advance("bills", await site.hub.engine.feed_end())
    await leave_unread(site, "s1")
    async with site.http(site.token("user:op")) as http:
        (row,) = (await http.get("/v1/consumers")).json()["consumers"]
        assert (row["consumer"], row["unread"], row["overdue"]) == ("bills", 1, None) and row["oldest_ms"] > 0
        monkeypatch.setattr(limits, "CONSUMER_UNREAD", 0)
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                (row,) = (await http.get("/v1/consumers")).json()["consumers"]
                assert row["overdue"] == "count"
        assert caplog.text.count("bills of the feed is overdue") == 1
        metrics = (await http.get("/metrics")).text
        assert "holdfast_consumers_overdue 1.0" in metrics and "holdfast_consumers_unread 1.0" in metrics
        assert (await http.delete("/v1/consumers/bills")).status_code == 200
        assert "released by user:op of tenant acme" in caplog.text
        gone = await http.delete("/v1/consumers/bills")
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "consumer.not_found")
        assert (await http.get("/v1/consumers")).json() == {"consumers": [], "kept": limits.FEED_NOTICES}
        assert "holdfast_consumers_overdue 0.0" in (await http.get("/metrics")).text


async def test_one_that_is_late_again_is_said_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "CONSUMER_UNREAD", 0)
    watch = Consumers(site.edge.listener, site.edge.requests)
    await site.hub.engine.advance("bills", await site.hub.engine.feed_end())
    for n in range(2):
        await leave_unread(site, f"s{n}")
        await watch.look()
        await watch.look()
        await site.hub.engine.advance("bills", await site.hub.engine.feed_end())
        await watch.look()
    assert caplog.text.count("is overdue") == 2


async def test_it_is_looked_at_without_anybody_asking(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONSUMERS_S", 0.01)
    monkeypatch.setattr(limits, "CONSUMER_UNREAD", 0)
    await site.hub.engine.advance("bills", await site.hub.engine.feed_end())
    await leave_unread(site, "s1")
    watch = Consumers(site.edge.listener, site.edge.requests)
    await watch.start()
    assert watch.overdue == 1
    await site.hub.engine.release("bills")
    for _ in range(500):
        if not watch.overdue:
            break
        await asyncio.sleep(0.01)
    assert (watch.overdue, watch.unread) == (0, 0)
    await watch.stop()


async def test_the_commands(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = await run_command(site, "consumers")
    assert code == 0 and "Nobody reads the feed" in out
    monkeypatch.setattr(limits, "CONSUMER_UNREAD", 0)
    await site.hub.engine.advance("bills", await site.hub.engine.feed_end())
    await leave_unread(site, "s1")
    code, out, _ = await run_command(site, "consumers")
    assert code == 0 and "bills" in out and "overdue by count" in out
    code, out, _ = await run_command(site, "consumers", "release", "bills")
    assert code == 0 and "bills is released" in out
    code, _, err = await run_command(site, "consumers", "release", "bills")
    assert code == 1 and "consumer.not_found" in err
    code, out, _ = await run_command(site, "consumers", "--json")
    assert code == 0 and '"consumers":[]' in out.replace(" ", "")
