"""A request of a caller: read within its bounds, understood as far as the gateway must, and written for an upstream.

Of a body only its top level is read: messages, tools and images pass as the bytes they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from holdfast.errors import Refused
from holdfast.gateway.wires import CHAT, RESPONSES, GatewayWire
from holdfast.protocol import limits
from holdfast.protocol.bounds import check_nesting

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_PROMPT: Final = ("system", "instructions", "tools")
"""The part of a request that stays the same from call to call."""
INSTRUCTING: Final = ("system", "developer")
"""The roles of those who instruct a model, and say nothing to it."""


class Incoming:
    """What a caller asks of a model.

    Attributes:
        wire: which dialect.
        model: which model.
        streams: whether the caller wants a stream.
        tells_usage: whether the caller of a chat completion asked for the chunk with the usage.
        choices: how many answers it asks for.
        output_limit: the most output it asks for, of all its answers together; None when it does not say.
        tier: the service tier it asks for; empty when it leaves that to the provider.
        headers: of the request, names in lower case.
        text_bytes: size of what the model reads as text: images and files inside it count as a page of text each.
    """

    def __init__(self, wire: GatewayWire, body: bytes, headers: Mapping[str, str]) -> None:
        """Raises ``input.malformed``, ``input.too_deep``, and ``call.unmetered`` for what could not be billed."""
        self.wire = wire
        self.headers = dict(headers)
        if self.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise Refused("input.malformed", "the body is compressed", fix="Send it without a content-encoding.")
        self.size = len(body)
        check_nesting(body, what="body", max_depth=limits.PROVIDER_DEPTH)
        self.fields = _fields_of(body)
        self.text_bytes = _text_bytes(body)
        self.model = self._value("model", str, "")
        if not self.model:
            raise Refused("input.malformed", "the body names no model", fix="Name one in `model`.")
        if len(self.model) > limits.NAME_CHARS or not self.model.isprintable():
            fix = "GET /v1/models lists what the key may ask."
            raise Refused("input.malformed", f"`model` is no name of up to {limits.NAME_CHARS} characters", fix=fix)
        self.streams = bool(self._value("stream", bool, False))
        options = self._value("stream_options", dict, {})
        self.tells_usage = bool(options.get("include_usage")) or wire is not CHAT
        self._options = options
        self.choices = self._choices()
        self.output_limit = self._output_limit()
        self.tier = self._tier()
        if wire is RESPONSES and self._value("background", bool, False):
            raise Refused(
                "call.unmetered", "`background` responses cannot be metered yet", fix="Leave out `background`."
            )

    def _output_limit(self) -> int | None:
        for name in self.wire.limits:
            found = self._value(name, int, None)
            if found is not None:
                if not 0 <= found <= limits.OUTPUT_LIMIT:
                    fix = f"Send a whole number from 0 to {limits.OUTPUT_LIMIT:,}, or leave it out."
                    raise Refused("input.number_range", f"`{name}` is no number of tokens", fix=fix)
                return int(found) * self.choices
        return None

    def _choices(self) -> int:
        found = self._value("n", int, 1) if self.wire is CHAT else 1
        if not 1 <= found <= limits.CHAT_CHOICES:
            fix = f"Send a whole number from 1 to {limits.CHAT_CHOICES:,}, or leave it out."
            raise Refused("input.number_range", "`n` is no number of answers", fix=fix)
        return int(found)

    def _tier(self) -> str:
        found = str(self._value("service_tier", str, ""))
        if len(found) > limits.NAME_CHARS or not found.isprintable():
            fix = "Send one of the provider's, or leave it out."
            raise Refused("input.malformed", "`service_tier` is no name of a tier", fix=fix)
        return "" if found == "auto" else found

    def _value(self, name: str, kind: type, default: Any) -> Any:
        raw = self.fields.get(name)
        if raw is None:
            return default
        try:
            found = msgspec.json.decode(raw, type=kind | None)
        except (msgspec.DecodeError, RecursionError):
            raise Refused("input.malformed", f"`{name}` is not of its type", fix=f"Send {_NAMES[kind]}.") from None
        return default if found is None else found

    def value(self, name: str) -> Any:
        """A field as plain values; None where there is none."""
        raw = self.fields.get(name)
        if raw is None:
            return None
        try:
            return msgspec.json.decode(raw)
        except msgspec.DecodeError:  # halves of surrogate pairs
            return json.loads(bytes(raw))

    @property
    def prompt_hash(self) -> str:
        """A short hash of its instructions and tools, by which calls with the same prompt are known; empty without any."""
        parts = [bytes(raw) for name in _PROMPT if (raw := self.fields.get(name)) is not None]
        if self.wire is CHAT:
            parts += _instructions(self.fields.get("messages"))
        return hashlib.blake2b(b"\0".join(parts), digest_size=8).hexdigest() if parts else ""

    def body_for(self, model: str) -> bytes:
        """The body for an upstream: always a stream that tells its usage, everything else as it came."""
        fields: dict[str, Any] = {**self.fields, "model": model}
        if self.wire.streams:
            fields["stream"] = True
            if self.wire is CHAT:
                fields["stream_options"] = {**self._options, "include_usage": True}
        return msgspec.json.encode(fields)


_NAMES: Final[dict[type, str]] = {str: "text", bool: "true or false", int: "a whole number", dict: "an object"}


def _fields_of(body: bytes) -> dict[str, msgspec.Raw]:
    """The top level of a body. Of a name that comes twice the last counts, here and for the upstream."""
    try:
        if not body.isascii():
            body.decode()  # what is raw is passed on unread, and must be text all the same
        return _FIELDS.decode(body)
    except UnicodeDecodeError:
        raise Refused("input.malformed", "the body is not UTF-8", fix="Send JSON in UTF-8.") from None
    except msgspec.DecodeError:
        pass
    try:  # halves of surrogate pairs, which JavaScript writes as escapes, are read by the slower one
        values = json.loads(body) if b"\\u" in body else None
        if isinstance(values, dict):
            return {
                str(name): msgspec.Raw(json.dumps(value, allow_nan=False).encode()) for name, value in values.items()
            }
    except (ValueError, RecursionError):
        pass
    raise Refused("input.malformed", "the body is not a JSON object", fix="Send one, as the provider's own clients do.")


def _text_bytes(body: bytes) -> int:
    """Size of a body without its data: strings of thousands of ASCII characters without a space or an escape."""
    if len(body) < limits.DATA_BYTES:
        return len(body)
    data = [
        len(part)
        for part in body.split(b'"')
        if len(part) >= limits.DATA_BYTES and part.isascii() and b" " not in part and b"\\" not in part
    ]
    return len(body) - sum(data) + len(data) * limits.IMAGE_TEXT_BYTES


def _instructions(messages: msgspec.Raw | None) -> Iterator[bytes]:
    """The messages of instructions with which a conversation begins."""
    if messages is None:
        return
    try:
        for raw in msgspec.json.decode(messages, type=list[msgspec.Raw])[: limits.INSTRUCTION_MESSAGES]:
            if msgspec.json.decode(raw, type=_Message).role not in INSTRUCTING:
                return
            yield bytes(raw)
    except msgspec.DecodeError:
        return


class _Message(msgspec.Struct):
    """Of a message, who says it."""

    role: str = ""
