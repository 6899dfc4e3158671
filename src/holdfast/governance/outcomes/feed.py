"""``outcome.recorded`` of sessions as rows, and runs that were asked again or edited: read from the feed under the name
``outcomes``.

Who may write such an event was judged when it was appended (``session/families.py``): never an agent, nor whoever an agent
minted a token for. What is no outcome after all (no verdict, of no run and no call) is told in the log and left out. An event is
known by its session's life and its position, so reading the feed twice makes one row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from holdfast.engines.port import Engine, FeedPage, Notice
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.governance import limits
from holdfast.governance.feed_consumer import FeedConsumer
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


class OutcomeFeed(FeedConsumer):
    """Puts outcomes on record, and which answers were edited or asked again.

    Args:
        engine: whose feed.
        database: where rows go.
        now_ms: the clock, Unix ms.
    """

    consumer = CONSUMER
    subject = "outcomes"

    def __init__(self, engine: Engine, database: Store, now_ms: Callable[[], int]) -> None:
        super().__init__(engine)
        self._store = database
        self._now_ms = now_ms

    async def _note_gap(self, position: str, page: FeedPage) -> None:
        log.error("outcomes: the feed no longer has what came after the position %s", position)

    async def _take(self, notices: Sequence[Notice]) -> int:
        return sum([await self._put(notice) for notice in notices if notice.data.get("type") in _READ])

    async def _put(self, notice: Notice) -> bool:
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
