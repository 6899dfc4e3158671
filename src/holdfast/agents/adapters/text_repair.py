"""What a framework carries in its own messages: it has to be text, and JSON, before the framework itself stumbles."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from holdfast.agents.results import to_data
from holdfast.protocol.codec import parse, well_formed, well_formed_data

_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")
_ARGUMENTS: Final = frozenset({"args", "arguments"})


def carried(value: Any, check: Callable[[Any], object]) -> Any:
    """A tool's result for the framework: itself where ``check`` does not raise, else the nearest JSON to it."""
    try:
        check(value)
    except Exception:
        return to_data(value)
    return value


def mend(said: Any) -> None:
    """Make every text in a model's response well-formed, in place, and the JSON of its calls' arguments, too."""
    _mend(said, 0)


def _mend(said: Any, depth: int) -> None:
    if depth > 20:
        return
    if isinstance(said, list):
        for each in said:
            _mend(each, depth + 1)
        return
    for name, value in list(getattr(said, "__dict__", {}).items()):
        if isinstance(value, str):
            told = arguments(value) if name in _ARGUMENTS else well_formed(value)
        elif isinstance(value, dict):
            told = well_formed_data(value)
        else:
            _mend(value, depth + 1)
            continue
        if told is not value:
            setattr(said, name, told)


def arguments(text: str) -> str:
    """Arguments as a model wrote them, with whole characters also where JSON escapes halves of them."""
    text = well_formed(text)
    if not _HALF.search(text):
        return text
    try:
        value = parse(text)
    except ValueError:
        return text
    mended = well_formed_data(value)
    return text if mended is value else json.dumps(mended, ensure_ascii=False)
