"""One small parser per framing: from bytes as they come, cut anywhere, to the objects they carry."""

from __future__ import annotations

import base64
import codecs
import json
import re
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

Pieces = AsyncIterator[bytes]
Objects = AsyncIterator[dict[str, Any]]


async def _lines(pieces: Pieces) -> AsyncIterator[str]:
    decoder, left = codecs.getincrementaldecoder("utf-8")(), ""
    async for piece in pieces:
        *whole, left = re.split(r"\r\n|\n", left + decoder.decode(piece))
        for line in whole:
            yield line
    if left:
        yield left


async def server_sent(pieces: Pieces) -> Objects:
    """``text/event-stream`` (WHATWG HTML, section 9.2); ``[DONE]`` and comments carry nothing."""
    data: list[str] = []
    async for line in _lines(pieces):
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            text, data = "\n".join(data), []
            if text not in ("", "[DONE]"):
                yield json.loads(text)


async def by_line(pieces: Pieces) -> Objects:
    """One JSON object on each line."""
    async for line in _lines(pieces):
        if line.strip():
            yield json.loads(line)


async def array(pieces: Pieces) -> Objects:
    """One JSON array that grows, as Google streams without ``alt=sse``."""
    decoder, text = codecs.getincrementaldecoder("utf-8")(), ""
    async for piece in pieces:
        text += decoder.decode(piece)
        while (text := text.lstrip("[], \r\n")).startswith("{"):
            try:
                value, end = json.JSONDecoder().raw_decode(text)
            except ValueError:
                break
            yield value
            text = text[end:]


async def event_stream(pieces: Pieces) -> Objects:
    """``application/vnd.amazon.eventstream``: binary messages with headers and two CRCs. A message is given as
    ``{event-type: payload}``, and a ``chunk`` as what it carries."""
    buffer = b""
    async for piece in pieces:
        buffer += piece
        while len(buffer) >= 12:
            total, headers, crc = struct.unpack(">III", buffer[:12])
            assert zlib.crc32(buffer[:8]) == crc
            if len(buffer) < total:
                break
            message, buffer = buffer[:total], buffer[total:]
            assert zlib.crc32(message[:-4]) == int.from_bytes(message[-4:])
            kind = _header(message[12 : 12 + headers], b":event-type")
            value = json.loads(message[12 + headers : -4])
            yield json.loads(base64.b64decode(value["bytes"])) if kind == "chunk" else {kind: value}


def _header(headers: bytes, name: bytes) -> str:
    """The text of a header: one byte of length and the name, the type 7, two bytes of length and the value."""
    while headers:
        at = 1 + headers[0]
        key, size = headers[1:at], int.from_bytes(headers[at + 1 : at + 3])
        assert headers[at] == 7
        if key == name:
            return headers[at + 3 : at + 3 + size].decode()
        headers = headers[at + 3 + size :]
    raise AssertionError(name)


FRAMINGS: dict[str, Callable[[Pieces], Objects]] = {
    "sse": server_sent,
    "ndjson": by_line,
    "chunk-lines": by_line,
    "json-array-stream": array,
    "aws-eventstream": event_stream,
}
"""Of answers over HTTP; ``websocket-json`` has a message for each object."""
