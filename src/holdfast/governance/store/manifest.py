"""``manifest.json`` of a backup: which session log and which store belong together, and that neither was changed since."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, Literal

import msgspec

from holdfast.errors import CHECK_THE_PATH, HoldfastError
from holdfast.governance import limits

NAME: Final = "manifest.json"
FORMAT: Final = 1
StoreKind = Literal["sqlite", "postgresql"]
_CHUNK_BYTES: Final = 1 << 20


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a backup: its name in the folder, its SHA-256 in hexadecimal, its length."""

    file: str
    sha256: str
    bytes: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup holds.

    Attributes:
        format: of this file.
        made_ms: when, Unix milliseconds.
        kind: of the store.
        store_id: the life of the store. ``log_epoch``: the life of the session log.
        log: the copy of the session log.
        store: the copy of the store; for PostgreSQL the dump that its owner made before.
    """

    format: int
    made_ms: int
    kind: StoreKind
    store_id: str
    log_epoch: str
    log: FileEntry
    store: FileEntry


def describe(path: Path) -> FileEntry:
    """The entry of a file that is complete."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return FileEntry(path.name, digest.hexdigest(), size)


def write(folder: Path, manifest: Manifest) -> None:
    """Write it into a folder."""
    (folder / NAME).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def read(folder: Path) -> Manifest:
    """The manifest of a backup whose files are as they were written.

    Raises:
        HoldfastError: ``config.invalid`` for a folder that is no backup, ``engine.version`` for one of a newer version,
            ``engine.corrupt`` when a file is missing or was changed.
    """
    path = folder / NAME
    try:
        with path.open("rb") as content:
            data = content.read(limits.MANIFEST_BYTES + 1)
    except OSError as error:
        detail = f"{folder} is no backup of a session log and its store: cannot read {NAME}: {error.strerror}"
        raise HoldfastError("config.invalid", detail, fix=CHECK_THE_PATH) from None
    try:
        if len(data) > limits.MANIFEST_BYTES:
            raise ValueError("it is too large")
        version = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).get("format", msgspec.Raw(b"0"))
        if msgspec.json.decode(version, type=int) > FORMAT:
            raise HoldfastError(
                "engine.version", f"{path} was written by a newer version", fix="Restore it with that version."
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, ValueError) as error:
        raise HoldfastError("engine.corrupt", f"{path} is no manifest: {error}", fix="Take another backup.") from None
    for entry in (manifest.log, manifest.store):
        _check(folder, entry)
    return manifest


def _check(folder: Path, entry: FileEntry) -> None:
    if Path(entry.file).name != entry.file:
        raise HoldfastError("engine.corrupt", f"{NAME} names a file outside of its folder", fix="Take another backup.")
    try:
        found = describe(folder / entry.file)
    except OSError as error:
        detail = f"cannot read {folder / entry.file}: {error.strerror}"
        raise HoldfastError("engine.corrupt", detail, fix="Take another backup.") from None
    if found != entry:
        detail = f"{folder / entry.file} is not the file that was backed up"
        raise HoldfastError("engine.corrupt", detail, fix="Take another backup.")
