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
    raw: bytes | bytearray | memoryview | str, what: str = "message", most: int = limits.MESSAGE_DEPTH
) -> None:
    """Refuse JSON text that is nested more than ``most`` levels deep, without parsing it.

    Everything but brackets is dropped; then pairs with nothing between them are, level by level from the inside. What is
    not JSON passes when it is not deep: the parser says what is wrong with it.

    Raises:
        Refused: ``input.too_deep``.
    """
    if isinstance(raw, str):
        raw = raw.encode("utf-8", "replace")
    text = raw if isinstance(raw, (bytes, bytearray)) else bytes(raw)
    if text.count(b"[") + text.count(b"{") <= most:
        return
    if b"\\\\" in text:
        text = text.replace(b"\\\\", b"")
    if b'\\"' in text:
        text = text.replace(b'\\"', b"")
    left = text.translate(_ONE_KIND, _BESIDE).replace(b'""', b"")
    if b'"' in left:  # some texts hold brackets
        left = b"".join(left.split(b'"')[::2])
    for _ in range(most):
        shorter = left.replace(b"[]", b"")
        if len(shorter) == len(left):
            break
        left = shorter
    if (b"[]" in left) or left.count(b"[") > most:
        raise too_deep(what, most)


def too_deep(what: str, most: int) -> Refused:
    """The refusal of a value that is nested too deeply."""
    return Refused("input.too_deep", f"{what}: deeper than {most} levels")


def too_large(what: str, most: int, unit: str, **fields: Any) -> Refused:
    """The refusal of something that is longer, or of which there is more, than may be: the same on every surface.

    Args:
        what: the field, or the thing.
        most: how much there may be.
        unit: of ``most``: ``bytes``, ``characters``, or what is counted, in the plural.
        fields: more that the error says.
    """
    return Refused("input.too_large", f"{what}: more than {most} {unit}", fix=_fix(what, most, unit), **fields)


def _fix(what: str, most: int, unit: str) -> str:
    if unit not in ("bytes", "characters"):
        return f"Send at most {most} {unit} at a time, and the rest in further requests."
    if most <= limits.NAME_CHARS or what == "blob":
        return f"Use at most {most} {unit}."
    return f"Use at most {most} {unit}, or put large content into a blob and refer to it."
