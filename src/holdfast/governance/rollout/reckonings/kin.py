"""What the workflows that share a credential or a prompt with one come to by their own rows (rule 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from holdfast.governance.rollout.evidence import EvidenceReader
from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.kin import KIN, Bond, bonds
from holdfast.governance.rollout.model import EvidenceAnswer, GateScope, Ruling, passes
from holdfast.governance.rollout.port import WorkflowList
from holdfast.governance.rollout.profiles import Profile
from holdfast.governance.rollout.reckonings.memo import RoundMemo
from holdfast.governance.rollout.ruling import ruled
from holdfast.governance.rollout.store import DOMAIN as PLAN
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.changes import store_changes
from holdfast.governance.store.tables.keys import gateway_keys
from holdfast.governance.store.tables.ledger import ledger_rows
from holdfast.governance.store.tables.workflows import workflow_runs

_REASON_CHARS: Final = 300
_NO_GATE: Final = ""
_FAILS_NONE: Final = passes(0, "it fails none of the gates by which they are judged as one")


class Kin:
    """Finds who is one with a workflow, and judges each by itself.

    Args:
        database: the store.
        workflows: which there are, with the prompts of their manifests.
        reader: of the evidence of the others.
        gates: those whose rules read this.
        profile_of: the numbers of a tenant.
    """

    def __init__(
        self, database: Store, workflows: WorkflowList, reader: EvidenceReader, gates: Sequence[Gate],
        profile_of: Callable[[str], Profile],
    ) -> None:  # fmt: skip
        self._store = database
        self._workflows = workflows
        self._reader = reader
        self._gates = gates
        self._profile_of = profile_of
        self._groups: RoundMemo[Mapping[str, Mapping[str, Bond]]] = RoundMemo()
        self._rulings: RoundMemo[Mapping[str, Ruling]] = RoundMemo()

    async def __call__(self, scope: GateScope) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, int | str]]:
        """A row for each of the others and each gate that it fails; one of no gate for each that fails none."""
        state = await self._store.read(_state)
        groups = await self._groups.get(
            (scope.tenant, scope.since_ms, state), scope.as_of_ms, lambda: self._found(scope)
        )
        rows: list[dict[str, Any]] = []
        for name, bond in groups.get(scope.workflow, {}).items():
            own = msgspec.structs.replace(scope, workflow=name)
            failing = await self._rulings.get(
                (scope.tenant, name, scope.since_ms, state), scope.as_of_ms, lambda own=own: self._failing(own)  # type: ignore[misc]
            )  # fmt: skip
            rows += [
                {"workflow": name, "shares": bond.words, "gate": gate, "n": one.n, "reason": one.reason[:_REASON_CHARS]}
                for gate, one in failing.items() or ((_NO_GATE, _FAILS_NONE),)
            ]
        return rows, {}

    async def _found(self, scope: GateScope) -> Mapping[str, Mapping[str, Bond]]:
        some = {one.workflow: one.prompts for one in self._workflows.listed(scope.tenant) if one.state != "retired"}
        keys, active = await self._store.read(lambda connection: _seen(connection, scope))
        prompts = {name: hashes for name, hashes in some.items() if name in active}
        return bonds([(key, workflow) for key, workflow in keys if workflow in some], prompts)

    async def _failing(self, scope: GateScope) -> Mapping[str, Ruling]:
        names = sorted({name for gate in self._gates for name in gate.queries if name != KIN})
        answers = {**await self._reader.answer(names, scope), KIN: EvidenceAnswer(KIN, {}, ())}
        profile = self._profile_of(scope.tenant)
        found = {gate.name: ruled(gate, answers, scope, profile.of(gate.name)) for gate in self._gates}
        return {gate: one for gate, one in found.items() if one.verdict == "fail"}


def _state(connection: Connection) -> tuple[tuple[str, int], ...]:
    """What people changed so far, other than the plan itself: while it is the same, so is what others come to, but for what runs
    and calls add to it."""
    found = connection.execute(select(store_changes.c.domain, store_changes.c.number).order_by(store_changes.c.domain))
    return tuple((domain, number) for domain, number in found if domain != PLAN)


def _seen(connection: Connection, scope: GateScope) -> tuple[list[tuple[str, str]], set[str]]:
    """Which workflow called with which key in the window, and which did anything at all. Work under a test key never counts."""
    row, run, key = ledger_rows.c, workflow_runs.c, gateway_keys.c
    called = (
        select(row.source, row.key, row.workflow)
        .distinct()
        .where(row.tenant == scope.tenant, row.workflow != "", row.at_ms >= scope.since_ms, row.at_ms < scope.until_ms)
    )  # fmt: skip
    ran = (
        select(run.workflow)
        .distinct()
        .where(run.tenant == scope.tenant, run.queued_ms >= scope.since_ms, ~run.test, run.workflow != "")
    )
    test = {one.id for one in connection.execute(select(key.id, key.labels)) if one.labels.get("test") == "yes"}
    rows = [one for one in connection.execute(called) if one.key not in test]
    pairs = [
        (one.key, one.workflow) for one in rows if one.source == "gateway"
    ]  # elsewhere it is the provider's own name
    return pairs, {one.workflow for one in rows} | set(connection.execute(ran).scalars())
