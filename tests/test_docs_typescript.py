"""Every block of TypeScript in the documents compiles as it stands, under ``--strict``, in a fresh folder where nothing
but the packed client and the packages it names are installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WEB = ROOT / "web"
CLIENT = WEB / "packages" / "client"
BLOCK = re.compile(r"^```(tsx?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^// ([\w-]+\.tsx?)$", re.MULTILINE)
OTHERS = ROOT / "examples" / "ai_sdk_usechat" / "node_modules"
CLIENTS = ROOT / "tests" / "browser" / "clients"
APPS = {"assistant-ui.md", "copilotkit.md", "tanstack-ai.md"}
"""Pages whose blocks are files of apps made of somebody else's packages: those that ``CLIENTS`` installs."""
PAGES = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), CLIENT / "README.md")
    if BLOCK.search(path.read_text())
]
OPTIONS = {
    "strict": True, "noEmit": True, "target": "es2022", "module": "esnext", "moduleResolution": "bundler",
    "jsx": "react-jsx", "lib": ["es2023", "dom", "dom.iterable"], "types": [], "skipLibCheck": True,
    "noImplicitOverride": True, "noUncheckedIndexedAccess": True,
}  # fmt: skip

pytestmark = pytest.mark.skipif(
    shutil.which("npm") is None or not (CLIENT / "dist/index.js").exists() or not OTHERS.exists(),
    reason="the TypeScript client is not built",
)


class Project:
    """A folder with the client installed from its tarball, and the packages that its optional parts are for."""

    def __init__(self, folder: Path, packed: Path, rooms: list[Path]) -> None:
        self._folder = folder
        modules = folder / "node_modules"
        (modules / "holdfast-ai").mkdir(parents=True)
        [tarball] = packed.glob("holdfast-ai-*.tgz")
        unpack = ["tar", "-xzf", str(tarball), "--strip-components=1", "-C", str(modules / "holdfast-ai")]
        subprocess.run(unpack, check=True, timeout=60)
        for room in rooms:
            for name in (*sorted(room.glob("*")), *sorted(room.glob("@*/*"))):
                link = modules / name.relative_to(room)
                if not name.name.startswith(("@", ".", "holdfast")) and not link.exists():
                    link.parent.mkdir(exist_ok=True)
                    link.symlink_to(name.resolve())

    def compiled(self, files: dict[str, str], **options: object) -> str:
        """What the compiler says of some files, whose names may have folders."""
        for old in self._folder.glob("*.ts*"):
            old.unlink()
        for name, text in files.items():
            (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / name).write_text(text)
        config = {"compilerOptions": {**OPTIONS, **options}, "files": list(files)}
        (self._folder / "tsconfig.json").write_text(json.dumps(config))
        compiler = WEB / "node_modules" / ".bin" / "tsc"
        ran = subprocess.run([str(compiler), "-p", "."], cwd=self._folder, text=True, capture_output=True, timeout=170)
        return ran.stdout if ran.returncode else ""


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    subprocess.run(["npm", "pack", "--silent", "--pack-destination", str(folder)], cwd=CLIENT, check=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def project(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("typescript"), packed, [OTHERS, WEB / "node_modules"])


def blocks(page: Path) -> dict[str, str]:
    """The blocks of a page as files of a folder of its own: by the name in its first line, where it has one."""
    files = {}
    for number, (kind, text) in enumerate(BLOCK.findall(page.read_text()), 1):
        named = NAMED.match(text)
        name = named[1] if named else f"block{number}.{kind}"
        module = re.search(r"^(import|export)\b", text, re.MULTILINE)
        files[f"{page.stem}/{name}"] = text if module else f"{text}export {{}};\n"
    return files


def test_each_block_of_a_page_compiles_by_itself(project: Project) -> None:
    files = {}
    for page in PAGES:
        if page.name not in APPS:
            files |= {f"{page.parent.name}/{name}": text for name, text in blocks(page).items()}
    said = project.compiled(files)
    assert not said, said


@pytest.mark.skipif(not (CLIENTS / "node_modules").exists(), reason="the front ends of others are not installed")
def test_the_files_of_the_apps_compile_together(packed: Path, tmp_path: Path) -> None:
    modules = CLIENTS / "node_modules"
    its_own = modules / "@assistant-ui" / "react-ag-ui" / "node_modules"  # the page says: install the version it has
    project = Project(tmp_path, packed, [its_own, modules])
    files = {}
    for page in PAGES:
        if page.name in APPS:
            files |= blocks(page) | {f"{page.stem}/thread.tsx": (CLIENTS / "thread.tsx").read_text()}
    said = project.compiled(files)
    assert not said, said


def test_the_packed_types_are_right_without_any_other_package(project: Project) -> None:
    """``skipLibCheck`` hides nothing of ours."""
    core = 'import { connect } from "holdfast-ai";\nimport { apply } from "holdfast-ai/fold";\nconsole.log(connect, apply);\n'
    said = project.compiled({"core.ts": core}, skipLibCheck=False, exactOptionalPropertyTypes=True)
    assert not said, said


def test_a_block_that_does_not_compile_is_noticed(project: Project) -> None:
    loose = 'import type { Client } from "holdfast-ai";\nexport const at = (hf: Client) => hf.status.recovery.from;\n'
    said = project.compiled({"loose.ts": loose, "view.ts": "export const view = new View();\n"})
    assert "possibly 'null'" in said and "View" in said


def test_there_are_pages_to_compile() -> None:
    assert {"typescript-client.md", "README.md", *APPS} <= {page.name for page in PAGES}
