"""The journal: one row for each run, what it called, and what becomes of it when its session goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from holdfast.engines.memory import MemoryEngine
from holdfast.engines.port import Index, Key, LogAppend
from holdfast.governance import limits
from holdfast.governance.ledger.store import forget_session
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.workflows import workflow_approvals, workflow_run_tools
from holdfast.governance.workflows import journal_store
from holdfast.governance.workflows.journal import RunJournal
from holdfast.governance.workflows.journal_question import JournalQuestion
from holdfast.governance.workflows.model import ManifestTool, WorkflowManifest
from holdfast.governance.workflows.run_record import JournalRun
from holdfast.governance.workflows.service import Workflows
from holdfast.protocol.events import Event
from holdfast.protocol.frames import encode_frame
from holdfast.testing import FakeClock

pytestmark = pytest.mark.anyio
KEY = Key("default", "s1")
MAIL = WorkflowManifest(workflow="mail", unit="sales", owner="ann", deputy="bob", agents=("mailer",))
OF_MAIL = {"workflow": "mail"}


class Session:
    """A session whose log the hub would have written."""

    def __init__(self, engine: MemoryEngine, clock: FakeClock) -> None:
        self.engine = engine
        self.clock = clock
        self.seq = 0

    async def write(self, type_: str, data: dict[str, Any], run: str, **facts: Any) -> None:
        self.seq += 1
        event = Event(self.seq, self.clock.wall_ms(), "user:ann", type_, data, run=run)
        notice = {
            "type": type_, "session": "s1", "incarnation": "i1", "seq": self.seq, "ts": self.clock.wall_ms(),
            "actor": "user:ann", "run": run, "agent": "mailer", **facts,
        }  # fmt: skip
        append = LogAppend(
            KEY, "i1", self.seq - 1, [encode_frame("s1", [event])], self.clock.wall_ms(),
            notices=[notice] if type_.startswith(("run.", "approval.")) else [],
        )  # fmt: skip
        await self.engine.append(append)

    async def queued(self, run: str, **facts: Any) -> None:
        await self.write("run.queued", {"agent": "mailer"}, run, **{"labels": OF_MAIL, **facts})

    async def ended(self, run: str, status: str = "completed") -> None:
        await self.write("run.ended", {"status": status}, run, status=status, labels=OF_MAIL)

    async def called(self, run: str, tool: str, call: str) -> None:
        await self.write("TOOL_CALL_START", {"toolCallId": call, "toolCallName": tool}, run)

    async def asked(self, approval: str, run: str, **facts: Any) -> None:
        deadline = self.clock.wall_ms() + 7 * 86_400_000
        said = {"approval": approval, "tool": "send", "deadline": deadline, "purpose": "decision", "labels": OF_MAIL}
        await self.write("approval.requested", {"approvalId": approval}, run, **{**said, **facts})

    async def decided(self, approval: str, run: str, how: str = "resolved") -> None:
        await self.write(f"approval.{how}", {"approvalId": approval}, run, approval=approval, labels=OF_MAIL)


class FromTheBeginning(RunJournal):
    """A journal that has forgotten how far it had read."""

    consumer = "journal-again"


@pytest.fixture
async def engine(anyio_backend: str, clock: FakeClock) -> AsyncIterator[MemoryEngine]:
    made = MemoryEngine()
    await made.open()
    await made.create(KEY, "i1", clock.wall_ms(), Index())
    yield made
    await made.close()


@pytest.fixture
def session(engine: MemoryEngine, clock: FakeClock) -> Session:
    return Session(engine, clock)


@pytest.fixture
async def journal(engine: MemoryEngine, store: Store, workflows: Workflows) -> RunJournal:
    await workflows.apply(MAIL, by="user:ann")
    return RunJournal(engine, store, workflows)


async def rows(store: Store) -> dict[str, JournalRun]:
    found = await store.read(lambda connection: journal_store.page(connection, "default", JournalQuestion(), 100))
    return {one.run: one for one, _ in found}


async def test_a_run_is_one_row_with_what_it_called(
    journal: RunJournal, session: Session, store: Store, workflows: Workflows
) -> None:
    await workflows.set_tool("default", "crm.read", "read", by="user:eve")
    await workflows.set_tool("default", "notes", "memory", by="user:eve")
    await workflows.set_tool("default", "send", "write", by="user:eve")
    await session.queued("r1")
    await session.queued("r2")
    for number, tool in enumerate(("crm.read", "notes", "send", "send", "mystery")):
        await session.called("r1", tool, f"c{number}")
    await session.called("r1", "send", "c2")  # the same call, told again after an attempt was lost
    await session.called("r2", "crm.read", "d1")
    await session.ended("r1")
    assert await journal.read() == 3
    found = await rows(store)
    one, two = found["r1"], found["r2"]
    assert (one.workflow, one.agent, one.actor, one.status) == ("mail", "mailer", "user:ann", "completed")
    assert (one.tools, one.side_effects, one.unclassified, one.memory) == (5, 3, 1, 1)
    assert one.counted and not one.lost
    assert (two.ended_ms, two.tools, two.counted, two.lost) == (None, 0, False, False)
    tools = await store.read(
        lambda c: journal_store.tools_between(c, "default", "mail", one.queued_ms, one.queued_ms + 1)
    )
    assert tools == {"crm.read": (1, 1), "notes": (1, 1), "send": (1, 2), "mystery": (1, 1)}


async def test_reading_the_feed_twice_makes_one_row(
    journal: RunJournal, session: Session, store: Store, engine: MemoryEngine, workflows: Workflows
) -> None:
    await session.queued("r1")
    await session.called("r1", "send", "c1")
    await session.ended("r1")
    assert await journal.read() == 2
    before = await rows(store)
    await workflows.set_tool("default", "send", "read", by="user:eve")  # what was counted stays as it was counted
    assert await FromTheBeginning(engine, store, workflows).read() == 0, "a page comes again, and is no news"
    assert await rows(store) == before


async def test_a_run_records_the_version_that_held_when_it_was_queued(
    journal: RunJournal, session: Session, store: Store, workflows: Workflows, clock: FakeClock
) -> None:
    first = await workflows.apply(MAIL, by="user:ann")
    clock.advance(1.0)
    await session.queued("r1")
    clock.advance(1.0)
    tool = WorkflowManifest(
        workflow="mail", unit="sales", owner="ann", deputy="bob", tools=(ManifestTool("send", "write"),)
    )
    second = await workflows.apply(tool, by="user:ann")
    clock.advance(1.0)
    await session.queued("r2")
    await journal.read()
    found = await rows(store)
    assert (found["r1"].version, found["r2"].version) == (first.version, second.version)


async def test_whether_a_person_is_there_is_decided_at_the_root(
    journal: RunJournal, session: Session, store: Store, clock: FakeClock
) -> None:
    now_s = clock.wall_ms() // 1_000
    day_s = int(limits.INTERACTIVE_S)
    claims = {
        "fresh": str(now_s - day_s), "stale": str(now_s - day_s - 1), "future": str(now_s + 3_600), "none": "",
        "words": "yesterday",
    }  # fmt: skip
    for run, sign_in in claims.items():
        await session.queued(run, labels=OF_MAIL | {"sign_in": sign_in})
    await session.queued("child", parent="fresh", labels=OF_MAIL | {"sign_in": claims["stale"]})
    await session.queued("grandchild", parent="child")
    await session.queued("own", parent="stale", labels=OF_MAIL | {"sign_in": claims["fresh"]})
    await session.queued("orphan", parent="unseen", labels=OF_MAIL | {"sign_in": claims["fresh"]})
    await journal.read()
    found = await rows(store)
    assert {run for run, one in found.items() if one.interactive} == {"fresh", "child", "grandchild"}
    assert (found["grandchild"].root, found["grandchild"].parent, found["fresh"].root) == ("fresh", "child", "fresh")


async def test_whose_a_run_is_and_what_is_a_test(journal: RunJournal, session: Session, store: Store) -> None:
    await session.queued("r1", labels={})
    await session.queued("r2", labels={"workflow": "nobody-declared"})
    await session.queued("r3", labels=OF_MAIL | {"test": "yes", "usage": "headless"})
    await journal.read()
    found = await rows(store)
    assert [found[run].workflow for run in ("r1", "r2", "r3")] == [
        "mail",
        "mail",
        "mail",
    ]  # its manifest names the agent
    assert [found[run].test for run in ("r1", "r2", "r3")] == [False, False, True]
    assert found["r3"].usage == "headless"


async def test_a_session_that_goes_leaves_rows_and_loses_what_was_not_counted(
    journal: RunJournal, session: Session, store: Store, engine: MemoryEngine, clock: FakeClock
) -> None:
    await session.queued("r1")
    await session.called("r1", "send", "c1")
    await session.ended("r1")
    await session.queued("r2")
    await journal.read()
    await session.called("r2", "send", "c2")
    await session.ended("r2")
    await engine.delete(KEY, "i1", clock.wall_ms(), Index())
    assert await journal.forget_session("default", "s1") == 2
    await store.write(lambda connection: forget_session(connection, "default", "s1"))
    await journal.read()
    found = await rows(store)
    assert (found["r1"].lost, found["r1"].tools) == (False, 1)
    assert (found["r2"].lost, found["r2"].status) == (True, "completed")
    assert {one.session for one in found.values()} == {""}


async def test_a_session_that_cannot_be_read_makes_its_runs_lost(
    journal: RunJournal, session: Session, store: Store, engine: MemoryEngine, clock: FakeClock
) -> None:
    await session.queued("r1")
    await session.ended("r1")
    await engine.delete(KEY, "i1", clock.wall_ms(), Index())
    await journal.read()
    found = await rows(store)
    assert (found["r1"].lost, found["r1"].counted, found["r1"].status) == (True, False, "completed")


async def test_a_run_too_large_to_read_is_lost_and_not_guessed(
    journal: RunJournal, session: Session, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WORKFLOW_RUN_BYTES", 300)
    monkeypatch.setattr(limits, "LEDGER_EVENT_BYTES", 100)
    await session.queued("r1")
    for number in range(5):
        await session.called("r1", "send", f"c{number}")
    await session.ended("r1")
    await journal.read()
    found = await rows(store)
    assert (found["r1"].lost, found["r1"].tools) == (True, 0)


async def waiting(store: Store) -> set[str]:
    """Ids of the approvals that wait, without the life of their session."""
    found = await store.read(lambda c: list(c.scalars(select(workflow_approvals.c.id))))
    return {ident.partition(":")[2] for ident in found}


async def test_approvals_are_kept_while_they_wait_for_a_person(
    journal: RunJournal, session: Session, store: Store, engine: MemoryEngine, workflows: Workflows
) -> None:
    await session.queued("r1")
    await session.queued("r2")
    for number in range(1, 5):
        await session.asked(f"a{number}", "r1" if number < 4 else "r2")
    await session.asked("call", "r1", purpose="call")
    await session.asked("test", "r1", labels={**OF_MAIL, "test": "yes"})
    await session.asked("stranger", "r1", labels={}, agent="stranger")
    await journal.read()
    assert await waiting(store) == {"a1", "a2", "a3", "a4"}
    await session.decided("a1", "r1")
    await session.decided("a2", "r1", "expired")
    await journal.read()
    assert await waiting(store) == {"a3", "a4"}
    await FromTheBeginning(engine, store, workflows).read()
    assert await waiting(store) == {"a3", "a4"}, "a page comes again, and brings nothing back"
    await session.ended("r1")
    await journal.read()
    assert await waiting(store) == {"a4"}, "nothing can come of what an ended run asked"
    await session.decided("a4", "r2")
    await session.decided("a4", "r2", "used")
    await journal.read()
    assert await waiting(store) == set()


async def test_an_approval_of_which_nobody_said_what_became_is_forgotten_after_its_deadline(
    journal: RunJournal, session: Session, store: Store, clock: FakeClock
) -> None:
    await session.queued("r1")
    await session.asked("a1", "r1")
    await journal.read()
    clock.advance(8.5 * 86_400)
    await session.asked("a2", "r1")
    await journal.read()
    assert await waiting(store) == {"a2"}


async def test_how_often_a_tool_failed_and_how_is_counted_with_its_calls(
    journal: RunJournal, session: Session, store: Store
) -> None:
    await session.queued("r1", labels={**OF_MAIL, "task": "summarise"})
    errors: list[Any] = [
        None,
        {"code": "OSError", "message": "m"},
        {"code": "tool.denied"},
        "broken",
        {"code": "x" * 99},
    ]
    for number, error in enumerate(errors):
        await session.called("r1", "crm", f"c{number}")
        await session.write("TOOL_CALL_RESULT", {"toolCallId": f"c{number}", "content": "", "error": error}, "r1")
    await session.write("TOOL_CALL_RESULT", {"toolCallId": "other", "error": {"code": "E"}}, "r1")
    await session.ended("r1")
    await journal.read()
    of = workflow_run_tools.c
    rows_ = await store.read(lambda c: c.execute(select(of.tool, of.calls, of.errors, of.error)).all())
    assert [tuple(row) for row in rows_] == [("crm", 5, 3, "x" * limits.WORKFLOW_ERROR_CHARS)]
    assert (await rows(store))["r1"].task == "summarise"
