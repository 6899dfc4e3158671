"""Verify a database: what stands in it is what was committed, and every derived copy agrees with its source."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import apsw
import msgspec

from holdfast.engines.rules import searchable
from holdfast.engines.sqlite import rows, schema
from holdfast.engines.sqlite.store import connect, lacks_log
from holdfast.errors import CHECK_THE_PATH, HoldfastError
from holdfast.protocol.frames import Frame, decode_frame

_SESSIONS: Final = """
SELECT id, tenant, name, incarnation, tail, created_ms, active_ms, deleted, idx, due_ms, words FROM session WHERE id = ?
"""
_FRAMES: Final = "SELECT first, last, audience, crc, keys, payload FROM frame WHERE session = ? ORDER BY first"
_DERIVED: Final = (
    ("snapshot", "SELECT 'at ' || seq, crc, data FROM snapshot WHERE session = ?"),
    ("page", "SELECT page, crc, data FROM page WHERE session = ?"),
    ("blob", "SELECT name, crc, data FROM blob WHERE session = ?"),
)
_HEADER_BYTES: Final = 100  # of a SQLite file: https://www.sqlite.org/fileformat.html#the_database_header
_SESSION_TABLES: Final = ("frame", "snapshot", "page", "blob", "read_mark", "participant", "queued")


class CheckProgress(NamedTuple):
    """How far a check has come: ``done`` of ``total`` sessions; ``frames`` seen so far."""

    done: int
    total: int
    frames: int


class Problem(NamedTuple):
    """Something that should not be so: ``where`` names the session or part of the file."""

    where: str
    detail: str


def verify(path: str, *, vfs: str | None = None) -> Iterator[CheckProgress | Problem]:
    """Check a database, also one that is being written to (each session in a short transaction of its own).

    Yields progress after every session, and every problem found.

    Raises:
        HoldfastError: ``config.invalid`` when there is no such file, ``engine.version`` when the file is not a Holdfast database
            or of a newer format, or ``engine.corrupt`` when it cannot be read at all.
    """
    if vfs is None and os.path.isfile(path) and os.path.getsize(path) < _HEADER_BYTES:
        raise HoldfastError("engine.corrupt", f"{path}: too short to be a database")
    try:
        connection = connect(path, vfs=vfs, write=False)
    except apsw.CantOpenError as error:
        raise HoldfastError("config.invalid", f"cannot open {path}: {error}", fix=CHECK_THE_PATH) from error
    except apsw.Error as error:
        raise HoldfastError("engine.corrupt", f"{path}: {error}") from error
    try:
        try:
            schema.check_format(connection)
            ids = [row[0] for row in connection.execute("SELECT id FROM session ORDER BY id")]
        except apsw.Error as error:
            raise HoldfastError("engine.corrupt", f"{path}: {error}") from error
        yield from _file(connection)
        if vfs is None and lacks_log(connection, path):
            detail = f"{os.path.basename(path)}-wal is missing: the file was copied without it, or it was removed after a server"
            yield Problem("file", f"{detail} ended without closing; what was committed last is not here")
        frames = 0
        for done, id_ in enumerate(ids, 1):
            problems: list[Problem] = []
            try:
                with connection:  # one view of head, frames and copies
                    frames += _session(connection, id_, problems)
            except (apsw.Error, HoldfastError) as error:
                problems.append(Problem(f"session row {id_}", str(error)))
            yield from problems
            yield CheckProgress(done, len(ids), frames)
        yield from _orphans(connection)
    finally:
        connection.close(True)


def _file(connection: apsw.Connection) -> Iterator[Problem]:
    try:
        for (line,) in connection.execute("PRAGMA integrity_check"):
            if line != "ok":
                yield Problem("file", str(line))
    except apsw.Error as error:
        yield Problem("file", str(error))


def _session(connection: apsw.Connection, id_: int, problems: list[Problem]) -> int:
    row: Any = connection.execute(_SESSIONS, (id_,)).fetchone()
    if row is None:
        return 0  # deleted while the check ran
    head = rows.decode_session(row).head
    where = f"session {head.key.tenant}/{head.key.session}"
    details: list[str] = []
    at, count = 1, 0
    for frame_row in connection.execute(_FRAMES, (id_,)):
        count += 1
        at = _frame(frame_row, at, head.key.session, details)
    if head.deleted and count:
        details.append(f"{count} frames of a deleted session")
    if not head.deleted and at != head.tail + 1:
        details.append(f"the head says {head.tail}, the frames end at {at - 1}")
    for what, statement in _DERIVED:
        for name, crc, data in connection.execute(statement, (id_,)):
            if type(data) is not bytes or zlib.crc32(data) != crc:
                details.append(f"{what} {name} is damaged")
    late: Any = connection.execute(
        "SELECT seq FROM snapshot WHERE session = ? AND seq > ?", (id_, head.tail)
    ).fetchone()
    if late:
        details.append(f"a snapshot at {late[0]} is beyond the tail at {head.tail}")
    if row[9] != head.index.due_ms or row[10] != searchable(head.index):
        details.append("the columns copied from the index disagree with it")
    for table, column, names in (
        ("participant", "user", head.index.participants),
        ("queued", "agent", head.index.queued),
    ):
        statement = f"SELECT {column} FROM {table} WHERE tenant = ? AND session = ?"
        if {name for (name,) in connection.execute(statement, (head.key.tenant, id_))} != set(names):
            details.append(f"the rows of {table} disagree with the index")
    problems += [Problem(where, detail) for detail in details]
    return count


def _frame(row: tuple[Any, ...], at: int, session: str, details: list[str]) -> int:
    """Check one frame that should begin at ``at``; answers where the next should."""
    first, last = row[0], row[1]
    if first != at:
        details.append(f"a frame begins at {first} where {at} was due")
    try:
        frame: Frame = rows.frame_from_row(row, "the session")
        content = decode_frame(frame.payload)
    except (HoldfastError, msgspec.DecodeError) as error:
        details.append(f"frame {first}..{last}: {error}")
        return int(last) + 1
    if (content.session, content.first, content.last) != (session, first, last):
        details.append(f"frame {first}..{last} holds {content.session!r} {content.first}..{content.last}")
    expected_seq = first
    for event in content.events:
        if event.seq != expected_seq:
            details.append(f"frame {first}..{last}: event {event.seq} where {expected_seq} was due")
        expected_seq = event.last + 1
    if expected_seq != last + 1:
        details.append(f"frame {first}..{last}: its events end at {expected_seq - 1}")
    return int(last) + 1


def _orphans(connection: apsw.Connection) -> Iterator[Problem]:
    try:
        for table in _SESSION_TABLES:
            statement = (
                f"SELECT DISTINCT session FROM {table} WHERE session NOT IN (SELECT id FROM session) "
                "AND session NOT IN (SELECT session FROM erasing)"
            )
            for (id_,) in connection.execute(statement).fetchall():
                yield Problem(table, f"rows of session row {id_}, which is not there")
    except apsw.Error as error:
        yield Problem("file", str(error))
