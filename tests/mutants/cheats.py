"""Planted bugs of the moves against the plan: whom they harm, who may play them, and gates that would let one through."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

from conformance.planting import replace

from holdfast.company.cheats import rehearsal
from holdfast.company.cheats.extension import CheatsExtension
from holdfast.governance import labels
from holdfast.governance.rollout.gates import owner, streaming
from holdfast.governance.store.store import Store
from tests.mutants.plant import mutant

MOVES = "tests/unit/company/cheats/test_moves.py"
ROUTES = "tests/unit/company/cheats/test_routes.py"


@mutant("ACC-1", "a move is played on the company itself", MOVES)
def company_harmed() -> None:
    @contextlib.asynccontextmanager
    async def rehearsing(source: Store) -> AsyncIterator[rehearsal.Rehearsal]:
        found = rehearsal.Rehearsal(source, rehearsal.RehearsalClock(source.now_ms()))
        await found.refresh()
        yield found

    replace(rehearsal, "rehearsing", rehearsing)


@mutant("ACC-1", "anybody may cheat", ROUTES)
def anybody_cheats() -> None:
    real = CheatsExtension.routes

    def routes(self: Any, services: Any) -> Any:
        return [dataclasses.replace(route, verb="") for route in real(self, services)]

    replace(CheatsExtension, "routes", routes)


@mutant("ACC-1", "whoever has a person's name is one", MOVES)
def names_are_people() -> None:
    replace(labels, "is_interactive", lambda claims, at_ms: True)


@mutant("ACC-1", "who never signed in may own a workflow", MOVES)
def mailboxes_own() -> None:
    replace(owner, "_signed_in_ms", lambda evidence, name: 1 << 60)


@mutant("ACC-1", "a report of any server is one of the server that serves", MOVES)
def staging_serves() -> None:
    real = streaming._of_build

    def of_build(evidence: Any, scope: Any, thresholds: Any, build: str, seated: int) -> Any:
        rows = evidence["validations"].rows
        return real(evidence, scope, thresholds, str(rows[0]["build"]) if rows else build, seated)

    replace(streaming, "_of_build", of_build)
