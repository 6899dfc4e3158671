"""The feed on SQLite: reading it, who reads it under a name, and what is forgotten. Numbers are the rows' positions."""

from __future__ import annotations

from typing import Any

import apsw

from holdfast.engines.feed import FeedSpan, check_name
from holdfast.engines.port import Consumer, FeedPage, Key, Notice
from holdfast.engines.sqlite import statements
from holdfast.engines.sqlite.rows import decode_notice
from holdfast.engines.sqlite.transaction import Transaction


def _span(connection: apsw.Connection) -> FeedSpan:
    row: Any = connection.execute(statements.FEED_SPAN).fetchone()
    epoch, oldest, newest = row
    return FeedSpan(epoch, oldest if oldest is not None else newest + 1, newest)


# --- reading
def read(connection: apsw.Connection, after: str, limit: int) -> FeedPage:
    """See ``Engine.feed``."""
    with connection:  # span and rows as of one moment
        span = _span(connection)
        begin, gap = span.start(after)
        rows: list[Any] = connection.execute(statements.FEED, (begin, limit)).fetchall()
    notices = [Notice(span.position(n), Key(tenant, name), decode_notice(data)) for n, tenant, name, data in rows]
    return FeedPage(notices, notices[-1].position if notices else span.position(begin), gap)


def end(connection: apsw.Connection) -> str:
    """See ``Engine.feed_end``."""
    span = _span(connection)
    return span.position(span.newest)


def consumers(connection: apsw.Connection) -> list[Consumer]:
    """See ``Engine.consumers``."""
    with connection:
        span = _span(connection)
        rows: list[Any] = connection.execute(statements.CONSUMERS).fetchall()
    return [
        Consumer(name, span.position(number), span.newest - max(number, span.oldest - 1), oldest_ms)
        for name, number, oldest_ms in rows
    ]


# --- writing
def advance(tx: Transaction, name: str, position: str) -> None:
    """See ``Engine.advance``."""
    tx.flush()
    number, _ = _span(tx.connection).start(position)
    tx.connection.execute(statements.ADVANCE, (check_name(name), number))


def release(tx: Transaction, name: str) -> bool:
    """See ``Engine.release``."""
    return bool(tx.connection.execute(statements.RELEASE, (name,)).fetchall())
