"""Every version of Python that is claimed can be tested: by name, in an environment of its own, and by CI."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CLAIMED = [c.rsplit(" ", 1)[1] for c in PROJECT["project"]["classifiers"] if re.search(r"Python :: 3\.\d+$", c)]
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def run(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, env=env or None, text=True, capture_output=True, timeout=60)


def test_the_claims_agree() -> None:
    oldest = CLAIMED[0]
    assert PROJECT["project"]["requires-python"] == f">={oldest}"
    assert PROJECT["tool"]["mypy"]["python_version"] == oldest
    assert set(re.findall(r"--python-version (\S+)", (ROOT / "Makefile").read_text())) == {oldest}
    assert HERE in CLAIMED, "tested on a version that is not claimed"


def test_an_interpreter_is_found_by_its_version_and_by_its_name() -> None:
    for name in (HERE, f"python{HERE}", sys.executable):
        found = run(".ci/python", name)
        assert found.returncode == 0, found.stderr
        said = run(found.stdout.strip(), "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
        assert said.stdout.strip() == HERE


def test_what_does_not_run_is_not_found(tmp_path: Path) -> None:
    """A stub that is on PATH and refuses, as pyenv leaves them, is none."""
    stub = tmp_path / "python3.99"
    stub.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    stub.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    assert run(".ci/python", "3.99", PATH=path, HOME=str(tmp_path)).returncode == 1
    pyenv = tmp_path / ".pyenv" / "versions" / "3.99.1" / "bin" / "python"
    pyenv.parent.mkdir(parents=True)
    pyenv.write_text("#!/bin/sh\necho 3.99\n")
    pyenv.chmod(0o755)
    assert run(".ci/python", "3.99", PATH=path, HOME=str(tmp_path)).stdout.strip() == str(pyenv)


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
def test_each_version_has_an_environment_of_its_own(tmp_path: Path) -> None:
    for name in ("Makefile", ".ci"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)

    # What the make that runs this test was told (MAKEFLAGS carries PYTHON=… and its like) is not told to the one here.
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTHON"))}

    def environment(*given: str) -> str:
        rule = "\nshow:\n\t@echo $(VENV)\n"
        (tmp_path / "show.mk").write_text(f"include Makefile{rule}")
        command = ["make", "-s", "-f", "show.mk", "show", *given]
        said = subprocess.run(command, cwd=tmp_path, env=plain, text=True, capture_output=True, timeout=60)
        return said.stdout.strip() or said.stderr

    assert environment() == ".venv"
    assert environment(f"PYTHON={sys.executable}") == ".venv", "the first environment is the one the pages name"
    other = tmp_path / ".venv" / "bin" / "python"
    other.parent.mkdir(parents=True)
    other.write_text("#!/bin/sh\necho 3.99\n")
    other.chmod(0o755)
    assert environment() == ".venv"
    assert environment(f"PYTHON={sys.executable}") == f".venv-{HERE}", "not the one of another version"
    assert environment(f"PYTHON={sys.executable}", "VENV=mine") == "mine"
    assert "does not run here" in environment("PYTHON=python9.9")


def test_ci_tests_all_on_the_oldest_and_the_core_on_the_newest(tmp_path: Path) -> None:
    make = tmp_path / "make"
    make.write_text('#!/bin/sh\necho "$@"\n')
    make.chmod(0o755)
    said = run(".ci/run", PATH=f"{tmp_path}:{os.environ['PATH']}", HOME=os.environ.get("HOME", str(tmp_path)))
    assert said.returncode == 0, said.stderr
    here = [version for version in CLAIMED if run(".ci/python", version).returncode == 0]
    done = [line.split(" PYTHON=") for line in said.stdout.splitlines()]
    assert [what for what, _ in done] == (["test", "core"] if len(here) > 1 else ["test"])
    wanted = [here[0], here[-1]] if len(here) > 1 else here
    versions = [
        run(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").stdout.strip() for _, python in done
    ]
    assert versions == wanted
