"""AWS' event streams: binary messages, each with checksums, to what they carry.

https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html#streaming-event-stream describes a message: its
length and that of its headers, each in 4 bytes of which the highest comes first, the CRC32 of these 8 bytes, headers,
payload, and the CRC32 of all before. Headers are not read: in the streams of Bedrock, the payload says the same.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from holdfast.protocol import limits
from holdfast.providers.errors import MalformedStream
from holdfast.providers.sse import Wanted

_PRELUDE: Final = struct.Struct(">III")
_CHECKSUM: Final = struct.Struct(">I")
_OVERHEAD: Final = _PRELUDE.size + _CHECKSUM.size


class EventStreamFramer:
    """Takes messages apart; a wrong length or checksum ends it.

    Attributes:
        error: why nothing more comes.
    """

    def __init__(self, max_bytes: int = limits.PROVIDER_FRAME_BYTES) -> None:
        self.error: MalformedStream | None = None
        self._max = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes, wanted: Wanted | None = None) -> list[bytes]:
        """The payloads of the messages that are whole now."""
        if self.error is not None:
            return []
        self._buffer += data
        payloads: list[bytes] = []
        at = 0
        while self.error is None and len(self._buffer) - at >= _PRELUDE.size:
            size, headers, checksum = _PRELUDE.unpack_from(self._buffer, at)
            if zlib.crc32(bytes(self._buffer[at : at + 8])) != checksum:
                self._fail("a checksum of a message's beginning is wrong")
            elif size > self._max or size < _OVERHEAD + headers:
                self._fail("the length of a message is wrong")
            elif len(self._buffer) - at < size:
                break
            else:
                message = bytes(self._buffer[at : at + size])
                at += size
                if zlib.crc32(message[: -_CHECKSUM.size]) != _CHECKSUM.unpack_from(message, size - _CHECKSUM.size)[0]:
                    self._fail("a checksum of a message is wrong")
                    break
                payload = message[_PRELUDE.size + headers : -_CHECKSUM.size]
                if payload and (wanted is None or wanted(payload)):
                    payloads.append(payload)
        del self._buffer[:at]
        return payloads

    def close(self) -> list[bytes]:
        """Nothing: a message without its checksum is none."""
        self._buffer.clear()
        return []

    def _fail(self, why: str) -> None:
        self._buffer.clear()
        self.error = MalformedStream(f"{why} in the provider's event stream")
