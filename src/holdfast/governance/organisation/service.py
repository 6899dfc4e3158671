"""The organisation: what other domains, routes and commands ask of it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.governance import labels, limits
from holdfast.governance.organisation import store as statements
from holdfast.governance.organisation.dates import day_at, day_start_ms, zone_of
from holdfast.governance.organisation.document import OrganisationFile
from holdfast.governance.organisation.model import Tree, Unit, UnitKind, Whose, Workflow
from holdfast.governance.organisation.people import Pseudonyms, new_pseudonym, plain_name
from holdfast.governance.organisation.planning import ChangeLine, Described, Plan, plan
from holdfast.governance.store.changes import change_number
from holdfast.governance.store.store import Store
from holdfast.visible import logger

log: Final = logger("holdfast.governance")
_TRIES: Final = 5
"""How often a change is planned anew because another process changed the organisation meanwhile."""


class Organisation:
    """Who is who, in memory: answered without waiting, read again when any process changed it.

    Args:
        store: where it is kept.
        now_ms: the clock, Unix ms.
    """

    def __init__(self, store: Store, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._trees: dict[str, Tree] = {}
        self._refreshing = asyncio.Lock()
        self._workflows: Mapping[str, Mapping[str, Workflow]] = {}
        self._people = Pseudonyms()
        self._seen: dict[tuple[str, str], int] = {}
        self._task: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Read everything again. Raises ``store.unavailable``."""
        async with self._refreshing:  # who began to read earlier must not have the last word
            contents = await self._store.read(statements.read_all)
            self._trees = {tenant: Tree(periods) for tenant, periods in contents.periods.items()}
            self._workflows = contents.workflows
            self._people.load(contents.people, contents.pseudonyms)

    def start(self) -> None:
        """Begin to write down, now and then, who was seen."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="holdfast organisation")

    async def stop(self) -> None:
        """End, and write down the last of it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        with contextlib.suppress(HoldfastError):
            await self.flush()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(limits.ORG_FLUSH_S)
            try:
                await self.flush()
            except Exception as error:  # tried again: what was seen is still there
                log.warning("who was seen could not be written down: %s", error)

    # --- asked for every row, without waiting ---------------------------------------------------------------------------
    def resolve(self, claims: Mapping[str, str], at_ms: int, tenant: str = "default") -> Whose:
        """Whose a piece of work with these labels is at a moment. A workflow that nobody declared is ``unassigned``, and
        remembered as seen. Never waits and never fails."""
        user = claims.get(labels.USER, "")
        whose = self.tree(tenant).whose(claims, at_ms, self._people.of(tenant, user) if user else "")
        name = claims.get(labels.WORKFLOW, "")
        if name and whose.workflow == labels.UNASSIGNED and name != labels.UNASSIGNED:
            self._see(tenant, name[: limits.ORG_NAME_CHARS], at_ms)
        return whose

    def _see(self, tenant: str, name: str, at_ms: int) -> None:
        listed = self._workflows.get(tenant, {})
        if name in listed or (tenant, name) in self._seen:
            self._seen[tenant, name] = max(at_ms, self._seen.get((tenant, name), 0))
        elif len(self._seen) + sum(not one.declared for one in listed.values()) < limits.ORG_SEEN_WORKFLOWS:
            self._seen[tenant, name] = at_ms

    def tree(self, tenant: str = "default") -> Tree:
        """The units of a tenant, at all times; an empty tree for one that nobody has described."""
        return self._trees.get(tenant) or _EMPTY

    def zone(self, tenant: str = "default", at_ms: int | None = None) -> zoneinfo.ZoneInfo:
        """The time zone of its days: the present one, or that of a moment."""
        return zone_of(self.tree(tenant).organisation(self._now_ms() if at_ms is None else at_ms).zone)

    def currency(self, tenant: str = "default") -> str:
        """The currency that it reports in: an ISO 4217 code."""
        return self.tree(tenant).organisation(self._now_ms()).currency

    def today(self, tenant: str = "default") -> datetime.date:
        """The day it is there now."""
        return day_at(self._now_ms(), self.zone(tenant))

    def start_of(self, day: datetime.date, tenant: str = "default") -> int:
        """Unix ms at which a day begins there."""
        return day_start_ms(day, self.zone(tenant))

    # --- asked by people -----------------------------------------------------------------------------------------------
    def at(self, day: datetime.date, tenant: str = "default") -> list[Unit]:
        """Every unit as it stood at the end of a day."""
        end_ms = self.start_of(day + datetime.timedelta(days=1), tenant) - 1
        return list(self.tree(tenant).at(end_ms))

    def workflows(self, tenant: str = "default") -> list[Workflow]:
        """The workflows that are declared, and those that only callers have named, by name."""
        return sorted(self._workflows.get(tenant, {}).values(), key=lambda workflow: workflow.name)

    def workflow(self, name: str, tenant: str = "default") -> Workflow | None:
        """A workflow by name; None for one of which nothing is known."""
        return self._workflows.get(tenant, {}).get(name)

    def person(self, pseudonym: str, tenant: str = "default") -> str:
        """Who is behind a pseudonym; empty for nobody, and for somebody who was deleted."""
        return self._people.person(tenant, pseudonym)

    def people(self, tenant: str = "default") -> list[tuple[str, str]]:
        """Every pseudonym with who is behind it, by name."""
        return self._people.everybody(tenant)

    async def pseudonym(self, person: str, tenant: str = "default") -> str:
        """The pseudonym of somebody, durable when it is answered. Raises ``store.unavailable``."""
        name = plain_name(person)
        made = self._people.of(tenant, name)
        if not made:
            raise Refused("input.malformed", f"user: 1 to {limits.ORG_NAME_CHARS} characters")
        if self._people.person(tenant, made) != name:
            await self.flush()
        return self._people.of(tenant, name)

    async def forget(self, person: str, tenant: str = "default") -> int:
        """Take a person's name out of what is kept here; rows stay, under pseudonyms that lead to nobody.

        Returns:
            How many pseudonyms were theirs.
        """
        name = plain_name(person)
        self._people.forget(tenant, name)

        def work(connection: Connection) -> int:
            statements.changed(connection)
            return statements.forget(connection, tenant, name)

        deleted = await self._store.write(work)
        await self.refresh()
        return deleted

    async def change(
        self,
        file: OrganisationFile,
        *,
        since: datetime.date | None = None,
        by: str = "",
        complete: bool = False,
        dry_run: bool = False,
        tenant: str = "default",
        also: Callable[[Connection], None] | None = None,
    ) -> Sequence[ChangeLine]:
        """Let the organisation be, from a day on, as a file describes it; doing it twice changes nothing.

        Args:
            since: the first day; today by default.
            by: who says so.
            complete: what the file does not name ends.
            dry_run: change nothing.
            also: done in the same transaction, even where nothing else changes: both hold or neither does.

        Returns:
            What changed, or would; people by name.

        Raises:
            Refused: ``org.invalid``.
            Unavailable: ``store.unavailable``; ``store.busy`` when others keep changing it.
        """
        for _ in range(_TRIES):
            contents, number = await self._store.read(
                lambda c: (statements.read_all(c), change_number(c, statements.DOMAIN))
            )
            tree = Tree(contents.periods.get(tenant, ()))
            people = dict(contents.people.get(tenant, {}))
            new = {name: new_pseudonym() for name in map(plain_name, file.users) if name not in people}
            people |= new
            users = [Unit("user", people[plain_name(name)], parent=team) for name, team in file.users.items()]
            wanted = Described((*file.described.units, *users), file.described.workflows)
            now_ms = self._now_ms()
            since_ms = self._since_ms(tree, wanted, since, now_ms)
            workflows = contents.workflows.get(tenant, {}).values()
            change = plan(tree, workflows, wanted, since_ms, by=by, now_ms=now_ms, complete=complete)
            names = {pseudonym: person for person, pseudonym in people.items()}
            lines = [
                msgspec.structs.replace(line, name=names.get(line.name, line.name)) if line.kind == "user" else line
                for line in change.differences
            ]
            if dry_run or not (change.timelines or change.workflows or also):
                return lines
            if await self._store.write(_applied(change, tenant, new, number, now_ms, also)):
                await self.refresh()
                return lines
        raise Unavailable("store.busy", "others keep changing the organisation")

    def _since_ms(self, tree: Tree, wanted: Described, since: datetime.date | None, now_ms: int) -> int:
        """The first moment of the day, in the time zone that holds from then on."""
        described = next((unit for unit in wanted.units if unit.kind == "organisation"), None)
        zone = zone_of((described or tree.organisation(now_ms)).zone)
        return day_start_ms(since or day_at(now_ms, zone), zone)

    async def move(
        self,
        kind: UnitKind,
        name: str,
        team: str,
        *,
        since: datetime.date | None = None,
        by: str = "",
        dry_run: bool = False,
        tenant: str = "default",
    ) -> Sequence[ChangeLine]:
        """Let a team, a workflow or a user be in another team from a day on; empty: directly below the organisation.

        Raises:
            Refused: ``org.invalid``, also for what is not there on that day.
        """
        since_ms = self.start_of(since or self.today(tenant), tenant)
        if kind == "user":
            if not self._people.find(tenant, name):
                raise Refused("org.invalid", f"nobody here is called {name!r:.140}")
            file = OrganisationFile(Described(), {plain_name(name): team})
        else:
            unit = self.tree(tenant).find(kind, name, since_ms)
            if unit is None or kind not in ("team", "workflow"):
                raise Refused("org.invalid", f"there is no {kind} {name!r:.140} on that day")
            file = OrganisationFile(Described((msgspec.structs.replace(unit, parent=team),)))
        return await self.change(file, since=since, by=by, dry_run=dry_run, tenant=tenant)

    async def declare(self, workflow: str, team: str, *, by: str = "", tenant: str = "default") -> Sequence[ChangeLine]:
        """Have a workflow, and its team, from today on; what is there stays as it is. For who begins with a key."""
        now_ms = self._now_ms()
        units: list[Unit] = []
        if team and self.tree(tenant).find("team", team, now_ms) is None:
            units.append(Unit("team", team))
        if self.tree(tenant).find("workflow", workflow, now_ms) is None:
            units.append(Unit("workflow", workflow, parent=team))
        described = Described(tuple(units), (self._declared(workflow, tenant),))
        return await self.change(OrganisationFile(described), by=by, tenant=tenant)

    def _declared(self, name: str, tenant: str) -> Workflow:
        found = self.workflow(name, tenant) or Workflow(name)
        return msgspec.structs.replace(found, declared=True)

    async def flush(self) -> None:
        """Write down who and what was seen for the first time. Raises ``store.unavailable``; nothing is lost then."""
        seen, new = dict(self._seen), self._people.new()
        if not seen and not new:
            return
        now_ms = self._now_ms()

        def work(connection: Connection) -> bool:
            for tenant, people in new.items():
                fresh = {
                    person: pseudonym
                    for person, pseudonym in people.items()
                    if statements.pseudonym_of(connection, tenant, person) != pseudonym
                }
                statements.put_people(connection, tenant, fresh, now_ms)
            news = [
                statements.see_workflows(
                    connection, tenant, {name: at for (t, name), at in seen.items() if t == tenant}
                )
                for tenant in {tenant for tenant, _ in seen}
            ]
            if new or any(news):
                statements.changed(connection)
                return True
            return False

        if await self._store.write(work):
            await self.refresh()
        self._seen = {key: at for key, at in self._seen.items() if seen.get(key) != at}


_EMPTY: Final = Tree()


def _applied(
    change: Plan, tenant: str, people: Mapping[str, str], number: int, now_ms: int,
    also: Callable[[Connection], None] | None = None,
) -> Callable[[Connection], bool]:  # fmt: skip
    """The work that makes a change, if nobody changed anything since it was planned."""

    def work(connection: Connection) -> bool:
        if change_number(connection, statements.DOMAIN) != number:
            return False
        statements.put_people(connection, tenant, people, now_ms)
        statements.put_timelines(connection, tenant, change.timelines)
        statements.put_workflows(connection, tenant, change.workflows)
        statements.changed(connection)
        if also is not None:
            also(connection)
        return True

    return work
