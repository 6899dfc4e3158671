"""Moves against the gates of step 9: programs in people's seats, and a report about another server."""

from __future__ import annotations

import datetime
from typing import Any, Final

from sqlalchemy import select

from holdfast.audit.examine import PROBES
from holdfast.audit.finding import CAPABILITIES
from holdfast.company.cheats.move import CheatMove, MoveFacts, NaiveCheck
from holdfast.company.cheats.rehearsal import WORKFLOW, CastPlace
from holdfast.company.cheats.runs import AGENT, CheatRun, session_runs, signed_in
from holdfast.governance.keys.model import KeyRequest
from holdfast.governance.store.tables.ledger import ledger_rows
from holdfast.governance.store.tables.validations import rollout_builds
from holdfast.version import build_id

STAGING: Final = "staging-build"


class SeatedKey(CheatMove):
    """9.a: a program with a person's key."""

    facts = MoveFacts(
        "seated-key", "9.a", "A program under a person's key",
        "Programs have to give way to people. So the nightly batch uses a key that says a person waits.",
        "A seated call has to have an interactive sign-in behind it; where more than 1 % have none, the label of the key counts for nothing.",
        "A new workflow of a real team of the company, with a seated key and rows of its own in the ledger.",
    )  # fmt: skip

    async def set_up(self) -> CastPlace:
        """People use it, and programs work elsewhere."""
        place = await self.on.company_place()
        self.on.clock.pass_days(-3)
        await self.on.manifest(place)
        request = KeyRequest(
            workflow=WORKFLOW, team=place.unit, task="reply", usage="seated", user=place.owner, name="seat"
        )
        self._key = (await self.on.keys.create(request, by=f"user:{place.owner}")).key.id
        await self._calls(place, 60, "seated", first_ms=300, key=self._key, tags={"interactive": "yes"})
        await self._calls(place, 20, "headless", first_ms=900, task="night")
        self.on.clock.pass_days(3)
        return place

    async def _calls(self, place: CastPlace, n: int, usage: str, **more: Any) -> None:
        labels = {"usage": usage, "team": place.unit, **({"user": place.owner} if usage == "seated" else {})}
        facts = {"nano": 1_000_000, "source": "gateway", "took_ms": 2_000, **more}
        await self.on.spend(place, n, labels=labels, **facts)

    async def cheat(self) -> None:
        """The batch takes the key."""
        self.on.clock.pass_days(-2)
        await self._calls(self.place, 200, "seated", first_ms=300, key=self._key)
        self.on.clock.pass_days(2)

    async def naive(self) -> NaiveCheck:
        """Believes the label of the key."""
        of = ledger_rows.c
        wanted = select(of.first_ms).where(
            of.tenant == self.place.tenant, of.workflow == WORKFLOW, of.usage == "seated"
        )
        waits = sorted(await self.on.store.read(lambda connection: list(connection.scalars(wanted))))
        slow = waits[len(waits) * 99 // 100] if waits else 0
        return NaiveCheck(
            slow <= 1_000, f"{len(waits)} calls under keys labelled “seated”; first token within {slow} ms (p99)"
        )


class StagingReport(CheatMove):
    """9.b: the report of a server that serves nobody."""

    facts = MoveFacts(
        "staging-report", "9.b", "Auditing staging",
        "The server that people use was never validated. A fresh one in staging passes, and its report is handed in.",
        "A report counts for the build that it was made of, and that build has to be the one that serves.",
        "The company's own server and runs; one run is added of somebody who signed in.",
    )  # fmt: skip

    async def set_up(self) -> CastPlace:
        """People are streamed answers."""
        place = await self.on.company_place()
        self.on.clock.pass_days(-2)
        await self.on.manifest(place, agents=(AGENT,))
        async with session_runs(self.on, place) as runs:
            await runs.run(CheatRun(f"user:{place.owner}", {"usage": "seated", **signed_in(self.on)}))
        self.on.clock.pass_days(2)
        builds = await self.on.store.read(lambda connection: list(connection.scalars(select(rollout_builds.c.build))))
        for build in builds or [build_id()]:
            await self.on.plan.validations.serve(build)
        return place.organisation

    async def cheat(self) -> None:
        """Hand it in."""
        began = datetime.datetime.fromtimestamp(self.on.now_ms() / 1_000 - 3_600, datetime.UTC)
        probes = [
            {"id": one.id, "capability": one.capability, "title": one.title, "verdict": "pass", "did": "", "expected": "", "saw": ""}
            for one in PROBES
        ]  # fmt: skip
        report = {
            "capabilities": dict.fromkeys(CAPABILITIES, "pass"), "probes": probes, "build": STAGING, "driver": "holdfast",
            "target": "https://staging.company.example", "began": began.isoformat(timespec="seconds"),
            "contact": {"state": "ok", "told": ""},
        }  # fmt: skip
        await self.on.plan.validations.record(self.place.tenant, report, "user:platform")

    async def naive(self) -> NaiveCheck:
        """Looks whether there is a report."""
        reports = [
            one for one in await self.on.plan.validations.listed(self.place.tenant, 100) if one.kind == "streaming"
        ]
        good = [one for one in reports if {one.resilient, one.continuity, one.control} == {"pass"}]
        return NaiveCheck(
            bool(good), "an audit report is there, and passes" if good else "there is no audit report that passes"
        )
