"""Between rows and what they mean: heads, frames, checksums."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from holdfast.engines.port import Head, Index, Key
from holdfast.errors import HoldfastError
from holdfast.protocol.frames import Frame, ProducerKey

_INDEX = msgspec.json.Decoder(Index)
_KEYS = msgspec.json.Decoder(list[ProducerKey])
_NOTICE = msgspec.json.Decoder(dict[str, Any])
encode_json = msgspec.json.Encoder().encode
decode_notice = _NOTICE.decode


class StoredSession(msgspec.Struct, frozen=True):
    """A session's row: its head, and the id its frames hang on."""

    id: int
    head: Head


def decode_session(row: tuple[Any, ...]) -> StoredSession:
    """A session from the columns of ``statements.HEAD``."""
    id_, tenant, name, incarnation, tail, created_ms, active_ms, deleted, index = row[:9]
    try:
        decoded = _INDEX.decode(index)
    except msgspec.DecodeError:
        raise HoldfastError("engine.corrupt", f"the index of session {name!r} is damaged") from None
    return StoredSession(id_, Head(Key(tenant, name), incarnation, tail, created_ms, active_ms, decoded, bool(deleted)))


def frame_crc(first: int, last: int, audience: int, keys: bytes | None, payload: bytes) -> int:
    """The checksum of a frame's row: positions, audience, keys and payload."""
    return zlib.crc32(payload, zlib.crc32(b"%d %d %d %b" % (first, last, audience, keys or b"")))


def frame_row(session: int, frame: Frame) -> tuple[Any, ...]:
    """A frame as the parameters of ``statements.insert_frames``."""
    keys = encode_json(frame.keys) if frame.keys else None
    crc = frame_crc(frame.first, frame.last, frame.audience, keys, frame.payload)
    return (session, frame.first, frame.last, frame.audience, crc, keys, frame.payload)


def frame_from_row(row: tuple[Any, ...], where: str) -> Frame:
    """A frame from ``first, last, audience, crc, keys, payload``.

    Raises:
        HoldfastError: ``engine.corrupt`` when the checksum does not fit; ``where`` names the session.
    """
    first, last, audience, crc, keys, payload = row
    try:
        valid = frame_crc(first, last, audience, keys, payload) == crc
    except TypeError:  # a column of another type than was written
        valid = False
    if not valid:
        raise HoldfastError("engine.corrupt", f"frame {first}..{last} of {where} is damaged")
    return Frame(first, last, audience, payload, _KEYS.decode(keys) if keys else ())


def verify_checksum(crc: int, data: bytes, what: str) -> bytes:
    """Bytes whose checksum stands beside them. Raises ``engine.corrupt`` when it does not fit."""
    if type(data) is not bytes or zlib.crc32(data) != crc:
        raise HoldfastError("engine.corrupt", f"{what} is damaged")
    return data
