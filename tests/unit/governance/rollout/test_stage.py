"""Gate 1.a: from unknown over red to green by what runs did, read from the real feed; and each way to look harmless stays red."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.engines.memory import MemoryEngine
from holdfast.engines.port import Index, Key, LogAppend
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.store import add_rows
from holdfast.governance.workflows.journal import RunJournal
from holdfast.governance.workflows.model import ManifestTool
from holdfast.protocol.events import Event
from holdfast.protocol.frames import encode_frame
from tests.unit.governance.rollout.conftest import DAY_MS, TENANT, WORKFLOW, Company

pytestmark = pytest.mark.anyio
KEY = Key(TENANT, "s1")
CHAT = "people read what it writes, and nothing else comes of it"


class Runs:
    """Runs of the workflow, in a session's log, two days ago."""

    def __init__(self, company: Company, engine: MemoryEngine) -> None:
        self.company = company
        self.engine = engine
        self.journal = RunJournal(engine, company.store, company.workflows)
        self.seq = 0

    @property
    def at_ms(self) -> int:
        return self.company.clock.wall_ms() - 2 * DAY_MS + self.seq

    async def write(self, type_: str, data: dict[str, Any], run: str, **facts: Any) -> None:
        self.seq += 1
        event = Event(self.seq, self.at_ms, "user:ann", type_, data, run=run)
        notice = {
            "type": type_, "session": "s1", "incarnation": "i1", "seq": self.seq, "ts": self.at_ms, "actor": "user:ann",
            "run": run, "agent": "mailer", **facts,
        }  # fmt: skip
        frames = [encode_frame("s1", [event])]
        notices = [notice] if type_.startswith("run.") else []
        await self.engine.append(LogAppend(KEY, "i1", self.seq - 1, frames, self.at_ms, notices=notices))

    async def run(
        self, name: str, *tools: str, sign_in: str | None = "", ends: bool = True, test: bool = False, parent: str = ""
    ) -> None:
        """A run that somebody began who had signed in an hour before, unless it is said otherwise; it calls tools."""
        claims = {"workflow": WORKFLOW}
        if sign_in is not None:
            claims["sign_in"] = sign_in or str(self.at_ms // 1_000 - 3_600)
        if test:
            claims["test"] = "yes"
        more = {"parent": parent} if parent else {}
        await self.write("run.queued", {"agent": "mailer"}, name, labels=claims, **more)
        for number, tool in enumerate(tools):
            await self.write("TOOL_CALL_START", {"toolCallId": f"{name}{number}", "toolCallName": tool}, name)
        if ends:
            await self.write("run.ended", {"status": "completed"}, name, status="completed", labels=claims, **more)
        await self.journal.read()


@pytest.fixture
async def runs(company: Company) -> AsyncIterator[Runs]:
    engine = MemoryEngine()
    await engine.open()
    await engine.create(KEY, "i1", company.clock.wall_ms() - 3 * DAY_MS, Index())
    await company.manifest()
    for tool, effect in (("crm.read", "read"), ("send", "write"), ("notes", "memory")):
        await company.workflows.set_tool(TENANT, tool, effect, by="user:eve")  # type: ignore[arg-type]
    yield Runs(company, engine)
    await engine.close()


async def test_from_unknown_over_red_to_green(runs: Runs) -> None:
    company = runs.company
    assert await company.verdict("1.a") == ("unknown", "no runs, and no tools in the manifest")
    await runs.run("r1", "crm.read", "send")
    assert await company.verdict("1.a") == ("fail", "measured pilot, declared chat: 1 runs had a side effect")
    await company.manifest(stage="pilot")
    assert await company.verdict("1.a") == ("pass", "measured pilot, declared pilot: 1 runs had a side effect")


async def test_before_it_runs_its_tools_say_where_it_is(runs: Runs) -> None:
    company = runs.company
    await company.manifest(tools=(ManifestTool("crm.read", "read"),))
    assert await company.verdict("1.a") == ("pass", f"measured chat, declared chat: {CHAT}")
    await company.manifest(tools=(ManifestTool("send", "read"),))  # the owner says that it only reads
    assert await company.verdict("1.a") == ("fail", "measured pilot, declared chat: send has a side effect")
    await company.manifest(tools=(ManifestTool("mystery", "read"),))  # nobody classed it
    assert await company.verdict("1.a") == ("fail", "measured pilot, declared chat: mystery has a side effect")
    await company.manifest(tools=(ManifestTool("notes", "read"),))
    assert (await company.verdict("1.a"))[0] == "fail"


async def test_a_tool_that_nobody_classed_is_a_side_effect(runs: Runs) -> None:
    await runs.run("r1", "mystery")
    assert await runs.company.verdict("1.a") == (
        "fail", "measured pilot, declared chat: 1 runs had a side effect, 1 of them by tools that nobody classified",
    )  # fmt: skip


async def test_memory_of_other_sessions_is_stateful(runs: Runs) -> None:
    await runs.company.manifest(stage="pilot")
    await runs.run("r1", "notes")
    assert (await runs.company.verdict("1.a"))[1].startswith("measured stateful, declared pilot: 1 runs read")


@pytest.mark.parametrize("sign_in", [None, "1", "4102444800", "soon"])
async def test_a_service_account_that_poses_as_a_person_is_stateful(runs: Runs, sign_in: str | None) -> None:
    """No sign-in, one of long ago, one of the future, and one that is none."""
    await runs.run("r1", sign_in=sign_in)
    assert await runs.company.verdict("1.a") == (
        "fail", "measured stateful, declared chat: 1 runs have no person who signed in behind them",
    )  # fmt: skip


async def test_a_sub_run_does_what_its_root_may_be_judged_by(runs: Runs) -> None:
    await runs.run("r1", ends=False)
    await runs.run("r2", "send", parent="r1")
    assert (await runs.company.verdict("1.a"))[0] == "fail"


async def test_test_keys_never_count(runs: Runs) -> None:
    await runs.run("r1", "send", test=True)
    assert (await runs.company.verdict("1.a"))[0] == "unknown"


async def test_a_run_that_never_ends_hides_nothing(runs: Runs) -> None:
    await runs.run("r1", "crm.read")
    await runs.run("r2", "send", ends=False)
    assert await runs.company.verdict("1.a") == ("unknown", "what 1 of 2 runs did is not known")


async def test_what_ran_in_a_session_that_was_deleted_before_it_was_counted_is_lost(runs: Runs) -> None:
    await runs.run("r1", "crm.read")
    assert (await runs.company.verdict("1.a"))[0] == "pass"
    await runs.run("r2", "send", ends=False)
    await runs.journal.forget_session(TENANT, "s1")
    assert await runs.company.verdict("1.a") == ("unknown", "what 1 of 2 runs did is not known")


async def test_a_journal_that_does_not_read_is_seen_by_the_ledger(runs: Runs) -> None:
    await runs.company.manifest(tools=(ManifestTool("crm.read", "read"),))
    assert (await runs.company.verdict("1.a"))[0] == "pass"
    row = Row(id="a1", call="c1", at_ms=runs.at_ms, day="2025-06-10", month="2025-06", period="2025-06", workflow=WORKFLOW,
              session="s9", run="r9")  # fmt: skip
    await runs.company.store.write(lambda connection: add_rows(connection, [row]))
    assert await runs.company.verdict("1.a") == ("unknown", "what 1 of 1 runs did is not known")


async def test_what_was_more_than_28_days_ago_does_not_count(runs: Runs) -> None:
    await runs.run("r1", "send")
    assert (await runs.company.verdict("1.a"))[0] == "fail"
    runs.company.pass_days(28)
    assert (await runs.company.verdict("1.a"))[0] == "unknown"


async def test_a_pass_expires(runs: Runs) -> None:
    await runs.run("r1", "crm.read")
    assert (await runs.company.verdict("1.a"))[0] == "pass"
    runs.company.pass_days(7.1)
    found = next(one for one in runs.company.plan.gates(TENANT, WORKFLOW) if one.gate == "1.a")
    assert found.shown == "unknown"
