"""Moves against the gates of step 6: an owner who is nobody, and work that is only closed."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select

from holdfast.company.cheats.move import CheatMove, MoveFacts, NaiveCheck
from holdfast.company.cheats.rehearsal import COMPANY, DAY_MS, WORKFLOW, CastPlace
from holdfast.governance.directory.model import Person
from holdfast.governance.inbox.assembly import inbox_of
from holdfast.governance.inbox.service import OwnerInbox
from holdfast.governance.store.tables.inbox import inbox_items
from holdfast.governance.workflows.model import OwnerHours

MAILBOX: Final = "ai-team-mailbox"
DAYS: Final = 20


class SharedMailbox(CheatMove):
    """6.a: an owner whom nobody is."""

    facts = MoveFacts(
        "shared-mailbox", "6.a", "A shared mailbox as the owner",
        "Nobody wants to own it. A mailbox of the team gets an account in the directory, is named as the owner, and accepts.",
        "An owner is somebody who signed in as a person within 30 days, whatever the directory calls them.",
        "A new workflow of a real team of the company, owned by two people of that team.",
    )  # fmt: skip

    async def set_up(self) -> CastPlace:
        """Two people answer for it."""
        place = await self.on.company_place()
        await self.on.directory.hear(COMPANY, "import")
        await self.on.manifest(place)
        for name in (place.owner, place.deputy):
            await self.on.directory.sign_in(COMPANY, name, self.on.now_ms())
            await self.on.workflows.accept(COMPANY, WORKFLOW, name)
        return place

    async def cheat(self) -> None:
        """Name a mailbox."""
        there = [
            Person(**{name: getattr(one, name) for name in Person.__struct_fields__})
            for one in self.on.directory.people(COMPANY)
        ]
        await self.on.directory.bring(
            COMPANY, [*there, Person(MAILBOX, email=f"{MAILBOX}@company.example", unit=self.place.unit)]
        )
        await self.on.manifest(self.place, owner=MAILBOX)
        await self.on.workflows.accept(COMPANY, WORKFLOW, MAILBOX)

    async def naive(self) -> NaiveCheck:
        """Looks whether the field is filled."""
        found = self.on.workflows.current(COMPANY, WORKFLOW)
        owner = found.owner if found is not None else ""
        accepted = any(one.person == owner for one in self.on.workflows.acceptances(COMPANY, WORKFLOW))
        return NaiveCheck(
            bool(owner) and accepted, f"owner: {owner or 'nobody'}, {'accepted' if accepted else 'not accepted'}"
        )


class BulkClosing(CheatMove):
    """6.b: everything is done, says who has to do it."""

    facts = MoveFacts(
        "bulk-closing", "6.b", "Closing the inbox in one go",
        "The owner opens the inbox, says of every item that it is done, and does nothing.",
        "Saying that something is done closes nothing: its condition is computed again, and only what is gone is closed.",
        "Small books of its own: a workflow with much to mend, three weeks ago, and the three weeks since.",
    )  # fmt: skip
    inbox: OwnerInbox

    async def set_up(self) -> CastPlace:
        """Much is to be done within a week, and nothing is."""
        self.on.clock.pass_days(-DAYS)
        place = await self.on.books_place()
        await self.on.manifest(place, hours=OwnerHours(4.0))
        for gate in ("2.b", "7.a", "8.a"):
            await self.on.plan.waive(
                place.tenant, gate, WORKFLOW, by=f"user:{place.sponsor}", reason="until the end of the week",
                until_ms=self.on.now_ms() + 6 * DAY_MS, may_waive=False,
            )  # fmt: skip
        self.inbox = inbox_of(
            self.on.store, self.on.organisation, self.on.directory, self.on.workflows, self.on.plan,
            self.on.budgets.definitions, self.on.now_ms,
        )  # fmt: skip
        await self.on.plan.compute(place.tenant, WORKFLOW)
        await self.inbox.compute(place.tenant)
        return place

    async def cheat(self) -> None:
        """Say of all that they are done; the day on which they were due comes, and passes."""
        page = await self.inbox.listed(self.place.tenant, None, 200)
        for item in page.items:
            await self.inbox.done(self.place.tenant, item.id, f"user:{self.place.owner}")
        self.on.clock.pass_days(DAYS)
        await self.inbox.compute(self.place.tenant)

    async def naive(self) -> NaiveCheck:
        """Counts what was ticked off of all that was due."""
        of = inbox_items.c
        wanted = select(of.done_ms).where(
            of.tenant == self.place.tenant, of.workflow == WORKFLOW, of.role.in_(("owner", "deputy")),
            of.due_ms > 0, of.due_ms <= self.on.now_ms(),
        )  # fmt: skip
        marks = await self.on.store.read(lambda connection: list(connection.scalars(wanted)))
        if not marks:
            return NaiveCheck(True, "nothing is overdue")
        done = sum(bool(one) for one in marks)
        green = done * 100 >= len(marks) * 90
        return NaiveCheck(green, f"{done} of {len(marks)} items are ticked off as done, of 90 % wanted")
