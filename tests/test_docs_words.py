"""What no page and no file of the repository says: places on machines, registries, installs that do not work."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

from tests.test_docs import PAGES, ROOT


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_place_on_somebodys_machine_or_a_package_registry() -> None:
    machine = re.compile(r"(?<![\w.])/(?:work|home|Users|root|tmp|mnt)/[\w.]")
    registries = re.compile(
        r"(?:py)?pi\.org|files\.pythonhosted|registry\.npm|npmjs\.(?:org|com)|proxy\.golang|crates\.io", re.I
    )
    for path in tracked():
        if path == Path(__file__):
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        assert not machine.search(text), f"{path.relative_to(ROOT)}: {machine.search(text)}"
        assert not registries.search(text), f"{path.relative_to(ROOT)}: {registries.search(text)}"


def test_no_page_or_file_installs_what_is_not_ours_or_not_there_yet() -> None:
    """``holdfast`` on PyPI is somebody else's; ``holdfast-ai`` is in no registry yet, so it is installed from a file."""
    other = re.compile(r"""(?:pip|uv|pipx|poetry) (?:install|add|tool install) (?:-\S+ )*["']?holdfast(?![-\w])""")
    absent = re.compile(
        r"""(?:pip|uv|pipx|poetry|npm|pnpm|yarn) (?:install|add|i) (?:-\S+ )*["']?holdfast-ai(?![-\w./])"""
    )
    scope = re.compile(r"@holdfast/")
    for path in tracked():
        if path == Path(__file__):
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for pattern in (other, absent, scope):
            assert not pattern.search(text), f"{path.relative_to(ROOT)}: {pattern.search(text)}"


def test_the_files_that_pages_install_have_the_names_that_make_dist_gives_them() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    package = json.loads((ROOT / "web/packages/client/package.json").read_text())
    assert (package["name"], package["version"]) == ("holdfast-ai", version)
    made = {f"holdfast_ai-{version}-py3-none-any.whl", f"holdfast-ai-{version}.tgz"}
    named: set[str] = set()
    for path in (*PAGES, ROOT / "web/packages/client/README.md"):
        named |= set(re.findall(r"holdfast[-_]ai-[\w.-]+\.(?:whl|tgz)", path.read_text()))
    assert named == made


def test_locks_have_hashes_and_no_hosts() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "://" not in text and "--index-url" not in text and "--hash=sha256:" in text
