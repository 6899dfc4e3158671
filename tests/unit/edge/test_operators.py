"""What operators see and do: everything of their tenant, nothing of another, and only with admin over all sessions."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.client.client import Client
from holdfast.errors import Refused
from holdfast.protocol import wire

from .conftest import Site

pytestmark = pytest.mark.anyio


async def test_connections_runs_and_counters(site: Site) -> None:
    labels = {"workflow": "refunds", "usage": "seated"}
    token = site.token(labels=labels)
    async with Client(site.url, token, surface="web") as ann, Client(site.url, site.token("user:bob")) as bob:
        session = await ann.create(title="Tides", agent="writer")
        run = await session.send("hello")
        async with session.live() as live, site.http(site.token("user:op")) as http:
            answer = (await http.get("/v1/connections")).json()
            assert answer["all"] == 2
            mine = next(one for one in answer["connections"] if one["actor"] == "user:ann")
            assert (mine["surface"], mine["sessions"]) == ("web", [session.id])
            assert mine["titles"] == {session.id: "Tides"}
            active = (await http.get("/v1/activity")).json()
            assert {ident: sum(row) for ident, row in active["sessions"].items()} == {session.id: live.seq}
            runs = (await http.get("/v1/runs")).json()["runs"]
            assert [(one["run"], one["status"], one["lease_left_s"]) for one in runs] == [(run.id, "queued", None)]
            assert runs[0]["labels"] == labels
            stats = (await http.get("/v1/stats")).json()
            assert stats["stats"]["connections"] == 2 and sum(stats["commit"]["counts"]) == stats["stats"]["commits"]
            assert (await http.delete(f"/v1/connections/{mine['connection']}")).status_code == 200
            async with asyncio.timeout(5):
                while not ann.connection.connected or ann.connection.welcome.connection == mine["connection"]:
                    await asyncio.sleep(0.01)
            assert (await session.state()).runs[run.id]["status"] == "queued"  # a cut means nothing
        assert bob.connection.connected


@pytest.mark.parametrize("path", ["/v1/connections", "/v1/runs", "/v1/activity", "/v1/stats", "/v1/consumers"])
async def test_only_operators_look_and_only_at_their_own(site: Site, path: str) -> None:
    async with Client(site.url, site.token()) as ann:
        await (await ann.create(agent="writer")).send("hello")
        for token in (site.token(capabilities={"*": ["read"]}), site.token(capabilities={"s*": ["admin", "read"]})):
            async with site.http(token) as http:
                assert (await http.get(path)).json()["error"]["code"] == "auth.denied"
        async with site.http(site.token("user:op", tenant="other")) as http:
            answer = (await http.get(path)).json()
            assert answer.get("connections", []) == [] and answer.get("runs", []) == []
            assert "sessions" not in answer or answer["sessions"] == {}
            ident = next(iter(site.hub.connections))
            assert (await http.delete(f"/v1/connections/{ident}")).status_code == 404
        assert ann.connection.connected


async def test_operators_watch_every_session(site: Site) -> None:
    token = site.token(labels={"workflow": "refunds"})
    async with Client(site.url, token) as ann, Client(site.url, site.token("user:op")) as op:
        session = await ann.create(title="Tides", agent="writer", meta={"workflow": "what anybody says"})
        assert (await site.hub.lists.rows(op_principal(site), limit=9, everything=True))[0]["card"].get(
            "labels"
        ) is None
        await session.send("hello")
        found = await site.hub.lists.rows(op_principal(site), limit=9, everything=True)
        assert [(row["session"], row["card"]["agent"], row["card"]["labels"]["workflow"]) for row in found] == [
            (session.id, "writer", "refunds")
        ]
        assert await site.hub.lists.rows(op_principal(site), limit=9) == []
        await op.connection.request(wire.Watch(all=True))
        async with Client(site.url, site.token("user:eve", capabilities={"*": ["read"]})) as eve:
            with pytest.raises(Refused):
                await eve.connection.request(wire.Watch(all=True))


def op_principal(site: Site):  # type: ignore[no-untyped-def]
    return next(conn.principal for conn in site.hub.connections.values() if conn.principal.actor == "user:op")
