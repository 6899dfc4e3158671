"""What people ask of budgets, over a store of either kind, a real ledger and a real organisation."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import Refused
from holdfast.governance.budgets.definitions import BudgetTerms
from holdfast.governance.budgets.desk import BudgetDesk
from tests.unit.governance.budgets.conftest import Desk

SUPPORT = {"team": "support"}
CENT = 10_000_000


@pytest.fixture
def asked(desk: Desk) -> BudgetDesk:
    return desk.governance.budget_desk


async def put(asked: BudgetDesk, name: str = "support", by: str = "user:bob", **terms: Any) -> dict[str, Any]:
    return await asked.set("default", name, BudgetTerms(**terms), by)


@pytest.mark.anyio
async def test_a_budget_counts_what_was_spent_before_it_was_made(desk: Desk, asked: BudgetDesk) -> None:
    opening = desk.opening()
    await desk.open(opening)
    await desk.settle(opening, output_tokens=5_000)
    answer = await put(asked, usd="25", scope={"team": "care"})
    (line,) = (await asked.list("default"))["accounts"]
    assert (
        line["spent_usd"] == "0.0100025" and line["free_usd"] == "24.9899975" and line["budget"]["cap_usd"] == "25.00"
    )
    assert "not yet approved" in answer["notes"][0] and "observes" in answer["notes"][1]
    await put(asked, scope={"task": "another"})
    (line,) = (await asked.list("default"))["accounts"]
    assert line["spent_nano"] == 0, "what is counted has changed, so it is counted again"


@pytest.mark.anyio
async def test_what_was_changed_is_on_record_with_before_and_after(desk: Desk, asked: BudgetDesk) -> None:
    await put(asked, usd="25", decider="user:ann", approved_by="user:ann")
    desk.clock.advance(1)
    raised = await put(asked, usd="50")
    assert "not any more approved" in raised["notes"][0]
    desk.clock.advance(1)
    await asked.end("default", "support", "user:cy")
    ident = raised["budget"]["id"]
    changes = (await asked.show("default", ident))["changes"]
    assert [(one["what"], one["by"]) for one in changes] == [
        ("ended", "user:cy"), ("changed", "user:bob"), ("made", "user:bob"),
    ]  # fmt: skip
    assert changes[1]["before"]["cap_nano"] == 25 * 10**9 and changes[1]["after"]["cap_nano"] == 50 * 10**9
    assert changes[2]["before"] is None and changes[0]["after"]["ended_ms"] == desk.clock.wall_ms()
    assert (await asked.list("default"))["accounts"] == []
    again = await put(asked, usd="1")
    assert again["budget"]["id"] != ident, "the name is free"
    for name in (ident, "nothing"):
        with pytest.raises(Refused) as refused:
            await asked.end("default", name, "user:cy")
        assert refused.value.code == "budget.not_found"


@pytest.mark.anyio
async def test_a_ceiling_for_each_run_comes_with_it(desk: Desk, asked: BudgetDesk) -> None:
    answer = await put(asked, usd="25", run_usd="2", scope=SUPPORT, mode="enforce")
    assert answer["run"]["name"] == "support/run" and answer["run"]["cap_usd"] == "2.00"
    answer = await put(asked, run_usd="3")
    assert answer["run"]["cap_usd"] == "3.00"
    assert [one.name for one in desk.budgets.definitions("default")] == ["support", "support/run"]


@pytest.mark.anyio
async def test_a_person_stands_under_a_pseudonym(desk: Desk, asked: BudgetDesk) -> None:
    answer = await put(asked, usd="25", scope={"user": "ann"})
    pseudonym = answer["budget"]["scope"]["user"]
    assert pseudonym == await desk.governance.organisation.pseudonym("ann") and pseudonym.startswith("p-")
    assert "ann" not in str(await asked.show("default", "support")).replace("user:bob", "")
    opening = desk.opening(labels={"user": "ann"})
    await desk.open(opening)
    await desk.settle(opening, output_tokens=5_000)
    (line,) = (await asked.list("default"))["accounts"]
    assert line["spent_nano"] == 10_002_500


@pytest.mark.anyio
async def test_a_file_is_taken_whole_or_not_at_all(desk: Desk, asked: BudgetDesk) -> None:
    file = b"""
budgets:
  - {name: support, usd: 25.10, scope: {team: support}, alerts: [50, 90], run_usd: 2}
  - {name: refunds, usd: 5, per: week, scope: {workflow: refunds}}
"""
    assert len(await asked.import_file("default", file, "user:ann")) == 2
    before = desk.budgets.definitions("default")
    assert {one.name: one.cap_nano // CENT for one in before} == {"support": 2_510, "support/run": 200, "refunds": 500}
    for wrong in (b"budgets: [{name: a, usd: 1}, {name: b, usd: much}]", b"budgets: [{name: a, us: 1}]", b"{", b"[1]"):
        with pytest.raises(Refused) as refused:
            await asked.import_file("default", wrong, "user:ann")
        assert refused.value.code == "budget.invalid"
    assert desk.budgets.definitions("default") == before
    with pytest.raises(Refused, match="b: usd"):
        await asked.import_file("default", b"budgets: [{name: a, usd: 1}, {name: b, usd: much}]", "user:ann")


@pytest.mark.anyio
async def test_brakes_are_said_and_hold(desk: Desk, asked: BudgetDesk) -> None:
    await asked.brake("default", "refunds", "ask", 60, "user:ann")
    rule = desk.budgets.brake_rule("default", "refunds")
    assert (rule.policy, rule.wait_s, rule.by) == ("ask", 60, "user:ann")
    await asked.brake("default", "refunds", "truncate", 60, "user:ann")
    (shown,) = (await asked.brakes("default"))["brakes"]
    assert shown["policy"] == "truncate" and (await asked.brakes("other"))["brakes"] == []


@pytest.mark.anyio
async def test_a_refusal_is_judged_when_what_was_under_way_is_settled(desk: Desk, asked: BudgetDesk) -> None:
    """The first call holds nearly all the money and uses nearly none of it: refusing the second one was false."""
    await put(asked, usd="0.0016", scope=SUPPORT, mode="enforce")
    first, second = desk.opening(), desk.opening()
    await desk.open(first)
    with pytest.raises(Refused):
        await desk.open(second)
    found = await asked.refusals("default")
    (line,) = found["refusals"]
    assert line["false"] is None and line["name"] == "support" and list(line["in_flight"]) == [first.id]
    assert found["reasons"][0]["unknown"] == 1
    await desk.settle(first)
    found = await asked.refusals("default", "support")
    assert found["refusals"][0]["false"] is True
    (reason,) = found["reasons"]
    assert (reason["mode"], reason["refused"], reason["false"], reason["unknown"]) == ("enforce", 1, 1, 0)
    (account,) = (await asked.list("default"))["accounts"]
    assert account["refused"] == 1 and account["stranded_ppm"] > 900_000


@pytest.mark.anyio
async def test_a_refusal_was_right_where_the_money_was_used(desk: Desk, asked: BudgetDesk) -> None:
    await put(asked, usd="0.0016", scope=SUPPORT, mode="enforce")
    first, second = desk.opening(), desk.opening()
    await desk.open(first)
    with pytest.raises(Refused):
        await desk.open(second)
    await desk.settle(first, input_tokens=160, output_tokens=700)
    found = await asked.refusals("default")
    assert found["refusals"][0]["false"] is False and found["reasons"][0]["false"] == 0


@pytest.mark.anyio
async def test_false_refusals_come_first_and_observed_ones_stand_beside(desk: Desk, asked: BudgetDesk) -> None:
    await put(asked, usd="0.0016", scope=SUPPORT, mode="observe")
    first, second = desk.opening(), desk.opening()
    await desk.open(first)
    await desk.open(second)
    await desk.settle(first)
    await desk.settle(second)
    desk.clock.advance(5)
    await put(asked, usd="0.0001", mode="enforce")
    with pytest.raises(Refused):
        await desk.open(desk.opening())
    found = await asked.refusals("default")
    assert [(one["mode"], one["false"]) for one in found["refusals"]] == [("observe", True), ("enforce", False)]
    assert [(one["mode"], one["false"]) for one in found["reasons"]] == [("observe", 1), ("enforce", 0)]
    assert (await asked.refusals("other"))["refusals"] == []


@pytest.mark.anyio
async def test_what_is_held_is_listed(desk: Desk, asked: BudgetDesk) -> None:
    await put(asked, usd="25", scope=SUPPORT)
    opening = desk.opening()
    await desk.open(opening)
    (line,) = (await asked.reservations("default"))["reservations"]
    assert line["attempt"] == opening.id and line["nano"] > 0 and line["name"] == "support"
    await desk.settle(opening)
    assert (await asked.reservations("default"))["reservations"] == []


@pytest.mark.anyio
async def test_a_budget_of_every_run_hides_no_other_one(desk: Desk, asked: BudgetDesk) -> None:
    await put(asked, name="each user", usd="1", each="user")
    for number in range(4):
        opening = desk.opening(labels={"user": f"u{number}"})
        await desk.open(opening)
        await desk.settle(opening, output_tokens=100 * (number + 1))
    await put(asked, name="each run", usd="1", each="run")
    await put(asked, name="later", usd="1", scope={"workflow": "refunds", "task": "answer"})
    lines = (await asked.list("default", 4))["accounts"]
    assert {line["budget"]["name"] for line in lines} == {"each user", "each run", "later"} and len(lines) <= 4
    assert len((await asked.list("default"))["accounts"]) == 9


@pytest.mark.anyio
async def test_an_account_says_where_its_rows_are(desk: Desk, asked: BudgetDesk) -> None:
    await put(asked, name="care", usd="1", scope={"team": "care"})
    await put(asked, name="person", usd="1", scope={"team": "support"}, each="user")
    await put(asked, name="elsewhere", usd="1", scope={"workflow": "refunds"}, zone="Asia/Tokyo")
    opening = desk.opening(labels={"user": "ann"})
    await desk.open(opening)
    await desk.settle(opening, output_tokens=100)
    rows = {line["budget"]["name"]: line["rows"] for line in (await asked.list("default"))["accounts"]}
    today = desk.governance.organisation.today().isoformat()
    assert rows["care"] == {
        "since": today[:8] + "01", "until": today, "where": ["team:care", "team:support"], "exact": True,
    }  # fmt: skip
    assert rows["person"]["where"] == ["team:support"] and not rows["person"]["exact"], "nobody is looked up by name"
    assert not rows["elsewhere"]["exact"], "its months begin at another hour"
