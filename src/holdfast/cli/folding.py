"""The part of ``verify`` that needs the session program: every session is folded from its log, as a restart would."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import apsw
import msgspec

from holdfast.engines.port import Head, Key
from holdfast.engines.sqlite import reader
from holdfast.engines.sqlite.check import CheckProgress, Problem
from holdfast.engines.sqlite.store import connect
from holdfast.errors import HoldfastError
from holdfast.hub.snapshotter import Loaded, load
from holdfast.protocol.frames import Frame


class _Log:
    """The log of a database on one reading connection, which may be in use by a server meanwhile."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    async def read(self, key: Key, after: int, *, max_bytes: int) -> list[Frame]:
        return reader.read(self._connection, key, after, max_bytes)

    async def get_snapshot(self, key: Key) -> tuple[int, bytes] | None:
        return None


def fold_all(path: str) -> Iterator[CheckProgress | Problem]:
    """Fold every session of a database; yields progress, and what does not fold."""
    connection = connect(path, vfs=None, write=False)
    try:
        keys = reader.keys(connection)
        for done, key in enumerate(keys, 1):
            where = f"session {key.tenant}/{key.session}"
            try:
                with connection:  # head and frames as of one moment
                    head = reader.head(connection, key)
                    if head is not None and not head.deleted:
                        loaded = asyncio.run(load(_Log(connection), head, from_log=True))
                        yield from (Problem(where, detail) for detail in disagreements(head, loaded))
            except (HoldfastError, msgspec.MsgspecError, apsw.Error, LookupError, ValueError, TypeError) as error:
                yield Problem(where, f"does not fold ({error})")
            yield CheckProgress(done, len(keys), 0)
    finally:
        connection.close(True)


def disagreements(head: Head, loaded: Loaded) -> Iterator[str]:
    """What the two folds of one log, for control and for people, should agree on and do not."""
    state, view = loaded.state, loaded.view
    if state.tail != head.tail:
        yield f"folds to {state.tail}, its head says {head.tail}"
    for ident, run in view.runs.items():
        if (ident in state.runs) == ("ended_ts" in run):
            yield f"run {ident} has ended in one fold only"
    for ident in state.runs:
        if ident not in view.runs:
            yield f"run {ident} is missing in what people see"
