"""What each source finds, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.governance.budgets import request_store
from holdfast.governance.budgets.model import Budget, RaiseRequest
from holdfast.governance.directory.model import Person
from holdfast.governance.inbox.model import DAY_MS, InboxItem
from holdfast.governance.inbox.service import OwnerInbox
from holdfast.governance.inbox.sources.requests import RequestConditions
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.store import add_rows
from holdfast.governance.store.tables.outcomes import outcome_proxies
from holdfast.governance.store.tables.workflows import workflow_ideas
from holdfast.governance.workflows import journal_store
from holdfast.governance.workflows.run_record import JournalRun
from tests.unit.governance.rollout.conftest import TENANT, WORKFLOW, Company

pytestmark = pytest.mark.anyio


async def items(company: Company, inbox: OwnerInbox) -> dict[str, InboxItem]:
    """What everybody has to do now, by kind and person."""
    await company.plan.compute(TENANT)
    await inbox.compute(TENANT)
    page = await inbox.listed(TENANT, None, 200)
    assert page.failures == {}
    return {f"{one.kind} {one.person or one.role}": one for one in page.items}


async def test_gates_in_the_way_are_somebodys_until_they_are_green(company: Company, whole: OwnerInbox) -> None:
    await company.manifest(mode="enforce", owner="ann", deputy="")
    found = await items(company, whole)
    assert found["gate:6.a cem"].what == "Name a deputy in the manifest, and apply it"
    assert not found["gate:6.a cem"].stops, "it was not launched yet"
    assert not [key for key in found if key.startswith(("gate:2.a", "gate:7"))], "nobody can do what is not built"
    assert not [key for key in found if "6.b" in key]
    await company.manifest()
    await company.staffed()
    assert "gate:6.a cem" not in await items(company, whole)


async def test_a_gate_of_running_that_fails_stops_and_is_due_in_a_day(company: Company, whole: OwnerInbox) -> None:
    await company.manifest(mode="enforce")
    await company.staffed()
    for state in ("pilot", "production"):
        await company.workflows.set_state(TENANT, WORKFLOW, state, by="user:root", reason="")  # type: ignore[arg-type]
    await company.people(Person("ann", unit="it"), Person("bob", unit="sales"))
    item = (await items(company, whole))["gate:6.a cem"]
    assert item.stops and item.due_ms == company.clock.wall_ms() + DAY_MS and "begins nothing new" in item.why


async def test_what_fails_in_production_and_stops_nothing_is_an_alarm_with_a_date(
    company: Company, whole: OwnerInbox
) -> None:
    await company.manifest()
    row = Row(id="a1", call="c1", at_ms=company.clock.wall_ms() - 2 * DAY_MS, day="2025-06-10", month="2025-06",
              period="2025-06", workflow=WORKFLOW, usage="seated")  # fmt: skip
    await company.store.write(lambda connection: add_rows(connection, [row]))
    assert not [key for key in await items(company, whole) if key.startswith("alarm")]
    for state in ("pilot", "production"):
        await company.workflows.set_state(TENANT, WORKFLOW, state, by="user:root", reason="")  # type: ignore[arg-type]
    found = await items(company, whole)
    alarm = found["alarm:9.a platform"]
    assert not alarm.stops and (alarm.sponsor, alarm.severity) == ("cem", "high")
    assert alarm.due_ms == company.clock.wall_ms() + 14 * DAY_MS


async def test_acceptances_are_asked_for_and_again_before_they_end(company: Company, whole: OwnerInbox) -> None:
    await company.manifest()
    assert {"accept.role ann", "accept.role bob"} <= (await items(company, whole)).keys()
    await company.staffed()
    assert not [key for key in await items(company, whole) if key.startswith("accept")]
    company.pass_days(180 - 13.5)
    found = await items(company, whole)
    assert found["accept.role ann"].due_ms - company.clock.wall_ms() == 13.5 * DAY_MS


async def test_a_deputy_who_left_is_the_owners_to_replace(company: Company, whole: OwnerInbox) -> None:
    await company.manifest()
    await company.people(Person("ann", unit="sales"), Person("bob", unit="sales", active=False))
    assert (await items(company, whole))["people.left ann"].title == "answer-mail: its deputy bob has left"


async def test_a_waiver_that_ends_soon_is_told_a_week_before(company: Company, whole: OwnerInbox) -> None:
    await company.manifest(deputy="")
    until_ms = company.clock.wall_ms() + 20 * DAY_MS
    await company.plan.waive(TENANT, "6.a", WORKFLOW, by="user:cem", reason="soon", until_ms=until_ms, may_waive=False)
    assert "waiver.ends ann" not in await items(company, whole)
    company.pass_days(13.5)
    item = (await items(company, whole))["waiver.ends ann"]
    assert item.due_ms == until_ms and "ann has no deputy" in item.why
    await company.plan.end_waiver(TENANT, (company.plan.waivers(TENANT))[0].id, "user:cem")
    assert "waiver.ends ann" not in await items(company, whole)


async def test_a_request_for_money_waits_for_whoever_decides(company: Company, whole: OwnerInbox) -> None:
    budget = Budget(id="b-1", name="mail", decider="user:dee", scope={"workflow": WORKFLOW})
    whole.sources.append(RequestConditions(company.store, lambda tenant: (budget,)))
    whole.sources[:] = [one for one in whole.sources if one.name != "requests"] + whole.sources[-1:]
    asks = RaiseRequest(id="r-1", budget="b-1", from_nano=10**9, to_nano=2 * 10**9, by="user:ann", why="more mail",
                        at_ms=company.clock.wall_ms())  # fmt: skip
    await company.store.write(lambda connection: request_store.add_request(connection, asks))
    item = (await items(company, whole))["budget.request dee"]
    assert not item.stops and item.due_ms == company.clock.wall_ms() + 2 * DAY_MS
    import msgspec

    decided = msgspec.structs.replace(asks, state="denied", decided_by="user:dee", decided_ms=1)
    await company.store.write(lambda connection: request_store.decide(connection, decided))
    assert "budget.request dee" not in await items(company, whole)


async def test_an_idea_that_nobody_judged(company: Company, whole: OwnerInbox) -> None:
    idea = {"id": "x", "tenant": TENANT, "name": "sort-mail", "title": "Sort mail", "by": "user:flo", "at_ms": 5, "document": {},
            "state": "new", "workflow": "", "changed_ms": 5}  # fmt: skip
    await company.store.write(lambda connection: connection.execute(workflow_ideas.insert(), idea))
    assert (await items(company, whole))["idea.triage risk"].title == "The idea Sort mail waits"


async def ran(company: Company, count: int, *, again: int = 0, failed: int = 0, task: str | None = None) -> None:
    """So many runs of yesterday, some of which were asked again, or failed."""
    at_ms = company.clock.wall_ms() - DAY_MS

    def work(connection: Any) -> None:
        for number in range(count):
            name = f"r{at_ms}-{number}"
            made = JournalRun(id=f"i:{name}", run=name, root=name, workflow=WORKFLOW, queued_ms=at_ms,
                              task=task, status="failed" if number < failed else "completed")  # fmt: skip
            journal_store.add(connection, made, "s1", "i")
            found = journal_store.find(connection, TENANT, made.id)
            assert found is not None
            if number < again:
                proxy = {"tenant": TENANT, "session": found.session, "run": name, "input": "m", "edited": False,
                         "regenerated": True, "at_ms": at_ms}  # fmt: skip
                connection.execute(outcome_proxies.insert(), proxy)

    await company.store.write(work)


async def test_answers_that_people_ask_again_are_looked_at(company: Company, whole: OwnerInbox) -> None:
    await company.manifest()
    await ran(company, 40, again=4)
    assert not [key for key in await items(company, whole) if key.startswith("work")]
    company.clock.advance(60)
    await ran(company, 10, again=1, failed=5)
    found = await items(company, whole)
    assert found["work.again ann"].why == "5 of 50 runs of a week were edited or asked again"
    assert found["work.failed ann"].why == "5 of 50 runs of a week ended with a failure"
    company.pass_days(8)
    assert not [key for key in await items(company, whole) if key.startswith("work")]


async def test_answers_are_looked_at_by_task(company: Company, whole: OwnerInbox) -> None:
    """What goes wrong with one task does not disappear among all the others."""
    await company.manifest()
    await ran(company, 100, again=2)
    company.clock.advance(60)
    await ran(company, 20, again=6, task="translate")
    company.clock.advance(60)
    await ran(company, 20, again=1, task="summarise")
    item = (await items(company, whole))["work.again ann"]
    assert (item.title, item.why) == (
        "answer-mail: look at its answers to translate", "6 of 20 runs of a week were edited or asked again",
    )  # fmt: skip
    company.clock.advance(60)
    await ran(company, 60, task="translate")
    assert "work.again ann" not in await items(company, whole)
