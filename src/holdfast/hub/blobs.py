"""Blobs: content stored beside a session's log and named in it. A message cannot name a blob that is not there."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict

from holdfast.engines.port import Key
from holdfast.errors import Refused
from holdfast.hub.runtime import Runtime
from holdfast.hub.sessions import SessionRegistry
from holdfast.protocol import limits, wire
from holdfast.protocol.bounds import too_large
from holdfast.session.access import Principal

_INLINE_HASH_BYTES = 256 << 10  # of content that is hashed without leaving the loop


class BlobStore:
    """The blobs of all sessions, and which of them are known to be there."""

    def __init__(self, runtime: Runtime, sessions: SessionRegistry) -> None:
        self._runtime = runtime
        self._sessions = sessions
        self._verified: OrderedDict[tuple[Key, str, str], None] = OrderedDict()

    async def put(self, principal: Principal, session: str, media_type: str, data: bytes) -> str:
        """Store a blob beside the session; its id is the SHA-256 of its content, in hex."""
        hot = await self._sessions.load(principal, session, "append")
        if len(data) > limits.BLOB_BYTES:
            raise too_large("blob", limits.BLOB_BYTES, "bytes")
        life = hot.incarnation
        blob = await asyncio.to_thread(_name_of, data) if len(data) > _INLINE_HASH_BYTES else _name_of(data)
        await self._runtime.engine.put_blob(hot.key, life, blob, media_type, data)
        self._remember(hot.key, life, blob)
        return blob

    async def get(self, principal: Principal, session: str, blob: str) -> tuple[str, bytes]:
        """``(media type, content)`` of a blob, or ``blob.not_found``."""
        hot = await self._sessions.load(principal, session)
        content = await self._runtime.engine.get_blob(hot.key, hot.incarnation, blob)
        if content is None:
            raise _missing(blob)
        return content

    async def size(self, principal: Principal, session: str, blob: str) -> int:
        """How many bytes ``get`` will give, or ``blob.not_found``."""
        hot = await self._sessions.load(principal, session)
        return await self._size(hot.key, hot.incarnation, blob)

    async def _size(self, key: Key, incarnation: str, blob: str) -> int:
        size = await self._runtime.engine.blob_size(key, incarnation, blob)
        if size is None:
            raise _missing(blob)
        self._remember(key, incarnation, blob)
        return size

    def are_known(self, principal: Principal, op: wire.Send) -> bool:
        """Whether the blobs that a message names are known to be there, so that it need not wait to be sure."""
        hot = self._sessions.get(Key(principal.tenant, op.session)) if op.attachments else None
        return not op.attachments or (
            hot is not None and all((hot.key, hot.incarnation, a.blob) in self._verified for a in op.attachments)
        )

    async def check(self, principal: Principal, op: wire.Send) -> None:
        """Refuse a message that names a blob which is not there, with ``blob.not_found``."""
        if not self.are_known(principal, op):
            hot = await self._sessions.load(principal, op.session, "append")
            for attachment in op.attachments:
                if (hot.key, hot.incarnation, attachment.blob) not in self._verified:
                    await self._size(hot.key, hot.incarnation, attachment.blob)

    def _remember(self, key: Key, incarnation: str, blob: str) -> None:
        self._verified[key, incarnation, blob] = None
        while len(self._verified) > limits.KNOWN_BLOBS:
            self._verified.popitem(last=False)


def _name_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _missing(blob: str) -> Refused:
    return Refused("blob.not_found", f"no blob {blob!r:.80} in this session")
