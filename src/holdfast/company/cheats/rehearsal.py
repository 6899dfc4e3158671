"""A copy of a store on which everything may be done: the same services, and a clock that goes where it is sent."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
import yaml  # type: ignore[import-untyped]
from sqlalchemy import Connection

from holdfast.errors import Refused
from holdfast.governance.budgets.desk import BudgetDesk
from holdfast.governance.directory.model import DirectoryPerson
from holdfast.governance.ledger.model import Row
from holdfast.governance.opening import OpenedStore
from holdfast.governance.organisation.dates import day_at
from holdfast.governance.organisation.document import parse
from holdfast.governance.outcomes.service import OutcomeRequest, OutcomeService
from holdfast.governance.routing.service import Routing
from holdfast.governance.store.sqlite_file import mark_closed, raw
from holdfast.governance.store.store import Store
from holdfast.governance.workflows.model import WorkflowManifest
from holdfast.hub.clock import Clock

COMPANY: Final = "default"
BOOKS: Final = "small-books"
"""The tenant of moves that need books in which nothing else is wrong; it is in the copy only."""
WORKFLOW: Final = "try-to-cheat"
DAY_MS: Final = 86_400_000
NANO: Final = 1_000_000_000
_PEOPLE: Final = 4
_BEFORE_DAYS: Final = 45
_TEAMS: Final = b"organisation: {name: Small books, time_zone: Europe/Berlin}\nteams: [{name: sales}]\n"


class RehearsalClock(Clock):
    """Time of a copy: it stands, and goes forth and back.

    Args:
        now_ms: where it begins, Unix ms.
    """

    simulated = True

    def __init__(self, now_ms: int) -> None:
        super().__init__()
        self._now_ms = now_ms

    def wall_ms(self) -> int:
        """Unix milliseconds."""
        return self._now_ms

    def pass_days(self, days: float) -> None:
        """Let days pass; less than none goes back."""
        self._now_ms += int(days * DAY_MS)


class CastPlace(msgspec.Struct, frozen=True):
    """Where a move is played: a workflow with its people. ``workflow`` is empty for the organisation."""

    tenant: str = COMPANY
    workflow: str = WORKFLOW
    unit: str = "sales"
    owner: str = "ann"
    deputy: str = "bob"
    sponsor: str = "cem"
    payer: str = "dee"

    @property
    def organisation(self) -> CastPlace:
        """The same for a gate of the organisation."""
        return msgspec.structs.replace(self, workflow="")


class Rehearsal(OpenedStore):
    """The services of a copy.

    Args:
        store: open.
        clock: its time.
    """

    def __init__(self, store: Store, clock: RehearsalClock) -> None:
        super().__init__(store, clock.wall_ms, clock)
        self.clock = clock
        self.outcomes = OutcomeService(store, clock.wall_ms)
        self.routing = Routing(store, self.outcomes, clock.wall_ms)
        self.budget_desk = BudgetDesk(self.budgets, self.organisation)
        self._ids = itertools.count(1)

    def ident(self) -> str:
        """A name that nothing in the copy has."""
        return f"{WORKFLOW}-{next(self._ids)}"

    # --- where
    async def company_place(self) -> CastPlace:
        """A workflow that does not exist yet, of a team of the company: its people are real, all of one team. A younger team
        is described for the days before, too.

        Raises:
            Refused: ``workflow.invalid`` where no team has as many people.
        """
        teams = {one.name for one in self.organisation.tree(COMPANY).at(self.now_ms()) if one.kind == "team"}
        by_team: dict[str, list[DirectoryPerson]] = {}
        for person in self.directory.people(COMPANY):
            if person.active and person.human and person.unit in teams:
                by_team.setdefault(person.unit, []).append(person)
        for team in sorted(by_team):
            if len(by_team[team]) >= _PEOPLE:
                await self._describe(team)
                return CastPlace(COMPANY, WORKFLOW, team, *(one.user_name for one in by_team[team][:_PEOPLE]))
        raise Refused("workflow.invalid", f"no team has {_PEOPLE} people in the directory")

    async def _describe(self, team: str) -> None:
        before_ms = self.now_ms() - _BEFORE_DAYS * DAY_MS
        if self.organisation.tree(COMPANY).find("team", team, before_ms) is None:
            since = day_at(before_ms, self.organisation.zone(COMPANY))
            file = parse(yaml.safe_dump({"teams": [{"name": team}]}).encode(), "yaml")
            await self.organisation.change(file, since=since, by="user:root")

    async def books_place(self) -> CastPlace:
        """A workflow in books of its own, described as of now."""
        await self.organisation.change(parse(_TEAMS, "yaml"), by="user:root", tenant=BOOKS)
        return CastPlace(BOOKS)

    async def manifest(self, place: CastPlace, **more: Any) -> None:
        """The owner applies the manifest of the workflow of a place."""
        facts: dict[str, Any] = {
            "workflow": WORKFLOW, "unit": place.unit, "owner": place.owner, "deputy": place.deputy, "sponsor": place.sponsor,
            "payer": place.payer, "stage": "chat",
        } | more  # fmt: skip
        await self.workflows.apply(WorkflowManifest(**facts), by=f"user:{place.owner}", tenant=place.tenant)

    # --- what is done
    async def spend(
        self, place: CastPlace, n: int = 1, *, labels: Mapping[str, str] | None = None, nano: int = NANO, model: str = "m1",
        **more: Any,
    ) -> list[Row]:  # fmt: skip
        """So many rows of the ledger, each with its own amount, as an agent brings them that asks a provider itself; now."""
        whose = {"workflow": WORKFLOW, "task": "reply"} | dict(labels or {})
        rows = []
        for _ in range(n):
            ident = self.ident()
            facts: dict[str, Any] = {
                "id": ident, "call": ident, "at_ms": self.now_ms(), "day": "", "month": "", "tenant": place.tenant,
                "upstream": "up", "provider": "openai", "asked": model, "model": model, "card": "card-1",
                "counts": {"input": max(1, nano // 1_000)}, "parts": {"input": nano}, "list_nano": nano,
                "contracted_nano": nano, "effective_nano": nano, "billed_nano": nano, "source": "agent",
            } | more  # fmt: skip
            rows.append(self.ledger.complete(Row(**facts), whose, price=False))
        await self.ledger.append(rows)
        return rows

    async def say(self, place: CastPlace, rows: Sequence[Row], verdict: str) -> None:
        """Somebody says what became of work."""
        by = f"user:{place.owner}"
        saying = [
            self.outcomes.record(OutcomeRequest(outcome=verdict, call=row.call), by=by, tenant=place.tenant)
            for row in rows
        ]
        await asyncio.gather(*saying)  # they are committed together


@contextlib.asynccontextmanager
async def rehearsing(source: Store) -> AsyncIterator[Rehearsal]:
    """The services of a copy of an open store; it is gone when the context ends. Nothing is written into the store itself.

    Raises:
        Unavailable: of the store.
    """
    with tempfile.TemporaryDirectory(prefix="holdfast-cheat-") as folder:
        path = Path(folder) / "copy.db"
        await source.read(lambda connection: _copy(connection, path))
        clock = RehearsalClock(source.now_ms())
        store = await Store.open(str(path), clock.wall_ms)
        try:
            found = Rehearsal(store, clock)
            await found.refresh()
            yield found
        finally:
            await store.close()


def _copy(connection: Connection, path: Path) -> None:
    """Copy the moment that a connection sees, by SQLite's own means (https://www.sqlite.org/backup.html)."""
    target = apsw.Connection(str(path))
    try:
        with target.backup("main", raw(connection), "main") as backup:
            backup.step(-1)
        mark_closed(target)  # whoever has the store open has not the copy open
    finally:
        target.close()
