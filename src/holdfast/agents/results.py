"""What a tool returned, as text for the log. It has acted: whatever it returned, there is a text of it.

JSON is kept as it is. Of anything else the nearest JSON is kept: bytes as base64, sets as lists, models and dataclasses as
objects, what has no JSON at all as its ``str``; and words stand where something is nested too deeply or holds itself.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from enum import Enum
from typing import Any, Final

import msgspec

from holdfast.protocol import limits
from holdfast.protocol.codec import encode, parse, well_formed

_TOO_DEEP: Final = f"… nested more than {limits.RESULT_DEPTH} deep"
_CYCLE: Final = "… this again"
_CUT: Final = "… and more than can be shown"
_INTEGERS: Final = range(-(1 << 63), 1 << 64)  # integers that every JSON codec here carries exactly


def to_content(value: Any) -> str:
    """A result as the text a log keeps: a string as it is, anything else as JSON; the two cannot be confused."""
    if isinstance(value, str):
        text = well_formed(str(value))
        return text if _is_plain(text) else json.dumps(text, ensure_ascii=False)
    return encode(to_data(value)).decode()


def from_content(content: str) -> Any:
    """The value ``to_content`` was given, if it was JSON (which has no tuples: they come back as lists)."""
    try:
        return parse(content, limits.RESULT_DEPTH)
    except ValueError:
        return content


def to_model_text(value: Any) -> str:
    """A result as text for a model, the same in every attempt."""
    return well_formed(value) if isinstance(value, str) else to_content(value)


def to_data(value: Any) -> Any:
    """The nearest JSON data to any value. Nothing is raised."""
    return _Converter().convert(value)


def _is_plain(text: str) -> bool:
    """Whether a string cannot be taken for JSON."""
    try:
        parse(text, limits.RESULT_DEPTH)
    except ValueError:
        return True
    return False


class _Converter:
    def __init__(self) -> None:
        self._nodes_left = limits.RESULT_NODES
        self._ancestors: list[int] = []  # ids of the values that are being converted

    def convert(self, value: Any) -> Any:
        self._nodes_left -= 1
        if value is None or value is True or value is False:
            return value
        if isinstance(value, Enum):
            return self.convert(value.value)
        if isinstance(value, str):
            return well_formed(str(value))
        if isinstance(value, int):
            return int(value) if value in _INTEGERS else _digits(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else _not_finite(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return base64.b64encode(value).decode()
        if id(value) in self._ancestors:
            return _CYCLE
        if len(self._ancestors) >= limits.RESULT_DEPTH:
            return _TOO_DEEP
        self._ancestors.append(id(value))
        try:
            return self._convert_value(value)
        except Exception:  # the value's own code, which may do anything
            return _as_text(value)
        finally:
            self._ancestors.pop()

    def _convert_value(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return self._convert_object(value.items())
        if isinstance(value, Sequence | Set):
            return self._convert_list(value)
        if isinstance(value, type):
            return _as_text(value)
        if isinstance(value, msgspec.Struct):
            return self._convert_struct(value)
        if dataclasses.is_dataclass(value):
            return self._convert_object((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        if hasattr(value, "model_dump"):
            return self._convert_model(value)
        if hasattr(value, "tolist"):  # what numbers come in
            return self.convert(value.tolist())
        return self._convert_leaf(value)

    def _convert_list(self, values: Iterable[Any]) -> list[Any]:
        items: list[Any] = []
        for each in values:
            if self._nodes_left <= 0:
                items.append(_CUT)
                break
            items.append(self.convert(each))
        return items

    def _convert_object(self, pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key, each in pairs:
            if self._nodes_left <= 0:
                fields["…"] = _CUT
                break
            name = self.convert(key) if isinstance(key, str | Enum) else self._convert_leaf(key)
            fields[name if isinstance(name, str) else encode(name).decode()] = self.convert(each)
        return fields

    def _convert_struct(self, value: msgspec.Struct) -> Any:
        config = value.__struct_config__
        values = [getattr(value, name) for name in value.__struct_fields__]
        tag = [] if config.tag is None else [config.tag]
        if config.array_like:
            return self._convert_list([*tag, *values])
        tagged = [(config.tag_field, config.tag)] if tag else []
        return self._convert_object([*tagged, *zip(value.__struct_encode_fields__, values, strict=True)])

    def _convert_model(self, value: Any) -> Any:
        """A pydantic model, or what looks like one."""
        try:
            dumped = value.model_dump(mode="json")
        except Exception:  # bytes that are not UTF-8, for example
            dumped = value.model_dump()
        return self.convert(dumped)

    def _convert_leaf(self, value: Any) -> Any:
        """Dates, decimals, UUIDs … have a form that is usual; the rest has its ``str``."""
        try:
            plain = msgspec.to_builtins(value)
        except Exception:
            return _as_text(value)
        return plain if plain is None or isinstance(plain, str | int | float) else self.convert(plain)


def _digits(value: int) -> str:
    try:
        return str(int(value))
    except ValueError:  # longer than the interpreter writes in decimals
        return hex(value)


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _as_text(value: Any) -> str:
    try:
        return well_formed(str(value))
    except Exception:
        return f"a {type(value).__name__} that cannot be shown"
