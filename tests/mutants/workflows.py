"""Planted bugs of workflows: whose a run is, who is there, what a tool counts as, and what holds together."""

from __future__ import annotations

from typing import Any

from conformance.planting import replace
from msgspec.structs import replace as changed

from holdfast.governance import labels
from holdfast.governance.rollout import behind
from holdfast.governance.workflows import approving, journal_store, moves, service, triage
from holdfast.governance.workflows.run_record import JournalRun, RunCounts
from tests.mutants.plant import mutant

WORKFLOWS = "tests/unit/governance/workflows"
RADIUS = f"{WORKFLOWS}/test_desk.py::test_whoever_approves_sees_the_radius_of_the_run_and_money_only_with_the_right"
BEHIND = "tests/unit/governance/rollout/test_behind.py"


@mutant("GATE-1", "a label that names nothing leads past an enforced manifest", f"{WORKFLOWS}/test_workflows.py")
def made_up_label() -> None:
    replace(service.Workflows, "is_declared", lambda self, tenant, workflow: True)


@mutant("GATE-1", "a manifest lifts enforcement", f"{WORKFLOWS}/test_workflows.py")
def lifted_by_file() -> None:
    real = moves.placed

    def placed(before: Any, manifest: Any, *more: Any) -> Any:
        found = real(before, changed(manifest, mode=""), *more)
        return changed(found, mode=manifest.mode or found.mode)

    replace(service, "placed", placed)


@mutant("GATE-1", "a rollback brings back who has left", f"{WORKFLOWS}/test_workflows.py")
def owner_rolled_back() -> None:
    real = service.Workflows._move

    async def move(self: Any, tenant: str, workflow: str, to: Any, by: str, reason: str) -> Any:
        def people_too(one: Any) -> Any:
            found = to(one)
            return changed(found, owner=found.manifest.owner) if found.manifest != one.manifest else found

        return await real(self, tenant, workflow, people_too, by, reason)

    replace(service.Workflows, "_move", move)


@mutant("GATE-2", "a sub-run says by itself whether somebody is there", f"{WORKFLOWS}/test_journal.py")
def own_word() -> None:
    def below(child: JournalRun, parent: JournalRun | None) -> JournalRun:
        return changed(child, root=parent.root if parent is not None else child.parent)

    replace(journal_store, "below", below)


@mutant("GATE-2", "a sign-in counts for ever", f"{WORKFLOWS}/test_journal.py")
def old_sign_in() -> None:
    replace(labels, "is_interactive", lambda claims, at_ms: 0 < (labels.signed_in_s(claims) or 0) * 1_000 <= at_ms)


@mutant("GATE-2", "a run that cannot be read counts as one that called nothing", f"{WORKFLOWS}/test_journal.py")
def nothing_called() -> None:
    real = journal_store.end

    def end(connection: Any, tenant: str, ident: str, ended_ms: int, status: str, counts: RunCounts | None) -> bool:
        return real(connection, tenant, ident, ended_ms, status, counts or RunCounts())

    replace(journal_store, "end", end)


@mutant("GATE-2", "a run is of the version that holds when the feed is read", f"{WORKFLOWS}/test_journal.py")
def version_of_now() -> None:
    real = journal_store.version_at
    replace(
        journal_store,
        "version_at",
        lambda connection, tenant, workflow, at_ms: real(connection, tenant, workflow, 1 << 60),
    )


@mutant("GATE-3", "what nobody answered counts as yes", f"{WORKFLOWS}/test_triage.py")
def unanswered_is_yes() -> None:
    replace(triage.IdeaAnswer, "holds", lambda self, now_ms: True)


@mutant("ACC-1", "whoever may read a session is told what its workflow costs", RADIUS)
def radius_with_money() -> None:
    real = approving.shown_radius
    replace(approving, "shown_radius", lambda radius, rights: real(radius, None))


@mutant("ACC-1", "what a sub-run wants is of no workflow", RADIUS)
def radius_of_the_run_alone() -> None:
    real = journal_store.workflows_of_run

    def workflows_of_run(connection: Any, tenant: str, session: str, run: str) -> Any:
        return real(connection, tenant, session, run)[:1]

    replace(journal_store, "workflows_of_run", workflows_of_run)


@mutant(
    "GATE-1", "a number of evidence leads to runs of tests, too", f"{BEHIND}::test_a_number_opens_as_many_as_it_counts"
)
def doors_with_tests() -> None:
    real = behind.run_door

    def run_door(**facts: Any) -> Any:
        return real(**{**facts, "test": ""})

    replace(behind, "run_door", run_door)
