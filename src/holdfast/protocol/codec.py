"""JSON at the edge: strict in, canonical out.

Everything stored went through ``decode`` here, so no stored frame can poison its readers: it is UTF-8 without lone
surrogates, finite numbers a browser represents exactly, bounded depth, and no duplicate keys (the last one wins).
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from holdfast.errors import Refused
from holdfast.protocol import limits
from holdfast.protocol.bounds import check_nesting, too_deep, too_large

_Shape = TypeVar("_Shape")

_ENCODER = msgspec.json.Encoder()
ENTITY_ID = rf"^[!-~]{{1,{limits.ENTITY_ID_CHARS}}}$"
SESSION_ID = rf"^[A-Za-z0-9_][A-Za-z0-9._~:-]{{0,{limits.SESSION_ID_CHARS - 1}}}$"
"""What a session id is, as a pattern. Chat clients make ids of their own, and some begin with ``_``. None begins with what
a file system, an address or a command line would take for something else: ``.``, ``~``, ``:`` and ``-``."""
_ENTITY_ID = re.compile(ENTITY_ID[1:-1])
_SESSION_ID = re.compile(SESSION_ID[1:-1])
_ID_FIX = f"Use 1 to {limits.ENTITY_ID_CHARS} printable ASCII characters without spaces."
_LEAVES = (float, bool, type(None))
_TOO_LONG = re.compile(r"Expected `(\w+)` of length <= (\d+)(?: - at `\$\.?(.+)`)?")

encode = _ENCODER.encode
"""Encode any JSON value, struct or event to UTF-8 bytes, compactly."""


def decode(
    raw: bytes | str | memoryview,
    decoder: msgspec.json.Decoder[Any],
    what: str = "message",
    max_bytes: int = limits.MESSAGE_BYTES,
) -> Any:
    """Decode untrusted JSON with a typed decoder.

    Args:
        raw: the bytes as received.
        decoder: a ``msgspec.json.Decoder`` of the expected shape.
        what: named in errors.
        max_bytes: how many bytes there may be.

    Raises:
        Refused: ``input.…``; the code says which bound, see ``refusal``.
    """
    if len(raw) > max_bytes:
        raise too_large(what, max_bytes, "bytes")
    check_nesting(raw, what)
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise refusal(error, what) from None
    except (msgspec.DecodeError, UnicodeError, ValueError):
        raise Refused("input.malformed", f"{what}: not valid JSON in UTF-8") from None


def parse(text: str | bytes, max_depth: int = limits.MESSAGE_DEPTH) -> Any:
    """The value of JSON text that stands in a value: a tool's arguments, or what it answered.

    Raises:
        ValueError: it is not JSON, or nested more than ``max_depth`` levels deep.
    """
    try:
        check_nesting(text, max_depth=max_depth)
    except Refused as error:
        raise ValueError(error.detail) from None
    return json.loads(text, parse_constant=_no_number)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def convert(value: Any, shape: type[_Shape], what: str = "body", **fields: Any) -> _Shape:
    """Decoded JSON as a struct, within the bounds of its fields. Raises as ``decode`` does; ``fields`` go with it."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        failure = refusal(error, what)
        failure.fields.update(fields)
        raise failure from None


def refusal(error: msgspec.ValidationError, what: str) -> Refused:
    """What a value that is not of the expected shape is refused with: one code and one fix, wherever it came in."""
    message = str(error)
    if match := _TOO_LONG.fullmatch(message):
        kind, limit, field = match.groups()
        return too_large(field or what, int(limit), "characters" if kind == "str" else "entries")
    if SESSION_ID in message or message.endswith(" - at `$.session`"):
        return Refused("input.session_id", f"{what}: {_short(message)}")
    if ENTITY_ID in message:
        return Refused("input.malformed", f"{what}: {_short(message)}", fix=_ID_FIX)
    if "out of range" in message or f"<= {limits.INTEGER_MAX}" in message:
        return Refused("input.number_range", f"{what}: {message}")
    return Refused("input.malformed", f"{what}: {message}")


def _short(message: str) -> str:
    """A validation error without the expression that did not match."""
    return re.sub(r"Expected `str` matching regex '.*'(?= - at|$)", "not an id", message)


def check_value(value: Any, what: str = "data", depth: int = 1, max_depth: int = limits.JSON_DEPTH) -> None:
    """Refuse what some reader could not represent: depth and integers. Strings are already valid UTF-8.

    Values of an application's own types count as the arrays and objects that they become.

    Args:
        value: an array or object.
        what: named in errors.
        depth: its own level.
        max_depth: how many levels there may be.

    Raises:
        Refused: ``input.too_deep`` (also for a value that contains itself) or ``input.number_range``.
    """
    if depth > max_depth:
        raise too_deep(what, max_depth)
    for item in value.values() if type(value) is dict else value:
        kind = type(item)
        if kind is str or kind in _LEAVES:
            continue
        if kind is dict or kind is list:
            check_value(item, what, depth + 1, max_depth)
        elif isinstance(item, int):
            if not -limits.INTEGER_MAX <= item <= limits.INTEGER_MAX:
                raise Refused("input.number_range", f"{what}: an integer is beyond ±(2^53-1)")
        else:
            inner = _members(item)
            if inner is not None:
                check_value(inner, what, depth + 1, max_depth)


def _members(value: Any) -> Iterable[Any] | None:
    """What a value holds that becomes an array or object in JSON; None for any other."""
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.astuple(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    return None


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
        raise Refused("input.malformed", f"{what}: not an id", fix=_ID_FIX)
    return value


def utf16_len(text: str) -> int:
    """Length in UTF-16 code units, which is what a browser's ``string.length`` counts (FOLD-3)."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) >> 1


def canonical(value: Any) -> bytes:
    """Canonical JSON, byte for byte that of RFC 8785: for comparison and hashing (FOLD-6, CTL-6).

    No spaces; keys in the order of their UTF-16 code units; strings with the escapes of ``JSON.stringify``; numbers as
    ECMAScript prints the double they are, so ``1.0`` is ``1`` and ``-0.0`` is ``0``.

    Raises:
        Refused: ``input.too_deep``, ``input.number_range`` for a number that is no finite double, ``input.malformed``
            for half a surrogate pair, or what is no JSON value.
    """
    try:
        return _canonical_text(value, 1).encode()
    except UnicodeEncodeError:
        raise Refused("input.malformed", "canonical JSON: contains a lone surrogate") from None


def canonical_size(value: Any) -> int:
    """How many bytes ``canonical`` of a JSON value has, for less: only fractions are written otherwise than in ``encode``."""
    fractions: list[float] = []
    _collect_floats(value, fractions)
    between = len(fractions) + 1 if fractions else 2  # brackets and commas
    return len(encode(value)) + sum(map(len, map(_number, fractions))) - len(encode(fractions)) + between


def _collect_floats(value: Any, fractions: list[float]) -> None:
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else (value,):
        kind = type(item)
        if kind is float:
            fractions.append(item)
        elif kind is dict or kind is list:
            _collect_floats(item, fractions)


def _canonical_text(value: Any, depth: int) -> str:
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (int, float)):
        return _number(value)
    if depth > limits.MESSAGE_DEPTH:
        raise too_deep("canonical JSON", limits.MESSAGE_DEPTH)
    if isinstance(value, dict):
        names = sorted(value, key=_utf16_key)
        members = (
            f"{json.dumps(name, ensure_ascii=False)}:{_canonical_text(value[name], depth + 1)}" for name in names
        )
        return "{" + ",".join(members) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_canonical_text(item, depth + 1) for item in value) + "]"
    raise Refused("input.malformed", f"canonical JSON: {type(value).__name__} is no JSON value")


def _utf16_key(name: Any) -> bytes:
    """A key by its UTF-16 code units."""
    if not isinstance(name, str):
        raise Refused("input.malformed", "canonical JSON: a key that is no string")
    return name.encode("utf-16-be", "surrogatepass")


def _number(value: int | float) -> str:
    """A number as ``Number.prototype.toString`` of ECMAScript writes the double; both use the shortest digits."""
    if isinstance(value, int) and -limits.INTEGER_MAX <= value <= limits.INTEGER_MAX:
        return int.__repr__(value)
    if not -sys.float_info.max <= value <= sys.float_info.max:
        raise Refused("input.number_range", "canonical JSON: a number that is no finite double")
    plain = float.__repr__(float(value))
    if "e" not in plain:
        return plain.removesuffix(".0") if value else "0"
    mantissa, _, exponent = plain.partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")  # one digit before the point
    digits, point = (whole + fraction).rstrip("0"), 1 + int(exponent)  # the value is 0.SHOWN × 10^POINT
    if 0 < point <= 21:
        text = digits.ljust(point, "0")
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        text = digits[0] + ("." + digits[1:] if len(digits) > 1 else "") + f"e{point - 1:+d}"
    return "-" + text if value < 0 else text
