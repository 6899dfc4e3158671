"""The files that travel with the demo company."""

from __future__ import annotations

from importlib import resources
from typing import Any, Final

import msgspec
import yaml  # type: ignore[import-untyped]

_PACKAGE: Final = "holdfast.company"


def load(name: str, kind: Any) -> Any:
    """A YAML file of this package as a type."""
    raw = yaml.safe_load(resources.files(_PACKAGE).joinpath(name).read_text())
    return msgspec.convert(raw, kind, strict=False)
