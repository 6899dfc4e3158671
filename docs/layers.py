"""The picture of the layers, made from the contract that holds them and from what the packages import: a block for docs/tables.py."""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "holdfast"


def layers() -> list[list[str]]:
    """The packages of each layer, the highest first: as import-linter has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contract = next(c for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    return [[name.removeprefix("holdfast.") for name in layer.split(" | ")] for layer in contract["layers"]]


def packages() -> set[str]:
    """The packages and modules right under ``holdfast``."""
    return {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()} | {
        path.stem for path in PACKAGE.glob("*.py") if path.name != "__init__.py"
    }


def _imports(body: list[ast.stmt]) -> Iterator[str]:
    """The packages that statements import when they run, those inside functions too."""
    for statement in body:
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from _imports(statement.orelse)
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.ImportFrom) and node.module == "holdfast":
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("holdfast."):
                yield str(node.module).split(".")[1]
            elif isinstance(node, ast.Import):
                yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("holdfast."))


def arrows() -> dict[str, set[str]]:
    """What each package imports of the others."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if first != "__init__":
            found[first] |= set(_imports(ast.parse(path.read_text()).body)) & (packages() - {first})
    return found


def picture() -> str:
    """Layer under layer, and behind each package what it imports."""
    found, width = arrows(), max(map(len, packages()))
    order = [name for layer in layers() for name in layer]
    parts = []
    for layer in layers():
        lines = []
        for name in layer:
            below = ", ".join(sorted(found[name], key=order.index))
            lines.append(f"  {name.ljust(width)}  →  {below}" if below else f"  {name}")
        parts.append("\n".join(lines) + "\n")
    rule = f"{'─' * (width + 4)}\n"
    return f"```\n{rule.join(parts)}```\n"
