"""JSON at the edge: strict in, canonical out.

Everything stored went through ``decode`` here, so no stored frame can poison its readers: it is UTF-8 without lone
surrogates, finite numbers a browser represents exactly, bounded depth, and no duplicate keys (the last one wins).
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any

import msgspec

from holdfast.errors import Refused
from holdfast.protocol import limits

_ENCODER = msgspec.json.Encoder()
_ENTITY_ID = re.compile(rf"[!-~]{{1,{limits.ENTITY_ID_CHARS}}}")
SESSION_ID = rf"[A-Za-z0-9_][A-Za-z0-9._~:-]{{0,{limits.SESSION_ID_CHARS - 1}}}"
"""What a session id is, as a pattern. Chat clients make ids of their own, and some begin with ``_``. None begins with what
a file system, an address or a command line would take for something else: ``.``, ``~``, ``:`` and ``-``."""
_SESSION_ID = re.compile(SESSION_ID)

_TOLD = (("out of range", "input.number_range"), (" - at `$.session`", "input.session_id"))
"""What msgspec says of a value that has a code of its own; the rest is malformed."""

encode = _ENCODER.encode
"""Encode any JSON value, struct or event to UTF-8 bytes, compactly."""


def decode(
    raw: bytes | str | memoryview, decoder: msgspec.json.Decoder[Any], what: str = "message",
    most: int = limits.MESSAGE_BYTES,
) -> Any:  # fmt: skip
    """Decode untrusted JSON with a typed decoder.

    Args:
        raw: the bytes as received.
        decoder: a ``msgspec.json.Decoder`` of the expected shape.
        what: named in errors.
        most: how many bytes there may be.

    Raises:
        Refused: ``input.too_large``, ``input.too_deep`` or ``input.malformed``.
    """
    if len(raw) > most:
        raise Refused("input.too_large", f"{what}: more than {most} bytes")
    try:
        return decoder.decode(raw)
    except RecursionError:
        raise Refused("input.too_deep", f"{what}: nested too deeply") from None
    except msgspec.ValidationError as error:
        code = next((code for words, code in _TOLD if words in str(error)), "input.malformed")
        raise Refused(code, f"{what}: {error}") from None
    except (msgspec.DecodeError, UnicodeError, ValueError):
        raise Refused("input.malformed", f"{what}: not valid JSON in UTF-8") from None


def check_value(value: Any, what: str = "data", depth: int = 1) -> None:
    """Refuse what some reader could not represent: depth and integers. Strings are already valid UTF-8.

    Raises:
        Refused: ``input.too_deep`` or ``input.number_range``.
    """
    if depth > limits.JSON_DEPTH:
        raise Refused("input.too_deep", f"{what}: deeper than {limits.JSON_DEPTH} levels")
    for item in value.values() if type(value) is dict else value:
        kind = type(item)
        if kind is str:
            continue
        if kind is int:
            if not -limits.INTEGER_MAX <= item <= limits.INTEGER_MAX:
                raise Refused("input.number_range", f"{what}: an integer is beyond ±(2^53-1)")
        elif kind is dict or kind is list:
            check_value(item, what, depth + 1)


def check_text(text: str, what: str) -> str:
    """Refuse a string that cannot be UTF-8 (a lone surrogate), and return it otherwise."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused("input.malformed", f"{what}: contains a lone surrogate") from None
    return text


def well_formed(text: str) -> str:
    """The text as UTF-8 carries it: halves of a surrogate pair that meet are joined, a lone half becomes U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def well_formed_data(value: Any, depth: int = 1) -> Any:
    """JSON data with every text in it ``well_formed``; the very same value when it is so already.

    What is nested more deeply than any reader takes stays as it is: ``check_value`` refuses it.
    """
    if isinstance(value, str):
        return well_formed(value)
    if depth > 4 * limits.JSON_DEPTH:
        return value
    if isinstance(value, dict):
        pairs = [(well_formed_data(name), well_formed_data(each, depth + 1)) for name, each in value.items()]
        same = all(a is b and x is y for (a, x), (b, y) in zip(pairs, value.items(), strict=True))
        return value if same else dict(pairs)
    if isinstance(value, list | tuple):
        items = [well_formed_data(each, depth + 1) for each in value]
        return value if all(a is b for a, b in zip(items, value, strict=True)) else items
    return value


def check_session_id(session: str) -> str:
    """Return the session id, or refuse it with ``input.session_id``."""
    if not _SESSION_ID.fullmatch(session):
        raise Refused("input.session_id")
    return session


def check_entity_id(value: Any, what: str) -> str:
    """Return an entity id (1 to 200 printable ASCII characters without spaces), or refuse it."""
    if type(value) is not str or not _ENTITY_ID.fullmatch(value):
        raise Refused("input.malformed", f"{what}: must be 1 to {limits.ENTITY_ID_CHARS} printable ASCII characters")
    return value


def utf16_len(text: str) -> int:
    """Length in UTF-16 code units, which is what a browser's ``string.length`` counts (FOLD-3)."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) >> 1


def canonical(value: Any) -> bytes:
    """Byte-exact form for comparison and hashing: sorted keys, no spaces, UTF-8, floats as JavaScript prints them.

    The approval hash and the cross-language fold cases are computed over it. It follows the key order of RFC 8785
    (UTF-16 code units) and its number form: integers without a fraction, other numbers in their shortest form.
    """
    return _text(value).encode()


def _text(value: Any) -> str:
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{_text(name)}:{_text(value[name])}" for name in names) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, float):
        return _float(value)
    return json.dumps(value, ensure_ascii=False)


def _float(value: float) -> str:
    """A finite float as ``Number.prototype.toString`` of ECMAScript writes it; both use the shortest digits."""
    if not math.isfinite(value):
        raise ValueError("not a JSON number")
    if value.is_integer() and abs(value) < 1e21:
        return format(Decimal(repr(value)), ".0f") if abs(value) > limits.INTEGER_MAX else str(int(value))
    digits, _, exponent = repr(value).partition("e")
    if not exponent:
        return digits
    return f"{digits}e{int(exponent):+d}" if not -7 < int(exponent) < 21 else format(Decimal(repr(value)), "f")
