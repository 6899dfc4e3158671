"""The inbox: computes what people have to do, and says what became of it."""

from __future__ import annotations

import asyncio
import secrets
import zoneinfo
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.inbox import handling, notice_store, store
from holdfast.governance.inbox.diff import InboxChange, changed
from holdfast.governance.inbox.handling import OwnerLoad
from holdfast.governance.inbox.model import AGAIN_MS, DAY_MS, Condition, InboxItem, is_of
from holdfast.governance.inbox.notices import InboxNotice, due_notices
from holdfast.governance.inbox.port import ConditionSource, InboxPeople
from holdfast.governance.messages.model import Message
from holdfast.governance.messages.outbox import Outbox, Row, Way
from holdfast.governance.rollout.gates.sustained import WEEKS
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.inbox import inbox_notices
from holdfast.visible import logger

log: Final = logger("holdfast.governance")
MEASURED_MS: Final = 90 * DAY_MS
"""Over which handling times are measured."""
WINDOW_MS: Final = WEEKS * 7 * DAY_MS


class InboxPage(msgspec.Struct, frozen=True):
    """Items of somebody, what stops something first.

    Attributes:
        items: as many as are shown; ``more`` others are only counted.
        failures: sources that cannot say anything now, with the reason: their items stay as they were.
    """

    items: tuple[InboxItem, ...]
    more: int = 0
    failures: dict[str, str] = {}


class OwnerInbox:
    """The inbox of a store.

    Attributes:
        now_ms: the clock.
        sources: of what people have to do; more are appended before the first computation.

    Args:
        database: the store.
        people: who is who.
        zone: of a tenant's days.
        now_ms: the clock, Unix ms.
        ways: by which people are told.
    """

    def __init__(
        self, database: Store, people: InboxPeople, zone: Callable[[str], zoneinfo.ZoneInfo], now_ms: Callable[[], int],
        ways: Sequence[Way] = (),
    ) -> None:  # fmt: skip
        self._store = database
        self._people = people
        self._zone = zone
        self.now_ms = now_ms
        self._outbox = Outbox(database, inbox_notices, self._message_of, now_ms, ways)
        self.sources: list[ConditionSource] = []

    # --- computing
    async def compute(self, tenant: str) -> InboxChange:
        """Compute what people have to do: open what is new, close what is gone, and put on record who is to be told.

        Raises:
            Unavailable: of the store.
        """
        found, failures = dict[str, Sequence[Condition]](), dict[str, str]()
        for source in self.sources:
            failures[source.name] = ""
            try:
                async with asyncio.timeout(limits.INBOX_SOURCE_S):
                    some = await source.conditions(tenant, self.now_ms())
                if len(some) > limits.INBOX_CONDITIONS:
                    raise OverflowError(f"more than {limits.INBOX_CONDITIONS:,} conditions")
                found[source.name] = some
            except Exception as error:  # whatever it is: what cannot be computed is not gone
                failures[source.name] = f"{type(error).__name__}: {error}"[:200]
                log.warning("the inbox cannot compute %s: %s", source.name, failures[source.name])
        return await self._store.write(lambda connection: self._apply(connection, tenant, found, failures))

    def _apply(
        self, connection: Connection, tenant: str, found: Mapping[str, Sequence[Condition]], failures: Mapping[str, str]
    ) -> InboxChange:
        now_ms = self.now_ms()
        store.look(connection, tenant, failures, now_ms)
        items = store.open_items(connection, tenant)
        closed = store.last_closed(connection, tenant, now_ms - AGAIN_MS)
        change = changed(tenant, found, items, closed, now_ms, lambda: f"i-{secrets.token_hex(8)}")
        times = handling.measured(store.handled_since(connection, tenant, now_ms - MEASURED_MS))
        change = InboxChange(
            [_timed(item, times) for item in change.opened],
            change.closed,
            [_timed(item, times) for item in change.stayed],
        )
        before = {item.id: item for item in items}
        touched = [
            item for item in change.stayed if replace(item, computed_ms=0) != replace(before[item.id], computed_ms=0)
        ]
        still = {item.id: item for item in (*items, *change.stayed, *change.opened)}
        for item in change.closed:
            del still[item.id]
        digests = notice_store.digests_since(connection, tenant, now_ms - 2 * DAY_MS)
        notices, marked = due_notices(tenant, list(still.values()), digests, self._zone(tenant), now_ms)
        if change.opened or change.closed or touched or marked:
            store.put(connection, change.opened, [*change.closed, *touched, *marked])
        self._keep(connection, notices)
        return change

    def _keep(self, connection: Connection, notices: Sequence[InboxNotice]) -> None:
        if notices:
            notice_store.add(connection, [replace(one, sent=self._outbox.deliveries(one.at_ms)) for one in notices])

    async def notify(self, notices: Sequence[InboxNotice]) -> None:
        """Have people told of something that is no item. What was told already is not told again. Raises of the store."""
        if notices and await self._store.read(lambda connection: notice_store.new(connection, notices)):
            await self._store.write(lambda connection: self._announce(connection, notices))

    def _announce(self, connection: Connection, notices: Sequence[InboxNotice]) -> None:
        self._keep(connection, notices)
        store.note_change(connection)  # whoever tells people is woken

    async def tell(self) -> int:
        """Tell what is on record and was not told yet; how many tries were taken. Raises of the store."""
        return await self._outbox.tell()

    def _message_of(self, row: Row) -> Message:
        notice = notice_store.notice_of(row)
        person = self._people.person(notice.tenant, notice.person)
        data = {
            "tenant": notice.tenant, "person": notice.person, "kind": notice.kind, "text": notice.text,
            "lines": list(notice.lines), "items": list(notice.items),
        }  # fmt: skip
        lines = (*notice.lines, "", "See it: holdfast inbox list")
        address = (person.email,) if person is not None and person.active and person.email else ()
        return Message(
            id=notice.id, tenant=notice.tenant, type=f"inbox.{notice.kind}", at_ms=notice.at_ms, text=notice.text,
            lines=lines, data=data, people=address,
        )  # fmt: skip

    # --- read
    def names(self, tenant: str, person: str | None) -> Collection[str] | None:
        """All names of somebody, as they are compared: items may name them otherwise than they sign in. None for everybody."""
        return None if person is None else self._people.names(tenant, person)

    async def listed(
        self, tenant: str, person: str | None, limit: int = limits.INBOX_SHOWN, workflow: str = ""
    ) -> InboxPage:
        """What somebody has to do, or everybody (None); what stops something first. Raises of the store."""
        items, looks = await self._store.read(
            lambda connection: (store.open_items(connection, tenant), store.looked(connection, tenant))
        )
        now_ms, names = self.now_ms(), self.names(tenant, person)
        wanted = [
            item for item in items
            if (names is None or is_of(item, names)) and workflow in ("", item.workflow)
        ]  # fmt: skip
        wanted.sort(key=lambda item: item.rank(now_ms))
        limit = max(1, min(limit, limits.INBOX_SHOWN_MOST))
        failures = {source: why for source, (_, why) in looks.items() if why}
        return InboxPage(tuple(wanted[:limit]), max(0, len(wanted) - limit), failures)

    async def item(self, tenant: str, ident: str, reader: str = "") -> InboxItem:
        """An item. Where its person reads it for the first time, that is noted: from then on it is in hand.

        Raises:
            Refused: ``inbox.not_found``.
        """

        names = self.names(tenant, reader) or ()

        def work(connection: Connection) -> InboxItem:
            found = _found(store.find(connection, tenant, ident), ident)
            if found.closed_ms is not None or found.seen_ms or not is_of(found, names):
                return found
            seen = replace(found, seen_ms=self.now_ms(), seen_by=reader)
            store.put(connection, (), (seen,))
            return seen

        return await self._store.write(work)

    async def done(self, tenant: str, ident: str, by: str) -> tuple[InboxItem, str]:
        """Somebody says that an item is done: its condition is computed now. The item, and why it is still there; empty where
        it was closed.

        Raises:
            Refused: ``inbox.not_found``.
        """

        def work(connection: Connection) -> None:
            found = _found(store.find(connection, tenant, ident), ident)
            if found.closed_ms is None:
                store.put(connection, (), (replace(found, done_ms=self.now_ms(), done_by=by),))

        await self._store.write(work)
        await self.compute(tenant)
        item, looks = await self._store.read(
            lambda connection: (_found(store.find(connection, tenant, ident), ident), store.looked(connection, tenant))
        )
        if item.closed_ms is not None:
            return item, ""
        failure = looks.get(item.source, (0, ""))[1]
        return item, f"it cannot be computed now ({failure}), so it stays" if failure else f"it is still so: {item.why}"

    async def history(
        self, tenant: str, person: str | None, workflow: str = "", limit: int = limits.INBOX_SHOWN
    ) -> list[InboxItem]:
        """Closed items, the last first. Raises of the store."""
        limit = max(1, min(limit, limits.INBOX_HISTORY_ROWS))
        names = self.names(tenant, person)
        return await self._store.read(lambda connection: store.history(connection, tenant, names, workflow, limit))

    async def notices(self, tenant: str, person: str | None, limit: int = limits.INBOX_SHOWN) -> list[InboxNotice]:
        """What people were told, the newest first. Raises of the store."""
        names = self.names(tenant, person)
        return await self._store.read(lambda connection: notice_store.listed(connection, tenant, names, limit))

    async def load(self, tenant: str, workflow: str, owner_week: float) -> OwnerLoad:
        """What a workflow needs of who answers for it, beside the hours that they have. Raises of the store."""
        now_ms = self.now_ms()
        items, handled = await self._store.read(
            lambda connection: (
                store.opened_since(connection, tenant, workflow, "owner", now_ms - WINDOW_MS),
                store.handled_since(connection, tenant, now_ms - MEASURED_MS),
            )
        )
        return handling.load(workflow, items, handling.measured(handled), owner_week)


def _timed(item: InboxItem, times: Mapping[str, tuple[int, int]]) -> InboxItem:
    minutes, _ = times.get(handling.family(item.kind), (handling.declared(item.kind), 0))
    return replace(item, minutes=minutes)


def _found(item: InboxItem | None, ident: str) -> InboxItem:
    if item is None:
        raise Refused("inbox.not_found", f"there is no item {ident!r:.40}")
    return item
