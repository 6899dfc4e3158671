"""The organisation in a store of either kind."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator

import pytest

from holdfast.errors import Refused
from holdfast.governance.organisation.document import parse
from holdfast.governance.organisation.model import Workflow
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.store.changes import Changes
from holdfast.governance.store.store import Store
from holdfast.testing import FakeClock

pytestmark = pytest.mark.anyio

FILE = parse(
    b"""
organisation: {name: Acme, time_zone: Asia/Tokyo, currency: JPY}
cost_centres: [{name: "1"}, {name: "2"}]
teams: [{name: sales, cost_centre: "1"}, {name: support, cost_centre: "2"}]
workflows: [{name: mail, team: sales, owner: ann, deputy: bob, stage: pilot}]
users: [{name: ann, team: sales}, {name: "user:bob", team: support}]
""",
    "yaml",
)
MAIL = {"workflow": "mail", "team": "sales", "task": "draft", "user": "ann"}


@pytest.fixture
async def organisation(store: Store, clock: FakeClock) -> AsyncIterator[Organisation]:
    made = Organisation(store, clock.wall_ms)
    await made.refresh()
    yield made
    await made.stop()


async def other(store: Store, clock: FakeClock) -> Organisation:
    made = Organisation(store, clock.wall_ms)
    await made.refresh()
    return made


async def test_nobody_is_stopped_before_anything_is_described(organisation: Organisation, clock: FakeClock) -> None:
    whose = organisation.resolve(MAIL, clock.wall_ms())
    assert (whose.workflow, whose.organisation, whose.team) == ("unassigned", "", "")
    assert whose.person.startswith("p-") and "ann" not in whose.person
    assert organisation.zone().key == "UTC" and organisation.currency() == "USD"


async def test_a_file_is_imported_once(organisation: Organisation, store: Store, clock: FakeClock) -> None:
    shown = await organisation.change(FILE, dry_run=True)
    assert {line.action for line in shown} == {"add"} and len(shown) == 8
    assert ("user", "ann") in {(line.kind, line.name) for line in shown}
    assert organisation.workflows() == [] and organisation.at(organisation.today()) == []
    assert len(await organisation.change(FILE, by="user:ann")) == 8
    assert await organisation.change(FILE) == [] and await organisation.change(FILE, dry_run=True) == []
    again = await other(store, clock)
    assert again.at(again.today()) == organisation.at(organisation.today())
    whose = again.resolve(MAIL, clock.wall_ms())
    assert (whose.organisation, whose.team, whose.workflow, whose.cost_centre) == ("Acme", "sales", "mail", "1")
    assert again.workflow("mail") == Workflow("mail", "ann", "bob", "pilot", True, clock.wall_ms(), clock.wall_ms())


async def test_a_team_that_moves_leaves_last_month_as_it_was(organisation: Organisation, clock: FakeClock) -> None:
    await organisation.change(FILE, since=datetime.date(2025, 1, 1))
    day = datetime.date(2025, 3, 1)
    lines = await organisation.move("workflow", "mail", "support", since=day, by="user:ann")
    assert [(line.action, line.fields) for line in lines] == [("change", {"parent": ("sales", "support")})]
    turn_ms = int(datetime.datetime(2025, 2, 28, 15, tzinfo=datetime.UTC).timestamp() * 1_000)  # midnight in Tokyo
    assert organisation.resolve(MAIL, turn_ms - 1).cost_centre == "1"
    assert organisation.resolve(MAIL, turn_ms).cost_centre == "2"
    assert {u.name: u.parent for u in organisation.at(datetime.date(2025, 2, 28))}["mail"] == "sales"
    assert {u.name: u.parent for u in organisation.at(day)}["mail"] == "support"
    assert await organisation.move("workflow", "mail", "support", since=day) == []


async def test_people_move_too_and_nobody_moves_what_is_not_there(organisation: Organisation) -> None:
    await organisation.change(FILE)
    lines = await organisation.move("user", "ann", "support")
    assert [(line.name, line.fields["parent"]) for line in lines] == [("ann", ("sales", "support"))]
    for kind, name, team in (("user", "eve", "sales"), ("team", "nobody", "sales"), ("team", "sales", "nowhere")):
        with pytest.raises(Refused) as refused:
            await organisation.move(kind, name, team)  # type: ignore[arg-type]
        assert refused.value.code == "org.invalid"


async def test_a_complete_file_ends_what_it_does_not_name(organisation: Organisation, clock: FakeClock) -> None:
    await organisation.change(FILE, since=datetime.date(2025, 1, 1))
    rest = parse(b"cost_centres: [{name: '1'}]\nteams: [{name: sales, cost_centre: '1'}]", "yaml")
    lines = await organisation.change(rest, complete=True)
    assert {(line.action, line.kind, line.name) for line in lines} == {
        ("end", "cost_centre", "2"), ("end", "team", "support"), ("end", "workflow", "mail"),
    }  # fmt: skip
    assert organisation.resolve(MAIL, clock.wall_ms()).workflow == "unassigned"
    assert organisation.resolve(MAIL, clock.wall_ms() - 86_400_000).workflow == "mail", "it was there yesterday"


async def test_unknown_workflows_are_listed(organisation: Organisation, store: Store, clock: FakeClock) -> None:
    await organisation.change(FILE)
    for _ in range(3):
        organisation.resolve({"workflow": "typo"}, clock.wall_ms())
    await organisation.flush()
    clock.advance(60)
    organisation.resolve({"workflow": "typo"}, clock.wall_ms())
    await organisation.flush()
    found = {workflow.name: workflow for workflow in (await other(store, clock)).workflows()}
    assert found["typo"] == Workflow("typo", "", "", "", False, clock.wall_ms() - 60_000, clock.wall_ms())
    assert found["mail"].declared
    await organisation.declare("typo", "sales")
    assert organisation.resolve({"workflow": "typo"}, clock.wall_ms()).team == "sales"
    named = organisation.workflow("typo")
    assert named is not None and named.declared


async def test_somebody_has_one_pseudonym_everywhere(
    organisation: Organisation, store: Store, clock: FakeClock
) -> None:
    first = organisation.resolve(MAIL, clock.wall_ms()).person
    assert organisation.resolve({"user": "user:ann"}, clock.wall_ms()).person == first
    assert await organisation.pseudonym("ann") == first
    elsewhere = await other(store, clock)
    assert elsewhere.resolve(MAIL, clock.wall_ms()).person == first and elsewhere.person(first) == "ann"
    assert elsewhere.resolve(MAIL, clock.wall_ms(), tenant="other").person != first
    with pytest.raises(Refused):
        await organisation.pseudonym("x" * 1_000)


async def test_two_processes_see_somebody_first(organisation: Organisation, store: Store, clock: FakeClock) -> None:
    elsewhere = await other(store, clock)
    here, there = organisation.resolve(MAIL, clock.wall_ms()).person, elsewhere.resolve(MAIL, clock.wall_ms()).person
    assert here != there
    await organisation.flush()
    clock.advance(1)
    await elsewhere.flush()
    await organisation.refresh()
    assert organisation.person(here) == organisation.person(there) == "ann", "both lead to her"
    assert organisation.resolve(MAIL, clock.wall_ms()).person == here == elsewhere.resolve(MAIL, 0).person
    assert await organisation.forget("ann") == 2
    assert organisation.person(here) == organisation.person(there) == ""


async def test_who_is_deleted_is_nowhere_and_comes_back_as_somebody_else(
    organisation: Organisation, store: Store, clock: FakeClock
) -> None:
    await organisation.change(FILE, by="user:ann")
    before = organisation.resolve(MAIL, clock.wall_ms()).person
    assert await organisation.forget("user:ann") == 1
    assert organisation.person(before) == "" and await organisation.forget("ann") == 0
    mail = organisation.workflow("mail")
    assert mail is not None and (mail.owner, mail.deputy) == ("", "bob")

    def everything(connection):  # type: ignore[no-untyped-def]
        from holdfast.governance.store.tables.base import metadata

        rows = [row for table in metadata.sorted_tables for row in connection.execute(table.select())]
        return str(rows)

    assert "ann" not in await store.read(everything)
    after = organisation.resolve(MAIL, clock.wall_ms()).person
    assert after not in ("", before)


async def test_two_changes_at_once_both_hold(organisation: Organisation, store: Store, clock: FakeClock) -> None:
    await organisation.change(FILE)
    elsewhere = await other(store, clock)
    one, two = parse(b"teams: [{name: one}]", "yaml"), parse(b"teams: [{name: two}]", "yaml")
    await asyncio.gather(organisation.change(one), elsewhere.change(two))
    await organisation.refresh()
    names = {unit.name for unit in organisation.at(organisation.today())}
    assert {"one", "two", "sales"} <= names


async def test_another_process_is_noticed(organisation: Organisation, store: Store, clock: FakeClock) -> None:
    changes = Changes(store)
    changes.follow("organisation", organisation.refresh)
    await (await other(store, clock)).change(FILE)
    assert organisation.resolve(MAIL, clock.wall_ms()).workflow == "unassigned"
    await changes.look()
    assert organisation.resolve(MAIL, clock.wall_ms()).workflow == "mail"


async def test_tenants_have_organisations_of_their_own(organisation: Organisation, clock: FakeClock) -> None:
    await organisation.change(FILE, tenant="one")
    assert organisation.resolve(MAIL, clock.wall_ms(), "one").workflow == "mail"
    assert organisation.resolve(MAIL, clock.wall_ms(), "two").workflow == "unassigned"
    assert organisation.zone("one").key == "Asia/Tokyo" and organisation.zone("two").key == "UTC"
