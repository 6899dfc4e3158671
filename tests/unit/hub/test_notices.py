"""Every kind of notable event is in the feed once, with its place; nothing that anybody said is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.hub import notices, operations
from holdfast.hub.hub import Hub
from holdfast.protocol import events as e
from holdfast.protocol import wire
from holdfast.protocol.events import Draft, Event
from holdfast.protocol.notice_data import NoticeData
from holdfast.session.access import full_access
from holdfast.session.families import FAMILIES
from holdfast.session.run import LeaseExpired
from holdfast.session.state import State
from tests.shapes import deviations

from .conftest import Pipe, agent, user

pytestmark = pytest.mark.anyio
SECRET = "what ann said"


async def feed(hub: Hub, type_: str = "") -> list[dict[str, Any]]:
    page = await hub.engine.feed("", 1_000)
    for notice in page.notices:
        assert not list(deviations(notice.data, NoticeData)), notice.data["type"]
    return [notice.data for notice in page.notices if type_ in ("", notice.data["type"])]


async def assigned(hub: Hub, session: str = "s1", **send: Any) -> tuple[Pipe, dict[str, Any]]:
    """A worker with the attempt of a run that ann's message queued."""
    worker = Pipe(hub, agent("w"))
    await worker.ask(wire.Serve(agents=["w"]))
    ann = Pipe(hub, user("ann"))
    await ann.ask(wire.Create(session=session, agent="w"))
    await ann.ask(wire.Send(session=session, text=SECRET, **send))
    return worker, await worker.until(lambda message: message["op"] == "assigned")


async def test_a_run_from_its_queue_to_its_end(hub: Hub) -> None:
    worker, given = await assigned(hub)
    at = {"session": "s1", "run": given["run"], "generation": given["generation"]}
    usage = {"model": "m", "input_tokens": 7, "note": SECRET, "bad name!": 1, "cost": 0.25, "deep": {"x": 1}}
    await worker.ask(wire.Append(**at, events=[Draft(e.USAGE_RECORDED, usage)]))
    child = (await worker.ask(wire.Spawn(**at, agent="helper", name="n", input={"text": SECRET}, local=False)))["run"]
    await worker.ask(wire.Ask(**at, approval="a1", tool="mail", args={"to": SECRET}))
    ann = Pipe(hub, user("ann"))
    await ann.ask(wire.Resolve(session="s1", approval="a1", decision="approved", note=SECRET))
    await ann.ask(wire.Cancel(session="s1", run=child, force=True, reason=SECRET))
    await worker.ask(wire.End(**at, status="failed", error={"code": "agent.failed", "message": SECRET}))
    seen = await feed(hub)
    assert [notice["type"] for notice in seen] == [
        "run.queued", "usage.recorded", "run.queued", "approval.requested", "approval.resolved", "cancel.requested",
        "run.ended", "run.ended",
    ]  # fmt: skip
    queued, used, sub, asked_, resolved, cancelled, sub_ended, ended = seen
    assert queued["agent"] == "w" and queued["actor"] == "user:ann" and "parent" not in queued
    assert used["model"] == "m" and used["numbers"] == {"input_tokens": 7, "cost": 0.25}
    assert (used["run"], used["attempt"]) == (given["run"], given["generation"])
    assert (sub["run"], sub["agent"], sub["parent"]) == (child, "helper", given["run"])
    assert (asked_["approval"], asked_["tool"], asked_["purpose"]) == ("a1", "mail", "decision")
    assert (resolved["approval"], resolved["decision"], resolved["by"]) == ("a1", "approved", "user:ann")
    assert cancelled["runs"] == [child] and cancelled["force"] and "reason" not in cancelled
    assert (sub_ended["run"], sub_ended["parent"], sub_ended["status"]) == (child, given["run"], "cancelled")
    assert (ended["status"], ended["error"]) == ("failed", "agent.failed")
    assert SECRET not in json.dumps(seen)
    places = [(notice["incarnation"], notice["seq"]) for notice in seen]
    assert len(set(places)) == len(places) and places == sorted(places)


async def test_families_that_recorders_and_policies_write(hub: Hub) -> None:
    await operations.execute(hub, full_access("acme", "user:ann"), wire.Create(session="s1"))
    written = []
    for family, writers in FAMILIES.items():
        if writers.kinds:
            written.append(f"{family}.noted")
            event = Draft(written[-1], {"left": 3, "ok": True, "why": SECRET})
            await operations.execute(hub, full_access("acme", "policy:p"), wire.Append(session="s1", events=[event]))
    seen = await feed(hub)
    assert [notice["type"] for notice in seen] == written
    assert all(notice["numbers"] == {"left": 3, "ok": True} for notice in seen)
    assert SECRET not in json.dumps(seen)


async def test_content_has_no_notices(hub: Hub) -> None:
    worker, given = await assigned(hub)
    at = {"session": "s1", "run": given["run"], "generation": given["generation"]}
    before = await feed(hub)
    events = [Draft(e.TEXT_START, {"messageId": "m1", "role": "assistant"}), Draft("made.up", {"n": 1})]
    await worker.ask(wire.Append(**at, events=events))
    assert await feed(hub) == before


def test_what_clients_write_is_bounded() -> None:
    data = {f"n{n}": n for n in range(1_000)} | {"model": "m" * 9_999, "x" * 65: 1}
    (notice,) = notices.build(State("s1", "i1"), [Event(1, 2, "policy:p", e.USAGE_RECORDED, data)], set)
    assert len(notice["numbers"]) == 32 and len(notice["model"]) == 200
    assert notice["seq"] == 1 and notice["incarnation"] == "i1"


def test_an_end_says_a_code_and_no_words() -> None:
    for code, expected in (("agent.failed", "agent.failed"), ("he said: no", None), ("", None)):
        data = {"status": "failed", "error": {"code": code, "message": SECRET}}
        (notice,) = notices.build(State("s1", "i1"), [Event(1, 2, "a", e.RUN_ENDED, data, "r1")], set)
        assert notice.get("error") == expected


async def test_a_lost_attempt(hub: Hub) -> None:
    _worker, given = await assigned(hub, attempts=2)
    hot = next(iter(hub.sessions.values()))
    expired = LeaseExpired(session="s1", run=given["run"], generation=1, reason="lease expired")
    await hot.submit(expired, "system:session")
    (lost,) = await feed(hub, e.RUN_ATTEMPT_LOST)
    assert (lost["run"], lost["generation"], lost["retry"], lost["agent"]) == (given["run"], 1, True, "w")
