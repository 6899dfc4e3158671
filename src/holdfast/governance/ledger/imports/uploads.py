"""Files that are larger than one request: they come in pieces, lie on the disk, and are imported with the last piece."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable
from typing import BinaryIO, NamedTuple, cast

from holdfast.errors import Refused, Unavailable
from holdfast.governance import limits

Owner = tuple[str, str]
"""Tenant and actor: nobody goes on with what somebody else began."""


class _Upload(NamedTuple):
    owner: Owner
    file: BinaryIO
    size: int
    last_ms: int


class Uploads:
    """Files on their way. Those that nobody goes on with for ``limits.IMPORT_UPLOAD_MS`` are forgotten, and so are all of
    them when the process ends: whoever sends one begins again.

    Args:
        now_ms: the clock, Unix ms.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._open: dict[str, _Upload] = {}

    def add(self, owner: Owner, upload: str, at: int, piece: bytes) -> tuple[str, int]:
        """Put the next piece behind what is there; answers the name of the upload, and how many bytes it has now.

        Args:
            upload: its name; empty for the first piece.
            at: bytes that were sent before, so that a piece that is sent twice is noticed.

        Raises:
            Refused: ``import.malformed`` for an upload that there is none of, or another place than its end;
                ``input.too_large``. Unavailable: ``server.busy`` with too many at a time.
        """
        self._forget()
        if not upload:
            if len(self._open) >= limits.IMPORT_UPLOADS:
                raise Unavailable("server.busy", f"{len(self._open)} files are on their way already")
            upload = f"up{secrets.token_hex(8)}"
            file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - open until it is taken or dropped
            self._open[upload] = _Upload(owner, file, 0, self._now_ms())
        found = self._find(owner, upload)
        if at != found.size:
            raise Refused("import.malformed", f"upload {upload} has {found.size:,} bytes, and a piece for {at:,} came")
        size = found.size + len(piece)
        if size > limits.IMPORT_BYTES:
            self.drop(upload)
            raise Refused("input.too_large", f"the file has more than {limits.IMPORT_BYTES:,} bytes", fix="Split it.")
        found.file.writelines((piece,))
        self._open[upload] = found._replace(size=size, last_ms=self._now_ms())
        return upload, size

    def take(self, owner: Owner, upload: str) -> BinaryIO:
        """The whole file, rewound; whoever takes it closes it. Raises ``import.malformed``."""
        found = self._find(owner, upload)
        del self._open[upload]
        found.file.seek(0)
        return found.file

    def drop(self, upload: str) -> None:
        """Forget one."""
        found = self._open.pop(upload, None)
        if found is not None:
            found.file.close()

    def close(self) -> None:
        """Forget all of them."""
        for upload in list(self._open):
            self.drop(upload)

    def _find(self, owner: Owner, upload: str) -> _Upload:
        found = self._open.get(upload)
        if found is None or found.owner != owner:
            raise Refused("import.malformed", f"no upload {upload!r:.40} is on its way", fix="Begin again.")
        return found

    def _forget(self) -> None:
        before_ms = self._now_ms() - limits.IMPORT_UPLOAD_MS
        for upload in [name for name, each in self._open.items() if each.last_ms < before_ms]:
            self.drop(upload)
