"""An item closes when its condition is computed as gone, and by nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import Refused
from holdfast.governance.inbox.model import DAY_MS, HOUR_MS, MINUTE_MS, InboxItem
from holdfast.governance.inbox.service import OwnerInbox
from tests.unit.governance.inbox.conftest import Things, thing
from tests.unit.governance.rollout.conftest import TENANT, Company

pytestmark = pytest.mark.anyio


async def only(inbox: OwnerInbox, person: str | None = "ann") -> InboxItem:
    (item,) = (await inbox.listed(TENANT, person)).items
    return item


async def test_what_is_computed_is_there_once_and_closed_when_it_is_gone(
    inbox: OwnerInbox, things: Things, company: Company
) -> None:
    things.found = [thing(due_ms=company.clock.wall_ms() + DAY_MS)]
    assert len((await inbox.compute(TENANT)).opened) == 1
    assert not (await inbox.compute(TENANT)).opened
    item = await only(inbox)
    assert (item.person, item.title, item.minutes) == ("ann", "thing a", 20)
    things.found = []
    (closed,) = (await inbox.compute(TENANT)).closed
    assert (closed.id, closed.closed_by, closed.in_time) == (item.id, "computed", True)
    assert (await inbox.listed(TENANT, "ann")).items == ()
    assert [one.id for one in await inbox.history(TENANT, "ann")] == [item.id]


async def test_saying_done_closes_nothing_that_is_still_so(inbox: OwnerInbox, things: Things) -> None:
    things.found = [thing()]
    await inbox.compute(TENANT)
    item, why = await inbox.done(TENANT, (await only(inbox)).id, "user:ann")
    assert item.closed_ms is None and (item.done_by, why) == ("user:ann", "it is still so: it is so")
    things.found = []
    item, why = await inbox.done(TENANT, item.id, "user:ann")
    assert item.closed_ms is not None and (item.closed_by, why) == ("computed", "")
    assert (await inbox.done(TENANT, item.id, "user:ann"))[0].closed_ms == item.closed_ms


async def test_a_source_that_fails_closes_nothing(inbox: OwnerInbox, things: Things) -> None:
    things.found = [thing()]
    await inbox.compute(TENANT)
    things.fails = True
    item, why = await inbox.done(TENANT, (await only(inbox)).id, "user:ann")
    assert item.closed_ms is None and "it cannot be computed now (OSError: the disk is gone)" in why
    page = await inbox.listed(TENANT, "ann")
    assert len(page.items) == 1 and page.failures == {"things": "OSError: the disk is gone"}
    things.fails = False
    assert (await inbox.compute(TENANT)).stayed
    assert (await inbox.listed(TENANT, "ann")).failures == {}


async def test_one_key_is_one_item_and_the_earlier_date_counts(
    inbox: OwnerInbox, things: Things, company: Company
) -> None:
    now = company.clock.wall_ms()
    things.found = [thing(due_ms=now + 9 * DAY_MS), thing(due_ms=now + 5 * DAY_MS)]
    await inbox.compute(TENANT)
    assert (await only(inbox)).due_ms == now + 5 * DAY_MS
    things.found = [thing(due_ms=now + 90 * DAY_MS)]  # whoever moves the date away
    await inbox.compute(TENANT)
    assert (await only(inbox)).due_ms == now + 5 * DAY_MS
    company.pass_days(6)
    things.found = []
    assert [one.in_time for one in (await inbox.compute(TENANT)).closed] == [False]


async def test_what_comes_back_within_a_day_is_the_same_item_due_when_it_was(
    inbox: OwnerInbox, things: Things, company: Company
) -> None:
    now = company.clock.wall_ms()
    things.found = [thing(due_ms=now + DAY_MS)]
    await inbox.compute(TENANT)
    first = await only(inbox)
    things.found = []
    await inbox.compute(TENANT)
    company.pass_days(0.9)
    things.found = [thing(due_ms=now + 30 * DAY_MS)]
    await inbox.compute(TENANT)
    again = await only(inbox)
    assert (again.id, again.due_ms, again.reopened, again.in_time) == (first.id, first.due_ms, 1, None)
    assert await inbox.history(TENANT, "ann") == []
    things.found = []
    await inbox.compute(TENANT)
    company.pass_days(1.1)
    things.found = [thing(due_ms=now + 30 * DAY_MS)]
    await inbox.compute(TENANT)
    assert (await only(inbox)).id != first.id
    assert [one.id for one in await inbox.history(TENANT, "ann")] == [first.id], "a closed item is never lost"


async def test_what_stops_something_is_first_then_what_is_due_and_the_rest_is_counted(
    inbox: OwnerInbox, things: Things, company: Company
) -> None:
    now = company.clock.wall_ms()
    things.found = [thing("old", severity="low")]
    await inbox.compute(TENANT)
    company.clock.advance(60)
    things.found += [
        thing("high", severity="high"), thing("far", due_ms=now + 9 * DAY_MS), thing("due", severity="low", due_ms=now + HOUR_MS),
        thing("late", severity="low", due_ms=now - HOUR_MS), thing("stop", severity="low", stops=True),
        thing("bob's", person="bob"),
    ]  # fmt: skip
    await inbox.compute(TENANT)
    page = await inbox.listed(TENANT, "ANN")
    assert [item.key for item in page.items] == ["stop", "late", "due", "high", "far", "old"]
    page = await inbox.listed(TENANT, "ann", 2)
    assert [item.key for item in page.items] == ["stop", "late"] and page.more == 4
    assert len((await inbox.listed(TENANT, None)).items) == 7


async def test_of_another_tenant_nothing_is_seen(inbox: OwnerInbox, things: Things) -> None:
    things.found = [thing()]
    await inbox.compute(TENANT)
    ident = (await only(inbox)).id
    assert (await inbox.listed("other", None)).items == ()
    for ask in (inbox.item("other", ident), inbox.done("other", ident, "user:eve")):
        with pytest.raises(Refused, match="there is no item"):
            await ask


async def test_who_has_it_now_has_not_seen_it(inbox: OwnerInbox, things: Things) -> None:
    things.found = [thing()]
    await inbox.compute(TENANT)
    assert (await inbox.item(TENANT, (await only(inbox)).id, "bob")).seen_ms == 0  # a look by somebody else is none
    assert (await inbox.item(TENANT, (await only(inbox)).id, "ann")).seen_by == "ann"
    things.found = [thing(person="bob")]
    await inbox.compute(TENANT)
    item = await only(inbox, "bob")
    assert (item.person, item.seen_ms, item.seen_by) == ("bob", 0, "")


async def handled(inbox: OwnerInbox, things: Things, company: Company, key: str, minutes: float, **facts: Any) -> None:
    """Somebody has an item in hand for a while, and it is gone then."""
    things.found = [thing(key, **facts)]
    (item,) = (await inbox.compute(TENANT)).opened
    company.clock.advance(3_600)  # it lies there, and nobody works on it
    await inbox.item(TENANT, item.id, item.person)
    company.clock.advance(minutes * 60)
    things.found = []
    await inbox.compute(TENANT)


async def test_handling_is_measured_from_when_it_was_opened_and_declared_until_there_are_five(
    inbox: OwnerInbox, things: Things, company: Company
) -> None:
    for number, minutes in enumerate((4, 6, 8, 600)):
        await handled(inbox, things, company, f"k{number}", minutes, workflow="w")
    load = await inbox.load(TENANT, "w", 1.0)
    assert [(one.kind, one.items, one.minutes, one.measured) for one in load.kinds] == [("work", 4, 20, 0)]
    await handled(inbox, things, company, "k4", 10, workflow="w")
    load = await inbox.load(TENANT, "w", 0.1)
    assert [(one.items, one.minutes, one.measured) for one in load.kinds] == [(5, 8, 5)]
    assert (load.needed_minutes, load.allotted_minutes, load.short_minutes) == (10, 6, 4)
    things.found = [thing("next")]
    await inbox.compute(TENANT)
    assert (await only(inbox)).minutes == 8
    assert MINUTE_MS == 60_000
