"""A type checker sees useful types: programs of users pass ``mypy --strict``, and the mistakes marked in them are found.

Every ``type: ignore`` in those programs is a mistake that has to be found: strict mode reports one that nothing needs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(
    path for path in Path(__file__).parent.glob("*.py") if path.stem not in ("__init__", Path(__file__).stem)
)


@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_a_type_checker_agrees_with_programs_of_users(python: str, tmp_path: Path) -> None:
    (tmp_path / "mypy.ini").write_text("[mypy]\n")  # a user has none of our settings
    command = [
        sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", f"--python-version={python}",
        f"--config-file={tmp_path / 'mypy.ini'}", f"--cache-dir={ROOT / '.mypy_cache' / 'user'}", *map(str, PROGRAMS),
    ]  # fmt: skip
    environment = {**os.environ, "MYPYPATH": str(ROOT / "src")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=170, check=False
    )
    assert len(PROGRAMS) >= 2 and done.returncode == 0, done.stdout + done.stderr
