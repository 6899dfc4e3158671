"""What of an answer was seen while it passes: the texts that were generated, still in their bytes."""

from __future__ import annotations

import re
from typing import Final

from holdfast.gateway.estimates import output_tokens
from holdfast.gateway.wires import CHAT, MESSAGES, RESPONSES, GatewayWire
from holdfast.protocol import limits

_TEXT = rb'"[ ]?:[ ]?"([^"\\]*(?:\\.[^"\\]*)*)"'
_CONTENT: Final[dict[str, re.Pattern[bytes]]] = {
    CHAT.name: re.compile(rb'"(?:content|reasoning_content|reasoning|refusal|arguments)' + _TEXT, re.DOTALL),
    RESPONSES.name: re.compile(rb'"delta' + _TEXT, re.DOTALL),
    MESSAGES.name: re.compile(rb'"(?:text|thinking|partial_json)' + _TEXT, re.DOTALL),
}
"""Texts that were generated, still escaped."""
_PARTS: Final = re.compile(rb'"text' + _TEXT, re.DOTALL)


def texts_in(wire: GatewayWire, events: bytes) -> list[bytes]:
    """The texts in whole events, still escaped."""
    texts: list[bytes] = _CONTENT[wire.name].findall(events)
    if wire is CHAT and b'"content":[' in events:  # in typed parts, as Mistral has it
        texts += _PARTS.findall(events)
    return texts


def size_of(texts: list[bytes]) -> int:
    """Their size, about: in UTF-8, without the escapes of JSON."""
    text = b"".join(texts)
    wide = text.count(b"\\u")
    return len(text) - wide * 4 - (text.count(b"\\") - wide)


class SeenOutput:
    """What was seen of one answer, counted as it comes.

    Attributes:
        pieces: texts that were not empty. Most providers send a token in each.
        text_bytes: their size.
    """

    def __init__(self, wire: GatewayWire) -> None:
        self._wire = wire
        self.pieces = 0
        self.text_bytes = 0

    def weigh(self, events: bytes) -> tuple[int, int]:
        """Pieces and bytes of whole events, which are not counted yet."""
        texts = texts_in(self._wire, events)
        return sum(map(bool, texts)), size_of(texts)

    def tokens_with(self, pieces: int, text_bytes: int) -> int:
        """``tokens``, if these were counted too."""
        return max(self.pieces + pieces, -(-(self.text_bytes + text_bytes) // limits.BRAKE_BYTES_PER_TOKEN))

    def add(self, pieces: int, text_bytes: int) -> None:
        """Count them."""
        self.pieces += pieces
        self.text_bytes += text_bytes

    @property
    def tokens(self) -> int:
        """Output tokens, rather too many than too few: this bounds what may be spent."""
        return self.tokens_with(0, 0)

    @property
    def likely(self) -> int:
        """Output tokens, as an estimate has them that goes on record."""
        return max(self.pieces, output_tokens(self.text_bytes))
