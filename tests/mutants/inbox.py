"""Planted bugs of the inbox, of succession, and of gates 1.b, 6.b, 9.a and 9.b."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from conformance.planting import replace
from msgspec.structs import replace as changed

from holdfast.governance.inbox import diff, notices, service
from holdfast.governance.inbox import store as statements
from holdfast.governance.inbox.model import Condition, InboxItem
from holdfast.governance.inbox.service import OwnerInbox
from holdfast.governance.inbox.sources import approvals
from holdfast.governance.rollout.gates import no_skip, owner, people_protected, streaming, sustained
from holdfast.governance.workflows import run_record, waiting_approvals
from tests.mutants.plant import mutant

INBOX = "tests/unit/governance/inbox"
ROLLOUT = "tests/unit/governance/rollout"


@mutant("GATE-6", "who says that an item is done closes it", f"{INBOX}/test_inbox.py")
def closed_by_a_click() -> None:
    real = OwnerInbox.done

    async def done(self: Any, tenant: str, ident: str, by: str) -> Any:
        item, _ = await real(self, tenant, ident, by)
        item = changed(item, closed_ms=self.now_ms(), closed_by=by)
        await self._store.write(lambda connection: statements.put(connection, (), (item,)))
        return item, ""

    replace(OwnerInbox, "done", done)


@mutant("GATE-6", "a source that fails closes its items", f"{INBOX}/test_inbox.py")
def unknown_is_gone() -> None:
    real = diff.changed

    def difference(
        tenant: str, found: Mapping[str, Sequence[Condition]], items: Sequence[InboxItem], *more: Any
    ) -> diff.InboxChange:
        return real(tenant, {**{item.source: () for item in items}, **found}, items, *more)

    replace(service, "changed", difference)


@mutant("GATE-6", "a date that is computed later moves the item's", f"{INBOX}/test_inbox.py")
def date_moves_away() -> None:
    real = diff._renewed
    replace(
        diff, "_renewed", lambda item, source, one, now_ms: changed(real(item, source, one, now_ms), due_ms=one.due_ms)
    )


@mutant("GATE-6", "what comes back at once is a new item", f"{INBOX}/test_inbox.py")
def flaps() -> None:
    replace(diff, "AGAIN_MS", 0)


@mutant("TELL-1", "what stops something is told at every look", f"{INBOX}/test_notices.py")
def told_again() -> None:
    real = notices._at_once
    replace(notices, "_at_once", lambda item, now_ms: changed(real(item, now_ms), id=f"{item.id}|{now_ms}"))
    replace(notices, "_with", lambda item, some: item)


@mutant(
    "GATE-6", "applying the old manifest again begins the days without a deputy anew", f"{INBOX}/test_succession.py"
)
def days_begin_anew() -> None:
    real = owner._stands_in

    def stands_in(evidence: Any, thresholds: Any, owner: str) -> Any:
        answer = evidence["succession"]
        return real({"succession": changed(answer, rows=answer.rows[-1:])}, thresholds, owner)

    replace(owner, "_stands_in", stands_in)


@mutant("GATE-6", "whoever makes themselves owner needs no deputy for a while", f"{INBOX}/test_succession.py")
def anybody_stands_in() -> None:
    def stands_in(evidence: Any, thresholds: Any, owner: str) -> Any:
        return stand_in("somebody", 1 << 60)

    stand_in = owner._StandIn
    replace(owner, "_stands_in", stands_in)


@mutant("GATE-6", "an item that was closed by hand counts as done", f"{ROLLOUT}/test_sustained.py")
def closed_by_hand() -> None:
    def in_time(row: Any) -> bool:
        return row["closed_ms"] is not None and int(row["closed_ms"]) <= int(row["due_ms"])

    replace(sustained, "_in_time", in_time)


@mutant("GATE-9", "a report of another build counts", f"{ROLLOUT}/test_streaming.py")
def staging_counts() -> None:
    real = streaming._of_build

    def of_build(evidence: Any, scope: Any, thresholds: Any, build: str, seated: int) -> Any:
        rows = evidence["validations"].rows
        return real(evidence, scope, thresholds, str(rows[0]["build"]) if rows else build, seated)

    replace(streaming, "_of_build", of_build)


@mutant("GATE-9", "nobody looks who sits in a person's seat", f"{ROLLOUT}/test_people_protected.py")
def any_seat() -> None:
    replace(people_protected.GATE.thresholds, "unclaimed_permille", 1_000)


@mutant("GATE-1", "a verdict that was changed lets the next stage begin", f"{ROLLOUT}/test_no_skip.py")
def forged_verdict() -> None:
    replace(no_skip, "_is_as_written", lambda row: True)


SESSIONS = f"{INBOX}/test_sessions.py"


@mutant(
    "GATE-6",
    "an approval that expired was decided in time",
    f"{SESSIONS}::test_an_approval_that_expired_was_not_decided_in_time[sqlite]",
)
def due_when_it_expires() -> None:
    replace(approvals, "due_ms", lambda at_ms, deadline_ms, effect: deadline_ms + 1_000_000)


@mutant(
    "GATE-6",
    "an approval waits on in the inbox when its run has ended",
    "tests/unit/governance/workflows/test_journal.py::test_approvals_are_kept_while_they_wait_for_a_person[sqlite]",
)
def waits_for_ever() -> None:
    replace(waiting_approvals, "TYPES", waiting_approvals.TYPES - {"run.ended"})


@mutant(
    "GATE-6",
    "what a person did not allow is an error of the tool",
    f"{SESSIONS}::test_a_call_that_a_person_denied_is_no_error_of_its_tool[sqlite]",
)
def denied_is_an_error() -> None:
    replace(run_record, "error_code", lambda data: str(data.get("error") or ""))
