"""The files that travel with the demo company."""

from __future__ import annotations

from importlib import resources
from typing import Any, Final

import msgspec
import yaml  # type: ignore[import-untyped]

_PACKAGE: Final = "holdfast.company"


def read(name: str) -> bytes:
    """A file of this package."""
    return resources.files(_PACKAGE).joinpath(name).read_bytes()


def load(name: str, kind: Any) -> Any:
    """A YAML file of this package as a type."""
    return msgspec.convert(yaml.safe_load(read(name)), kind, strict=False)
