"""``outcome.recorded`` of sessions as rows, and runs that were asked again or edited: read from the feed under the name
``outcomes``.

Who may write such an event was judged when it was appended (``session/families.py``): never an agent, nor whoever an agent
minted a token for. What is no outcome after all (no verdict, of no run and no call) is told in the log and left out. An event is
known by its session's life and its position, so reading the feed twice makes one row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from holdfast.engines.port import Engine, Notice
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.governance import limits
from holdfast.governance.outcomes import store
from holdfast.governance.outcomes.model import WorkOutcome, recorder_of, value_of, verdict_of
from holdfast.governance.store.store import Store
from holdfast.protocol import events as e
from holdfast.protocol.events import Event
from holdfast.protocol.frames import decode_frame
from holdfast.visible import logger

log = logger("holdfast.outcomes")
CONSUMER: Final = "outcomes"
RECORDED: Final = "outcome.recorded"  # {outcome, run? | call?, value_usd?}
_READ: Final = frozenset({RECORDED, e.RUN_QUEUED})


class OutcomeFeed:
    """Reads the feed.

    Args:
        engine: whose feed.
        database: where rows go.
        now_ms: the clock, Unix ms.
    """

    def __init__(self, engine: Engine, database: Store, now_ms: Callable[[], int]) -> None:
        self._engine = engine
        self._store = database
        self._now_ms = now_ms

    async def run(self, news: asyncio.Event) -> None:
        """Read on whenever there is news, until cancelled."""
        while True:
            news.clear()
            try:
                await self.read()
            except Unavailable as error:
                log.warning("outcomes wait: %s", error.code)
                await asyncio.sleep(limits.LEDGER_BEAT_S)
                continue
            await news.wait()

    async def read(self) -> int:
        """Put everything on record that was not read. How many outcomes there were.

        Raises:
            Unavailable: of the store or the engine; what was not read is read the next time.
        """
        consumers = await self._engine.consumers()
        position = next((one.position for one in consumers if one.name == CONSUMER), "")
        made = 0
        while True:
            page = await self._engine.feed(position, limits.LEDGER_FEED_PAGE)
            if page.gap and position:
                log.error("outcomes: the feed no longer has what came after the position %s", position)
            if not page.notices and page.position == position:
                return made
            for notice in page.notices:
                if notice.data.get("type") in _READ:
                    made += await self._take(notice)
            await self._engine.advance(CONSUMER, page.position)
            position = page.position
            if not page.notices:
                return made

    async def _take(self, notice: Notice) -> bool:
        if notice.data["type"] == e.RUN_QUEUED:
            await self._note_run(notice)
            return False
        found = [event for event in await self._events(notice, 1) if event.seq == notice.data["seq"]]
        try:
            outcome = outcome_of(notice, found[0]) if found else None
        except Refused as error:
            log.warning("an outcome in a session is left out: %s", error.detail)
            outcome = None
        if outcome is None:
            return False
        await self._store.write(lambda connection: store.add(connection, outcome, notice.key.session))
        return True

    async def _note_run(self, notice: Notice) -> None:
        facts = notice.data
        if facts.get("parent") or not facts.get("run") or not facts.get("input"):
            return
        edits = ""
        for event in await self._events(notice, 2):
            if event.type == e.INPUT_MESSAGE and event.data.get("messageId") == facts["input"]:
                edits = str(event.data.get("edits") or "")
        at_ms, oldest_ms = facts["ts"], self._now_ms() - limits.OUTCOME_PROXY_MS
        await self._store.write(
            lambda connection: store.note_run(
                connection, notice.key.tenant, notice.key.session, facts["run"], facts["input"], edits, at_ms, oldest_ms
            )
        )

    async def _events(self, notice: Notice, back: int) -> list[Event]:
        """The events of a session up to that of a notice; none where they cannot be read any more."""
        seq = notice.data["seq"]
        try:
            frames = await self._engine.read(
                notice.key, max(0, seq - back), max_bytes=limits.LEDGER_EVENT_BYTES,
                incarnation=notice.data["incarnation"],
            )  # fmt: skip
            return [event for frame in frames for event in decode_frame(frame.payload).events if event.seq <= seq]
        except Unavailable:
            raise
        except (HoldfastError, msgspec.DecodeError) as error:
            log.info("an event cannot be read any more: %s", type(error).__name__)
            return []


def outcome_of(notice: Notice, event: Event) -> WorkOutcome:
    """The outcome that an event means.

    Raises:
        Refused: ``outcome.invalid``, ``outcome.own_work``.
    """
    data, facts = event.data, notice.data
    run, call = _id(data, "run"), _id(data, "call")
    if not run and not call:
        raise Refused("outcome.invalid", "it is of no run and of no call")
    return WorkOutcome(
        id=f"o-{facts['incarnation']}-{event.seq}", tenant=notice.key.tenant, call="" if run else call, run=run,
        verdict=verdict_of(data.get("outcome")), value_nano=value_of(data.get("value_usd")), by=event.actor,
        kind=recorder_of(event.actor), at_ms=event.ts,
    )  # fmt: skip


def _id(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) and len(value) <= limits.OUTCOME_CALL_CHARS else ""
