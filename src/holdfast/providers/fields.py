"""The fields of an event, each as what it has to be: a provider's stream is somebody else's, and may be anything."""

from __future__ import annotations

from typing import Any

from holdfast.providers.errors import MalformedStream

Fields = dict[str, Any]


def text(fields: Fields, name: str) -> str:
    """A text; empty where there is none."""
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(name, "text")
    return value


def mapping(fields: Fields, name: str) -> Fields:
    """An object; empty where there is none."""
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(name, "an object")
    return value


def mappings(fields: Fields, name: str) -> list[Fields]:
    """A list of objects; empty where there is none."""
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong(name, "a list")
    for each in value:
        if not isinstance(each, dict):
            raise _wrong(name, "a list of objects")
    return value


def number(fields: Fields, name: str) -> int:
    """A whole number from 0; 0 where there is none."""
    value = fields.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _wrong(name, "a whole number")
    return value


def word(fields: Fields, name: str) -> str:
    """A text, or a number as text; empty where there is neither."""
    value = fields.get(name)
    return str(value) if isinstance(value, (str, int, float)) and value and value is not True else ""


def has_content(value: Any) -> bool:
    """Whether a value holds anything."""
    if isinstance(value, dict):
        return any(map(has_content, value.values()))
    if isinstance(value, list):
        return any(map(has_content, value))
    return value not in (None, "", False)


def _wrong(name: str, kind: str) -> MalformedStream:
    return MalformedStream(f"in the provider's stream, {name} is not {kind}")
