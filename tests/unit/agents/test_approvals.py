"""Asking people (CTL-6) and letting the worker go meanwhile (RUN-5)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.agents.errors import ToolDenied
from holdfast.agents.run import RunContext
from holdfast.client.session import Session
from holdfast.errors import Refused
from holdfast.protocol.fold import View
from tests.unit.agents.conftest import House, items, refusal, seen

pytestmark = pytest.mark.anyio


async def pending(session: Session) -> dict[str, Any]:
    view = await seen(session, lambda v: [i for i in items(v, "approval") if i["status"] == "pending"])
    return next(i for i in items(view, "approval") if i["status"] == "pending")


def waiting(view: View) -> bool:
    return any(run["status"] == "waiting" for run in view.runs.values())


@pytest.mark.parametrize("decision", ["approved", "denied"])
async def test_an_approval_awaited_in_place(house: House, decision: str) -> None:
    worker, session = await house.worker(), await house.session()
    got: list[Any] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        args = {"to": "x@example.com"}
        asking = asyncio.ensure_future(run.approve("send_email", args))
        await asyncio.sleep(0)
        args["to"] = "attacker@example.com"
        approval = await asking
        got.append((bool(approval), approval.args, approval.by, approval.note))

    house.serve(worker)
    run = await session.send("hi")
    request = await pending(session)
    assert (request["tool"], request["args"], request["actor"]) == (
        "send_email",
        {"to": "x@example.com"},
        "agent:writer",
    )
    await (session.approve if decision == "approved" else session.deny)(request["id"], note="ok", hash=request["hash"])
    assert (await run.finished())["status"] == "completed"
    assert got == [(decision == "approved", {"to": "x@example.com"}, "user:ann", "ok")]


async def test_the_first_decision_stands_and_the_second_person_learns_who_won(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    other = (await house.client("user:bob")).session("s1")

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        await run.approve("x", {})

    house.serve(worker)
    await session.send("hi")
    approval = await pending(session)
    await session.deny(approval["id"])
    late = await refusal(other.approve(approval["id"]))
    assert (late.code, late.fields["by"], late.fields["decision"]) == ("approval.resolved", "user:ann", "denied")


async def test_the_deadline_denies_and_no_agent_says_otherwise(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    got: list[Any] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        got.append(bool(await run.approve("a", {}, deadline_s=0.01)))
        got.append((await refusal(run.approve("b", {}, deadline_s=0.01, default="approved"))).code)
        got.append((await refusal(run.approve("b", {}, self_approve=True))).code)

    house.serve(worker)
    await (await session.send("hi")).finished()
    assert got == [False, "approval.rule", "approval.rule"]
    assert [i["status"] for i in items(await session.state(), "approval")] == ["expired"]


async def test_waiting_lets_the_worker_go_and_the_answer_brings_the_run_back(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    calls: list[Any] = []
    cleaned: list[int] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        calls.append(run.attempt_number)
        try:
            async with run.message(key="intro") as out:
                await out.write("may I?")
                approval = await run.approve("publish", {"n": 1}, wait=True)
            await run.say(f"{approval.by} said {bool(approval)} to {approval.args}")
        except Exception:
            cleaned.append(1)
            raise

    serving = house.serve(worker, slots=1)
    run = await session.send("hi")
    view = await seen(session, waiting)
    assert items(view, "message")[1]["status"] == "complete"
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)  # a deploy: no worker is there while people think
    await session.approve(items(view, "approval")[0]["id"])
    house.serve(worker, slots=1)
    assert await run.text() == "may I?\n\nuser:ann said True to {'n': 1}"
    assert calls == [1, 2] and cleaned == []


async def test_a_waiting_run_takes_no_slot(house: House) -> None:
    worker, session = await house.worker(), await house.session()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        if run.input.text == "ask":
            await run.approve("x", {}, wait=True)
        await run.say("done")

    house.serve(worker, slots=1)
    await session.send("ask")
    await seen(session, waiting)
    assert await (await session.send("other", concurrent=True)).text() == "done"


async def test_cancelling_a_waiting_run_ends_it(house: House) -> None:
    worker, session = await house.worker(), await house.session()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        await run.approve("x", {}, wait=True)

    house.serve(worker)
    run = await session.send("hi")
    await seen(session, waiting)
    await run.cancel()
    assert (await run.finished())["status"] == "cancelled"
    assert items(await session.state(), "approval")[0]["status"] == "expired"


async def test_a_gated_tool_runs_only_what_was_approved(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    paid: list[Any] = []
    denied: list[Any] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        args = {"amount": 5}
        try:
            paying = asyncio.ensure_future(run.gated_tool("pay", args, lambda amount: paid.append(amount)))
            await asyncio.sleep(0)
            args["amount"] = 5_000
            await paying
        except ToolDenied as error:
            denied.append(error.fields["by"])

    house.serve(worker)
    first = await session.send("one")
    await session.approve((await pending(session))["id"])
    await first.finished()
    assert (paid, denied) == ([5], [])
    second = await session.send("two")
    await session.deny((await pending(session))["id"])
    await second.finished()
    assert (paid, denied) == ([5], ["user:ann"])


async def test_stop_while_asking(house: House) -> None:
    worker, session = await house.worker(), await house.session()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        await run.approve("x", {})

    house.serve(worker)
    run = await session.send("hi")
    await pending(session)
    await run.cancel()
    assert (await run.finished())["status"] == "cancelled"


async def test_an_agent_may_not_approve_what_it_asked(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    codes: list[str] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        asking = asyncio.ensure_future(run.approve("x", {}))
        approval = await pending(run.session)
        codes.append((await refusal(run.session.approve(approval["id"]))).code)
        asking.cancel()

    person = await house.client("agent:writer", agents=("writer",))
    person.add_agent("writer", write)
    house.serve(person)
    await (await session.send("hi")).finished()
    assert codes == ["approval.self"]
    assert worker is not None


async def test_a_sub_run_cannot_let_the_worker_go(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    refused: list[str] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        async with run.sub("helper") as child:
            try:
                await child.approve("x", {}, wait=True)
            except Refused as error:
                refused.append(error.code)

    house.serve(worker)
    await (await session.send("hi")).finished()
    assert refused == ["run.state"]


async def test_letting_go_from_inside_a_task_group(house: House) -> None:
    worker, session = await house.worker(), await house.session()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(run.approve("x", {}, wait=True))
        await run.say("approved")

    house.serve(worker)
    run = await session.send("hi")
    view = await seen(session, waiting)
    await session.approve(items(view, "approval")[0]["id"])
    assert await run.text() == "approved"


# --- approvals of calls a model has made ----------------------------------------------------------------------------------
class Mailer:
    """Mails what a model asked for, once people allow it. ``sent`` are its side effects; ``hold`` stops it inside one."""

    def __init__(self, *, wait: bool = False) -> None:
        self.sent: list[str] = []
        self.wait = wait
        self.hold: asyncio.Event | None = None
        self.inside = asyncio.Event()

    async def __call__(self, run: RunContext) -> None:
        call, args = f"{run.id}.c1", {"to": "bo"}
        if run.attempt_number == 1:
            await run.tools.announce(call, "mail")
            await run.tools.append_args(call, '{"to": "bo"}')
        approval = await run.approve("mail", args, call_id=call, wait=self.wait)
        if not approval:
            error = {"code": "tool.denied", "message": approval.note}
            await run.tools.record_result(call, "mail", args, "", error=error)
        else:
            await run.tool("mail", args, self._mail, call_id=call)

    async def _mail(self, to: str) -> str:
        self.sent.append(to)
        self.inside.set()
        if self.hold is not None:
            await self.hold.wait()
        return "sent"


@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize("decision", ["approved", "denied"])
async def test_a_call_and_its_approval_name_each_other(house: House, decision: str, wait: bool) -> None:
    worker, session = await house.worker(), await house.session()
    mailer = Mailer(wait=wait)
    worker.add_agent("writer", mailer)
    house.serve(worker)
    run = await session.send("hi")
    approval = await pending(session)
    if wait:
        await seen(session, waiting)
    (tool,) = items(await session.state(), "tool")
    assert (approval["call"], tool["approval"], tool["status"], tool["args"]) == (
        tool["id"], approval["id"], "called", '{"to": "bo"}',
    )  # fmt: skip
    await (session.approve if decision == "approved" else session.deny)(approval["id"], note="no")
    assert (await run.finished())["status"] == "completed"
    (tool,) = items(await session.state(), "tool")
    assert tool["status"] == "done" and "bo" in tool["args"]
    assert mailer.sent == (["bo"] if decision == "approved" else [])
    assert tool.get("error", {}).get("code") == (None if decision == "approved" else "tool.denied")


@pytest.mark.parametrize("lease_s", [0.15])
@pytest.mark.parametrize("started", [False, True])
async def test_whether_a_call_had_begun_is_known_after_a_loss(house: House, started: bool) -> None:
    """Lost while people think: it is made once. Lost inside the call, that they allowed: nobody knows."""
    session = await house.session()
    mailer = Mailer()
    mailer.hold = asyncio.Event()
    first = await house.worker()
    first.add_agent("writer", mailer)
    house.serve(first)
    run = await session.send("hi")
    approval = await pending(session)
    if started:
        await session.approve(approval["id"])
        await mailer.inside.wait()
    house.dials[1].down = True
    house.dials[1].cut()
    await seen(session, lambda view: view.runs[run.id].get("losses"))
    if not started:
        mailer.hold = None
        await session.approve(approval["id"])
    other = await house.worker()
    other.add_agent("writer", mailer)
    house.serve(other)
    over = await run.finished()
    assert over["status"] == ("failed" if started else "completed")
    assert over.get("error", {}).get("code") == ("tool.outcome_unknown" if started else None)
    assert mailer.sent == ["bo"]
