"""Gates of running, computed from what people really did, let nothing begin: at the gateway and in sessions, and nothing else does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest

from holdfast.client.client import Client
from holdfast.errors import Refused
from holdfast.governance.budgets.definitions import BudgetTerms
from holdfast.governance.directory.model import Person
from holdfast.governance.workflows.model import WorkflowManifest
from holdfast.testing import FakeClock
from tests.fake_upstream.process import FakeUpstream
from tests.unit.governance.app.conftest import Served, beside, both_wires, fake, process

pytestmark = [pytest.mark.anyio, pytest.mark.process]
__all__ = ["fake", "process"]
HELLO: Any = [{"role": "user", "content": "hello"}]
WORKFLOW, TENANT, DAY_MS = "refunds", "default", 86_400_000
MANIFEST = WorkflowManifest(
    workflow=WORKFLOW, unit="support", owner="ann", deputy="bob", sponsor="cem", stage="stateful", mode="enforce",
    agents=("clerk",),
)  # fmt: skip


class Desk:
    """Somebody who uses the workflow at both of its doors."""

    def __init__(self, served: Served, clock: FakeClock) -> None:
        self.served, self.clock = served, clock
        self.governance = served.governance
        self.sent = 0

    async def call(self) -> str:
        """A call of its key; the code of the refusal, empty for an answer."""
        async with openai.AsyncOpenAI(
            base_url=f"{self.served.url}/v1", api_key=self.served.key, max_retries=0
        ) as client:
            try:
                await client.chat.completions.create(model="gpt-5-mini", messages=HELLO)
            except openai.APIStatusError as error:
                return f"{error.code}"
        return ""

    async def send(self) -> str:
        """A message to its agent; the code of the refusal, empty for a run that is queued."""
        assert self.served.site is not None
        token = self.served.site.token("user:kim", tenant=TENANT, capabilities={"*": ["read", "append", "control"]})
        self.sent += 1
        async with Client(self.served.url, token) as client:
            session = client.session(f"desk-{self.sent}")
            await session.create(agent="clerk")
            try:
                await session.send("hello", agent="clerk")
            except Refused as error:
                assert error.fields.get("gate"), error.fields
                return error.code
        return ""

    async def both(self) -> tuple[str, str]:
        """What both doors say, after every gate was computed."""
        await self.governance.plan.compute(TENANT)
        return await self.call(), await self.send()

    async def people(self, *, active: bool) -> None:
        people = [Person(name, unit="support", active=active) for name in ("ann", "bob")]
        await self.governance.directory.bring(TENANT, people)

    async def waive(self, *gates: str) -> None:
        until_ms = self.clock.wall_ms() + 30 * DAY_MS
        for gate in gates:
            await self.governance.plan.waive(
                TENANT, gate, WORKFLOW, by="user:cem", reason="a trial", until_ms=until_ms, may_waive=False
            )


async def test_nothing_begins_without_an_owner_and_missing_evidence_stops_nothing(
    fake: FakeUpstream, tmp_path: Path
) -> None:
    fake.always(tokens=4, input=30)
    clock = FakeClock()
    async with beside(str(tmp_path / "store.db"), clock, *both_wires(fake)) as served:
        desk = Desk(served, clock)
        workflows = served.governance.workflows
        assert await desk.both() == ("", "")  # no manifest: nobody is stopped
        await workflows.apply(MANIFEST, by="user:ann", tenant=TENANT)
        await workflows.set_state(TENANT, WORKFLOW, "pilot", by="user:cem", reason="it ran before")
        await desk.waive("4.b")
        assert await desk.both() == ("workflow.gate", "workflow.gate")  # neither accepted
        await desk.people(active=True)
        for name in ("ann", "bob"):
            await workflows.accept(TENANT, WORKFLOW, name)
            await served.governance.directory.sign_in(TENANT, name, clock.wall_ms())
        assert await desk.both() == ("", "")
        clock.advance(3 * 86_400.0)  # the directory is silent
        assert await desk.both() == ("", "")
        await desk.people(active=False)  # both left
        assert await desk.both() == ("workflow.gate", "workflow.gate")
    fake.always()


async def test_whatever_gates_judge_by_is_judged_again_by_itself(fake: FakeUpstream, tmp_path: Path) -> None:
    async with beside(str(tmp_path / "store.db"), FakeClock(), *both_wires(fake)) as served:
        governance, looked = served.governance, asyncio.Event()
        settle = governance.plan.before_compute

        async def noted(tenant: str) -> None:
            await settle(tenant)
            looked.set()

        governance.plan.before_compute = noted
        for change in (
            lambda: governance.workflows.apply(MANIFEST, by="user:ann", tenant=TENANT),
            lambda: governance.workflows.set_tool(TENANT, "mail.send", "read", by="user:eve"),
            lambda: governance.workflows.accept(TENANT, WORKFLOW, "ann"),
            lambda: governance.directory.bring(TENANT, [Person("ann", unit="support")]),
            lambda: governance.budget_desk.set(TENANT, "refunds", BudgetTerms(usd="5", scope={"workflow": WORKFLOW}), "user:dee"),
        ):  # fmt: skip
            looked.clear()
            await change()
            async with asyncio.timeout(30):
                await looked.wait()
