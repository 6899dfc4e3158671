"""Somebody leaves: the deputy acts as owner, and is told; who is the last one leaves a workflow that begins nothing new."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from holdfast.gateway.settings import GatewaySettings
from holdfast.governance.app import Governance
from holdfast.governance.directory import store as statements
from holdfast.governance.directory.model import Person
from holdfast.governance.directory.service import Directory
from holdfast.governance.inbox.service import OwnerInbox
from holdfast.governance.inbox.succession import BY, Succession
from holdfast.governance.messages.model import Message
from holdfast.governance.organisation.document import parse
from holdfast.governance.workflows.model import WorkflowManifest
from holdfast.testing import FakeClock
from tests.unit.governance.inbox.conftest import Letters
from tests.unit.governance.rollout.conftest import MANIFEST, TEAMS, TENANT, WORKFLOW, Company

pytestmark = pytest.mark.anyio
ANN, BOB = Person("ann", unit="sales", email="ann@acme.example"), Person("bob", unit="sales", email="bob@acme.example")
GONE = Person("ann", unit="sales", active=False)
CEM = Person("cem", unit="it", email="cem@acme.example")


@pytest.fixture
async def staffed(company: Company, whole: OwnerInbox) -> Company:
    """Ann owns it, bob is deputy, cem sponsors it; it is in production, and enforced."""
    company.plan.before_compute = Succession(company.workflows, company.directory, whole).settle
    await company.manifest(mode="enforce")
    await company.staffed()
    for state in ("pilot", "production"):
        await company.workflows.set_state(TENANT, WORKFLOW, state, by="user:root", reason="it is ready")  # type: ignore[arg-type]
    assert (await company.verdict("6.a"))[0] == "pass"
    return company


def facts(company: Company) -> Any:
    found = company.workflows.current(TENANT, WORKFLOW)
    assert found is not None
    return found


async def test_the_deputy_acts_as_owner_and_both_who_must_know_are_told(
    staffed: Company, whole: OwnerInbox, letters: Letters
) -> None:
    before = facts(staffed)
    await staffed.people(GONE, BOB, CEM)
    assert await staffed.verdict("6.a") == ("pass", "bob stands in for ann until 2025-06-29")
    after = facts(staffed)
    assert (after.owner, after.deputy, after.sponsor) == ("bob", "", "cem")
    same = ("state", "mode", "stage", "version", "unit", "payer", "since_ms", "manifest")
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same], "nothing else changes"
    assert staffed.plan.failing(TENANT, WORKFLOW) is None
    steps = await staffed.workflows.steps(TENANT, WORKFLOW)
    assert {(one.what, one.before, one.after) for one in steps if one.by == BY} == {
        ("owner", "ann", "bob"), ("deputy", "bob", ""),
    }  # fmt: skip
    await whole.tell()
    assert [(one.people, one.text) for one in letters.sent] == [
        (("bob@acme.example",), "answer-mail: bob acts as owner, for ann has left"),
        (("cem@acme.example",), "answer-mail: bob acts as owner, for ann has left"),
    ]
    await staffed.verdict("6.a")
    await whole.tell()
    assert len(letters.sent) == 2, "each is told once"
    await whole.compute(TENANT)
    kinds = {item.kind for item in (await whole.listed(TENANT, "bob")).items}
    assert {"accept.role", "people.deputy"} <= kinds


async def test_the_days_without_a_deputy_end(staffed: Company) -> None:
    await staffed.people(GONE, BOB, CEM)
    await staffed.verdict("6.a")
    staffed.pass_days(13.9)
    await staffed.people(GONE, BOB, CEM)
    assert (await staffed.verdict("6.a"))[0] == "pass"
    staffed.pass_days(0.2)
    await staffed.people(GONE, BOB, CEM)
    assert await staffed.verdict("6.a") == ("fail", "bob has no deputy")


async def test_applying_the_old_manifest_again_begins_no_new_days(staffed: Company) -> None:
    await staffed.people(GONE, BOB, CEM)
    await staffed.verdict("6.a")
    staffed.pass_days(10)
    await staffed.people(GONE, BOB, CEM)
    await staffed.manifest()  # names ann as owner, and bob as deputy
    assert await staffed.verdict("6.a") == ("pass", "bob stands in for ann until 2025-06-29")
    staffed.pass_days(5)
    await staffed.people(GONE, BOB, CEM)
    assert await staffed.verdict("6.a") == ("fail", "bob has no deputy")


async def test_who_makes_themselves_owner_needs_a_deputy_at_once(staffed: Company) -> None:
    await staffed.workflows.set_people(TENANT, WORKFLOW, by="user:bob", reason="I do it", owner="bob", deputy="")
    assert await staffed.verdict("6.a") == ("fail", "bob has no deputy")


async def test_whom_the_directory_has_not_brought_yet_has_not_left(company: Company, whole: OwnerInbox) -> None:
    """The first synchronisation brings people one by one, and the deputy may come first."""
    company.plan.before_compute = Succession(company.workflows, company.directory, whole).settle
    await company.manifest(mode="enforce")
    await company.people(BOB)
    await company.plan.compute(TENANT)
    assert (facts(company).owner, facts(company).deputy) == ("ann", "bob")
    await company.people(BOB, ANN)
    await company.people(BOB, GONE)
    await company.plan.compute(TENANT)
    assert (facts(company).owner, facts(company).deputy) == ("bob", "")


async def test_who_was_deleted_has_left(staffed: Company) -> None:
    def deleted(connection: Connection) -> None:
        person = statements.find(connection, TENANT, "ann")
        assert person is not None
        statements.remove(connection, TENANT, person.id, statements.next_number(connection), staffed.clock.wall_ms())

    await staffed.store.write(deleted)
    await staffed.directory.refresh()
    await staffed.plan.compute(TENANT)
    assert (facts(staffed).owner, facts(staffed).deputy) == ("bob", "")


async def test_both_gone_freezes_at_once(staffed: Company, whole: OwnerInbox, letters: Letters) -> None:
    await staffed.people(GONE, Person("bob", unit="sales", active=False), CEM)
    assert await staffed.verdict("6.a") == ("fail", "the owner ann has left")
    failure = staffed.plan.failing(TENANT, WORKFLOW)
    assert failure is not None and failure.gate == "6.a"
    await whole.compute(TENANT)
    await whole.tell()
    texts = [one.text for one in letters.sent if one.people == ("cem@acme.example",)]
    assert "answer-mail: nobody answers for it, for ann and bob left" in texts
    (item,) = [one for one in (await whole.listed(TENANT, "cem")).items if one.kind == "people.frozen"]
    assert item.stops


async def test_who_stands_in_and_leaves_freezes_it_within_the_days(staffed: Company) -> None:
    await staffed.people(GONE, BOB, CEM)
    assert (await staffed.verdict("6.a"))[0] == "pass"
    await staffed.people(GONE, Person("bob", unit="sales", active=False), CEM)
    assert await staffed.verdict("6.a") == ("fail", "the owner bob has left")


async def test_a_directory_that_is_silent_makes_nobody_leave(staffed: Company) -> None:
    staffed.pass_days(3)
    await staffed.verdict("6.a")
    assert facts(staffed).owner == "ann"


class Arriving(Letters):
    """Letters that somebody waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.news = asyncio.Event()

    async def tell(self, message: Message) -> str | None:
        await super().tell(message)
        self.news.set()
        return None

    async def until(self, holds: Callable[[Message], bool]) -> Message:
        while True:
            self.news.clear()
            for one in self.sent:
                if holds(one):
                    return one
            await self.news.wait()


async def test_what_the_directory_says_is_settled_by_a_server_by_itself(tmp_path: Path, clock: FakeClock) -> None:
    letters = Arriving()
    governance = Governance(
        f"sqlite:///{tmp_path / 'g.db'}", clock, GatewaySettings.of({"upstreams": []}, "test"), ways=[letters]
    )
    await governance.start()
    try:
        await governance.organisation.change(parse(TEAMS, "yaml"), by="user:root")
        await governance.directory.bring(TENANT, [ANN, BOB, CEM])
        manifest = WorkflowManifest(**{**MANIFEST, "mode": "enforce"})
        await governance.workflows.apply(manifest, by="user:ann", tenant=TENANT)
        elsewhere = Directory(governance.store, clock.wall_ms)  # another process, as far as this one sees
        await elsewhere.bring(TENANT, [GONE, BOB, CEM])
        async with asyncio.timeout(30):  # the inbox looks by itself only once a minute, the plan less often
            told = await letters.until(
                lambda one: one.type == "inbox.succession" and one.people == ("cem@acme.example",)
            )
        assert told.text == "answer-mail: bob acts as owner, for ann has left"
        current = governance.workflows.current(TENANT, WORKFLOW)
        assert current is not None and current.owner == "bob"
    finally:
        await governance.stop()
