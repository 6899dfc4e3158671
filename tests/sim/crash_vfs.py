"""A disk that forgets: an apsw VFS under real SQLite that remembers which writes were synced.

Files live in an ordinary directory, where SQLite works as usual. Beside them ``Disk`` keeps, for each file, what a power
cut is certain to leave (``durable``) and the writes since its last sync (``pending``), and which names the directory has
durably. ``image`` answers what could be found after a cut: each 512-byte piece of a pending write arrived, or did not, or
is garbage (bytes beside a write are left alone: SQLite relies on that, see SQLITE_IOCAP_POWERSAFE_OVERWRITE); new names
may be missing and deleted ones may be back.

SQLite's wal-index is shared memory and never survives a cut, so it is not modelled. All methods of ``Disk`` may be called
by any thread: SQLite is used by the writer, the checkpointer and the readers at once.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import apsw

SECTOR_BYTES = 512
SURVIVES = 0.5
GARBLED = 0.05

Cut = Literal["lose", "tear", "kill"]
"""What is left: nothing unsynced; some of it; or all of it (the process died, the machine did not)."""


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # (offset, data) or (size, None): truncate
    named: bool = False  # whether its directory entry is durable


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        return
    if len(content) < offset + len(data):
        content.extend(bytes(offset + len(data) - len(content)))
    content[offset : offset + len(data)] = data


class Disk:
    """What is durable, and what is not yet.

    Attributes:
        operations: writes, truncations, syncs and deletions so far.
        on_operation: called before each of them with ``(kind, file name)``; may raise an ``apsw.Error`` to make it fail.
    """

    def __init__(self, content: dict[str, bytes] | None = None) -> None:
        self._lock = threading.RLock()
        self._files = {name: _File(bytearray(data), named=True) for name, data in (content or {}).items()}
        self._removed: dict[str, _File] = {}
        self.operations = 0
        self.on_operation: Callable[[str, str], None] | None = None

    def _begin(self, kind: str, name: str) -> None:
        self.operations += 1
        if self.on_operation is not None:
            self.on_operation(kind, name)

    def before(self, kind: str, name: str) -> None:
        """Announce an operation."""
        with self._lock:
            self._begin(kind, name)

    def opened(self, name: str) -> None:
        """A file was opened, perhaps created."""
        with self._lock:
            self._files.setdefault(name, _File())

    def wrote(self, name: str, offset: int, data: bytes | None) -> None:
        """A write, or with ``data=None`` a truncation to ``offset``."""
        with self._lock:
            self._files[name].pending.append((offset, data))

    def synced(self, name: str, names_too: bool) -> None:
        """A file was synced; with ``names_too`` its directory as well."""
        with self._lock:
            file = self._files[name]
            for operation in file.pending:
                _apply(file.durable, *operation)
            file.pending.clear()
            if names_too:
                self._sync_names()

    def deleted(self, name: str, names_too: bool) -> None:
        """A name was removed."""
        with self._lock:
            file = self._files.pop(name, None)
            if file is not None and file.named:
                self._removed[name] = file
            if names_too:
                self._sync_names()

    def _sync_names(self) -> None:
        self._removed.clear()
        for file in self._files.values():
            file.named = True

    def image(self, rng: random.Random, cut: Cut) -> tuple[dict[str, bytes], Disk]:
        """What is found after a cut now, and a disk in that state."""
        with self._lock:
            if cut == "kill":
                return self._live()
            found: dict[str, bytes] = {}
            for name, file in self._files.items():
                if file.named or (cut == "tear" and rng.random() < SURVIVES):
                    found[name] = _remains(file, rng, cut)
            for name, file in self._removed.items():
                if name not in found and rng.random() < SURVIVES:
                    found[name] = _remains(file, rng, cut)
            return found, Disk(found)

    def _live(self) -> tuple[dict[str, bytes], Disk]:
        disk = Disk()
        found: dict[str, bytes] = {}
        for name, file in self._files.items():
            disk._files[name] = _File(bytearray(file.durable), list(file.pending), file.named)
            content = bytearray(file.durable)
            for operation in file.pending:
                _apply(content, *operation)
            found[name] = bytes(content)
        disk._removed = {n: _File(bytearray(f.durable), list(f.pending), True) for n, f in self._removed.items()}
        return found, disk


def _remains(file: _File, rng: random.Random, cut: Cut) -> bytes:
    content = bytearray(file.durable)
    for offset, data in file.pending if cut == "tear" else []:
        if data is None:
            if rng.random() < SURVIVES:
                _apply(content, offset, None)
            continue
        for at in range(0, len(data), SECTOR_BYTES):
            piece = data[at : at + SECTOR_BYTES]
            chance = rng.random()
            if chance < SURVIVES:
                _apply(content, offset + at, piece)
            elif chance < SURVIVES + GARBLED:
                _apply(content, offset + at, rng.randbytes(len(piece)))
    return bytes(content)


class _CrashFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        created = path is not None and not os.path.exists(path)
        super().__init__("", name, flags)
        self._disk = disk
        self._name = os.path.basename(path) if path else ""
        # as SQLite's unix VFS does: the first sync of a new journal or log also syncs the directory
        self._sync_names = created and bool(flags[0] & (apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL))
        if self._name:
            disk.opened(self._name)

    def xWrite(self, data: Any, offset: int) -> None:
        self._disk.before("write", self._name)
        super().xWrite(data, offset)
        if self._name:
            self._disk.wrote(self._name, offset, bytes(data))

    def xTruncate(self, size: int) -> None:
        self._disk.before("truncate", self._name)
        super().xTruncate(size)
        if self._name:
            self._disk.wrote(self._name, size, None)

    def xSync(self, flags: int) -> None:
        self._disk.before("sync", self._name)
        if self._name:
            self._disk.synced(self._name, self._sync_names)
            self._sync_names = False


class CrashVFS(apsw.VFS):
    """Registers itself under ``name`` until ``unregister``."""

    def __init__(self, name: str, disk: Disk) -> None:
        self._disk = disk
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> _CrashFile:
        return _CrashFile(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self._disk.before("delete", os.path.basename(filename))
        super().xDelete(filename, False)
        self._disk.deleted(os.path.basename(filename), bool(syncdir))


def io_error(extended: int) -> apsw.IOError:
    """The error SQLite's own VFS would give, for example ``apsw.SQLITE_IOERR_FSYNC``."""
    error = apsw.IOError("planted")
    error.extendedresult = extended
    error.result = apsw.SQLITE_IOERR
    return error
