"""The tables of a Holdfast database, and which SQLite libraries and files this version may work with."""

from __future__ import annotations

import contextlib
from typing import Final

import apsw

from holdfast.engines.sqlite import migrations, statements
from holdfast.errors import HoldfastError
from holdfast.visible import logger

APPLICATION_ID: Final = 0x486F6C64
"""``Hold`` in ASCII: marks the file as ours (https://www.sqlite.org/pragma.html#pragma_application_id)."""

INCREMENTAL: Final = 2
"""``auto_vacuum`` of files that give free pages back to the disk when they are told to."""

VERSION: Final = 2
"""Format of the tables below, kept in ``user_version``; ``migrations.py`` brings older ones to it."""

FIXED_RELEASE: Final = (3, 51, 3)
FIXED_BACKPORTS: Final[dict[tuple[int, ...], int]] = {(3, 50): 7, (3, 44): 6}
"""Where SQLite's WAL-reset bug (a checkpoint racing a writer can lose a commit) is fixed: https://www.sqlite.org/wal.html"""

TABLES: Final = """
-- One row per session and life. ``id`` is never reused: frames, blobs and snapshots hang on it, so what belonged to a
-- deleted life can be erased piece by piece while the id's next life is already being written.
CREATE TABLE session (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant      TEXT    NOT NULL,
  name        TEXT    NOT NULL,
  incarnation TEXT    NOT NULL,
  tail        INTEGER NOT NULL,
  created_ms  INTEGER NOT NULL,
  active_ms   INTEGER NOT NULL,
  deleted     INTEGER NOT NULL,
  due_ms      INTEGER,           -- copy of the index's, to be found by
  words       TEXT    NOT NULL,  -- what a search looks through, case folded
  idx         BLOB    NOT NULL   -- the Index, JSON
);
CREATE UNIQUE INDEX session_name   ON session (tenant, name);
CREATE INDEX        session_active ON session (tenant, active_ms, name) WHERE deleted = 0;
CREATE INDEX        session_due    ON session (due_ms) WHERE due_ms IS NOT NULL;

-- One row per frame, in the order of commits; ``crc`` covers positions, audience, keys and payload (CRC-32, ISO 3309).
CREATE TABLE frame (
  id       INTEGER PRIMARY KEY,
  session  INTEGER NOT NULL,
  first    INTEGER NOT NULL,
  last     INTEGER NOT NULL,
  audience INTEGER NOT NULL,
  crc      INTEGER NOT NULL,
  keys     BLOB,                 -- producer keys, JSON, or NULL for none
  payload  BLOB    NOT NULL
);
CREATE UNIQUE INDEX frame_first ON frame (session, first);

-- Who finds a session in their list, and which agents have work in it; copies of the index.
CREATE TABLE participant (tenant TEXT, user TEXT, session INTEGER, PRIMARY KEY (tenant, user, session)) WITHOUT ROWID;
CREATE TABLE queued      (tenant TEXT, agent TEXT, session INTEGER, PRIMARY KEY (tenant, agent, session)) WITHOUT ROWID;

-- How far each user has read.
CREATE TABLE read_mark (session INTEGER, user TEXT, seq INTEGER NOT NULL, PRIMARY KEY (session, user)) WITHOUT ROWID;

-- The feed of notable happenings; positions are never reused.
CREATE TABLE notice (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant   TEXT NOT NULL,
  name     TEXT NOT NULL,
  data     BLOB NOT NULL,
  ts_ms    INTEGER NOT NULL DEFAULT 0
);

-- What the feed's positions belong to: after a restore, or a lost log, numbers come again for other happenings.
CREATE TABLE feed (id INTEGER PRIMARY KEY CHECK (id = 1), epoch TEXT NOT NULL);
INSERT INTO feed VALUES (1, lower(hex(randomblob(6))));

-- Who reads the feed under a name, and how far: what lies beyond the least position is kept.
CREATE TABLE consumer (name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;

-- Derived from the log, may be dropped at any time: the newest snapshot of a session, and pages of its history.
CREATE TABLE snapshot (session INTEGER PRIMARY KEY, seq INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE page (
  id      INTEGER PRIMARY KEY,
  session INTEGER NOT NULL,
  page    INTEGER NOT NULL,
  crc     INTEGER NOT NULL,
  data    BLOB    NOT NULL
);
CREATE UNIQUE INDEX page_number ON page (session, page);

CREATE TABLE blob (
  id         INTEGER PRIMARY KEY,
  session    INTEGER NOT NULL,
  name       TEXT    NOT NULL,
  media_type TEXT    NOT NULL,
  crc        INTEGER NOT NULL,
  data       BLOB    NOT NULL
);
CREATE UNIQUE INDEX blob_name ON blob (session, name);

CREATE TABLE fact (name TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;

-- Lives whose content is still being erased.
CREATE TABLE erasing (session INTEGER PRIMARY KEY);

-- One row, rewritten at every opening: the write that proves the disk works and makes a recovered tail durable. Negative
-- while a server has the file open: without the log beside it, the file then does not hold all that was committed.
CREATE TABLE opening (id INTEGER PRIMARY KEY CHECK (id = 1), times INTEGER NOT NULL);
INSERT INTO opening VALUES (1, 0);
"""


log = logger(__name__)


def check_library(version: str | None = None) -> None:
    """Refuse a SQLite library with the WAL-reset bug.

    Args:
        version: as ``"3.51.3"``; the library in use when None.

    Raises:
        HoldfastError: ``engine.version``.
    """
    name = version or apsw.sqlite_lib_version()
    parts = tuple(int(part) for part in name.split("."))
    backport = FIXED_BACKPORTS.get(parts[:2])
    if parts < FIXED_RELEASE and (backport is None or parts[2] < backport):
        raise HoldfastError(
            "engine.version", f"SQLite {name} can lose committed data (WAL-reset bug); use 3.51.3 or newer"
        )


def gives_back(connection: apsw.Connection) -> bool:
    """Whether the file can give free pages back to the disk; decided when it is made
    (https://www.sqlite.org/pragma.html#pragma_auto_vacuum)."""
    return bool(connection.pragma("auto_vacuum") == INCREMENTAL)


def mark_open(connection: apsw.Connection) -> None:
    """A server has the file open, and what it commits goes into the log first."""
    connection.execute("UPDATE opening SET times = -(abs(times) + 1)")


def mark_closed(connection: apsw.Connection) -> None:
    """Nothing is written any more: from the next checkpoint on the file is complete in itself."""
    connection.execute("UPDATE opening SET times = abs(times)")


def is_marked_open(connection: apsw.Connection) -> bool:
    """Whether a server has, or had at its end, the file open. Version 0.1 left no such mark."""
    return bool(connection.execute("SELECT 1 FROM opening WHERE times < 0").fetchall())


def prepare(connection: apsw.Connection) -> None:
    """Create the tables in an empty database, bring an older one to this format; refuse one that is not ours or newer.

    Raises:
        HoldfastError: ``engine.version``.
    """
    if is_empty(connection):
        with connection:
            connection.execute(TABLES)
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", VERSION)
    format_ = check_format(connection)
    if migrations.migrate(connection, VERSION):
        log.warning("the database had format %d and has %d now; only a backup leads back", format_, VERSION)
    with contextlib.suppress(
        apsw.FullError
    ):  # without it what it finds is found more slowly; the next opening makes it
        connection.execute(statements.LIVE_INDEX)


def is_empty(connection: apsw.Connection) -> bool:
    """Whether nobody has made anything of this file yet. Writes nothing."""
    owner, version = connection.pragma("application_id"), connection.pragma("user_version")
    return owner == 0 and version == 0 and not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()


def check_format(connection: apsw.Connection) -> int:
    """The format of a file, this version's or an older one. Writes nothing.

    Raises:
        HoldfastError: ``engine.version`` when it is not a Holdfast database, or of a format that this version cannot read.
    """
    owner, version = connection.pragma("application_id"), int(connection.pragma("user_version"))
    if owner != APPLICATION_ID:
        raise HoldfastError("engine.version", "the file is a SQLite database of some other program")
    if version > VERSION:
        raise HoldfastError(
            "engine.version",
            f"the database has format {version}, made by a newer version; this one reads {migrations.OLDEST} to {VERSION}",
            fix="Run the newer version, or restore a backup from before the upgrade.",
        )
    if version < migrations.OLDEST:
        raise HoldfastError(
            "engine.version", f"the database has format {version}; this version reads {migrations.OLDEST} to {VERSION}"
        )
    return version
