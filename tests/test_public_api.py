"""What is public is what docs/reference/api.md says: every name is there, has its words, and is all that the documents use."""

from __future__ import annotations

import ast
import builtins
import collections.abc
import importlib
import inspect
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, is_typeddict

import pytest
from docs import public_api, python_api

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "api.md"
MODULES = public_api.public_modules()
SHOWN = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.py"))]
"""What people copy from."""


@pytest.mark.parametrize("path", MODULES)
def test_every_public_name_is_there_and_has_its_words(path: str) -> None:
    module = importlib.import_module(path)
    assert len(set(module.__all__)) == len(module.__all__)
    assert module.__doc__, path
    for name in module.__all__:
        assert public_api.words_of(module, name).strip(), f"{path}.{name} has no docstring"
    table = PAGE.read_text().split(f"\n### {path}\n", 1)[1].split("\n### ", 1)[0]
    for name in module.__all__:
        assert re.search(rf"^\| `(async def )?{name}\b", table, re.MULTILINE), f"{path}.{name}"


@pytest.mark.parametrize("path", MODULES)
def test_what_public_classes_have_for_callers_has_its_words(path: str) -> None:
    module = importlib.import_module(path)
    for name in module.__all__:
        value: Any = getattr(module, name)
        for function in functions_of(value):
            assert function.__doc__, f"{path}: {function.__qualname__} has no docstring"


@pytest.mark.parametrize("path", ["holdfast", "holdfast.client", "holdfast.agents"])
def test_a_package_gives_out_what_it_says_to_python_and_to_type_checkers(path: str) -> None:
    module = importlib.import_module(path)
    tree = ast.parse(Path(str(module.__file__)).read_text())
    checked = {
        alias.asname: node.module
        for branch in tree.body
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(checked) == set(module.__all__) == set(dir(module))
    for name, origin in checked.items():
        assert getattr(module, name) is getattr(importlib.import_module(str(origin)), name), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_importing_a_public_package_imports_nothing_else() -> None:
    code = "import holdfast, holdfast.client, holdfast.agents, sys; print(*(m for m in sys.modules if m.startswith('holdfast')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert set(done.stdout.split()) == {
        "holdfast",
        "holdfast.exports",
        "holdfast.version",
        "holdfast.client",
        "holdfast.agents",
    }


OTHERS = {
    "Op": "of docs/reference/operations.md, as in wire", "Ask": "as in wire", "Verdict": "Allow, Deny or RequireApproval",
    "ApprovalState": "an approval as the session has it", "Clock": "FakeClock is one",
    "Edge": "what it has for callers stands in docs/howto/embed-in-fastapi.md", "StreamingResponse": "Starlette's",
    "ToolCallRequest": "LangGraph's", "ToolMessage": "LangGraph's", "Command": "LangGraph's", "Pregel": "LangGraph's",
    "RunConfig": "of the OpenAI Agents SDK", "AgentToolStreamEvent": "of the OpenAI Agents SDK",
}  # fmt: skip
"""Types in public signatures that are no public names of ours, with the reason."""


def functions_of(value: Any) -> Iterator[Any]:
    """What a public name is called with: itself, or the methods and properties of a class."""
    if inspect.isfunction(value):
        yield value
    for _, member in python_api.members(value) if inspect.isclass(value) else ():
        yield getattr(member, "__func__", None) or getattr(member, "fget", None) or getattr(member, "func", member)


def types_of(function: Any) -> set[str]:
    """The names in a signature's annotations; of ``wire.Cursor`` the last part."""
    signature = inspect.signature(function)
    annotations = [parameter.annotation for parameter in signature.parameters.values()] + [signature.return_annotation]
    nodes = [node for one in annotations if isinstance(one, str) for node in ast.walk(ast.parse(one, mode="eval"))]
    modules = {node.value for node in nodes if isinstance(node, ast.Attribute)}
    names = {node.id for node in nodes if isinstance(node, ast.Name) and node not in modules}
    return names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def test_types_in_public_signatures_are_public() -> None:
    values = {
        f"{path}.{name}": getattr(importlib.import_module(path), name)
        for path in MODULES
        for name in importlib.import_module(path).__all__
    }
    known = {name.rpartition(".")[2] for name in values}
    known |= {*dir(builtins), *typing.__all__, *collections.abc.__all__, "SSLContext"}
    used: set[str] = set()
    for name, value in values.items():
        for function in functions_of(value):
            types = {one for one in types_of(function) if not isinstance(function.__globals__.get(one), TypeVar)}
            used |= types
            assert types <= known | OTHERS.keys(), f"{name}: {function.__qualname__}: {types - known - OTHERS.keys()}"
    assert used >= OTHERS.keys()


# --- what people copy from uses public names only
def python_of(path: Path) -> Iterator[str]:
    """A program, or the blocks of Python of a page."""
    text = path.read_text()
    yield from (
        [text] if path.suffix == ".py" else re.findall(r"^```python[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    )


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """``(module, name)`` of everything imported from Holdfast."""
    for source in python_of(path):
        for line in re.findall(r"^ *(from holdfast[\w.]* import .+|import holdfast[\w.]*)", source, re.MULTILINE):
            node = ast.parse(line.strip().rstrip("(")).body[0] if "(" not in line else None
            if isinstance(node, ast.ImportFrom):
                yield from ((str(node.module), alias.name) for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from ((alias.name, "") for alias in node.names)


def is_public(module: str, name: str) -> bool:
    return f"{module}.{name}" in MODULES or (
        module in MODULES and (not name or name in importlib.import_module(module).__all__)
    )


def test_documents_and_examples_import_public_names_only() -> None:
    private = [
        f"{path.relative_to(ROOT)}: {module}.{name}"
        for path in SHOWN
        if "node_modules" not in path.parts
        for module, name in imports(path)
        if not is_public(module, name)
    ]
    assert not private, "\n" + "\n".join(private)
    assert is_public("holdfast", "Session") and is_public("holdfast.agents.adapters", "langgraph")
    assert not is_public("holdfast.hub.hub", "Hub") and not is_public("holdfast", "Hub")


def test_every_typed_dict_of_the_protocol_is_a_public_type() -> None:
    from holdfast import types

    for path in sorted((ROOT / "src/holdfast/protocol").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and is_typeddict(
                getattr(importlib.import_module(f"holdfast.protocol.{path.stem}"), node.name)
            ):
                assert node.name in types.__all__, node.name
