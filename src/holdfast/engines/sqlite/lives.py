"""New lives for the sessions of a file that holds an earlier state than somebody may have read (PROTOCOL.md, LIFE-1)."""

from __future__ import annotations

import secrets

import apsw

from holdfast.protocol import ids


def begin_new(connection: apsw.Connection) -> int:
    """Give every session another incarnation, and the feed another epoch, in the caller's transaction; answers how many
    sessions there are.

    Logs, snapshots, pages and blobs hang on row ids, not on incarnations, and stay.
    """
    rows = [row[0] for row in connection.execute("SELECT id FROM session")]
    for id_ in rows:
        life = secrets.token_hex(ids.LATER_LIFE_BYTES)
        connection.execute("UPDATE session SET incarnation = ? WHERE id = ?", (life, id_))
    connection.execute("UPDATE feed SET epoch = lower(hex(randomblob(6)))")
    return len(rows)
