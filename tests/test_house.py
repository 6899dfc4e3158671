"""The house stays as ARCHITECTURE.md describes it: sizes, arrows, names, purity, reasons."""

from __future__ import annotations

import ast
import functools
import gc
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs import layers

from holdfast.edge.config import Settings
from holdfast.errors import CODES
from holdfast.session.access import VERBS

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "holdfast"
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

FILE_LINES = 500
FUNCTION_LINES = 70
IMPURE = {
    "asyncio", "time", "random", "os", "sqlite3", "apsw", "socket", "threading", "secrets", "datetime", "uuid", "pathlib",
    "logging", "subprocess", "concurrent", "multiprocessing", "selectors", "ssl", "nats", "httpx", "starlette", "uvicorn",
    "picows",
}  # fmt: skip
VAGUE = re.compile(r"(^|_)(utils?|helpers?|common|misc|shared|managers?)(_|$)")


@functools.cache
def tree(path: Path) -> ast.Module:
    # a finaliser that runs in the midst of it spoils CPython's count of its own depth: "AST constructor recursion depth mismatch"
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", ARCHITECTURE, re.MULTILINE | re.DOTALL)
    assert found, f"ARCHITECTURE.md has no section {title!r}"
    return found[1]


def modules() -> list[Path]:
    return sorted(SRC.rglob("*.py"))


CODE = (".py", ".js", ".mjs", ".ts", ".tsx", ".css")
NOT_OURS = {"node_modules", "dist", "build", "static"}
"""What was installed or built."""


def code_files() -> Iterator[Path]:
    for room in ("src", "tests", "benchmarks", "examples", "docs", "web", "conformance"):
        for folder, below, names in os.walk(ROOT / room):
            below[:] = sorted(set(below) - NOT_OURS)
            yield from (Path(folder) / name for name in sorted(names) if name.endswith(CODE))


def too_long() -> dict[str, int]:
    """What is beyond the size of a room, by path, or path and function."""
    found: dict[str, int] = {}
    for path in code_files():
        text, name = path.read_text(), str(path.relative_to(ROOT))
        lines = len(text.splitlines())
        if lines > FILE_LINES:
            found[name] = lines
        if path.suffix == ".py":
            for node in ast.walk(tree(path)):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    size = (node.end_lineno or node.lineno) - node.lineno + 1
                    if size > FUNCTION_LINES:
                        found[f"{name}:{node.name}"] = size
    return found


def listed() -> set[str]:
    return set(re.findall(r"^\| `([^`]+)` \|", section("Exceptions to the sizes"), re.MULTILINE))


def test_files_and_functions_are_small_or_the_exception_has_its_reason() -> None:
    long = too_long()
    assert not {k: v for k, v in long.items() if k not in listed()}, "make it smaller, or give the reason"
    assert not listed() - set(long), "an exception that is none any more"


def test_architecture_itself_is_short() -> None:
    assert len(ARCHITECTURE.splitlines()) <= 300


MEANT = {
    "utils", "helpers", "common",  # what nothing may be called
    "r7-3f9a0c21be", "synchronous=FULL", "HOLDFAST_<NAME>_<FIELD>", "await",
    "--extension", "holdfast.extensions", "holdfast-ai",
    "src/holdfast/pages",  # built, and not in git
    "ok", "closed", "live", "reset", "fenced", "cancel", "cancelled", "lost",  # words on the wire, which other tests look at
}  # fmt: skip
"""Code on the page that names nothing in the source."""


@functools.cache
def defined() -> frozenset[str]:
    """What Python in ``src`` defines: ``name``, ``Class.member`` and, by the name of its file, ``module.name``."""
    found: set[str] = set()
    for path in modules():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                found |= {f"{node.name}.{name}" for part in node.body for name in names_bound(part)}
        top = {name for part in tree(path).body for name in names_bound(part)}
        found |= top | {f"{path.stem}.{name}" for name in top}
        found.add(".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"))
    return frozenset(found)


def names_bound(node: ast.stmt) -> set[str]:
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def exists(name: str) -> bool:
    """Whether there is what a piece of code on the page names: a file, a name of the source, or a word it has."""
    if name in MEANT or name in CODES or name in VERBS or name in defined():
        return True
    if name.startswith(("make ", "npm ", "python -m ", "holdfast ")):
        return True  # commands are looked at in test_docs
    if re.fullmatch(r"HOLDFAST_[A-Z_]+", name):
        return name.removeprefix("HOLDFAST_").lower() in Settings.model_fields
    if name.startswith("GET "):
        return any(f'"{name.removeprefix("GET ")}"' in path.read_text() for path in modules())
    if re.fullmatch(r"[a-z-]+[.-][a-z_]+", name) and any(f'"{name}"' in path.read_text() for path in modules()):
        return True  # an event type, or the name of a thread
    pattern = name.rstrip("/").replace("…", "*")
    return any(any(room.glob(pattern)) for room in (ROOT, SRC)) or ("/" not in pattern and any(SRC.rglob(pattern)))


def test_what_the_architecture_names_exists() -> None:
    text = re.sub(r"^```.*?^```", "", ARCHITECTURE, flags=re.DOTALL | re.MULTILINE)
    for title in ("Dependencies", "Exceptions to the sizes"):
        text = text.replace(section(title), "")
    spans = set(re.findall(r"`([^`\n]+)`", text))
    assert len(spans) > 200
    assert sorted(name for name in spans if not exists(name)) == []


@pytest.mark.parametrize("name", ["hub/cold.py", "HotSession.melt", "program.undo", "gone.py", "log.eaten", "Nobody"])
def test_what_does_not_exist_is_found(name: str) -> None:
    assert not exists(name)


def test_no_room_has_a_vague_name() -> None:
    for path in [*modules(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        assert not VAGUE.search(path.stem), path
        assert not VAGUE.search(path.parent.name), path


def test_packages_have_no_logic_in_init() -> None:
    for path in modules():
        if path.name != "__init__.py":
            continue
        body = tree(path).body
        if "_exported(" in path.read_text():  # of a public package: its names, imported when they are asked for
            allowed = (ast.Expr, ast.ImportFrom, ast.Assign, ast.If)
            assert all(isinstance(n, allowed) for n in body), path
            continue
        assert all(isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant) for n in body), path


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """``(module, only for types)`` of everything a file imports."""
    typing_only: set[ast.AST] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            typing_only |= {inner for statement in node.body for inner in ast.walk(statement)}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node in typing_only
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield node.module or "", node in typing_only


PURE = ("protocol", "session", "providers")


@pytest.mark.parametrize("room", PURE)
def test_the_pure_rooms_import_nothing_that_acts(room: str) -> None:
    for path in (SRC / room).rglob("*.py"):
        for module, _ in imports(path):
            assert module.split(".")[0] not in IMPURE, f"{path.name} imports {module}"


def test_pure_rooms_call_no_clock_and_open_nothing() -> None:
    for room in PURE:
        for path in (SRC / room).rglob("*.py"):
            for node in ast.walk(tree(path)):
                assert not isinstance(node, (ast.AsyncFunctionDef, ast.Await)), path
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    assert node.func.id not in ("open", "print", "input", "exec", "eval"), path


def test_concrete_engines_are_imported_by_their_registry_and_by_what_works_on_files() -> None:
    allowed = {SRC / "cli" / "storage.py", SRC / "cli" / "folding.py", *(SRC / "governance" / "store").glob("*.py")}
    for path in modules():
        if path not in allowed and SRC / "engines" not in path.parents:
            for module, _ in imports(path):
                assert not module.startswith(("holdfast.engines.sqlite", "holdfast.engines.memory")), path


def test_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")  # in a process of its own: it silences every logger
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_contract_is_in_the_architecture() -> None:
    for contract in PROJECT["tool"]["importlinter"]["contracts"]:
        assert contract["name"] in ARCHITECTURE
    layers = next(c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers")["layers"]
    packages = {p.parent.name if p.name == "__init__.py" else p.stem for p in SRC.glob("*/__init__.py")}
    packages |= {p.stem for p in SRC.glob("*.py")} - {"__init__"}
    assert {name.removeprefix("holdfast.") for layer in layers for name in layer.split(" | ")} == packages
    for name in packages:
        assert f"`{name}`" in section("Packages"), name


def test_every_arrow_of_the_picture_points_down() -> None:
    order = {name: number for number, layer in enumerate(layers.layers()) for name in layer}
    assert set(order) == layers.packages()
    drawn = {name for name in layers.packages() if re.search(rf"^  {name}\b", section("Packages"), re.MULTILINE)}
    assert drawn == layers.packages()
    for name, below in layers.arrows().items():
        assert all(order[other] > order[name] for other in below), name


MAY_PRINT = {"cli/output.py", "audit/report/terminal.py", "demo/run.py"}
"""The first two show what others wrote through ``visible``; the demo has its own words only."""
MAY_LOG = {"visible.py", "cli/serve.py", "cli/options.py", "edge/upgrade.py", "governance/command.py"}
"""``visible.logger`` makes loggers; the others set levels and handlers."""


def test_what_others_wrote_is_printed_by_one_function() -> None:
    for path in modules():
        name = str(path.relative_to(SRC))
        for module, _ in imports(path):
            assert module != "rich.markup", f"{name}: no markup is read, so none is escaped"
        for node in ast.walk(tree(path)):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in ("print", "Console", "Text", "Text.assemble") or called.endswith(
                (".print", "typer.echo", ".print_json")
            ):
                assert name in MAY_PRINT, f"{name}:{node.lineno}: {called}: say it with cli/output.py"  # type: ignore[attr-defined]
            if called.endswith(("stdout.write", "stderr.write", "file.write")) and "file.write" not in called[:10]:
                assert name == "cli/output.py", f"{name}: {called}"
            if called.endswith("getLogger"):
                assert name in MAY_LOG, f"{name}: {called}: take a logger of visible.py"


def test_a_cancel_is_never_lost_beside_what_is_waited_for() -> None:
    """``asyncio.wait_for`` of Python 3.11 swallows a cancel that comes with its result: ``asyncio.timeout`` does not."""
    for path in modules():
        assert "asyncio.wait_for(" not in path.read_text(), f"{path}: async with asyncio.timeout(…)"


PERMISSIVE = {"MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "PSF-2.0", "any-OSI"}
EXTRAS = {
    "pyjwt[crypto]": ["cryptography"],
    "pydantic-ai-slim[openai,anthropic]": ["openai", "anthropic"],
    "sqlalchemy[asyncio]": ["greenlet"],
}
"""What an extra brings: a dependency of ours like any other."""


def names_of(requirements: list[str]) -> set[str]:
    """The packages that requirements name, those of their extras too."""
    found: set[str] = set()
    for requirement in requirements:
        name, extras = re.match(r"([A-Za-z0-9_-]+)(\[[^\]]*\])?", requirement).groups()  # type: ignore[union-attr]
        found |= {name, *(EXTRAS[name + extras] if extras else [])}
    return found


def dependencies() -> dict[str, tuple[str, str]]:
    """Reason and licence of every row of the architecture's table."""
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (.+?) \| ([^|]+?) \|$", section("Dependencies"), re.MULTILINE)
    return {name: (reason, licence) for name, reason, licence in rows}


def test_every_dependency_has_its_reason_and_its_licence() -> None:
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    needed = names_of(project["dependencies"]).union(*map(names_of, project.get("optional-dependencies", {}).values()))
    wanted = needed.union(*map(names_of, groups.values()), names_of(PROJECT["build-system"]["requires"]))
    table = dependencies()
    assert set(table) == wanted
    for name in needed:
        assert set(re.split(r" AND | OR ", table[name][1])) <= PERMISSIVE, f"{name}: {table[name][1]}"


@pytest.mark.parametrize("name", sorted(dependencies()))
def test_a_licence_in_the_table_is_the_one_that_the_package_declares(name: str) -> None:
    try:
        declared = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("not installed here")
    licence = dependencies()[name][1]
    expression = declared.get("License-Expression")
    if expression:
        assert licence == expression
        return
    # older metadata have no expression: words, a classifier, or only the file
    files = [file for file in importlib.metadata.files(name) or () if "licen" in file.name.lower()]
    texts = [str(file.locate().read_text()) for file in files if file.suffix != ".py"]
    words = " ".join([declared.get("License") or "", *(declared.get_all("Classifier") or []), *texts]).lower()
    for part in re.split(r" AND | OR ", licence):
        assert part.lower().split("-")[0] in words or (part.startswith("BSD") and "redistribution and use" in words), (
            part
        )


def test_every_module_and_public_name_says_what_it_is() -> None:
    for path in modules():
        assert ast.get_docstring(tree(path)), f"{path}: no docstring"
        for node in tree(path).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name[0] != "_":
                assert ast.get_docstring(node), f"{path}: {node.name} has no docstring"


def test_no_test_asserts_a_time() -> None:
    """Timings belong into benchmarks: a busy machine must not fail a test."""
    clock = re.compile(r"assert[^#\n]*(time\.(time|monotonic|perf_counter)\(|elapsed|took_s)")
    for path in (ROOT / "tests").rglob("test_*.py"):
        if path != Path(__file__):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                assert not clock.search(line), f"{path.name}:{number}"


CLOCKS = {"time", "monotonic", "now", "today", "wall_ms", "token_hex", "random", "uuid4"}
"""What answers something else each time it is called."""


def _asks_a_clock(value: ast.expr) -> bool:
    calls = [node.func for node in ast.walk(value) if isinstance(node, ast.Call)]
    return any((func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")) in CLOCKS for func in calls)


def _name_themselves(values: ast.expr) -> Iterator[ast.expr]:
    """The values of a ``parametrize`` that name their tests: numbers and texts do, dictionaries and lists do not."""
    for value in getattr(values, "elts", []):
        for part in value.elts if isinstance(value, ast.Tuple) else [value]:
            if isinstance(part, ast.BinOp | ast.Call) and not any(
                keyword.arg == "id" for keyword in getattr(part, "keywords", [])
            ):
                yield part


def test_no_test_is_named_after_a_clock() -> None:
    """Workers that collect tests a second apart would collect others, and then none of them runs."""
    found = []
    for path in sorted(ROOT.joinpath("tests").rglob("*.py")):
        if "node_modules" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "parametrize" and len(node.args) > 1:
                found += [f"{path}:{one.lineno}" for one in _name_themselves(node.args[1]) if _asks_a_clock(one)]
    assert not found
