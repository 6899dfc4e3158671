"""A plant that no longer fits what it replaces is found out, and is never taken for a bug that a test noticed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conformance.planting import HOLLOW, Hollow, replace, stand_in

from tests.mutants.run import describe_trouble


class Owner:
    limit = 3

    def plain(self, a: int, b: int = 2, *, c: int = 3) -> int:
        return a + b + c

    async def later(self, a: int) -> int:
        return a

    @staticmethod
    def still(a: int) -> int:
        return a


async def _async(self: Any, a: int, b: int = 2, *, c: int = 3) -> int:
    return 0


MISFITS: dict[str, tuple[str, Any]] = {
    "no such name": ("gone", lambda self: None),
    "an argument less": ("plain", lambda self, a, *, c=3: 0),
    "an argument more": ("plain", lambda self, a, b=2, d=4, *, c=3: 0),
    "another name": ("plain", lambda self, a, bee=2, *, c=3: 0),
    "another name of a keyword": ("plain", lambda self, a, b=2, *, see=3: 0),
    "no keyword": ("plain", lambda self, a, b=2: 0),
    "an argument that was optional": ("plain", lambda self, a, b, *, c=3: 0),
    "the rest by place alone": ("plain", lambda self, *rest: 0),
    "one to wait for": ("plain", _async),
    "one not to wait for": ("later", lambda self, a: 0),
    "self where there is none": ("still", lambda self, a: 0),
    "a function for a number": ("limit", lambda: 3),
    "a text for a number": ("limit", "3"),
    "a number for a function": ("plain", 3),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_not_planted(name: str) -> None:
    before = dict(vars(Owner))
    with pytest.raises(Hollow):
        replace(Owner, *MISFITS[name])
    assert dict(vars(Owner)) == before


@pytest.mark.parametrize(
    "by", [lambda self, a, b=2, *, c=3: 7, lambda self, *rest, **named: 7, lambda self, a, *rest, c=3: 7]
)
def test_what_fits_is(by: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Owner, "plain", Owner.plain)
    replace(Owner, "plain", by)
    assert Owner().plain(1, c=2) == 7


def test_a_function_is_replaced_wherever_it_was_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def real(a: int) -> int:
        return a

    home, importer = ModuleType("holdfast.home"), ModuleType("holdfast.importer")
    for module in (home, importer):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    home.real = importer.taken = real  # type: ignore[attr-defined]
    importer.TABLE = {"x": real}  # type: ignore[attr-defined]
    replace(home, "real", lambda a: -a)
    assert (home.real(1), importer.taken(1), importer.TABLE["x"](1)) == (-1, -1, -1)
    other = stand_in(home, real=lambda a: 0)
    assert (other.real(1), home.real(1)) == (0, -1)
    with pytest.raises(Hollow):
        stand_in(home, unreal=lambda a: 0)


def test_every_plant_goes_through_it() -> None:
    root = Path(__file__).parents[2]
    files = [path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_")]
    for file in [*files, root / "conformance" / "drivers" / "broken.py"]:
        tree = ast.parse(file.read_text())
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        imported = {name.asname or name.name for node in imports for name in node.names}
        for node in ast.walk(tree):
            for target in node.targets if isinstance(node, ast.Assign) else ():
                for one in ast.walk(target):
                    if isinstance(one, ast.Attribute | ast.Subscript) and isinstance(
                        one.value, ast.Name | ast.Attribute
                    ):
                        root_of = ast.unparse(one).partition(".")[0].partition("[")[0]
                        assert root_of not in imported or root_of == "MUTANTS", f"{file.name}:{one.lineno}"


PLANT = """
import asyncio
from conformance.planting import replace

class Owner:
    def now(self, a): return a
    async def later(self, a): return a

async def later(self, a):
    return a.no_such_thing

replace(Owner, "now", lambda self, a: a["x"])
replace(Owner, "later", later)
try:
    {call}
except Exception as error:
    print("survived", type(error).__name__)
"""


@pytest.mark.parametrize(
    ("call", "code"),
    [("Owner().now(1)", HOLLOW), ("asyncio.run(Owner().later(1))", HOLLOW), ("Owner().now({'x': 1})", 0)],
)
def test_a_plant_that_fails_ends_the_process_whoever_would_catch_it(call: str, code: int, tmp_path: Path) -> None:
    script = tmp_path / "planted.py"
    script.write_text(PLANT.replace("{call}", call))
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, script], cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert ("hollow plant" in done.stderr) is (code == HOLLOW)


@pytest.mark.parametrize(
    ("code", "failed", "said", "trouble"),
    [
        (0, "", "2 passed", ""),
        (1, "FAILED tests/x.py::test_a - assert 1 == 2", "", ""),
        (1, "FAILED tests/x.py::test_a - holdfast.errors.Refused: no", "tests/mutants/trust.py:27: Refused", ""),
        (1, "FAILED tests/x.py::test_a - TimeoutError", "tests/mutants/trust.py:27: AttributeError", "itself failed"),
        (1, "FAILED tests/x.py::test_a - TypeError: f() takes 2 …", "", "no promise"),
        (1, "ERROR tests/x.py - NameError: x", "", "no promise"),
        (HOLLOW, "", "hollow plant: there is no x", "hollow"),
        (2, "", "", "exit 2"),
        (4, "", "no tests ran", "exit 4"),
    ],
)
def test_what_counts_as_noticed(code: int, failed: str, said: str, trouble: str) -> None:
    found = describe_trouble(code, failed, said)
    assert trouble in found and bool(found) == bool(trouble)
