"""Which engines there are: a name to what implements it, imported when an address names it and not before."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from holdfast.engines.port import Engine

ENGINES: Final = {
    "memory": "holdfast.engines.memory:MemoryEngine",
    "sqlite": "holdfast.engines.sqlite.engine:SqliteEngine",
}
"""Name to ``module:class``. A server that keeps its logs in memory loads no database library."""


def make(name: str, *arguments: str) -> Engine:
    """An engine by name, with what its constructor takes. Raises ``KeyError`` for a name that is none."""
    module, _, attribute = ENGINES[name].partition(":")
    engine: Engine = getattr(import_module(module), attribute)(*arguments)
    return engine
