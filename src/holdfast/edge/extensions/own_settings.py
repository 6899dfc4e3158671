"""Settings of extensions: read from ``HOLDFAST_<NAME>_<FIELD>``, and refused when they are unknown or somebody else's."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from holdfast.edge.config import PREFIX, Settings
from holdfast.edge.extensions.port import Extension, ExtensionSettings
from holdfast.errors import HoldfastError

CLIENTS: Final = frozenset({"HOLDFAST_URL", "HOLDFAST_TOKEN"})
"""What the commands of clients read."""


def keys_of(kind: type[Extension]) -> dict[str, str]:
    """The names of an extension's settings in the environment, and their fields."""
    return {f"{_prefix(kind)}{field.upper()}": field for field in kind.settings_type.model_fields}


def check_keys(kinds: Sequence[type[Extension]]) -> None:
    """Refuse (``config.invalid``) a name that would set something of two extensions, or of the server and of one."""
    owners = dict.fromkeys((f"{PREFIX}{name.upper()}" for name in Settings.model_fields), "the server itself")
    owners |= dict.fromkeys(CLIENTS, "the command line")
    for kind in kinds:
        for key in keys_of(kind):
            if key in owners:
                words = f"{key} is a setting of {owners[key]} and of extension {kind.name!r}"
                raise HoldfastError("config.invalid", words, fix="One of them has to be called otherwise.")
            owners[key] = f"extension {kind.name!r}"


def read(kind: type[Extension], kinds: Sequence[type[Extension]], environ: Mapping[str, str]) -> ExtensionSettings:
    """The settings of one of several extensions. Raises ``config.invalid``, naming the setting."""
    keys = keys_of(kind)
    others = {key for other in kinds for key in keys_of(other)} | {
        f"{PREFIX}{n.upper()}" for n in Settings.model_fields
    }
    for name in sorted(environ):
        if name.startswith(_prefix(kind)) and name not in keys and name not in others and name not in CLIENTS:
            close = difflib.get_close_matches(name, keys, 1)
            fix = f"Did you mean {close[0]}?" if close else f"It has {', '.join(keys) or 'no settings'}."
            raise HoldfastError("config.invalid", f"extension {kind.name!r} has no setting {name}", fix=fix)
    return make(kind, {field: _value(kind, field, environ[key]) for key, field in keys.items() if key in environ})


def make(kind: type[Extension], values: Mapping[str, Any]) -> ExtensionSettings:
    """An extension's settings of values by field. Raises ``config.invalid``, naming the setting."""
    try:
        return kind.settings_type(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{_prefix(kind)}{'.'.join(str(part) for part in first['loc']).upper()}"
        raise HoldfastError("config.invalid", f"setting {where}: {first['msg']}") from None


def _prefix(kind: type[Extension]) -> str:
    return f"{PREFIX}{kind.name.upper()}_"


def _value(kind: type[Extension], field: str, raw: str) -> Any:
    """What stands in the environment; a list is what stands between commas."""
    several = typing.get_origin(kind.settings_type.model_fields[field].annotation) in (tuple, list, frozenset, set)
    return tuple(part.strip() for part in raw.split(",") if part.strip()) if several else raw
