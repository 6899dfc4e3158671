"""The bytes of a stream, cut where its events end: what goes on to a caller can always be ended legally where it stands.

Nothing is held back that anybody could read already: half an event says nothing. Bytes are not changed.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from holdfast.errors import Unavailable
from holdfast.protocol import limits

BLANK: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
"""The end of an event (WHATWG HTML, section 9.2.5): an empty line, whichever its bytes are."""
_DONE: Final = b"data: [DONE]"


class WholeEvents:
    """Cuts one stream."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """The bytes up to the end of the last event that is whole now; empty where none is.

        Raises:
            Unavailable: ``upstream.failed``: an event is larger than it may be.
        """
        if not self._waiting and data.endswith((b"\n\n", b"\r\n\r\n")):
            return data
        tail = self._waiting[-1][-3:] if self._waiting else b""
        end = end_of_last(tail + data) - len(tail)
        if end > 0:
            whole = b"".join([*self._waiting, data[:end]])
            self._waiting = [data[end:]] if end < len(data) else []
            self._size = len(data) - end
            return whole
        if len(data) < 3 and self._waiting:  # the tail must be found in the last part
            self._waiting[-1] += data
        elif data:
            self._waiting.append(data)
        self._size += len(data)
        if self._size > limits.PROVIDER_EVENT_BYTES:
            raise Unavailable(
                "upstream.failed", f"an event of the provider's has more than {limits.PROVIDER_EVENT_BYTES:,} bytes"
            )
        return b""

    def close(self) -> bytes:
        """The last event, where no empty line ended it and it is one all the same; half an event is dropped."""
        rest, self._waiting = b"".join(self._waiting), []
        line = rest.strip().rsplit(b"\n", 1)[-1].strip()
        if line == _DONE or (line.startswith(b"data:") and _is_object(line[5:])):
            return rest.rstrip(b"\r\n") + b"\n\n"
        return b""


def end_of_last(data: bytes) -> int:
    """Where the last whole event ends; 0 where none does."""
    if b"\r" not in data:
        return data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
    end = 0
    for found in BLANK.finditer(data):
        if not (found.end() == len(data) and data.endswith(b"\n\r")):  # else the other half of the empty line comes
            end = found.end()
    return end


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, RecursionError):
        return False
