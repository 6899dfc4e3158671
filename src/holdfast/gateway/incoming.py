"""A request of a caller: read within its bounds, understood as far as the gateway must, and written for an upstream.

Of a body only its top level is read: messages, tools and images pass as the bytes they are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from holdfast.errors import Refused
from holdfast.gateway.wires import CHAT, RESPONSES, Wire
from holdfast.protocol import limits
from holdfast.protocol.bounds import check_nesting

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LONG: Final = re.compile(rb"[A-Za-z0-9+/_=-]{4096,}")
_PROMPT: Final = ("system", "instructions", "tools")
"""The part of a request that stays the same from call to call."""


class Incoming:
    """What a caller asks of a model.

    Attributes:
        wire: which dialect.
        model: which model.
        streams: whether the caller wants a stream.
        tells_usage: whether the caller of a chat completion asked for the chunk with the usage.
        output_limit: the most output it asks for; None when it does not say.
        headers: of the request, names in lower case.
    """

    def __init__(self, wire: Wire, body: bytes, headers: Mapping[str, str]) -> None:
        """Raises ``input.malformed``, ``input.too_deep``, and ``call.unmetered`` for what could not be billed."""
        self.wire = wire
        self.headers = dict(headers)
        self.size = len(body)
        check_nesting(body, max_depth=limits.PROVIDER_DEPTH)
        try:
            self.fields: dict[str, msgspec.Raw] = _FIELDS.decode(body)
        except msgspec.DecodeError:
            raise Refused("input.malformed", "the body is not a JSON object") from None
        self.model = self._value("model", str, "")
        if not self.model or len(self.model) > limits.NAME_CHARS:
            raise Refused("input.malformed", "the body names no model")
        self.streams = bool(self._value("stream", bool, False))
        options = self._value("stream_options", dict, {})
        self.tells_usage = bool(options.get("include_usage")) or wire is not CHAT
        self._options = options
        found = (self._value(name, int, None) for name in wire.limits)
        self.output_limit: int | None = next((one for one in found if one is not None), None)
        if wire is RESPONSES and self._value("background", bool, False):
            raise Refused(
                "call.unmetered", "`background` responses cannot be metered yet", fix="Leave out `background`."
            )

    def _value(self, name: str, kind: type, default: Any) -> Any:
        raw = self.fields.get(name)
        if raw is None:
            return default
        try:
            return msgspec.json.decode(raw, type=kind | None) or default
        except (msgspec.DecodeError, RecursionError):
            raise Refused("input.malformed", f"`{name}` is not of its type") from None

    def value(self, name: str) -> Any:
        """A field as plain values; None where there is none."""
        raw = self.fields.get(name)
        return None if raw is None else msgspec.json.decode(raw)

    @property
    def text_bytes(self) -> int:
        """Size of what the model reads as text: images and files inside it count as a page of text each."""
        long = [len(found) for found in _LONG.findall(b"".join(bytes(raw) for raw in self.fields.values()))]
        return max(0, self.size - sum(long)) + len(long) * limits.IMAGE_TEXT_BYTES

    @property
    def prompt_hash(self) -> str:
        """A short hash of its instructions and tools, by which calls with the same prompt are known; empty without any."""
        parts = [bytes(raw) for name in _PROMPT if (raw := self.fields.get(name)) is not None]
        if not parts and self.wire is CHAT:
            parts = [bytes(raw) for raw in _first_of(self.fields.get("messages"))]
        return hashlib.blake2b(b"\0".join(parts), digest_size=8).hexdigest() if parts else ""

    def body_for(self, model: str) -> bytes:
        """The body for an upstream: always a stream that tells its usage, everything else as it came."""
        fields: dict[str, Any] = {**self.fields, "model": model}
        if self.wire.streams:
            fields["stream"] = True
            if self.wire is CHAT:
                fields["stream_options"] = {**self._options, "include_usage": True}
        return msgspec.json.encode(fields)


def _first_of(messages: msgspec.Raw | None) -> list[msgspec.Raw]:
    """The first message, where a list of them begins with instructions."""
    if messages is None:
        return []
    try:
        return msgspec.json.decode(messages, type=list[msgspec.Raw])[:1]
    except msgspec.DecodeError:
        return []
