"""The plan: computes verdicts, keeps how each gate stands in memory, and says what may go on."""

from __future__ import annotations

import asyncio
import datetime
import secrets
import zoneinfo
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.directory.names import SameName, literally
from holdfast.governance.operations.port import GateFailure
from holdfast.governance.organisation.dates import day_start_ms
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.rollout import doors, profiles, store, waivers
from holdfast.governance.rollout.cautions import Caution, cautions
from holdfast.governance.rollout.doors import DoorStatus, GateStatus
from holdfast.governance.rollout.evidence import EvidenceReader
from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.kin import KIN
from holdfast.governance.rollout.model import (
    DoorName,
    EvidenceAnswer,
    GateScope,
    Rows,
    Ruling,
    VerdictRow,
    digest_of_evidence,
    stands_on,
    unknown,
)
from holdfast.governance.rollout.port import WorkflowFacts, WorkflowList
from holdfast.governance.rollout.profiles import Profile
from holdfast.governance.rollout.reckonings.kin import Kin
from holdfast.governance.rollout.registry import BY_NAME, GATES
from holdfast.governance.rollout.ruling import ruled, verdict_row, worth_keeping
from holdfast.governance.rollout.standing import Records, status_of
from holdfast.governance.rollout.validation_store import Validations
from holdfast.governance.rollout.waivers import GateWaiver
from holdfast.governance.store.store import Store

IdeaRows = Callable[[str], Awaitable[Rows]]
"""Ideas of a tenant, each with whether its value was taken over from coding."""
ORGANISATION: Final = ""
"""The workflow of a gate that is the organisation's."""


BeforeCompute = Callable[[str], Awaitable[None]]
"""What is done for a tenant before its plan is computed."""


class Rollout:
    """The plan of a store.

    Attributes:
        before_compute: awaited before anything is computed: a deputy stands in for an owner who left before a gate sees that
            the owner is gone.
        same: whether two names are one person's.
        validations: reports about builds, and which of them serve.

    Args:
        database: the store.
        organisation: whose days they are.
        workflows: which there are.
        reader: of evidence.
        now_ms: the clock, Unix ms.
    """

    def __init__(
        self, database: Store, organisation: Organisation, workflows: WorkflowList, reader: EvidenceReader,
        now_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self._store = database
        self._organisation = organisation
        self._workflows = workflows
        judged_as_one = [gate for gate in GATES if KIN in gate.queries]
        self._reader = reader.beside({KIN: Kin(database, workflows, reader, judged_as_one, self.profile)})
        self._now_ms = now_ms
        self._contents = store.PlanContents({}, {}, {})
        self._refreshing = asyncio.Lock()
        self.validations = Validations(database, now_ms)
        self.before_compute: BeforeCompute = _nothing_first
        self.same: SameName = literally
        self.ideas: IdeaRows = _no_ideas
        self._forgot_ms = 0

    async def refresh(self) -> None:
        """Read again what is on record. Raises ``store.unavailable``."""
        async with self._refreshing:  # who began to read earlier must not have the last word
            self._contents = await self._store.read(store.read_all)

    # --- answered from memory
    def failing(self, tenant: str, workflow: str) -> GateFailure | None:
        """The gate that lets a workflow begin nothing new: one of those that hold running, proven to fail, and not waived.
        What is unknown stops nothing that ran before."""
        for gate in GATES:
            if "R" not in gate.holds:
                continue
            found = self._status(tenant, gate, workflow)
            if found.shown == "fail":
                owner = self._who(tenant, gate, workflow)
                return GateFailure(gate.name, found.reason, owner=owner, fix=found.fix, since_ms=found.since_ms)
        return None

    def gates(self, tenant: str, workflow: str) -> list[GateStatus]:
        """How every gate of a workflow stands, those of the organisation among them, in the order of the plan."""
        return [self._status(tenant, gate, workflow) for gate in GATES]

    def doors(self, tenant: str, workflow: str) -> list[DoorStatus]:
        """How the doors of a workflow stand."""
        status = {one.gate: one for one in self.gates(tenant, workflow)}
        return [doors.door(name, GATES, status) for name in ("L", "P", "O", "R")]

    def refusals(self, tenant: str, workflow: str, door: DoorName) -> list[str]:
        """Why a door does not open, a sentence for each gate; none when it does."""
        status = {one.gate: one for one in self.gates(tenant, workflow)}
        found = doors.door(door, GATES, status)
        return [f"gate {name}: {status[name].reason}" for name in (*found.shut_by, *found.unknown)]

    async def launch_check(self, tenant: str, workflow: str) -> Sequence[str]:
        """Why a workflow may not be launched, computed now (door L)."""
        await self.compute(tenant, workflow)
        return self.refusals(tenant, workflow, "L")

    async def production_check(self, tenant: str, workflow: str) -> Sequence[str]:
        """Why a workflow may not leave its pilot, computed now (door P)."""
        await self.compute(tenant, workflow)
        return self.refusals(tenant, workflow, "P")

    def waivers(self, tenant: str) -> list[GateWaiver]:
        """All that were ever given, the oldest first."""
        return list(self._contents.waivers.get(tenant, ()))

    def profile(self, tenant: str) -> Profile:
        """The numbers that hold."""
        return next(iter(self._contents.profiles.get(tenant, ())), Profile())

    def profiles(self, tenant: str) -> list[Profile]:
        """Every version of the numbers, the first one first."""
        return list(reversed(self._contents.profiles.get(tenant, ())))

    def workflows(self, tenant: str) -> list[WorkflowFacts]:
        """The workflows of a tenant, retired ones left out."""
        return [one for one in self._workflows.listed(tenant) if one.state != "retired"]

    def zone(self, tenant: str) -> zoneinfo.ZoneInfo:
        """The time zone of its days."""
        return self._organisation.zone(tenant)

    def tenants(self) -> Sequence[str]:
        """Tenants that have workflows."""
        return self._workflows.tenants()

    def who(self, tenant: str, gate: str, workflow: str) -> str:
        """Whose work a red gate is: a person's name, or an office. Raises ``gate.not_found``."""
        return self._who(tenant, gate_of(gate), workflow)

    def _who(self, tenant: str, gate: Gate, workflow: str) -> str:
        facts = next((one for one in self._workflows.listed(tenant) if one.workflow == workflow), None)
        if facts is not None and gate.who in ("owner", "sponsor", "payer"):
            named = {"owner": facts.owner, "sponsor": facts.sponsor, "payer": facts.payer}[gate.who]
            return named or facts.owner or facts.deputy or gate.who
        return gate.who

    def _status(self, tenant: str, gate: Gate, workflow: str) -> GateStatus:
        place = workflow if gate.span == "workflow" else ORGANISATION
        records = self._contents.records.get((tenant, place, gate.name), Records())
        of_tenant = self._waivers_of(tenant, workflow)
        found = status_of(gate, place, records, of_tenant, self._now_ms())
        if (
            found.shown not in doors.OPENS and place != workflow
        ):  # the organisation's gate may be waived for one workflow
            found = msgspec.structs.replace(
                status_of(gate, workflow, records, of_tenant, self._now_ms()), workflow=place
            )
        return found

    def _waivers_of(self, tenant: str, workflow: str) -> Sequence[GateWaiver]:
        """Waivers of a tenant, without what whoever answers for the workflow now gave: neither does an owner who gave it as the
        sponsor, between two manifests, pass over their own gate."""
        found = self._contents.waivers.get(tenant, ())
        if not found:
            return ()
        answering = {
            name.casefold() for one in self.workflows(tenant) if workflow in ("", one.workflow) for name in (one.owner, one.deputy)
        }  # fmt: skip
        return [one for one in found if one.by.partition(":")[2].casefold() not in answering]

    # --- computing
    def scope(self, tenant: str, workflow: str) -> GateScope:
        """Of what a verdict would be now."""
        now_ms, zone = self._now_ms(), self._organisation.zone(tenant)
        today = self._organisation.today(tenant)
        last = today.replace(day=1) - datetime.timedelta(days=1)
        since = today - datetime.timedelta(days=28)
        return GateScope(
            tenant, workflow, now_ms, day_start_ms(since, zone), day_start_ms(today, zone), f"{last:%Y-%m}", zone.key
        )

    async def compute(self, tenant: str, workflow: str | None = None) -> int:
        """Compute every gate anew, of one workflow or of all; how many verdicts were put on record.

        Raises:
            Unavailable: of the store.
        """
        await self.before_compute(tenant)
        names = [one.workflow for one in self.workflows(tenant)] if workflow is None else [workflow] if workflow else []
        made = 0
        for late in (False, True):  # whether a stage may follow depends on verdicts of other gates
            wanted = [gate for gate in GATES if gate.decide is not None and ("passed" in gate.queries) == late]
            for place in (ORGANISATION, *names):
                span = "organisation" if place == ORGANISATION else "workflow"
                made += await self._compute(tenant, place, [gate for gate in wanted if gate.span == span])
            await self.refresh()
        return made

    async def _compute(self, tenant: str, place: str, gates: Sequence[Gate]) -> int:
        if not gates:
            return 0
        scope, profile = self.scope(tenant, place), self.profile(tenant)
        names = sorted({name for gate in gates for name in gate.queries})
        answers = await self._reader.answer(names, scope)
        rows: list[tuple[VerdictRow, Sequence[EvidenceAnswer]]] = []
        for gate in gates:
            evidence = {name: answers[name] for name in gate.queries if name in answers}
            ruling = ruled(gate, evidence, scope, profile.of(gate.name))
            before = self._contents.records.get((tenant, place, gate.name), Records()).newest
            row = verdict_row(
                gate, scope, profile, ruling, digest_of_evidence(list(evidence.values())), before, self._now_ms()
            )
            if worth_keeping(row, before):
                rows.append((row, list(evidence.values())))
        if rows:
            await self._store.write(lambda connection: store.put(connection, rows))
        return len(rows)

    async def preview(self, tenant: str, workflow: str, gate: str) -> tuple[Ruling, Mapping[str, EvidenceAnswer]]:
        """What a gate would say now, and on what it would stand; nothing is put on record. Raises ``gate.not_found``."""
        found = gate_of(gate)
        scope = self.scope(tenant, workflow if found.span == "workflow" else ORGANISATION)
        evidence = await self._reader.answer(found.queries, scope)
        return ruled(found, evidence, scope, self.profile(tenant).of(found.name)), evidence

    async def cautions(self, tenant: str) -> list[Caution]:
        """What goes wrong before any gate is red. Raises ``store.unavailable``."""
        scope = self.scope(tenant, ORGANISATION)
        spend = (await self._reader.answer(["spend"], scope))["spend"].rows
        some = self.workflows(tenant)
        status = {one.workflow: {gate.gate: gate for gate in self.gates(tenant, one.workflow)} for one in some}
        return cautions(some, status, spend, await self.ideas(tenant), scope.as_of_ms)

    # --- on record
    async def explain(
        self, tenant: str, gate: str, workflow: str
    ) -> tuple[GateStatus, VerdictRow | None, tuple[EvidenceAnswer, ...]]:
        """How a gate stands, the verdict that says so, and its evidence as it was written. Where that was changed it says
        nothing: then the gate is unknown.

        Raises:
            Refused: ``gate.not_found``.
        """
        found = gate_of(gate)
        status = self._status(tenant, found, workflow)
        place = workflow if found.span == "workflow" else ORGANISATION
        records = self._contents.records.get((tenant, place, gate), Records())
        row = records.stands if status.standing else records.newest
        if row is None:
            return status, None, ()
        ident = row.id
        answers = await self._store.read(lambda connection: store.answers_of(connection, ident))
        if not stands_on(row, answers):
            changed = unknown("changed", "the evidence on record was changed after it was written", "Compute it again")
            status = msgspec.structs.replace(
                status, verdict="unknown", shown="unknown", cause=changed.cause, reason=changed.reason, fix=changed.fix
            )
        return status, row, answers

    async def forget(self) -> int:
        """Delete verdicts that are too old to be kept, looked for once a day; how many. Those that count are never among them.

        Raises:
            Unavailable: of the store.
        """
        now_ms = self._now_ms()
        if now_ms - self._forgot_ms < limits.PLAN_FORGET_MS:
            return 0
        self._forgot_ms = now_ms
        return await self._store.write(lambda connection: store.forget(connection, now_ms - limits.PLAN_KEEP_MS))

    async def history(self, tenant: str, workflow: str | None, gate: str | None, limit: int) -> list[VerdictRow]:
        """Verdicts that were put on record, the newest first."""
        return await self._store.read(lambda connection: store.history(connection, tenant, workflow, gate, limit))

    async def beside(self, tenant: str, gate: str, workflow: str) -> str:
        """What the same evidence would say under the numbers before the last change, for 90 days after it; empty where
        nothing was changed of this gate."""
        versions = self._contents.profiles.get(tenant, [])
        if not versions or self._now_ms() - versions[0].at_ms > profiles.BESIDE_MS:
            return ""
        former = versions[1] if len(versions) > 1 else Profile()
        if former.of(gate) == versions[0].of(gate):
            return ""
        _, row, answers = await self.explain(tenant, gate, workflow)
        if row is None:
            return ""
        scope = msgspec.structs.replace(self.scope(tenant, row.workflow), as_of_ms=row.as_of_ms)
        ruling = ruled(gate_of(gate), {one.query: one for one in answers}, scope, former.of(gate))
        return f"{ruling.verdict} under version {former.version}: {ruling.reason}"

    # --- decided by people
    async def waive(
        self, tenant: str, gate: str, workflow: str, *, by: str, reason: str, until_ms: int, may_waive: bool
    ) -> GateWaiver:
        """Pass a gate over until a date.

        Raises:
            Refused: ``gate.not_found``, ``workflow.not_found``, ``waiver.invalid``.
        """
        gate_of(gate)
        facts = [one for one in self.workflows(tenant) if one.workflow == workflow]
        if workflow and not facts:
            raise Refused("workflow.not_found", f"no workflow {workflow!r:.140} has a manifest")
        owners = [name for one in facts or self.workflows(tenant) for name in (one.owner, one.deputy)]
        kind, _, person = by.partition(":")
        if kind != "user":
            raise Refused("waiver.invalid", f"{by:.140} is no person: people waive")
        office = waivers.office_of(
            person, sponsor=facts[0].sponsor if facts else "", owners=owners, may_waive=may_waive,
            same=lambda name, other: self.same(tenant, name, other),
        )  # fmt: skip
        now_ms = self._now_ms()

        def work(connection: Connection) -> GateWaiver:
            before = store.waivers_of(connection, tenant, gate, workflow)
            renews = waivers.renewed(before, now_ms, until_ms, reason)
            waiver = GateWaiver(
                id=f"w-{secrets.token_hex(8)}", tenant=tenant, gate=gate, workflow=workflow, by=by, office=office,
                reason=reason, at_ms=now_ms, until_ms=until_ms, renews=renews,
            )  # fmt: skip
            store.add_waiver(connection, waiver)
            return waiver

        new = await self._store.write(work)
        await self.refresh()
        return new

    async def end_waiver(self, tenant: str, ident: str, by: str) -> None:
        """Take a waiver back. Raises ``waiver.invalid`` for one that does not hold."""
        now_ms = self._now_ms()
        if not await self._store.write(lambda connection: store.end_waiver(connection, tenant, ident, by, now_ms)):
            raise Refused("waiver.invalid", f"no waiver {ident!r:.40} holds now")
        await self.refresh()

    async def set_profile(
        self, tenant: str, base: str, thresholds: Mapping[str, Mapping[str, int | str]], *, by: str, reason: str
    ) -> Profile:
        """Set the numbers of the rules.

        Raises:
            Refused: ``workflow.invalid``, also for an owner or deputy of any workflow: whoever is judged by the numbers does
                not set them.
        """
        profiles.checked(base, thresholds)
        person = by.partition(":")[2]
        owned = [
            one.workflow for one in self.workflows(tenant)
            if any(self.same(tenant, person, name) for name in (one.owner, one.deputy))
        ]  # fmt: skip
        if owned:
            raise Refused(
                "workflow.invalid", f"{person} answers for {owned[0]}: somebody else sets the numbers of its gates"
            )
        numbers = {gate: dict(some) for gate, some in thresholds.items()}
        profile = Profile(base, 0, numbers, by, reason, self._now_ms())
        new = await self._store.write(lambda connection: store.add_profile(connection, tenant, profile))
        await self.refresh()
        return new


async def _no_ideas(tenant: str) -> Rows:
    return ()


def gate_of(name: str) -> Gate:
    """A gate by its name. Raises ``gate.not_found``."""
    gate = BY_NAME.get(name)
    if gate is None:
        raise Refused("gate.not_found", f"gate {name!r:.20}: {', '.join(BY_NAME)}")
    return gate


async def _nothing_first(tenant: str) -> None:
    """Nothing."""
