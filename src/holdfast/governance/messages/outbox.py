"""Tells what is on record by every way, again where a receiver is down. A try is taken before it is made, so that of
several processes one makes it; one whose process ended counts as failed after a while and is made again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Table, select, update

from holdfast.governance import limits
from holdfast.governance.messages.model import Delivery, Message
from holdfast.visible import logger

log: Final = logger("holdfast.governance")
LOOKED_AT_MS: Final = 2 * 86_400_000
"""How old a message is that is still told: all tries together take a part of that."""
T = TypeVar("T")
Row = Mapping[Any, Any]


class Way(Protocol):
    """A way to tell people."""

    @property
    def name(self) -> str:
        """By which it stands in what became of a message."""

    async def tell(self, message: Message) -> str | None:
        """Try once; why it did not work, or None when it did. Never raises, and says nothing secret."""


class MessageStore(Protocol):
    """Where messages stand (``store/store.py``)."""

    async def read(self, work: Callable[[Connection], T], /) -> T:
        """Read one moment."""

    async def write(self, work: Callable[[Connection], T], /) -> T:
        """Do work in one transaction."""


class Outbox:
    """Tells what stands in a table.

    Args:
        database: where it is.
        table: with the columns ``id``, ``at_ms`` and ``sent`` (a ``Delivery`` by way).
        message_of: what a row of it says.
        ways: by which people are told.
    """

    def __init__(
        self, database: MessageStore, table: Table, message_of: Callable[[Row], Message], now_ms: Callable[[], int],
        ways: Sequence[Way],
    ) -> None:  # fmt: skip
        self._store = database
        self._table = table
        self._message_of = message_of
        self._now_ms = now_ms
        self._ways = {way.name: way for way in ways}

    def deliveries(self, at_ms: int) -> dict[str, Delivery]:
        """What a new message has to go through."""
        return {name: Delivery(due_ms=at_ms) for name in self._ways}

    async def tell(self) -> int:
        """Make the tries that are due; how many were taken. Raises ``store.unavailable``."""
        now_ms, taken = self._now_ms(), 0
        found = await self._store.read(
            lambda connection: due(connection, self._table, now_ms - LOOKED_AT_MS, now_ms, limits.ALERT_AT_ONCE)
        )
        for row, name in found:
            way = self._ways.get(name)
            if way is not None:
                taken += await self._try(row["id"], self._message_of(row), way)
        return taken

    async def _try(self, ident: str, message: Message, way: Way) -> bool:
        now_ms = self._now_ms()
        lost_ms = now_ms + int(limits.ALERT_TIMEOUT_S * 2_000)
        delivery = await self._store.write(
            lambda connection: claim(connection, self._table, ident, way.name, now_ms, lost_ms)
        )
        if delivery is None:
            return False
        why = await way.tell(message)
        done = delivery.after(why, self._now_ms())
        if done.state == "given up":
            log.warning(
                "%s %s could not be told by %s after %d tries: %s", message.type, ident, way.name, done.tries, why
            )
        await self._store.write(lambda connection: note(connection, self._table, ident, way.name, done))
        return why is None


def due(connection: Connection, table: Table, since_ms: int, now_ms: int, limit: int) -> list[tuple[Row, str]]:
    """Rows since a time, each with a way by which it has still to be told, and may now; the oldest first."""
    wanted = select(table).where(table.c.at_ms >= since_ms).order_by(table.c.at_ms, table.c.id)
    found: list[tuple[Row, str]] = []
    for row in connection.execute(wanted).mappings():
        found += [
            (row, way)
            for way, delivery in _sent(row).items()
            if delivery.state == "waiting" and delivery.due_ms <= now_ms
        ]
        if len(found) >= limit:
            break
    return found[:limit]


def claim(connection: Connection, table: Table, ident: str, way: str, now_ms: int, until_ms: int) -> Delivery | None:
    """Take a try that is due, so that nobody else has it until then; None where somebody has."""
    row = connection.execute(select(table).where(table.c.id == ident).with_for_update()).mappings().first()
    delivery = None if row is None else _sent(row).get(way)
    if row is None or delivery is None or delivery.state != "waiting" or delivery.due_ms > now_ms:
        return None
    taken = replace(delivery, tries=delivery.tries + 1, due_ms=until_ms)
    _put(connection, table, row, way, taken)
    return taken


def note(connection: Connection, table: Table, ident: str, way: str, delivery: Delivery) -> None:
    """Put on record what became of a try."""
    row = connection.execute(select(table).where(table.c.id == ident).with_for_update()).mappings().first()
    if row is not None:
        _put(connection, table, row, way, delivery)


def _put(connection: Connection, table: Table, row: Row, way: str, delivery: Delivery) -> None:
    sent = msgspec.to_builtins({**_sent(row), way: delivery})
    connection.execute(update(table).where(table.c.id == row["id"]).values(sent=sent))


def _sent(row: Row) -> dict[str, Delivery]:
    return msgspec.convert(row["sent"], dict[str, Delivery])
