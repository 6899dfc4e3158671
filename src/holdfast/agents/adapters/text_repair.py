"""What a framework carries in its own messages: it has to be text, and JSON, before the framework itself stumbles."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from holdfast.agents.results import to_data
from holdfast.protocol.codec import parse, well_formed, well_formed_data

_ESCAPED_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")
_ARGUMENT_FIELDS: Final = frozenset({"args", "arguments"})


def ensure_encodable(value: Any, check: Callable[[Any], object]) -> Any:
    """A tool's result for the framework: itself where ``check`` does not raise, else the nearest JSON to it."""
    try:
        check(value)
    except Exception:
        return to_data(value)
    return value


def repair(response: Any) -> None:
    """Make every text in a model's response well-formed, in place, and the JSON of its calls' arguments, too."""
    _repair(response, 0)


def _repair(value: Any, depth: int) -> None:
    if depth > 20:
        return
    if isinstance(value, list):
        for item in value:
            _repair(item, depth + 1)
        return
    for name, field in list(getattr(value, "__dict__", {}).items()):
        if isinstance(field, str):
            repaired = repair_arguments(field) if name in _ARGUMENT_FIELDS else well_formed(field)
        elif isinstance(field, dict):
            repaired = well_formed_data(field)
        else:
            _repair(field, depth + 1)
            continue
        if repaired is not field:
            setattr(value, name, repaired)


def repair_arguments(text: str) -> str:
    """Arguments as a model wrote them, with whole characters also where JSON escapes halves of them."""
    text = well_formed(text)
    if not _ESCAPED_HALF.search(text):
        return text
    try:
        value = parse(text)
    except ValueError:
        return text
    repaired = well_formed_data(value)
    return text if repaired is value else json.dumps(repaired, ensure_ascii=False)
