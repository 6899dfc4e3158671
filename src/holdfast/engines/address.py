"""Which engine an address names."""

from __future__ import annotations

from holdfast.engines import registry
from holdfast.engines.port import Engine
from holdfast.errors import HoldfastError


def engine_for(address: str) -> Engine:
    """The engine an address names: ``memory:``, ``sqlite:///PATH`` or a plain path of a SQLite file.

    Raises:
        HoldfastError: ``config.invalid``.
    """
    if address in ("memory:", "memory://"):
        return registry.make("memory")
    path = address.removeprefix("sqlite:///") if address.startswith("sqlite:") else address
    if not path or "://" in path:
        raise HoldfastError("config.invalid", f"no engine for {address!r}: name a file, or memory:")
    return registry.make("sqlite", path)
