"""What comes into the inbox from sessions: approvals that wait, tools that fail, answers that are asked again. All of it by what
agents and people really do in a session, read from its feed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from holdfast import testing
from holdfast.agents.run import RunContext
from holdfast.client.session import Session
from holdfast.embed import EmbeddedHub
from holdfast.governance.inbox.assembly import inbox_of
from holdfast.governance.inbox.model import HOUR_MS, InboxItem
from holdfast.governance.inbox.service import OwnerInbox
from holdfast.governance.outcomes.feed import OutcomeFeed
from holdfast.governance.workflows.journal import RunJournal
from holdfast.protocol.fold import View
from tests.unit.governance.inbox.conftest import Letters
from tests.unit.governance.rollout.conftest import TENANT, WORKFLOW, Company

pytestmark = pytest.mark.anyio
MINUTE_S = 60
HOUR_S = 3_600


class Sessions:
    """A hub with the workflow's agent, and the readers of its feed."""

    def __init__(self, company: Company, hub: EmbeddedHub, inbox: OwnerInbox) -> None:
        self.company, self.hub, self.inbox = company, hub, inbox
        engine = hub.hub.engine
        self._readers = (
            RunJournal(engine, company.store, company.workflows),
            OutcomeFeed(engine, company.store, company.clock.wall_ms),
        )

    async def items(self) -> dict[str, InboxItem]:
        """What of sessions somebody has to do now, by kind, once all was read."""
        self.company.clock.advance(1)  # what is of this very moment is of the next window
        for reader in self._readers:
            await reader.read()
        await self.inbox.compute(TENANT)
        page = await self.inbox.listed(TENANT, None, 200)
        assert page.failures == {}
        kinds = ("approval", "tool", "work")
        found = [one for one in page.items if one.kind.partition(".")[0] in kinds]
        assert len({one.kind + one.title for one in found}) == len(found)
        return {f"{one.kind} {number}" if number else one.kind: one for number, one in enumerate(found)}

    async def waiting(self, name: str, text: str = "go") -> Session:
        """A session whose run waits for an approval."""
        await self.hub.session(name).start("mailer", text)
        session = await self.hub.session(name).client()
        async with session.live() as live:
            await live.until(lambda view: any(run["status"] == "waiting" for run in view.runs.values()))
        return session

    async def decide(self, session: Session, number: int = 0) -> None:
        """A person allows what waits, and the run goes on to its end."""
        approvals = [
            item for item in (await session.state()).items if item["kind"] == "approval" and "decision" not in item
        ]
        await session.approve(approvals[number]["id"])
        await self.ended(session)

    @staticmethod
    async def ended(session: Session) -> None:
        def over(view: View) -> bool:
            return all(run["status"] in ("completed", "failed", "cancelled", "lost") for run in view.runs.values())

        async with session.live() as live:
            await live.until(over)


def asks(tool: str, **options: Any) -> Any:
    async def step(run: RunContext) -> None:
        await run.approve(tool, {}, wait=True, **options)

    return step


@contextlib.asynccontextmanager
async def beside(company: Company, inbox: OwnerInbox, *answers: Any) -> AsyncIterator[Sessions]:
    async with testing.hub({"mailer": testing.ScriptedAgent(*answers)}, clock=company.clock) as hub:
        yield Sessions(company, hub, inbox)


async def classed(company: Company, effects: Mapping[str, str]) -> None:
    await company.manifest()
    for tool, effect in effects.items():
        await company.workflows.set_tool(TENANT, tool, effect, by="user:eve")  # type: ignore[arg-type]


# --- approvals
async def test_an_approval_that_waits_is_the_owners_until_it_is_decided(
    company: Company, whole: OwnerInbox, letters: Letters
) -> None:
    await classed(company, {"refund": "write", "peek": "read"})
    async with beside(company, whole, [asks("refund")], [asks("refund")], [asks("peek")]) as sessions:
        first = await sessions.waiting("s1")
        began_ms = company.clock.wall_ms()
        company.clock.advance(MINUTE_S)
        second, third = await sessions.waiting("s2"), await sessions.waiting("s3")
        assert await sessions.items() == {}, "whoever sits in the session decides"
        company.clock.advance(11 * MINUTE_S)
        found = list((await sessions.items()).values())
        assert [one.title for one in found] == [
            f"{WORKFLOW}: 2 approvals of refund wait", f"{WORKFLOW}: an approval of peek waits",
        ], "what acts on the world first"  # fmt: skip
        item = found[0]
        assert (item.person, item.sponsor, item.severity, item.stops) == ("ann", "cem", "high", False)
        assert item.due_ms == began_ms + 2 * HOUR_MS and found[1].due_ms == began_ms + MINUTE_S * 1_000 + 8 * HOUR_MS
        assert (
            "in session s1" in item.why
            and "it acts on the world" in item.why
            and item.what == "Decide it in session s1"
        )
        again, why = await whole.done(TENANT, item.id, "user:ann")
        assert again.closed_ms is None and why.startswith("it is still so"), "a click decides nothing"

        await sessions.decide(first)
        found = list((await sessions.items()).values())
        assert found[0].title == f"{WORKFLOW}: an approval of refund waits" and found[0].id != item.id
        assert found[0].due_ms == began_ms + MINUTE_S * 1_000 + 2 * HOUR_MS, (
            "its own date, and not that of the one before"
        )
        closed = await whole.item(TENANT, item.id)
        assert (closed.closed_by, closed.in_time) == ("computed", True)
        await sessions.decide(second)
        await sessions.decide(third)
        assert await sessions.items() == {}


async def test_an_approval_is_there_after_a_restart_and_goes_when_its_run_ends(
    company: Company, whole: OwnerInbox
) -> None:
    await classed(company, {})
    async with beside(company, whole, [asks("refund")]) as sessions:
        session = await sessions.waiting("s1")
        company.clock.advance(11 * MINUTE_S)
        (item,) = (await sessions.items()).values()
        for one in (company.organisation, company.directory, company.workflows):
            await one.refresh()
        anew = inbox_of(
            company.store, company.organisation, company.directory, company.workflows, company.plan, lambda tenant: (),
            company.clock.wall_ms,
        )  # fmt: skip
        restarted = Sessions(company, sessions.hub, anew)
        assert [one.id for one in (await restarted.items()).values()] == [item.id]
        await session.cancel()
        await sessions.ended(session)
        assert await restarted.items() == {}
        assert (await anew.item(TENANT, item.id)).closed_by == "computed"


async def test_an_approval_that_expired_was_not_decided_in_time(company: Company, whole: OwnerInbox) -> None:
    await classed(company, {})
    async with beside(
        company, whole, [asks("refund", deadline_s=HOUR_S)], [asks("refund", deadline_s=HOUR_S - 1)]
    ) as at:
        session = await at.waiting("s1")
        began_ms = company.clock.wall_ms()
        await at.waiting("s2")
        company.clock.advance(11 * MINUTE_S)
        (item,) = (await at.items()).values()
        assert item.title == f"{WORKFLOW}: an approval of refund waits", "nobody could come in time to the other one"
        assert item.due_ms == began_ms + HOUR_MS * 3 // 4
        company.clock.advance(HOUR_S)
        await at.ended(session)
        assert await at.items() == {}
        assert (await whole.item(TENANT, item.id)).in_time is False


async def test_an_approval_of_a_session_that_was_deleted_waits_no_more(company: Company, whole: OwnerInbox) -> None:
    await classed(company, {})
    async with beside(company, whole, [asks("refund")], [asks("refund")]) as sessions:
        await sessions.waiting("s1")
        await sessions.waiting("s2")
        company.clock.advance(11 * MINUTE_S)
        assert next(iter((await sessions.items()).values())).title.endswith("2 approvals of refund wait")
        journal = RunJournal(sessions.hub.hub.engine, company.store, company.workflows)
        await journal.forget_session(TENANT, "s1")
        (item,) = (await sessions.items()).values()
        assert item.what == "Decide it in session s2"


# --- tools
def calls(*fails: str) -> Any:
    """Calls of a tool; each fails with a word, or does not where it is empty."""

    async def step(run: RunContext) -> None:
        for number, word in enumerate(fails):

            def act(number: int, word: str = word) -> str:
                if word:
                    raise OSError(word)
                return "done"

            with contextlib.suppress(OSError):
                await run.tool("crm", {"number": number}, act)

    return step


async def test_a_tool_that_fails_too_often_is_looked_at_until_it_does_not(company: Company, whole: OwnerInbox) -> None:
    await classed(company, {"crm": "read"})
    answers = [[calls("", "", "down", "down", "down", "down")], [calls("down")], [calls(*[""] * 44)]]
    async with beside(company, whole, *answers) as sessions:
        await (await sessions.hub.session("s1").start("mailer", "one")).finished()
        assert await sessions.items() == {}, "four errors of a week are few"
        await (await sessions.hub.session("s1").start("mailer", "two")).finished()
        (item,) = (await sessions.items()).values()
        assert (item.kind, item.person, item.title) == ("tool.errors", "ann", f"{WORKFLOW}: crm fails")
        assert item.why.startswith("5 of 7 calls of a week failed, the last with ")
        assert item.due_ms == company.clock.wall_ms() + 7 * 24 * HOUR_MS
        again, why = await whole.done(TENANT, item.id, "user:ann")
        assert again.closed_ms is None and why
        await (await sessions.hub.session("s1").start("mailer", "three")).finished()
        assert await sessions.items() == {}, "5 of 51 are less than a tenth"
        assert (await whole.item(TENANT, item.id)).in_time is True


async def test_a_call_that_a_person_denied_is_no_error_of_its_tool(company: Company, whole: OwnerInbox) -> None:
    await classed(company, {"crm": "read"})

    async def denied(run: RunContext) -> None:
        for number in range(6):
            await run.tools.record_result(f"c{number}", "crm", {}, None, error={"code": "tool.denied", "message": "no"})

    async with beside(company, whole, [denied]) as sessions:
        await (await sessions.hub.session("s1").start("mailer", "one")).finished()
        assert await sessions.items() == {}


# --- answers
async def test_answers_that_are_asked_again_are_an_item_of_the_workflow_and_task(
    company: Company, whole: OwnerInbox
) -> None:
    await company.manifest()
    async with beside(company, whole, *["Hello."] * 10) as sessions:
        for number in range(5):
            session = await sessions.hub.session(f"s{number}").client()
            run = await sessions.hub.session(f"s{number}").start("mailer", "write")
            await run.finished()
            if number == 4:
                assert await sessions.items() == {}
            await session.regenerate(run.input)
            await sessions.ended(session)
        (item,) = (await sessions.items()).values()
        assert (item.kind, item.why) == ("work.again", "5 of 10 runs of a week were edited or asked again")
        company.pass_days(8)
        assert await sessions.items() == {}
