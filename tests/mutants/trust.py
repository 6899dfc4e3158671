"""Planted bugs of trust: who may still act, and who may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.planting import replace

from holdfast.edge import revocation
from holdfast.engines.sqlite import lock, watch
from holdfast.errors import Refused
from holdfast.session import policy
from tests.mutants.plant import mutant

LINEAGE = "tests/unit/edge/test_lineage.py"


@mutant("ACC-4", "what was minted from a revoked token goes on", LINEAGE)
def orphans_live() -> None:
    def check(self: Any, principal: Any) -> None:
        before = self._subjects.get((principal.tenant, principal.actor))
        revoked = before is not None and (principal.issued_s is None or principal.issued_s <= before)
        if revoked or (principal.tenant, principal.token_id) in self._tokens:
            raise Refused("auth.revoked")

    replace(revocation.Revocations, "check", check)


@mutant("ACC-4", "revoking an agent spares its sub-agents", LINEAGE)
def sub_agents_live() -> None:
    def alone(actor: str) -> Iterator[str]:
        yield actor

    replace(revocation, "actor_and_parents", alone)


@mutant("CTL-6", "a name that an agent minted may decide", "tests/acceptance/test_who_decides.py")
def minted_approver() -> None:
    replace(policy.DefaultPolicy, "may_decide", lambda self, facts, approval, decider: policy.ALLOWED)


LOST = "tests/unit/engines/test_lost_files.py"


@mutant("LOG-3", "writes are acknowledged into a file that is not there", LOST)
def written_into_nothing() -> None:
    replace(watch.FileWatch, "describe_loss", lambda self, *names: "")


@mutant("LOG-9", "a hard link to the database lets a second server in", LOST)
def two_names_two_writers() -> None:
    replace(lock, "OFD_SETLK", None)
