"""Paths into JSON values, and templates that are filled in: the small language of recipes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

_NAME: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
MISSING: Final = object()

Find = Callable[[str], Any]
"""What stands at a path, or ``MISSING``."""
Write = Callable[[str], str]
"""How a value is written where it goes: percent-encoded in a form, say."""


def look(value: Any, path: str) -> Any:
    """What stands at a dotted path (``choices.0.delta.content``; ``$`` is the value itself), or ``MISSING``."""
    if path == "$":
        return value
    for part in path.removeprefix("$.").split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.lstrip("-").isdigit() and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def as_text(value: Any) -> str:
    """What stands at a path as text: a string, the texts of a list's parts, or nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None or value is MISSING:
        return ""
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, list):
        return "".join(as_text(item.get("text") if isinstance(item, dict) else item) for item in value)
    return ""


def fits(find: Find, when: dict[str, Any]) -> bool:
    """Whether every path has what is asked for.

    A value, or one of a list's; ``True``: it is there and not ``false``; ``False``: it is not there, or ``false``.
    """
    return all(_is(find(path), wanted) for path, wanted in when.items())


def _is(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return any(_is(found, one) for one in wanted)
    if isinstance(wanted, bool):
        return wanted == (found is not MISSING and found is not None and found is not False and found != "")
    return bool(found == wanted) and not isinstance(found, bool)


def fill(template: Any, names: Mapping[str, str], write: Write = str) -> Any:
    """A template with ``{name}`` replaced, in every string of a JSON value; a name that is not known stays empty."""
    if isinstance(template, str):
        return _NAME.sub(lambda found: write(names.get(found[1], "")), template)
    if isinstance(template, dict):
        return {key: fill(inner, names, write) for key, inner in template.items()}
    if isinstance(template, list):
        return [fill(inner, names, write) for inner in template]
    return template


def fill_some(template: Any, names: Mapping[str, str]) -> Any:
    """The same for these names only; others stay as they stand."""
    return fill(template, {name: names.get(name, f"{{{name}}}") for name in names_in(template)})


def names_in(template: Any) -> set[str]:
    """The names a template uses."""
    if isinstance(template, str):
        return set(_NAME.findall(template))
    inner = template.values() if isinstance(template, dict) else template if isinstance(template, list) else ()
    return {name for part in inner for name in names_in(part)}


def in_form(text: str) -> str:
    """A value as it stands in a form or in the query of an address."""
    return quote(text, safe="")
