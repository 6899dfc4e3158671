"""Moves against the gates of step 1: what a workflow is allowed to be, and that no stage is skipped."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, select

from holdfast.company.cheats.move import CheatMove, MoveFacts, NaiveCheck
from holdfast.company.cheats.rehearsal import WORKFLOW, CastPlace
from holdfast.company.cheats.runs import AGENT, CheatRun, session_runs, signed_in
from holdfast.governance.rollout.registry import BY_NAME
from holdfast.governance.store.tables.workflows import workflow_runs
from holdfast.governance.workflows.model import ManifestTool

_EDITOR: Final = "user:policy-editor"
_NEW: Final = "A new workflow of a real team of the company, with people of that team."


class WriteCalledRead(CheatMove):
    """1.a: the owner calls a tool that writes a reading one."""

    facts = MoveFacts(
        "write-called-read", "1.a", "A tool that writes, called “read”",
        "The owner adds a tool that changes customers' records, and the manifest says that it only reads.",
        "What a tool does is classed by the policy editor, not by the workflow's owner; a tool that nobody classed counts as one that writes.",
        _NEW,
    )  # fmt: skip

    async def set_up(self) -> CastPlace:
        """A reading workflow."""
        place = await self.on.company_place()
        await self.on.workflows.set_tool(place.tenant, "customers.search", "read", by=_EDITOR)
        await self.on.workflows.set_tool(place.tenant, "customers.update", "write", by=_EDITOR)
        await self.on.manifest(place, tools=(ManifestTool("customers.search", "read"),))
        return place

    async def cheat(self) -> None:
        """The manifest calls it one that reads."""
        tools = (ManifestTool("customers.search", "read"), ManifestTool("customers.update", "read"))
        await self.on.manifest(self.place, tools=tools)

    async def naive(self) -> NaiveCheck:
        """Believes the manifest."""
        found = self.on.workflows.current(self.place.tenant, WORKFLOW)
        tools = found.manifest.tools if found is not None and found.manifest is not None else ()
        writes = [tool.name for tool in tools if tool.effect != "read"]
        reason = f"stage as declared: chat; {len(tools)} tools, {len(writes)} of them declared to write"
        return NaiveCheck(not writes, reason)


class ServiceAsPerson(CheatMove):
    """1.a: a program under a person's name."""

    facts = MoveFacts(
        "service-as-person", "1.a", "A service account that poses as a person",
        "A scheduler asks at night under a person's name, with a token for which nobody signed in.",
        "A person is there only where the root of a run carries an interactive sign-in of the last 24 hours; a name in a token is none.",
        _NEW + " Its runs are written into a session log, and the journal reads them.",
    )  # fmt: skip

    async def set_up(self) -> CastPlace:
        """People who signed in use it."""
        place = await self.on.company_place()
        self.on.clock.pass_days(-4)
        await self.on.manifest(place, agents=(AGENT,))
        await self._run(place, signed_in(self.on), 20)
        self.on.clock.pass_days(4)
        return place

    async def _run(self, place: CastPlace, claims: dict[str, str], n: int) -> None:
        async with session_runs(self.on, place) as runs:
            await runs.run(CheatRun(f"user:{place.owner}", {"usage": "seated", **claims}), n)

    async def cheat(self) -> None:
        """The same name, and no sign-in."""
        self.on.clock.pass_days(-2)
        await self._run(self.place, {}, 30)
        self.on.clock.pass_days(2)

    async def naive(self) -> NaiveCheck:
        """Believes names."""
        of = workflow_runs.c
        wanted = select(func.count()).where(of.tenant == self.place.tenant, of.workflow == WORKFLOW)
        runs, people = await self.on.store.read(
            lambda connection: (
                connection.execute(wanted).scalar_one(),
                connection.execute(wanted.where(of.actor.like("user:%"))).scalar_one(),
            )
        )
        return NaiveCheck(
            runs == people, f"stage as declared: chat; {people} of {runs} runs were asked for by a person"
        )


class SyntheticRuns(CheatMove):
    """1.b: experience that is made."""

    facts = MoveFacts(
        "synthetic-runs", "1.b", "Runs that a script makes",
        "The next stage needs 200 runs. A script makes 250 in a minute, under a key for tests.",
        "Work under a test key never counts, for no gate; what counts is in the journal of runs, not in a counter of calls.",
        _NEW + " It was chat for 40 days; the gates that are not its subject are waived by its sponsor.",
    )  # fmt: skip

    async def set_up(self) -> CastPlace:
        """Forty days of chat with a few runs, and a pilot since yesterday."""
        place = await self.on.company_place()
        self.on.clock.pass_days(-40)
        await self.on.manifest(place, agents=(AGENT,))
        self.on.clock.pass_days(20)
        async with session_runs(self.on, place) as runs:
            await runs.run(CheatRun(f"user:{place.owner}", signed_in(self.on)), 20)
        self.on.clock.pass_days(19)
        for gate in str(BY_NAME["1.b"].thresholds["gates"]).split(","):
            await self.on.plan.waive(
                place.tenant, gate, WORKFLOW, by=f"user:{place.sponsor}", reason="another move's subject",
                until_ms=self.on.now_ms() + 20 * 86_400_000, may_waive=False,
            )  # fmt: skip
        await self.on.manifest(place, agents=(AGENT,), stage="pilot")
        self.on.clock.pass_days(1)
        return place

    async def cheat(self) -> None:
        """Make them, on the last day of chat."""
        self.on.clock.pass_days(-1.5)
        async with session_runs(self.on, self.place) as runs:
            await runs.run(CheatRun(f"user:{self.place.owner}", {**signed_in(self.on), "test": "yes"}), 250)
        self.on.clock.pass_days(1.5)

    async def naive(self) -> NaiveCheck:
        """Counts runs."""
        of = workflow_runs.c
        wanted = select(func.count()).where(of.tenant == self.place.tenant, of.workflow == WORKFLOW)
        runs = await self.on.store.read(lambda connection: connection.execute(wanted).scalar_one())
        return NaiveCheck(runs >= 200, f"{runs} runs, of 200 wanted")
