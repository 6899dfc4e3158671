"""Tools that run in a browser: one tab takes the call, and only its answer counts (CTL-6, RUN-4, RUN-5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.agents.browser_tools import CLAIM, RESULT, BrowserToolFailed
from holdfast.agents.errors import ToolFailed
from holdfast.agents.run import RunContext
from holdfast.client.session import Session
from holdfast.edge.webhook_sender import is_sent
from holdfast.protocol.fold import View
from holdfast.session.access import full_access
from tests.unit.agents.conftest import House, Item, items, refusal, seen

pytestmark = pytest.mark.anyio


async def pending_request(session: Session, tool: str, number: int = 1) -> Item:
    """The pending approval of this tool, of the n-th time the call is offered."""

    def found(view: View) -> list[Item]:
        return [
            item for item in items(view, "approval")
            if item["status"] == "pending" and item["tool"] == tool and item["args"]["try"] == number
        ]  # fmt: skip

    return found(await seen(session, found))[0]


async def take(session: Session, claim: str = "tab-1", number: int = 1) -> Item:
    """Claim the call as a tab does, and give the approval that waits for its result."""
    await session.approve((await pending_request(session, CLAIM, number))["id"], note=claim)
    result = await pending_request(session, RESULT, number)
    assert result["args"]["claim"] == claim
    return result


def calling(worker: Any, **options: Any) -> list[Any]:
    """Register an agent that calls ``pick`` in the browser; what came of it is added to the list."""
    got: list[Any] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        try:
            got.append(await run.browser_tool("pick", {"kind": "pdf"}, **options))
        except ToolFailed as error:
            got.append(error)

    return got


async def tool_item(session: Session) -> Item:
    (item,) = items(await session.state(), "tool")
    return item


async def test_the_tab_that_took_it_answers_and_the_others_learn_who_it_was(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    other = (await house.client("user:bob")).session("s1")
    got = calling(worker)
    house.serve(worker)
    run = await session.send("hi")
    claim = await pending_request(session, CLAIM)
    assert claim["args"] | {"toolCallId": ""} == {"toolCallId": "", "name": "pick", "args": {"kind": "pdf"}, "try": 1}
    result = await take(session)
    late = await refusal(other.approve(claim["id"], note="tab-2"))
    assert (late.code, late.fields["by"]) == ("approval.resolved", "user:ann")
    await session.approve(result["id"], note=json.dumps({"file": "tides.pdf"}))
    assert (await run.finished())["status"] == "completed"
    assert got == [{"file": "tides.pdf"}]
    item = await tool_item(session)
    assert (item["name"], json.loads(item["args"]), item["status"]) == ("pick", {"kind": "pdf"}, "done")
    assert json.loads(item["result"]) == {"file": "tides.pdf"}
    assert item["id"] == claim["args"]["toolCallId"]


@pytest.mark.parametrize(
    ("who", "decision", "note", "words"),
    [
        ("user:ann", "deny", "no such file", "no such file"),
        ("user:ann", "approve", "{", "not JSON"),
        ("user:bob", "approve", '"forged"', "answered by user:bob, but user:ann has it"),
        ("user:bob", "deny", "forged", "answered by user:bob, but user:ann has it"),
    ],
)
async def test_what_is_not_a_result_of_the_claimer_is_a_failure(
    house: House, who: str, decision: str, note: str, words: str
) -> None:
    worker, session = await house.worker(), await house.session()
    answering = session if who == "user:ann" else (await house.client(who)).session("s1")
    got = calling(worker)
    house.serve(worker)
    run = await session.send("hi")
    result = await take(session)
    await getattr(answering, decision)(result["id"], note=note)
    assert (await run.finished())["status"] == "completed"
    assert isinstance(got[0], BrowserToolFailed)
    assert words in got[0].detail
    assert words in (await tool_item(session))["error"]["message"]


async def test_a_call_nobody_takes_fails_at_its_deadline(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    got = calling(worker, deadline_s=0.05)
    house.serve(worker)
    await (await session.send("hi")).finished()
    assert "no tab took it" in got[0].detail


async def test_a_person_can_refuse_the_call(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    got = calling(worker)
    house.serve(worker)
    run = await session.send("hi")
    await session.deny((await pending_request(session, CLAIM))["id"], note="not my files")
    await run.finished()
    assert "not my files" in got[0].detail
    assert got[0].fields["by"] == "user:ann"


async def test_a_tab_that_dies_loses_the_call_to_the_next(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    got = calling(worker, claim_s=0.3)
    house.serve(worker)
    run = await session.send("hi")
    first = await take(session)
    second = await take(session, "tab-2", 2)
    assert (await refusal(session.approve(first["id"], note='"too late"'))).code == "approval.resolved"
    await session.approve(second["id"], note='"second"')
    await run.finished()
    assert got == ["second"]


async def test_a_call_that_is_taken_and_never_answered_is_offered_only_so_often(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    got = calling(worker, claim_s=0.05, tries=2)
    house.serve(worker)
    run = await session.send("hi")
    for number in (1, 2):
        await session.approve((await pending_request(session, CLAIM, number))["id"], note=f"tab-{number}")
    await run.finished()
    assert "taken 2 times" in got[0].detail


async def test_a_claim_by_hand_or_by_another_person_gives_the_call_to_nobody(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    other = (await house.client("user:bob")).session("s1")
    got = calling(worker, person="user:ann")
    house.serve(worker)
    run = await session.send("hi")
    await session.approve((await pending_request(session, CLAIM, 1))["id"])
    await other.approve((await pending_request(session, CLAIM, 2))["id"], note="tab-of-bob")
    result = await take(session, "tab-of-ann", 3)
    await session.approve(result["id"], note="7")
    await run.finished()
    assert got == [7]


async def test_the_worker_is_let_go_and_the_call_is_one(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    attempts: list[int] = []
    got: list[Any] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        attempts.append(run.attempt_number)
        got.append(await run.browser_tool("pick", {}, wait=True))

    house.serve(worker)
    run = await session.send("hi")
    await seen(session, lambda view: any(r["status"] == "waiting" for r in view.runs.values()))
    result = await take(session)
    await seen(session, lambda view: any(r["status"] == "waiting" for r in view.runs.values()))
    await session.approve(result["id"], note="null")
    assert (await run.finished())["status"] == "completed"
    assert (attempts, got) == ([1, 2, 3], [None])
    assert (await tool_item(session))["status"] == "done"


@pytest.mark.parametrize("lease_s", [0.3])
async def test_a_later_attempt_waits_for_the_tab_that_has_it(house: House) -> None:
    first, session = await house.worker(), await house.session()
    calling(first)
    serving = house.serve(first)
    run = await session.send("hi")
    result = await take(session)
    house.dials[0].down = True  # the worker is gone for good
    house.dials[0].cut()
    serving.cancel()
    second = await house.worker()
    got = calling(second)
    house.serve(second)
    await seen(session, lambda view: any(r["attempt"] == 2 for r in view.runs.values()))
    await session.approve(result["id"], note='"kept"')
    await run.finished()
    assert got == ["kept"]
    assert len(items(await session.state(), "approval")) == 2
    assert (await tool_item(session))["status"] == "done"


async def test_what_tabs_are_asked_waits_for_no_person(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    calling(worker)

    @worker.agent("clerk")
    async def clerk(run: RunContext) -> None:
        await run.approve("mail", {})

    house.serve(worker)
    await session.send("hi")
    claim = await pending_request(session, CLAIM)

    async def told() -> tuple[int, list[str]]:
        """What lists count, and what webhooks are told of."""
        notices = (await house.hub.engine.feed("", 100)).notices
        told = [n.data for n in notices if is_sent(n._replace(data={**n.data, "connected": False}))]
        told = [data for data in told if data["type"] == "approval.requested"]
        hot = await house.hub.sessions.load(full_access("t", "user:ann"), session.id)
        return hot.index.card.get("approvals", 0), [data["tool"] for data in told]

    assert await told() == (0, [])
    await session.approve(claim["id"], note="tab-1")
    await pending_request(session, RESULT)
    assert await told() == (0, [])
    await session.send("hi", agent="clerk")
    await seen(session, lambda view: [i for i in items(view, "approval") if i["tool"] == "mail"])
    assert await told() == (1, ["mail"])


async def test_a_sub_run_cannot_let_the_worker_go(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    codes: list[str] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        async with run.sub("helper") as child:
            codes.append((await refusal(child.browser_tool("pick", {}, wait=True))).code)

    house.serve(worker)
    await (await session.send("hi")).finished()
    assert codes == ["run.state"]
    assert items(await session.state(), "tool") == []
