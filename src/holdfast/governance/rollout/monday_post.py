"""Mails the Monday page once a week: Monday at seven in the organisation's zone, whichever process of several is first."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import zoneinfo
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from holdfast.governance import limits
from holdfast.governance.messages.model import Message
from holdfast.governance.messages.outbox import Outbox, Way
from holdfast.governance.rollout.monday import monday
from holdfast.governance.rollout.monday_text import MailPart, monday_mail
from holdfast.governance.rollout.service import Rollout
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.rollout import rollout_posts as posts
from holdfast.visible import logger

log: Final = logger("holdfast.governance")
MAIL: Final = "mail"
"""The way that it goes; a webhook has no use for a page."""
MoreParts = Callable[[str, int], Awaitable[Sequence[MailPart]]]
"""What other domains have to say to a tenant, of the time since a moment."""


def monday_ms(now_ms: int, zone: zoneinfo.ZoneInfo) -> int:
    """When the mail of this week is due, Unix ms: its Monday, at ``limits.MONDAY_HOUR`` of the zone. Pure."""
    today = datetime.datetime.fromtimestamp(now_ms / 1_000, zone).date()
    first = today - datetime.timedelta(days=today.weekday())
    moment = datetime.datetime.combine(first, datetime.time(limits.MONDAY_HOUR), zone)
    return int(moment.timestamp() * 1_000)


class MondayPost:
    """The weekly mail of a store.

    Args:
        plan: whose page it is.
        database: where it is put on record which week was mailed.
        now_ms: the clock, Unix ms.
        ways: by which people are told; without one that mails nothing is sent.
        more: what other domains have to say.
        every_s: seconds between two looks.
    """

    def __init__(
        self, plan: Rollout, database: Store, now_ms: Callable[[], int], ways: Sequence[Way], more: MoreParts,
        every_s: float = limits.MONDAY_EVERY_S,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._store = database
        self._now_ms = now_ms
        self._mails = [way for way in ways if way.name == MAIL]
        self._outbox = Outbox(database, posts, _message, now_ms, self._mails)
        self._more = more
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, where anybody can be mailed."""
        if self._mails:
            self._task = asyncio.create_task(self._run(), name="holdfast monday")

    async def stop(self) -> None:
        """End. What was not mailed is, after the next start, on the same Monday."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except Exception as error:  # whatever it is, the next look may succeed
                log.warning("the Monday page could not be mailed: %s", error)
            await asyncio.sleep(self._every_s)

    async def look(self) -> int:
        """Mail what is due; how many mails were taken. Raises of the store."""
        for tenant in self._plan.tenants():
            zone, now_ms = self._plan.zone(tenant), self._now_ms()
            due_ms = monday_ms(now_ms, zone)
            if due_ms <= now_ms < due_ms + limits.MONDAY_LATE_MS:
                await self._put(tenant, f"monday|{tenant}|{due_ms}", now_ms)
        return await self._outbox.tell()

    async def _put(self, tenant: str, ident: str, now_ms: int) -> None:
        """Put this week's mail on record, where nobody has."""
        if await self._store.read(lambda connection: _is_there(connection, ident)):
            return
        await self._plan.compute(tenant)
        found = await monday(self._plan, tenant)
        mail = monday_mail(found, await self._more(tenant, found.since_ms))
        sent = msgspec.to_builtins(self._outbox.deliveries(now_ms))

        def work(connection: Connection) -> None:
            if not _is_there(connection, ident):
                row = {"id": ident, "tenant": tenant, "at_ms": now_ms, "subject": mail.subject, "text": mail.text}
                connection.execute(posts.insert(), {**row, "html": mail.html, "sent": sent})

        await self._store.write(work)


def _is_there(connection: Connection, ident: str) -> bool:
    return connection.execute(select(posts.c.id).where(posts.c.id == ident)).first() is not None


def _message(row: Mapping[Any, Any]) -> Message:
    return Message(
        id=row["id"], tenant=row["tenant"], type="plan.monday", at_ms=row["at_ms"], text=row["subject"],
        lines=tuple(row["text"].splitlines()), html=row["html"],
    )  # fmt: skip
