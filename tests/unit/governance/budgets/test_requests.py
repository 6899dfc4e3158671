"""Asking for more: who may, who decides, that the first decision stands, and that an answer waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.budgets.definitions import BudgetTerms
from holdfast.governance.budgets.desk import BudgetDesk
from holdfast.governance.budgets.requests import Requester, Wish
from holdfast.governance.workflows import journal_store
from holdfast.governance.workflows.model import ManifestTool, WorkflowManifest
from holdfast.governance.workflows.run_record import JournalRun
from holdfast.session.access import Capability, Principal
from tests.unit.governance.budgets.conftest import Desk


def asker(actor: str, **capabilities: str) -> Requester:
    granted = tuple(Capability(pattern, frozenset(verbs.split())) for pattern, verbs in capabilities.items())
    return Requester(actor, "default", Principal(actor, "default", granted))


EVERYWHERE = "*"
CHATTER = Requester(
    "user:cy", "default", Principal("user:cy", "default", (Capability("chat-*", frozenset({"read", "append"})),))
)
LEAD = Requester(
    "user:bob", "default", Principal("user:bob", "default", (Capability("*", frozenset({"spend", "budget"})),))
)
PAYER = Requester("user:ann", "default", Principal("user:ann", "default", ()))
VIEWER = Requester("user:dee", "default", Principal("user:dee", "default", (Capability("*", frozenset({"spend"})),)))
WISH = Wish(budget="support", to_usd="50", why="a launch", session="chat-1")


@pytest.fixture
async def asked(desk: Desk) -> BudgetDesk:
    terms = BudgetTerms(usd="25", scope={"team": "support"}, decider="user:ann", mode="enforce")
    await desk.governance.budget_desk.set("default", "support", terms, "user:bob")
    return desk.governance.budget_desk


async def refused(work: Any) -> Refused:
    with pytest.raises(Refused) as error:
        await work
    return error.value


@pytest.mark.anyio
async def test_somebody_who_may_write_in_the_session_asks_and_the_payer_raises(desk: Desk, asked: BudgetDesk) -> None:
    made = (await asked.ask(CHATTER, WISH))["request"]
    assert (made["state"], made["by"], made["from_usd"], made["to_usd"]) == ("waiting", "user:cy", "25.00", "50.00")
    assert (await asked.ask(CHATTER, WISH))["request"]["id"] == made["id"], "the same one again is one"
    done = await asked.decide(PAYER, made["id"], "approved", "for the launch")
    assert done["budget"]["cap_usd"] == "50.00" and done["budget"]["approved_by"] == "user:ann"
    (budget,) = desk.budgets.definitions("default")
    assert budget.cap_nano == 50 * 10**9, "it holds when the decision is answered"
    changes = (await asked.show("default", "support"))["changes"]
    assert any(one["what"] == f"raised: {made['id']}" and one["by"] == "user:ann" for one in changes)


@pytest.mark.anyio
async def test_who_may_not_ask(asked: BudgetDesk) -> None:
    elsewhere = Wish(budget="support", to_usd="50", session="other-1")
    for wish in (elsewhere, Wish(budget="support", to_usd="50")):
        assert (await refused(asked.ask(CHATTER, wish))).code == "auth.denied"
    reader = asker("user:eve", **{"chat-*": "read"})
    assert (await refused(asked.ask(reader, WISH))).code == "auth.denied"
    assert (await asked.ask(VIEWER, Wish(budget="support", to_usd="50")))["request"]["by"] == "user:dee"


@pytest.mark.anyio
async def test_what_cannot_be_asked(asked: BudgetDesk) -> None:
    assert (await refused(asked.ask(LEAD, Wish(budget="nothing", to_usd="50")))).code == "budget.not_found"
    for usd in ("25", "much", "-1"):
        assert "to_usd" in (await refused(asked.ask(LEAD, Wish(budget="support", to_usd=usd)))).detail
    assert "why" in (await refused(asked.ask(LEAD, Wish(budget="support", to_usd="50", why="x" * 501)))).detail


@pytest.mark.anyio
async def test_nobody_asks_without_end(asked: BudgetDesk) -> None:
    for more in range(limits.BUDGET_REQUESTS_EACH):
        await asked.ask(CHATTER, Wish(budget="support", to_usd=str(30 + more), session="chat-1"))
    error = await refused(asked.ask(CHATTER, WISH))
    assert error.code == "budget.invalid" and "withdraw" in error.fix
    await asked.ask(VIEWER, WISH)
    first = (await asked.requests(CHATTER))["requests"][0]
    await asked.decide(CHATTER, first["id"], "withdrawn")
    await asked.ask(CHATTER, WISH)


@pytest.mark.anyio
async def test_who_decides(asked: BudgetDesk) -> None:
    made = (await asked.ask(LEAD, Wish(budget="support", to_usd="50")))["request"]
    for who in (LEAD, CHATTER, VIEWER):
        error = await refused(asked.decide(who, made["id"], "approved"))
        assert error.code == "budget.not_payer" and "user:ann" in error.detail, who.actor
    assert (await refused(asked.decide(CHATTER, made["id"], "withdrawn"))).code == "budget.not_payer"
    assert (await asked.decide(PAYER, made["id"], "denied", "not this month"))["request"]["note"] == "not this month"
    again = (await asked.ask(CHATTER, WISH))["request"]
    done = await asked.decide(LEAD, again["id"], "approved")
    assert done["budget"]["approved_by"] == "user:bob", "whoever changes budgets decides what others ask"


@pytest.mark.anyio
async def test_the_first_decision_stands(desk: Desk, asked: BudgetDesk) -> None:
    made = (await asked.ask(CHATTER, WISH))["request"]
    results = await asyncio.gather(
        asked.decide(PAYER, made["id"], "approved"), asked.decide(LEAD, made["id"], "denied"), return_exceptions=True
    )
    errors = [one for one in results if isinstance(one, Refused)]
    assert len(errors) == 1 and errors[0].code == "budget.decided"
    (request,) = (await asked.requests(LEAD))["requests"]
    (budget,) = desk.budgets.definitions("default")
    assert (budget.cap_nano == 50 * 10**9) == (request["state"] == "approved")
    assert (await refused(asked.decide(PAYER, "br-nothing", "denied"))).code == "budget.not_found"
    assert "decision" in (await refused(asked.decide(PAYER, made["id"], "perhaps"))).detail


@pytest.mark.anyio
async def test_a_cap_that_is_higher_by_then_stays(desk: Desk, asked: BudgetDesk) -> None:
    made = (await asked.ask(CHATTER, WISH))["request"]
    await asked.set("default", "support", BudgetTerms(usd="80"), "user:bob")
    await asked.decide(PAYER, made["id"], "approved")
    assert desk.budgets.definitions("default")[0].cap_nano == 80 * 10**9


@pytest.mark.anyio
async def test_everybody_sees_what_concerns_them(asked: BudgetDesk) -> None:
    own = (await asked.ask(CHATTER, WISH))["request"]["id"]
    other = (await asked.ask(VIEWER, WISH))["request"]["id"]

    async def seen(who: Requester, state: str = "") -> set[str]:
        return {one["id"] for one in (await asked.requests(who, state))["requests"]}

    assert await seen(CHATTER) == {own} and await seen(PAYER) == {own, other} == await seen(VIEWER)
    assert await seen(asker("user:eve", **{EVERYWHERE: "read"})) == set()
    await asked.decide(PAYER, own, "denied")
    assert await seen(LEAD, "waiting") == {other} and await seen(LEAD, "denied") == {own}
    listed = (await asked.requests(LEAD))["requests"]
    assert [one["state"] for one in listed] == ["waiting", "denied"] and listed[0]["decider"] == "user:ann"


# --- an answer that waits ---------------------------------------------------------------------------------------------------
async def held(desk: Desk) -> Any:
    """An answer whose next tranche was refused, as the gateway has it: the hold and the refusal."""
    await desk.governance.budget_desk.brake("default", "refunds", "ask", limits.BUDGET_WAIT_MOST_S, "user:ann")
    await desk.governance.budget_desk.set("default", "support", BudgetTerms(usd="0.0016"), "user:bob")
    opening = desk.opening(session="chat-1", run="r1")
    hold = await desk.open(opening)
    assert hold.on_brake == "ask" and hold.granted is not None
    with pytest.raises(Refused) as error:
        await hold.extend(hold.granted)
    return opening, hold, error.value


@pytest.mark.anyio
@pytest.mark.parametrize("decision", ["approved", "denied"])
async def test_an_answer_waits_for_the_decision(
    desk: Desk, asked: BudgetDesk, decision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BUDGET_DECISION_S", 0.01)
    opening, hold, error = await held(desk)
    before = hold.granted
    waiting = [asyncio.create_task(hold.ask(error, before)) for _ in range(2)]
    while not (found := (await asked.requests(LEAD, "waiting"))["requests"]):
        await asyncio.sleep(0.01)
    (request,) = found
    assert (request["call"], request["session"], request["run"]) == (opening.call.id, "chat-1", "r1")
    assert request["until_ms"] == desk.clock.wall_ms() + limits.BUDGET_WAIT_MOST_S * 1_000
    assert not any(task.done() for task in waiting)
    await asked.decide(PAYER, request["id"], decision)
    if decision == "approved":
        await asyncio.gather(*waiting)
        assert hold.granted is None or hold.granted > before
    else:
        assert [type(one) for one in await asyncio.gather(*waiting, return_exceptions=True)] == [type(error)] * 2


@pytest.mark.anyio
async def test_an_answer_does_not_wait_for_ever(desk: Desk, asked: BudgetDesk) -> None:
    _, hold, error = await held(desk)

    class Passed:
        async def __aenter__(self) -> None:
            raise TimeoutError

        async def __aexit__(self, *_: object) -> None: ...

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("holdfast.governance.budgets.payer.asyncio.timeout", lambda _: Passed())
        assert await refused(hold.ask(error, hold.granted)) is error
    (request,) = (await asked.requests(LEAD, "waiting"))["requests"]
    await asked.decide(PAYER, request["id"], "approved")
    assert desk.budgets.definitions("default")[0].cap_nano == request["to_nano"], "late, and it holds from then on"


@pytest.mark.anyio
async def test_who_does_not_say_how_much_asks_for_a_quarter_more(asked: BudgetDesk) -> None:
    """As the chat does: whoever was braked there knows neither the cap nor what would do."""
    made = (await asked.ask(CHATTER, Wish(budget="support", why="not done", session="chat-1", run="r7")))["request"]
    assert (made["from_usd"], made["to_usd"], made["state"]) == ("25.00", "31.25", "waiting")


@pytest.mark.anyio
async def test_whoever_decides_is_shown_what_the_workflow_could_do(desk: Desk, asked: BudgetDesk) -> None:
    workflows, store = desk.governance.workflows, desk.governance.store
    await workflows.apply(WorkflowManifest(workflow="refunds", tools=(ManifestTool("pay", "write"),)), by="user:bob")
    desks = BudgetTerms(usd="25", scope={"workflow": "refunds"}, decider="user:ann", mode="enforce")
    await asked.set("default", "refunds", desks, "user:bob")
    ran = JournalRun(id="i1:r1", run="r1", root="r1", workflow="refunds", queued_ms=desk.clock.wall_ms())
    await store.write(lambda connection: journal_store.add(connection, ran, "chat-1", "i1"))

    async def ident(wish: Wish, who: Requester = CHATTER) -> str:
        return str((await asked.ask(who, wish))["request"]["id"])

    own = await ident(Wish(budget="refunds", to_usd="50"), VIEWER)
    of_run = await ident(Wish(budget="support", to_usd="50", session="chat-1", run="r1"))
    of_team = await ident(Wish(budget="support", to_usd="60"), VIEWER)
    for one in (own, of_run):
        seen = (await asked.radius(PAYER, one))["radius"]
        assert seen["workflow"] == "refunds" and "pay" in seen["sentence"]
        assert "USD" not in seen["sentence"] and seen["page"] == "", "who decides for a payer sees no more than before"
        whole = (await asked.radius(VIEWER, one))["radius"]
        assert "USD in 28 days" in whole["sentence"] and whole["page"] == "#/plan/workflow/refunds"
    assert (await asked.radius(VIEWER, of_team))["radius"] is None, "a team has many"
    for stranger, one in (
        (CHATTER, of_run),
        (asker("user:eve", **{"chat-*": "read append"}), of_run),
        (LEAD, "br-none"),
    ):
        assert (await refused(asked.radius(stranger, one))).code == "budget.not_found"
