"""``usage.recorded`` of agents that call providers themselves, as rows: read from the feed under the name ``ledger``.

What a call of the gateway used is on record already. Its event says which call that was (``call``, as the response's header
``x-holdfast-call`` gives it), so it makes no row of its own; where the gateway knew no session, its rows come to name the run
(``links.py``). An event is known by its session's life and its position, so reading the feed twice makes one row. Where the
feed lost notices before they were read, that is a gap, which ``ledger verify`` reports.

What an event counts: ``classes``, where it has them, by the names of ``providers/billing/model.py``. Events without them have
``input_tokens`` and ``output_tokens`` with parts of them in ``cache_read_tokens``, ``cache_write_tokens`` and
``reasoning_tokens``. Whether the input includes the cached part is not stated there; it is taken to, unless the parts are more
than the whole, and where models of Anthropic leave it open (their own counts do not include it) the row is an estimate.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from holdfast.engines.port import Engine, FeedPage, Notice
from holdfast.errors import HoldfastError, Unavailable
from holdfast.governance import limits
from holdfast.governance.feed_consumer import FeedConsumer
from holdfast.governance.ledger import links, store
from holdfast.governance.ledger.links import RunLink
from holdfast.governance.ledger.model import Basis, Row
from holdfast.governance.ledger.service import Ledger
from holdfast.protocol import events as e
from holdfast.protocol.frames import decode_frame
from holdfast.providers.billing.model import TOKEN_CLASSES
from holdfast.visible import logger

log = logger("holdfast.ledger")

CONSUMER: Final = "ledger"
AMBIGUOUS: Final = "usage.ambiguous"
"""Reason of a row whose event does not say whether its input includes what was cached."""
UNKNOWN_CALL: Final = "call.unknown"
"""Reason of a row whose event names a call that the ledger does not know."""
ClaimsOf = Callable[[str, Mapping[str, str], str], dict[str, str]]
_FAMILIES: Final = (
    (re.compile(r"claude"), "anthropic"), (re.compile(r"gpt-|chatgpt|o\d|text-embedding|tts-|codex"), "openai"),
    (re.compile(r"gemini|gemma"), "google"), (re.compile(r"grok"), "x-ai"), (re.compile(r"mistral|codestral"), "mistral"),
    (re.compile(r"deepseek"), "deepseek"),
)  # fmt: skip
"""Whose model a name most likely is, where nobody says."""


def provider_of(model: str) -> str:
    """The provider of a model by its name; empty when nothing tells."""
    return next((provider for pattern, provider in _FAMILIES if pattern.match(model.lower())), "")


def counts_of(data: dict[str, Any], model: str) -> tuple[dict[str, int], Basis, str]:
    """Counts by class that an event has, where they come from, and why they are not exact; see the module."""
    classes = data.get("classes")
    basis: Basis = "estimated" if data.get("estimated") is True else "exact"
    if isinstance(classes, dict):
        found = {name: _count(value) for name, value in classes.items() if name in TOKEN_CLASSES}
        return {name: value for name, value in found.items() if value is not None}, basis, ""
    names = ("input", "output", "cache_read", "cache_write", "reasoning")
    stated = {name: _count(data.get(f"{name}_tokens")) for name in names}
    counts = {name: value for name, value in stated.items() if value is not None}
    cached, reason = counts.get("cache_read", 0) + counts.get("cache_write", 0), ""
    if cached and cached <= counts.get("input", 0):
        counts["input"] -= cached
        if provider_of(model) == "anthropic":
            basis, reason = "estimated", AMBIGUOUS
    if counts.get("reasoning"):
        counts["output"] = max(0, counts.get("output", 0) - counts["reasoning"])
    return counts, basis, reason


def _count(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62 else None


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    return value[: limits.LEDGER_WORDS] if isinstance(value, str) else ""


class AgentUsage(FeedConsumer):
    """Makes rows of what agents say that they used.

    Args:
        engine: whose feed.
        ledger: where rows go.
        claims_of: of a tenant, labels and an agent: the labels that say whose work it is, where a manifest knows more.
    """

    consumer = CONSUMER
    subject = "usages of agents"

    def __init__(self, engine: Engine, ledger: Ledger, claims_of: ClaimsOf | None = None) -> None:
        super().__init__(engine)
        self._ledger = ledger
        self._claims_of = claims_of

    async def _take(self, notices: Sequence[Notice]) -> int:
        made = 0
        used = [notice for notice in notices if notice.data.get("type") == e.USAGE_RECORDED]
        for first in range(0, len(used), limits.LEDGER_FEED_AT_ONCE):  # their transactions are committed together
            some = used[first : first + limits.LEDGER_FEED_AT_ONCE]
            made += sum(await asyncio.gather(*map(self._record, some)))
        return made

    async def _note_gap(self, position: str, page: FeedPage) -> None:
        words = "notices of usage came and went before they were read; import the provider's report of these days"
        gap, now_ms = f"gap-{position}", self._ledger.clock.wall_ms()
        log.error("usage of agents: the feed no longer has what came after the ledger's position")
        await self._ledger.store.write(
            lambda connection: store.add_gap(connection, gap, now_ms, position, page.position, words)
        )

    async def _record(self, notice: Notice) -> bool:
        data, exact = await self._event(notice)
        call = _text(data, "call")
        if call and await self._link(notice, call):
            return False
        reason = UNKNOWN_CALL if call else ""
        row, labels = self._row(notice, data, call, exact)
        row = replace(row, reason=row.reason or reason)
        await self._ledger.append([self._ledger.complete(row, labels)])
        return True

    async def _event(self, notice: Notice) -> tuple[dict[str, Any], bool]:
        """The data of the event that a notice is of, and whether it is there; else what the notice has of it."""
        data = notice.data
        try:
            frames = await self._engine.read(
                notice.key, data["seq"] - 1, max_bytes=limits.LEDGER_EVENT_BYTES, incarnation=data["incarnation"]
            )
            for frame in frames:
                for event in decode_frame(frame.payload).events:
                    if event.seq == data["seq"]:
                        return event.data, True
        except Unavailable:
            raise
        except (HoldfastError, msgspec.DecodeError) as error:  # the session is gone, or damaged
            log.info(
                "usage of agents: an event cannot be read, its notice has the first numbers: %s", type(error).__name__
            )
        return {"model": data.get("model"), **data.get("numbers", {})}, False

    def _row(self, notice: Notice, data: dict[str, Any], call: str, exact: bool) -> tuple[Row, dict[str, str]]:
        facts = notice.data
        model = _text(data, "model")
        counts, basis, reason = counts_of(data, model)
        id_ = f"u-{facts['incarnation']}-{facts['seq']}"
        labels = facts.get("labels")
        row = Row(
            id=id_, call=call or id_, source="agent", basis=basis if exact else "estimated",
            reason=reason if exact else "event.gone", tenant=notice.key.tenant, at_ms=facts["ts"], day="", month="",
            session=notice.key.session if exact else "", run=facts.get("run") or "", run_attempt=facts.get("attempt") or 0,
            parent_run=facts.get("parent") or "", agent=facts.get("agent") or "", upstream=_text(data, "upstream"),
            provider=_text(data, "provider") or provider_of(model), asked=_text(data, "asked") or model, model=model,
            tier=_text(data, "tier"), region=_text(data, "region"), speed=_text(data, "speed"), counts=counts,
            raw={name: value for name, value in data.items() if _count(value) is not None},
        )  # fmt: skip
        claims = dict(labels) if isinstance(labels, dict) else {}
        return row, claims if self._claims_of is None else self._claims_of(row.tenant, claims, row.agent)

    async def _link(self, notice: Notice, call: str) -> bool:
        """Name the run in rows of the gateway that name none, those to come included. False where it knows no such call."""
        facts, tenant = notice.data, notice.key.tenant
        link = RunLink(
            tenant, call, notice.key.session, facts.get("run") or "", facts.get("attempt") or 0, facts.get("parent") or "",
            facts.get("agent") or "",
        )  # fmt: skip
        while True:
            rows, waiting = await self._ledger.store.read(lambda connection: store.metered(connection, tenant, call))
            if replacing := links.replacements(rows, link):
                await self._ledger.append(replacing, _once)
            if all(opening.call.session for opening in waiting):  # or none
                return bool(rows or waiting)
            if await self._ledger.store.write(lambda connection: links.keep(connection, link)):
                return True


def _once(connection: Connection, posted: Sequence[Row]) -> Sequence[Row]:
    there = store.replaced(connection, [row.corrects for row in posted])
    return [row for row in posted if row.corrects not in there]
