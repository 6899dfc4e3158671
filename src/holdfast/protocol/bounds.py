"""How long, how many and how deep: refused by a rule of ours before anything leans on the interpreter's own limits.

How deep Python lets C code recurse differs between its versions, so it is no bound: text is measured before it is parsed.
"""

from __future__ import annotations

from typing import Any, Final

from holdfast.errors import Refused
from holdfast.protocol import limits

_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_BESIDE: Final = bytes(byte for byte in range(256) if byte not in b'[]{}"')


def check_nesting(
    raw: bytes | bytearray | memoryview | str, what: str = "message", max_depth: int = limits.MESSAGE_DEPTH
) -> None:
    """Refuse JSON text that is nested more than ``max_depth`` levels deep, without parsing it.

    Everything but brackets is dropped; then pairs with nothing between them are, level by level from the inside. What is
    not JSON passes when it is not deep: the parser says what is wrong with it.

    Raises:
        Refused: ``input.too_deep``.
    """
    if isinstance(raw, str):
        raw = raw.encode("utf-8", "replace")
    text = raw if isinstance(raw, (bytes, bytearray)) else bytes(raw)
    if text.count(b"[") + text.count(b"{") <= max_depth:
        return
    if b"\\\\" in text:
        text = text.replace(b"\\\\", b"")
    if b'\\"' in text:
        text = text.replace(b'\\"', b"")
    remaining = text.translate(_ONE_KIND, _BESIDE).replace(b'""', b"")
    if b'"' in remaining:  # some texts hold brackets
        remaining = b"".join(remaining.split(b'"')[::2])
    for _ in range(max_depth):
        shorter = remaining.replace(b"[]", b"")
        if len(shorter) == len(remaining):
            break
        remaining = shorter
    if (b"[]" in remaining) or remaining.count(b"[") > max_depth:
        raise too_deep(what, max_depth)


def too_deep(what: str, max_depth: int) -> Refused:
    """The refusal of a value that is nested too deeply."""
    return Refused("input.too_deep", f"{what}: deeper than {max_depth} levels")


def too_large(what: str, limit: int, unit: str, **fields: Any) -> Refused:
    """The refusal of something that is longer, or of which there is more, than may be: the same on every surface.

    Args:
        what: the field, or the thing.
        limit: how much there may be.
        unit: of ``limit``: ``bytes``, ``characters``, or what is counted, in the plural.
        fields: more that the error says.
    """
    return Refused("input.too_large", f"{what}: more than {limit} {unit}", fix=_fix(what, limit, unit), **fields)


def _fix(what: str, limit: int, unit: str) -> str:
    if unit not in ("bytes", "characters"):
        return f"Send at most {limit} {unit} at a time, and the rest in further requests."
    if limit <= limits.NAME_CHARS or what == "blob":
        return f"Use at most {limit} {unit}."
    return f"Use at most {limit} {unit}, or put large content into a blob and refer to it."
