"""What is public, and the map of it: every name of every module that has an ``__all__``; a block for docs/tables.py."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, is_typeddict

from docs import python_api

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "holdfast"
FIRST = ("holdfast", "holdfast.client", "holdfast.client.blocking", "holdfast.agents")
"""What most programs begin with; the others follow by name."""


def public_modules() -> list[str]:
    """The modules that have an ``__all__``: these are public, and nothing else is."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        if any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" for node in _tree(path).body):
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return sorted(found, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def origin(module: ModuleType, name: str) -> ModuleType:
    """The module in which a public name is bound, and not only given out."""
    tree = _tree(Path(str(module.__file__)))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names):
            return origin(importlib.import_module(str(node.module)), name)
    return module


def words_of(module: ModuleType, name: str) -> str:
    """The docstring of a public name: its own, or the string that stands under an alias or a constant; else empty."""
    value = getattr(module, name)
    if inspect.isclass(value) or inspect.isfunction(value) or inspect.ismodule(value):
        return value.__doc__ or ""
    body = _tree(Path(str(origin(module, name).__file__))).body
    for node, after in itertools.pairwise(body):
        bound = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if bound is not None and ast.unparse(bound) == name and isinstance(after, ast.Expr):
            return str(getattr(after.value, "value", "")) if isinstance(after.value, ast.Constant) else ""
    return ""


def first_sentence(words: str) -> str:
    """The first sentence of a docstring, as Markdown."""
    paragraph = " ".join(python_api.prose(words).split("\n\n")[0].split())
    return re.split(r"(?<=[.])\s(?=[A-Z`])", paragraph, maxsplit=1)[0]


def one_line(name: str, function: Any) -> str:
    """A signature on one line."""
    written = " ".join(python_api.signature(name, function).split()).replace("( ", "(").replace(", )", ")")
    return written.removeprefix("def ")


def _fields(cls: Any) -> str:
    return ", ".join(f"{field}?" if field in cls.__optional_keys__ else field for field in cls.__annotations__)


def rows(module: ModuleType, name: str, seen: set[object]) -> Iterator[tuple[str, str]]:
    """``(how it is written, what it is)`` of a public name, and of what a class has for its callers."""
    value = getattr(module, name)
    if inspect.isfunction(value):
        yield one_line(name, value), first_sentence(words_of(module, name))
        return
    shown = f"{name} {{{_fields(value)}}}" if is_typeddict(value) and value.__annotations__ else name
    yield shown, first_sentence(words_of(module, name))
    if not inspect.isclass(value) or is_typeddict(value) or value in seen:
        return
    seen.add(value)
    for method, member in python_api.members(value):
        if isinstance(member, python_api.FUNCTIONS):
            function = getattr(member, "__func__", member)
            yield one_line(f"{name}.{method}", function), first_sentence(function.__doc__ or "")
        else:
            getter = getattr(member, "fget", None) or member.func
            typed = inspect.signature(getter).return_annotation
            yield f"{name}.{method}: {typed}", first_sentence(getter.__doc__ or "")


def modules() -> str:
    """Every public module with every public name."""
    parts, seen = [], set[object]()
    for path in public_modules():
        module = importlib.import_module(path)
        parts.append(f"### {path}\n\n{first_sentence(module.__doc__ or '')}\n\n| name | what it is |\n| --- | --- |\n")
        for name in sorted(module.__all__, key=str.lower):
            for written, words in rows(module, name, seen):
                cells = (cell.replace("\n", " ").replace("|", "\\|") for cell in (f"`{written}`", words))
                parts.append(f"| {' | '.join(cells)} |\n")
        parts.append("\n")
    return "".join(parts).rstrip() + "\n"
