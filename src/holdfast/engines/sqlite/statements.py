"""Every statement the engine runs, named and commented. The tables stand in ``schema.py``."""

from __future__ import annotations

from functools import cache
from typing import Final

from holdfast.engines.rules import LIVE

MULTI_ROWS: Final = (128, 32, 8, 2, 1)
"""Sizes of multi-row statements: few, so that each is compiled once and kept."""

SESSION: Final = ("id", "tenant", "name", "incarnation", "tail", "created_ms", "active_ms", "deleted", "idx")
"""The columns of a session, as ``rows.decode_session`` reads them."""

IS_LIVE: Final = "(" + " OR ".join(f"""CAST(idx AS TEXT) GLOB '*"{name}":[1-9]*'""" for name in LIVE) + ")"
"""Whether the card counts a run that has not ended. In JSON that is a name and its number: a quote within a text is escaped."""
LIVE_INDEX: Final = f"CREATE INDEX IF NOT EXISTS session_live ON session (tenant, name) WHERE deleted = 0 AND {IS_LIVE}"
"""By which those sessions are found. It is derived, and older versions of this format keep it up without knowing of it."""


# --- writing ------------------------------------------------------------------------------------------------------
@cache
def insert_frames(rows: int) -> str:
    """Many frames in one statement: one trip through the interpreter lock instead of one per row."""
    values = ",".join(["(?,?,?,?,?,?,?)"] * rows)
    return f"INSERT INTO frame (session, first, last, audience, crc, keys, payload) VALUES {values}"


@cache
def update_heads(rows: int) -> str:
    """Tail and last activity of many sessions; parameters ``id, tail, active_ms`` per row."""
    values = ",".join(["(?,?,?)"] * rows)
    return (
        f"WITH new (id, tail, active_ms) AS (VALUES {values}) "
        "UPDATE session SET tail = new.tail, active_ms = new.active_ms FROM new WHERE session.id = new.id"
    )


@cache
def insert_notices(rows: int) -> str:
    """Entries of the feed; parameters ``tenant, name, data, ts_ms`` per row."""
    return f"INSERT INTO notice (tenant, name, data, ts_ms) VALUES {','.join(['(?,?,?,?)'] * rows)}"


INSERT_SESSION: Final = (
    "INSERT INTO session (tenant, name, incarnation, tail, created_ms, active_ms, deleted, due_ms, words, idx) "
    "VALUES (?,?,?,?,?,?,?,?,?,?) RETURNING id"
)
UPDATE_INDEX: Final = "UPDATE session SET due_ms = ?, words = ?, idx = ? WHERE id = ?"
DELETE_SESSION: Final = "DELETE FROM session WHERE id = ?"

INSERT_PARTICIPANT: Final = "INSERT OR IGNORE INTO participant (tenant, user, session) VALUES (?,?,?)"
DELETE_PARTICIPANT: Final = "DELETE FROM participant WHERE tenant = ? AND user = ? AND session = ?"
INSERT_QUEUED: Final = "INSERT OR IGNORE INTO queued (tenant, agent, session) VALUES (?,?,?)"
DELETE_QUEUED: Final = "DELETE FROM queued WHERE tenant = ? AND agent = ? AND session = ?"

# Never moves back.
MARK_READ: Final = (
    "INSERT INTO read_mark (session, user, seq) VALUES (?,?,?) "
    "ON CONFLICT (session, user) DO UPDATE SET seq = max(seq, excluded.seq)"
)

# Spans of the frames that lie within first..last, then their removal.
COVERED: Final = (
    "SELECT first, last FROM frame WHERE session = ? AND first >= ? AND last <= ? AND first <= ? ORDER BY first"
)
DELETE_COVERED: Final = "DELETE FROM frame WHERE session = ? AND first >= ? AND first <= ?"

# A late snapshot does not replace a newer one.
PUT_SNAPSHOT: Final = (
    "INSERT INTO snapshot (session, seq, crc, data) VALUES (?,?,?,?) ON CONFLICT (session) DO UPDATE "
    "SET seq = excluded.seq, crc = excluded.crc, data = excluded.data WHERE excluded.seq >= seq"
)
PUT_PAGE: Final = (
    "INSERT INTO page (session, page, crc, data) VALUES (?,?,?,?) "
    "ON CONFLICT (session, page) DO UPDATE SET crc = excluded.crc, data = excluded.data"
)

INSERT_BLOB: Final = "INSERT INTO blob (session, name, media_type, crc, data) VALUES (?,?,?,?,?)"
PUT_FACT: Final = "INSERT INTO fact (name, data) VALUES (?,?) ON CONFLICT (name) DO UPDATE SET data = excluded.data"
DELETE_FACT: Final = "DELETE FROM fact WHERE name = ?"

# A consumer never moves back.
ADVANCE: Final = (
    "INSERT INTO consumer (name, position) VALUES (?,?) "
    "ON CONFLICT (name) DO UPDATE SET position = max(position, excluded.position)"
)
RELEASE: Final = "DELETE FROM consumer WHERE name = ? RETURNING name"
POSITIONS: Final = "SELECT position FROM consumer"
FORGET_NOTICES: Final = (
    "DELETE FROM notice WHERE position IN (SELECT position FROM notice WHERE position <= ? ORDER BY position LIMIT ?)"
)

# Erasing a deleted life, a bounded piece at a time: which rows, with their sizes, and how one goes.
START_ERASING: Final = "INSERT INTO erasing (session) VALUES (?)"
ERASING: Final = "SELECT session FROM erasing ORDER BY session"
END_ERASING: Final = "DELETE FROM erasing WHERE session = ?"
ERASE: Final = tuple(
    (f"SELECT id, length({content}) FROM {table} WHERE session = ? LIMIT ?", f"DELETE FROM {table} WHERE id = ?")
    for table, content in (("frame", "payload"), ("page", "data"), ("blob", "data"))
)
ERASE_SNAPSHOT: Final = "DELETE FROM snapshot WHERE session = ?"
ERASE_READ_MARKS: Final = "DELETE FROM read_mark WHERE session = ?"

# --- reading --------------------------------------------------------------------------------------------------------
HEAD: Final = f"SELECT {', '.join(SESSION)} FROM session WHERE tenant = ? AND name = ?"

# From the frame in which ``after + 1`` lies: the newest that begins at or before it.
READ: Final = """
SELECT first, last, audience, crc, keys, payload FROM frame
WHERE session = ?1
  AND first >= (SELECT coalesce(max(first), 0) FROM frame WHERE session = ?1 AND first <= ?2 + 1)
  AND last > ?2
ORDER BY first
"""
GET_SNAPSHOT: Final = "SELECT seq, crc, data FROM snapshot WHERE session = ?"
GET_PAGE: Final = "SELECT crc, data FROM page WHERE session = ? AND page = ?"
GET_BLOB: Final = "SELECT media_type, crc, data FROM blob WHERE session = ? AND name = ?"
BLOB_SIZE: Final = "SELECT length(data) FROM blob WHERE session = ? AND name = ?"

GET_FACT: Final = "SELECT data FROM fact WHERE name = ?"
FACTS: Final = "SELECT name, data FROM fact WHERE name BETWEEN ?1 AND ?1 || char(0x10FFFF) ORDER BY name"

DUE: Final = "SELECT tenant, name FROM session WHERE due_ms <= ? ORDER BY due_ms, tenant, name LIMIT ?"

# The feed: what there is of it, a page of it, and who reads it with the age of what they have not read.
FEED_SPAN: Final = """
SELECT epoch, (SELECT min(position) FROM notice), coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'notice'), 0)
FROM feed
"""
CONSUMERS: Final = """
SELECT name, position, (SELECT ts_ms FROM notice WHERE notice.position > consumer.position ORDER BY notice.position LIMIT 1)
FROM consumer ORDER BY name
"""
FEED: Final = "SELECT position, tenant, name, data FROM notice WHERE position > ? ORDER BY position LIMIT ?"


KEYS = "SELECT tenant, name FROM session ORDER BY id"
"""Every session, for verify."""
