"""Finding sessions: lists and queues, each page within a bounded number of rows whatever is asked for.

Three access paths lead to the rows of a list: the names that were asked for, the sessions of a user, and all sessions by last
activity. The first that has few rows is read whole and sorted; the last is read a stretch at a time, and the page says where the
next begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Literal

import apsw

from holdfast.engines.port import Key, ListedSession, LiveSessions, Queue, SessionPage
from holdfast.engines.rules import ranges, search_words
from holdfast.engines.sqlite import statements
from holdfast.engines.sqlite.rows import decode_session
from holdfast.protocol import limits

AccessPath = Literal["names", "user", "activity"]

_COUNT_NAMES: Final = "SELECT count(*) FROM (SELECT 1 FROM session WHERE tenant = ? AND name >= ? AND name < ? LIMIT ?)"
_COUNT_USER: Final = "SELECT count(*) FROM (SELECT 1 FROM participant WHERE tenant = ? AND user = ? LIMIT ?)"

# Of the sessions by last activity: the last one of a stretch. The index alone answers it.
_STRETCH: Final = """
SELECT active_ms, name FROM session INDEXED BY session_active
WHERE tenant = ? AND deleted = 0 AND (active_ms, name) < (?, ?)
ORDER BY active_ms DESC, name DESC LIMIT 1 OFFSET ?
"""
_NEWEST: Final = ((1 << 63) - 1, "")  # before it come all

_BATCH: Final = "SELECT session FROM queued WHERE tenant = :tenant AND agent = :agent AND session > :after ORDER BY session LIMIT :scan"
_BATCH_END: Final = f"SELECT count(*), max(session) FROM ({_BATCH})"

_LIVE: Final = (
    f"SELECT {', '.join(statements.SESSION)} FROM session "
    f"WHERE tenant = ? AND name > ? AND deleted = 0 AND {statements.IS_LIVE} ORDER BY name LIMIT ?"
)


def list_sessions(
    connection: apsw.Connection,
    tenant: str,
    user: str | None,
    names: Sequence[str] | None,
    search: str,
    before: tuple[int, str] | None,
    limit: int,
) -> SessionPage:
    """See ``Engine.list``."""
    words = search_words(search)
    ms, name = before or _NEWEST
    params: dict[str, Any] = {"tenant": tenant, "user": user, "ms": ms, "name": name, "limit": limit}
    params |= {f"w{n}": word for n, word in enumerate(words)} | _range_params(names)
    path: AccessPath = "activity"
    if names is not None and _few_names(connection, tenant, names):
        path = "names"
    elif user is not None and _count(connection, _COUNT_USER, (tenant, user)) <= limits.LIST_SCAN:
        path = "user"
    last = None
    if path == "activity":
        last = connection.execute(_STRETCH, (tenant, ms, name, limits.LIST_SCAN - 1)).fetchone()
        params |= {"last_ms": last[0], "last_name": last[1]} if last else {}
    sql = _list(path, user is not None, last is not None, None if names is None else len(names), len(words))
    rows = [ListedSession(decode_session(row).head, row[9]) for row in connection.execute(sql, params)]
    if len(rows) == limit:
        return SessionPage(rows, (rows[-1].head.active_ms, rows[-1].head.key.session))
    return SessionPage(rows, last)


def queued(
    connection: apsw.Connection, tenant: str, agent: str, names: Sequence[str] | None, after: int | None
) -> Queue:
    """See ``Engine.queued``."""
    params = {"tenant": tenant, "agent": agent, "after": after or 0, "scan": limits.LIST_SCAN, **_range_params(names)}
    few_names = names is not None and _few_names(connection, tenant, names)
    count: Any = 0
    last: Any = None
    if not few_names:
        ((count, last),) = connection.execute(_BATCH_END, params)
    sql = _queued(few_names, None if names is None else len(names))
    keys = [Key(*row) for row in connection.execute(sql, params)]
    return Queue(keys, last if count == limits.LIST_SCAN else None)


def live(connection: apsw.Connection, tenant: str, after: str) -> LiveSessions:
    """See ``Engine.live``."""
    heads = [decode_session(row).head for row in connection.execute(_LIVE, (tenant, after, limits.LIST_SCAN))]
    return LiveSessions(heads, heads[-1].key.session if len(heads) == limits.LIST_SCAN else None)


def _few_names(connection: apsw.Connection, tenant: str, names: Sequence[str]) -> bool:
    """Whether there are few sessions of these names."""
    remaining = limits.LIST_SCAN
    for first, beyond in ranges(names):
        remaining -= _count(connection, _COUNT_NAMES, (tenant, first, beyond), remaining + 1)
        if remaining < 0:
            return False
    return True


def _count(connection: apsw.Connection, sql: str, params: tuple[Any, ...], limit: int | None = None) -> int:
    """Count rows, no farther than ``limit``, or one beyond what is few."""
    (row,) = connection.execute(sql, (*params, limits.LIST_SCAN + 1 if limit is None else limit))
    return int(row[0])


def _range_params(names: Sequence[str] | None) -> dict[str, str]:
    params: dict[str, str] = {}
    for n, (first, beyond) in enumerate(ranges(names or ())):
        params |= {f"from{n}": first, f"to{n}": beyond}
    return params


# --- the statements ---------------------------------------------------------------------------------------------------
def _ids_by_name(names: int) -> str:
    """The ids of sessions whose name lies in one of the ranges; each range is a search of the index of names."""
    one = "SELECT id FROM session WHERE tenant = :tenant AND name >= :from{n} AND name < :to{n}"
    return " UNION ".join(one.format(n=n) for n in range(names)) or "SELECT 0 AS id WHERE 0"


def _lies_within(names: int) -> str:
    """Whether a session's name lies in one of the ranges."""
    return " OR ".join(f"session.name >= :from{n} AND session.name < :to{n}" for n in range(names)) or "0"


@lru_cache(256)
def _list(path: AccessPath, by_user: bool, stretch: bool, names: int | None, words: int) -> str:
    """A page of a list. Parameters: ``:tenant :user :ms :name :limit``, with a stretch ``:last_ms :last_name``, the
    ranges' ``:from0 :to0`` …, the words' ``:w0`` …"""
    columns = ", ".join(f"session.{column}" for column in statements.SESSION)
    source = {
        "names": f"({_ids_by_name(names or 0)}) AS named CROSS JOIN session ON session.id = named.id",
        "user": "participant CROSS JOIN session ON session.id = participant.session",
        "activity": "session INDEXED BY session_active",
    }[path]
    where = ["session.tenant = :tenant", "session.deleted = 0", "(session.active_ms, session.name) < (:ms, :name)"]
    read = "0"
    if by_user:
        source += " LEFT JOIN read_mark ON read_mark.session = session.id AND read_mark.user = :user"
        read = "coalesce(read_mark.seq, 0)"
        mine = "participant.tenant = :tenant AND participant.user = :user"
        within = f"EXISTS (SELECT 1 FROM participant WHERE {mine} AND participant.session = session.id)"
        where.append(mine if path == "user" else within)
    if stretch:
        where.append("(session.active_ms, session.name) >= (:last_ms, :last_name)")
    if names is not None and path != "names":
        where.append(f"({_lies_within(names)})")
    where += [f"instr(session.words, :w{n}) > 0" for n in range(words)]
    return (
        f"SELECT {columns}, {read} FROM {source} WHERE {' AND '.join(where)} "
        "ORDER BY session.active_ms DESC, session.name DESC LIMIT :limit"
    )


@lru_cache(64)
def _queued(few_names: bool, names: int | None) -> str:
    """Sessions with work for an agent: of the names asked for where they are few, else of the next lot."""
    if few_names:
        source = (
            f"({_ids_by_name(names or 0)}) AS named CROSS JOIN session ON session.id = named.id CROSS JOIN queued "
            "ON queued.tenant = :tenant AND queued.agent = :agent AND queued.session = session.id"
        )
        where = "1"
    else:
        source = f"({_BATCH}) AS lot CROSS JOIN session ON session.id = lot.session"
        where = "1" if names is None else _lies_within(names)
    return f"SELECT session.tenant, session.name FROM {source} WHERE {where} ORDER BY session.active_ms, session.name"
