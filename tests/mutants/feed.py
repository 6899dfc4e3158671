"""Planted bugs of the feed of notices, of who reads it under a name, and of older databases that are brought along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.planting import replace

from holdfast.edge import webhooks
from holdfast.engines import feed
from holdfast.engines.sqlite import migrations
from tests.mutants.plant import mutant

FEED = "tests/contract/test_feed.py"


@mutant("engine", "who reads the feed is not told that notices are gone", FEED)
def silent_gap() -> None:
    real = feed.FeedSpan.start
    replace(feed.FeedSpan, "start", lambda self, after: (real(self, after)[0], False))


@mutant(
    "engine",
    "webhooks say nothing of a gap",
    "tests/unit/edge/test_webhooks.py::test_a_gap_is_reported_and_what_is_left_is_sent",
)
def gap_not_reported() -> None:
    real = webhooks.Webhooks._send_new

    async def send_new(self: Any, sender: Any) -> None:
        engine = self._hub.engine
        ask = engine.feed

        async def no_gap(after: str, limit: int) -> Any:
            return (await ask(after, limit))._replace(gap=False)

        engine.feed = no_gap
        try:
            await real(self, sender)
        finally:
            engine.feed = ask

    replace(webhooks.Webhooks, "_send_new", send_new)


@mutant("engine", "what a named consumer has not read is forgotten", FEED)
def consumers_hold_nothing() -> None:
    replace(feed, "forgettable", lambda newest, keep, positions: newest - keep)


@mutant("engine", "a step between two formats of the database is skipped", "tests/unit/engines/test_migrations.py")
def skipped_step() -> None:
    def nothing(connection: Any) -> None:
        return None

    steps: dict[int, Callable[[Any], None]] = migrations.STEPS
    replace(steps, 1, nothing)


@mutant(
    "engine", "a step changes the tables and forgets a part of what is in them", "tests/unit/engines/test_migrations.py"
)
def half_a_step() -> None:
    real = migrations._to_2

    def to_2(connection: Any) -> None:
        kept = connection.execute("SELECT name, data FROM fact").fetchall()
        real(connection)
        for name, data in kept:
            connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, data))

    replace(migrations, "_to_2", to_2)
