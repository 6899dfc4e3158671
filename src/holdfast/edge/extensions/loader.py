"""Finding extensions by name: among what distributions declare (entry points of ``holdfast.extensions``), and nothing is
imported that is not named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from holdfast.edge.config import Settings
from holdfast.edge.extensions import own_settings
from holdfast.edge.extensions.extension_set import ExtensionSet, check_names
from holdfast.edge.extensions.port import Extension
from holdfast.errors import HoldfastError

GROUP: Final = "holdfast.extensions"
NOBODY: Final[Mapping[str, str]] = {}


def find(name: str, shipped: Mapping[str, str] = NOBODY) -> type[Extension]:
    """The extension of a name.

    Args:
        name: as its owner wrote it.
        shipped: extensions of this distribution: name to ``module:class``.

    Raises:
        HoldfastError: ``config.invalid`` when there is none, there are two, or what is there is no extension.
    """
    check_names([name])
    declared = {(point.value, _distribution(point)) for point in entry_points(group=GROUP, name=name)}
    values = {value for value, _ in declared} | ({shipped[name]} if name in shipped else set())
    if not values:
        installed = sorted({*shipped, *(point.name for point in entry_points(group=GROUP))})
        fix = f"Installed here: {', '.join(installed) or 'none'}."
        raise HoldfastError("config.invalid", f"there is no extension {name!r}", fix=fix)
    if len(values) > 1:
        owners = " and ".join(sorted(owner for _, owner in declared) if len(declared) > 1 else sorted(values))
        raise HoldfastError("config.invalid", f"extension {name!r} is declared twice, by {owners}")
    return import_extension(name, values.pop())


def load(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    shipped: Mapping[str, str] = NOBODY,
    more: Sequence[Extension] = (),
) -> ExtensionSet:
    """The extensions that the settings name, made with their own settings, and ``more`` that were made already.

    Raises:
        HoldfastError: ``config.invalid``, naming the extension and what is wrong.
    """
    check_names(settings.extensions)
    made = {extension.name for extension in more}
    kinds = [find(name, shipped) for name in settings.extensions if name not in made]
    own_settings.check_keys([*kinds, *(type(extension) for extension in more)])
    named = [kind(own_settings.read(kind, kinds, environ), settings) for kind in kinds]
    return ExtensionSet([*named, *more])


def import_extension(name: str, value: str) -> type[Extension]:
    """The extension at ``module:class``. Raises ``config.invalid``, caused by the ``ImportError`` where there is one."""
    module, _, attribute = value.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except Exception as error:
        words = f"extension {name!r} cannot be imported from {value}: {type(error).__name__}: {error}"
        raise HoldfastError("config.invalid", words) from error
    if not (isinstance(found, type) and issubclass(found, Extension)):
        raise HoldfastError("config.invalid", f"extension {name!r}: {value} is no subclass of Extension")
    if getattr(found, "name", None) != name:
        raise HoldfastError(
            "config.invalid", f"extension {name!r}: {value} calls itself {getattr(found, 'name', '')!r}"
        )
    return found


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
