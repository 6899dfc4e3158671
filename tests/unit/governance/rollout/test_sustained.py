"""Gate 6.b: from unknown over red to green by what is really done in an inbox, and each way to look busy stays red."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from holdfast.governance.inbox.model import DAY_MS, Condition, InboxItem
from holdfast.governance.inbox.service import OwnerInbox
from holdfast.governance.store.tables.inbox import inbox_items
from holdfast.governance.workflows.model import OwnerHours
from tests.unit.governance.rollout.conftest import TENANT, WORKFLOW, Company

pytestmark = pytest.mark.anyio


class Work:
    """What somebody has to do for the workflow, and does."""

    name = "things"

    def __init__(self, company: Company) -> None:
        self.company = company
        self.there: dict[str, Condition] = {}
        self.fails = False
        self.inbox = OwnerInbox(company.store, company.directory, company.organisation.zone, company.clock.wall_ms)
        self.inbox.sources.append(self)

    async def conditions(self, tenant: str, now_ms: int, /) -> list[Condition]:
        if self.fails:
            raise OSError("the source is down")
        return list(self.there.values())

    async def comes(self, *keys: str, days: float = 1.0, **facts: Any) -> None:
        """Something is to be done within days."""
        due = self.company.clock.wall_ms() + int(days * DAY_MS)
        for key in keys:
            self.there[key] = Condition(
                **{"key": key, "kind": "accept.role", "workflow": WORKFLOW, "person": "ann", "title": key, "why": "so",
                   "what": "Do it", "due_ms": due, **facts}
            )  # fmt: skip
        await self.inbox.compute(TENANT)

    async def does(self, *keys: str) -> None:
        """It is done: computed as gone."""
        for key in keys:
            del self.there[key]
        await self.inbox.compute(TENANT)

    async def items(self) -> dict[str, InboxItem]:
        return {one.key: one for one in (await self.inbox.listed(TENANT, "ann", 200)).items}


@pytest.fixture
async def work(company: Company) -> Work:
    await company.manifest(hours=OwnerHours(1.0))
    return Work(company)


KEYS = tuple(f"k{number}" for number in range(10))


async def days_later(work: Work, days: float = 2.0) -> tuple[str, str]:
    """What the gate says some days later, when the days of what was due are complete."""
    work.company.pass_days(days)
    await work.inbox.compute(TENANT)
    return await work.company.verdict("6.b")


async def test_from_unknown_over_red_to_green(work: Work) -> None:
    company = work.company
    assert await company.verdict("6.b") == ("unknown", "the inbox was never computed")
    await work.comes(*KEYS[:4])
    await work.does(*KEYS[:4])
    assert await days_later(work) == ("unknown", "4 items were due, of 5 at least")
    await work.comes(*KEYS[4:])
    assert await days_later(work) == ("fail", "4 of 10 items were done in time, of 90 % wanted")
    await work.does(*KEYS[4:])  # late is late
    assert (await days_later(work))[0] == "fail"
    company.pass_days(28)
    await work.comes(*KEYS)
    await work.does(*KEYS)
    shown, reason = await days_later(work)
    assert shown == "pass" and reason == "10 of 10 items were done in time, and 0.2 of 1.0 hours a week are needed"


async def test_saying_of_all_that_they_are_done_closes_none(work: Work) -> None:
    await work.comes(*KEYS)
    for item in (await work.items()).values():
        await work.inbox.done(TENANT, item.id, "user:ann")
    assert await days_later(work) == ("fail", "0 of 10 items were done in time, of 90 % wanted")


async def test_what_was_mended_for_an_hour_was_not_done(work: Work) -> None:
    await work.comes(*KEYS)
    await work.does(*KEYS)
    work.company.clock.advance(3_600)
    await work.comes(*KEYS, days=30)  # and is due later, as they have it
    assert (await days_later(work))[0] == "fail"


async def close_by_hand(work: Work, closed_by: str) -> None:
    """Somebody who can write into the store closes everything in it."""
    values = {"closed_ms": work.company.clock.wall_ms(), "closed_by": closed_by, "in_time": True}
    await work.company.store.write(lambda connection: connection.execute(update(inbox_items).values(values)))


async def test_items_that_were_closed_by_hand_do_not_count(work: Work) -> None:
    await work.comes(*KEYS)
    await close_by_hand(work, "ann")
    work.there.clear()  # it is gone later, and by then nobody computes that of these
    assert (await days_later(work))[0] == "fail"


async def test_items_that_were_closed_by_a_forger_and_are_still_so_do_not_count(work: Work) -> None:
    await work.comes(*KEYS)
    await close_by_hand(work, "computed")
    work.company.clock.advance(60)
    await work.inbox.compute(TENANT)  # it is computed again, and there again
    assert (await days_later(work))[0] == "fail"


async def test_what_is_moved_to_a_later_date_is_due_when_it_was(work: Work) -> None:
    await work.comes(*KEYS)
    await work.comes(*KEYS, days=60)
    assert (await days_later(work))[0] == "fail"


async def test_more_hours_than_are_allotted_is_red_and_the_brief_says_whom_it_needs(work: Work) -> None:
    await work.company.manifest(hours=OwnerHours(0.1))
    await work.comes(*KEYS)
    await work.does(*KEYS)
    assert await days_later(work) == ("fail", "0.2 of 0.1 hours a week are needed")
    load = await work.inbox.load(TENANT, WORKFLOW, 0.1)
    assert (load.needed_minutes, load.allotted_minutes) == (13, 6)


async def test_no_hours_in_the_manifest_are_none(work: Work) -> None:
    await work.company.manifest()
    await work.comes(*KEYS)
    await work.does(*KEYS)
    assert (await days_later(work)) == ("fail", "0.2 of 0.0 hours a week are needed")


async def test_hours_are_of_what_was_measured(work: Work) -> None:
    await work.comes(*KEYS)
    for item in (await work.items()).values():
        await work.inbox.item(TENANT, item.id, "ann")
    work.company.clock.advance(40 * 60)
    await work.does(*KEYS)
    assert await days_later(work) == ("fail", "1.7 of 1.0 hours a week are needed")


async def green(work: Work) -> None:
    await work.comes(*KEYS)
    await work.does(*KEYS)
    assert (await days_later(work))[0] == "pass"


async def test_a_source_that_is_down_makes_it_unknown_once_no_verdict_stands(work: Work) -> None:
    await green(work)
    work.fails = True
    shown, reason = await days_later(work)
    assert shown == "pass" and "stands, for the inbox could not compute things for 48 hours" in reason
    assert (await days_later(work, 5.5))[0] == "unknown"


async def test_a_verdict_expires_after_seven_days(work: Work) -> None:
    await green(work)
    work.company.pass_days(7.1)
    found = next(one for one in work.company.plan.gates(TENANT, WORKFLOW) if one.gate == "6.b")
    assert found.shown == "unknown"


async def test_what_others_have_to_do_is_not_the_owners(work: Work) -> None:
    await work.comes(*KEYS, role="payer", person="dee")
    assert await days_later(work) == ("unknown", "0 items were due, of 5 at least")
