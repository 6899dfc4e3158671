"""The journal: one row for each run of a session, and the approvals that wait in it, read from the feed under the name
``journal``.

What a run did is counted when it has ended, from its own events. Calls of the gateway that name no session have no row here:
they call no tools and have no ancestry, and the ledger has every one of them under its workflow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from holdfast.engines.port import Engine, FeedPage, Notice
from holdfast.errors import HoldfastError, Unavailable
from holdfast.governance import limits
from holdfast.governance.feed_consumer import FeedConsumer
from holdfast.governance.store.store import Store
from holdfast.governance.workflows import journal_store as store
from holdfast.governance.workflows import waiting_approvals
from holdfast.governance.workflows.run_record import JournalRun, RunCounts, count, record_of, run_id
from holdfast.governance.workflows.service import Workflows
from holdfast.protocol import events as e
from holdfast.protocol.events import Event
from holdfast.protocol.frames import decode_frame
from holdfast.visible import logger

log = logger("holdfast.journal")
CONSUMER: Final = "journal"


class RunJournal(FeedConsumer):
    """Puts runs on record.

    Args:
        engine: whose feed.
        database: where rows go.
        workflows: whose the runs are, and what tools count as.
    """

    consumer = CONSUMER
    subject = "the journal of runs"

    def __init__(self, engine: Engine, database: Store, workflows: Workflows) -> None:
        super().__init__(engine)
        self._store = database
        self._workflows = workflows

    async def forget_session(self, tenant: str, session: str) -> int:
        """A session was deleted. How many runs were its. Raises of the store."""

        def work(connection: Connection) -> int:
            waiting_approvals.forget_session(connection, tenant, session)
            return store.forget_session(connection, tenant, session)

        return await self._store.write(work)

    async def _note_gap(self, position: str, page: FeedPage) -> None:
        log.error("runs: the feed no longer has what came after the position %s", position)
        newest_ms = max((notice.data["ts"] for notice in page.notices), default=0)
        await self._store.write(lambda connection: store.lose_open(connection, newest_ms))

    async def _take(self, notices: Sequence[Notice]) -> int:
        mine = [one for one in notices if one.data.get("type") in (e.RUN_QUEUED, e.RUN_ENDED) and one.data.get("run")]
        waiting = [one for one in notices if one.data.get("type") in waiting_approvals.TYPES]
        if not mine and not waiting:
            return 0
        new = [(one, self._record(one)) for one in mine if one.data["type"] == e.RUN_QUEUED]
        ended = [one for one in mine if one.data["type"] == e.RUN_ENDED]

        def add(connection: Connection) -> tuple[int, dict[str, JournalRun | None]]:
            made = sum(
                store.add(connection, record, notice.key.session, notice.data["incarnation"]) for notice, record in new
            )
            return made, {_id(one): store.find(connection, one.key.tenant, _id(one)) for one in ended}

        made, records = await self._store.write(add)
        reading = asyncio.Semaphore(limits.WORKFLOW_RUN_FAN)

        async def counts_of(notice: Notice) -> RunCounts | None:
            async with reading:
                return await self._counts(notice, records[_id(notice)])

        counted = await asyncio.gather(*map(counts_of, ended))

        def close(connection: Connection) -> int:
            news = 0
            for notice, counts in zip(ended, counted, strict=True):
                if records[_id(notice)] is None:  # it was queued before what the feed still has
                    record = msgspec.structs.replace(self._record(notice), lost=True, interactive=False)
                    store.add(connection, record, notice.key.session, notice.data["incarnation"])
                status = str(notice.data.get("status") or "")
                news += store.end(connection, notice.key.tenant, _id(notice), notice.data["ts"], status, counts)
            waiting_approvals.take(connection, waiting, self._workflow_of)
            return news

        return made + (await self._store.write(close) if ended or waiting else 0)

    def _workflow_of(self, notice: Notice) -> str:
        facts = notice.data
        return self._workflows.workflow_of(notice.key.tenant, facts.get("labels") or {}, facts.get("agent") or "")

    def _record(self, notice: Notice) -> JournalRun:
        return record_of(notice.data, notice.key.tenant, self._workflow_of(notice))

    async def _counts(self, notice: Notice, record: JournalRun | None) -> RunCounts | None:
        """What a run called; None where its events cannot be read any more, or are too many."""
        if record is None or record.counted or not record.session:
            return None
        try:
            events = await self._events(notice, record.queued_seq)
        except Unavailable:
            raise
        except (HoldfastError, msgspec.DecodeError) as error:
            log.info("a run cannot be read any more: %s", type(error).__name__)
            return None
        tenant = record.tenant
        return count(events, record.run, lambda tool: self._workflows.tool_class(tenant, tool)) if events else None

    async def _events(self, notice: Notice, queued_seq: int) -> list[Event]:
        """The tool calls of a session from a position to that of the notice, their errors, and the last event; none where they
        are not all there."""
        after, last, size = max(0, queued_seq - 1), notice.data["seq"], 0
        found: list[Event] = []
        while after < last:
            frames = await self._engine.read(
                notice.key, after, max_bytes=limits.LEDGER_EVENT_BYTES, incarnation=notice.data["incarnation"]
            )
            if not frames or frames[0].first > after + 1:
                return []
            for frame in frames:
                size += len(frame.payload)
                events = decode_frame(frame.payload).events
                found += [one for one in events if one.seq <= last and _is_counted(one)]
                after = max(after, frame.last)
            if size > limits.WORKFLOW_RUN_BYTES and after < last:
                log.warning("a run has more than %s bytes: what it called is not counted", limits.WORKFLOW_RUN_BYTES)
                return []
        return found


def _is_counted(event: Event) -> bool:
    if event.type == e.TOOL_RESULT:  # what came of most of them is nobody's business here, and large
        return event.data.get("error") is not None
    return event.type in (e.TOOL_START, e.RUN_ENDED)


def _id(notice: Notice) -> str:
    return run_id(notice.data["incarnation"], notice.data["run"])
