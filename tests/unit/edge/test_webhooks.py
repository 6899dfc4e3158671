"""Webhooks: at least once, across restarts, and one that is not taken holds up no other."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from holdfast.edge.config import Settings
from holdfast.edge.webhook_sender import is_sent
from holdfast.edge.webhooks import Webhooks
from holdfast.engines.memory import MemoryEngine
from holdfast.engines.port import Key, Notice
from holdfast.errors import HoldfastError
from holdfast.hub import operations
from holdfast.hub.hub import Hub
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Draft
from holdfast.session.access import full_access

pytestmark = pytest.mark.anyio

ANN = full_access("acme", "user:ann")
URL = "http://receiver.example/hook"


class Receiver:
    """Takes webhooks; ``answer`` decides on each."""

    def __init__(self, answer: Callable[[dict[str, Any]], int] = lambda told: 200) -> None:
        self.answer = answer
        self.answered_requests: list[tuple[str, dict[str, Any], int]] = []
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        payload = json.loads(request.content)
        status = self.answer(payload["data"])
        self.answered_requests.append((request.headers["webhook-id"], payload, status))
        return httpx.Response(status, headers={"location": "http://elsewhere.example/"})

    @property
    def delivered_runs(self) -> list[str]:
        return [payload["data"]["run"] for _, payload, status in self.answered_requests if status < 300]

    def sender(self, hub: Hub, **settings: Any) -> Webhooks:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self))
        return Webhooks(hub, Settings(db="memory:", webhook_url=URL, **settings), client=client)


@pytest.fixture
async def hub(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    monkeypatch.setattr(limits, "WEBHOOK_BACKOFF_S", 0.02)
    hub = Hub(MemoryEngine())
    await hub.open()
    await operations.execute(hub, ANN, wire.Create(session="s1", agent="w"))
    yield hub
    await hub.close(1)


async def ended(hub: Hub) -> str:
    """A run that ends while nobody is there."""
    run = str((await operations.execute(hub, ANN, wire.Send(session="s1", text="secret words")))["run"])
    await operations.execute(hub, ANN, wire.Cancel(session="s1", run=run, force=True))
    return run


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_what_was_before_the_first_start_is_history(hub: Hub) -> None:
    await ended(hub)
    receiver = Receiver()
    sender = receiver.sender(hub)
    await sender.start()
    await until(lambda: bool(sender._stored_position))
    run = await ended(hub)
    await until(lambda: bool(receiver.answered_requests))
    await sender.stop()
    assert receiver.delivered_runs == [run]


async def test_one_that_is_refused_holds_up_no_other_and_is_given_up(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_BACKOFF_MAX_S", 0.02)
    refused: list[str] = []
    receiver = Receiver(lambda payload: 500 if payload["run"] in refused or not refused else 200)
    sender = receiver.sender(hub)
    await sender.start()
    refused.append(await ended(hub))
    runs = [*refused, await ended(hub), await ended(hub)]
    await until(lambda: set(receiver.delivered_runs) == set(runs[1:]))
    await until(lambda: sender.given_up == 1)
    await sender.stop()
    tries = [ident for ident, told, _ in receiver.answered_requests if told["data"]["run"] == runs[0]]
    assert len(tries) == limits.WEBHOOK_ATTEMPTS and len(set(tries)) == 1
    assert sender.waiting == 0 and not await hub.engine.facts("webhooks:again:")


async def test_what_waits_is_tried_again_after_a_restart(hub: Hub) -> None:
    receiver = Receiver(lambda told: 503)
    sender = receiver.sender(hub)
    await sender.start()
    run = await ended(hub)
    await until(lambda: sender.waiting == 1)
    await sender.stop()
    later = Receiver()
    sender = later.sender(hub)
    await sender.start()
    await until(lambda: later.delivered_runs == [run])
    await sender.stop()
    assert later.answered_requests[0][0] == receiver.answered_requests[0][0], "the same webhook-id"


@pytest.mark.parametrize(("status", "tries"), [(410, 1), (302, 2), (400, 2)])
async def test_gone_means_gone_and_redirects_are_not_followed(
    hub: Hub, status: int, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_ATTEMPTS", 2)
    receiver = Receiver(lambda told: status)
    sender = receiver.sender(hub)
    await sender.start()
    await ended(hub)
    await until(lambda: sender.given_up == 1)
    await sender.stop()
    assert len(receiver.answered_requests) == tries
    assert {str(request.url) for request in receiver.requests} == {URL}


async def test_it_is_signed_and_tells_nothing_that_was_said(hub: Hub) -> None:
    receiver = Receiver()
    sender = receiver.sender(hub)
    await sender.start()
    await ended(hub)
    await until(lambda: bool(receiver.answered_requests))
    await sender.stop()
    (request,) = receiver.requests
    payload = Webhook(sender.secret).verify(request.content, dict(request.headers))
    assert payload["type"] == "run.ended" and payload["data"]["tenant"] == "acme"
    assert b"secret words" not in request.content
    with pytest.raises(Exception, match="signature"):
        Webhook(f"whsec_{base64.b64encode(bytes(32)).decode()}").verify(request.content, dict(request.headers))


async def test_the_secret_is_made_once_beside_the_database(hub: Hub, tmp_path: Path) -> None:
    secrets = []
    for _ in range(2):
        sender = Webhooks(hub, Settings(db=str(tmp_path / "x.db"), webhook_url=URL))
        await sender.start()
        secrets.append(sender.secret)
        await sender.stop()
    path = tmp_path / "x.db.webhook-secret"
    assert secrets[0] == secrets[1] == path.read_text() and secrets[0].startswith("whsec_")
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_secret_that_cannot_be_used_stops_the_start(hub: Hub, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    short = f"whsec_{base64.b64encode(bytes(23)).decode()}"
    for content in ("whsec_%%%", "vm", short, base64.b64encode(bytes(32)).decode(), ""):
        path.write_text(content)
        with pytest.raises(HoldfastError) as refused:
            await Receiver().sender(hub, webhook_secret_file=str(path)).start()
        assert refused.value.code == "config.invalid", content
    with pytest.raises(HoldfastError) as refused:
        await Receiver().sender(hub, webhook_secret_file=str(tmp_path / "no" / "such" / "folder")).start()
    assert refused.value.code == "config.invalid"
    with pytest.raises(HoldfastError):
        Webhooks(hub, Settings(webhook_url="file:///etc/passwd"))


class Hanging(Receiver):
    """Does not answer while ``hangs`` says so of what it is told; everything it was sent is in ``begun``."""

    def __init__(self, hangs: Callable[[dict[str, Any]], bool]) -> None:
        super().__init__()
        self.hangs = hangs
        self.started: list[dict[str, Any]] = []
        self.go_on = asyncio.Event()

    async def handle(self, request: httpx.Request) -> httpx.Response:
        payload = json.loads(request.content)["data"]
        self.started.append(payload)
        if self.hangs(payload):
            await self.go_on.wait()
        return self(request)

    def sender(self, hub: Hub, **settings: Any) -> Webhooks:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.handle))
        return Webhooks(hub, Settings(db="memory:", webhook_url=URL, **settings), client=client)


async def test_a_receiver_that_hangs_delays_no_other_notice(hub: Hub) -> None:
    hanging: list[str] = []
    receiver = Hanging(lambda told: told["run"] in hanging or not hanging)
    sender = receiver.sender(hub)
    await sender.start()
    await until(lambda: bool(sender._stored_position))
    hanging.append(await ended(hub))
    await until(lambda: len(receiver.started) == 1)
    others = [await ended(hub) for _ in range(20)]
    await until(lambda: set(receiver.delivered_runs) == set(others))
    receiver.go_on.set()
    await until(lambda: set(receiver.delivered_runs) == {*others, *hanging})
    assert len(receiver.started) == 21, "each was sent once"
    await sender.stop()


async def test_a_tenant_whose_receiver_hangs_leaves_room_for_others(hub: Hub) -> None:
    other = full_access("other", "user:bob")
    await operations.execute(hub, other, wire.Create(session="s1", agent="w"))
    receiver = Hanging(lambda payload: bool(payload["tenant"] == "acme"))
    sender = receiver.sender(hub)
    await sender.start()
    await until(lambda: bool(sender._stored_position))
    runs = [await ended(hub) for _ in range(40)]
    await until(lambda: len(receiver.started) == limits.WEBHOOKS_AT_ONCE_EACH)
    for _ in range(3):
        run = str((await operations.execute(hub, other, wire.Send(session="s1", text="x")))["run"])
        await operations.execute(hub, other, wire.Cancel(session="s1", run=run, force=True))
        await until(lambda run=run: run in receiver.delivered_runs)  # type: ignore[misc]
    assert sum(told["tenant"] == "acme" for told in receiver.started) == limits.WEBHOOKS_AT_ONCE_EACH
    receiver.go_on.set()
    await until(lambda: set(runs) <= set(receiver.delivered_runs) and sender.waiting == 0)  # taken, and known to be
    await sender.stop()
    assert not await hub.engine.facts("webhooks:again:")


async def test_what_was_under_way_when_the_server_ended_is_sent_again(hub: Hub) -> None:
    receiver = Hanging(lambda told: True)
    sender = receiver.sender(hub)
    await sender.start()
    await until(lambda: bool(sender._stored_position))
    runs = [await ended(hub) for _ in range(3)]
    await until(lambda: len(receiver.started) == 3)
    await sender.stop()
    later = Receiver()
    sender = later.sender(hub)
    await sender.start()
    await until(lambda: set(later.delivered_runs) == set(runs))
    await sender.stop()


# --- the feed
async def test_they_read_the_feed_as_a_consumer_that_holds_it_back(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FEED_NOTICES", 1)
    sender = Receiver().sender(hub)
    await sender.start()
    await sender.stop()
    runs = [await ended(hub) for _ in range(3)]
    (consumer,) = await hub.engine.consumers()
    assert consumer.name == "webhooks" and consumer.unread >= 3
    later = Receiver()
    sender = later.sender(hub)
    await sender.start()
    await until(lambda: set(later.delivered_runs) == set(runs))
    end = await hub.engine.feed_end()
    await until(lambda: sender._stored_position == end)
    await sender.stop()
    assert sender.gaps == 0 and (await hub.engine.consumers())[0].unread == 0


async def test_a_gap_is_reported_and_what_is_left_is_sent(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "FEED_NOTICES", 1)
    receiver = Hanging(lambda told: True)
    sender = receiver.sender(hub)
    await sender.start()
    await sender.stop()
    stored = hub.engine.consumers

    async def as_in_a_database_of_version_0_1() -> Any:
        return [consumer._replace(position="ffff.1") for consumer in await stored()]

    monkeypatch.setattr(hub.engine, "consumers", as_in_a_database_of_version_0_1)
    later = Receiver()
    sender = later.sender(hub)
    await sender.start()
    run = await ended(hub)
    await until(lambda: later.delivered_runs == [run])
    await sender.stop()
    assert sender.gaps == 1 and "no longer has" in caplog.text


async def test_kinds_that_were_not_sent_before_are_not_sent_now(hub: Hub) -> None:
    receiver = Receiver()
    sender = receiver.sender(hub)
    await sender.start()
    recorder = full_access("acme", "policy:budget")
    await operations.execute(hub, recorder, wire.Append(session="s1", events=[Draft("budget.warned", {"left": 3})]))
    run = await ended(hub)
    await until(lambda: bool(receiver.answered_requests))
    await sender.stop()
    types = [notice.data["type"] for notice in (await hub.engine.feed("", 99)).notices]
    assert {"budget.warned", "run.queued", "cancel.requested", "run.ended"} == set(types)
    ((_, payload, _),) = receiver.answered_requests
    assert payload["data"] == {
        "tenant": "acme", "session": "s1", "incarnation": payload["data"]["incarnation"], "seq": payload["data"]["seq"],
        "participants": ["user:ann"], "run": run, "agent": "w", "status": "cancelled",
    }  # fmt: skip


async def test_what_was_read_twice_is_sent_once_more_at_most(hub: Hub) -> None:
    """A server that ended before it stored how far it had read: what waits for another try is not begun anew."""
    receiver = Receiver(lambda told: 503)
    sender = receiver.sender(hub)
    await sender.start()
    before = sender._stored_position
    await ended(hub)
    await until(lambda: sender.waiting == 1)
    await sender.stop()
    await hub.engine.release("webhooks")
    await hub.engine.advance("webhooks", before)
    later = Receiver()
    sender = later.sender(hub)
    await sender.start()
    await until(lambda: bool(later.answered_requests) and sender.waiting == 0)
    await asyncio.sleep(0.1)
    await sender.stop()
    assert len(later.answered_requests) == 1


CALLED = {"participants": ["user:ann"], "connected": False}


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        ({"type": "run.ended", **CALLED, "agent": "w"}, True),
        ({"type": "run.ended", **CALLED, "agent": "w", "parent": "r1"}, False),
        ({"type": "run.ended", **CALLED}, False),  # of a run that nothing is remembered of
        ({"type": "run.ended", **CALLED, "agent": "w", "connected": True}, False),
        ({"type": "run.ended", **CALLED, "agent": "w", "participants": []}, False),
        ({"type": "approval.requested", **CALLED}, True),  # of version 0.1
        ({"type": "approval.requested", **CALLED, "purpose": "decision"}, True),
        ({"type": "approval.requested", **CALLED, "purpose": "call"}, False),
        *(({"type": type_}, False) for type_ in ("run.queued", "usage.recorded", "approval.resolved", "budget.warned")),
    ],
)
def test_people_are_called_by_what_concerns_them(data: dict[str, Any], sent: bool) -> None:
    assert is_sent(Notice("p", Key("acme", "s1"), data)) is sent
