"""Paths into JSON values, and templates that are filled in: the small language of recipes."""

from __future__ import annotations

import re
from typing import Any, Final

_NAME: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
MISSING: Final = object()


def look(value: Any, path: str) -> Any:
    """What stands at a dotted path (``choices.0.delta.content``; ``$`` is the value itself), or ``MISSING``."""
    if path == "$":
        return value
    for part in path.split("."):
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


def fits(value: Any, when: dict[str, Any]) -> bool:
    """Whether every path has the value asked for: one of a list's, ``True`` for "is there", ``False`` for "is not"."""
    for path, wanted in when.items():
        found = look(value, path)
        if isinstance(wanted, bool):
            if wanted != (found is not MISSING and found is not None and found != ""):
                return False
        elif found not in (wanted if isinstance(wanted, list) else [wanted]):
            return False
    return True


def fill(template: Any, names: dict[str, str]) -> Any:
    """A template with ``{name}`` replaced, in every string of a JSON value; a name that is not known stays empty."""
    if isinstance(template, str):
        return _NAME.sub(lambda found: names.get(found[1], ""), template)
    if isinstance(template, dict):
        return {key: fill(inner, names) for key, inner in template.items()}
    if isinstance(template, list):
        return [fill(inner, names) for inner in template]
    return template


def names_in(template: Any) -> set[str]:
    """The names a template uses."""
    if isinstance(template, str):
        return set(_NAME.findall(template))
    inner = template.values() if isinstance(template, dict) else template if isinstance(template, list) else ()
    return {name for part in inner for name in names_in(part)}
