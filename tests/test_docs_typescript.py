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
OTHERS = ROOT / "examples" / "ai_sdk_usechat" / "node_modules"
TOGETHER = {"assistant-ui.md", "copilotkit.md", "tanstack-ai.md"}
"""Pages whose blocks are the files of one app of somebody else's packages: tests/browser runs such apps."""
PAGES = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), CLIENT / "README.md")
    if BLOCK.search(path.read_text()) and path.name not in TOGETHER
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


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client installed from its tarball, and the packages that its optional parts are for."""
    folder = tmp_path_factory.mktemp("typescript")
    packed = tmp_path_factory.mktemp("packed")
    subprocess.run(["npm", "pack", "--silent", "--pack-destination", str(packed)], cwd=CLIENT, check=True, timeout=120)
    [tarball] = packed.glob("holdfast-ai-*.tgz")
    modules = folder / "node_modules"
    (modules / "holdfast-ai").mkdir(parents=True)
    subprocess.run(
        ["tar", "-xzf", str(tarball), "--strip-components=1", "-C", str(modules / "holdfast-ai")],
        check=True,
        timeout=60,
    )
    for room in (OTHERS, WEB / "node_modules"):
        for name in (*sorted(room.glob("*")), *sorted(room.glob("@*/*"))):
            link = modules / name.relative_to(room)
            if not name.name.startswith(("@", ".", "holdfast")) and not link.exists():
                link.parent.mkdir(exist_ok=True)
                link.symlink_to(name.resolve())
    return folder


def compiled(project: Path, options: dict[str, object], files: dict[str, str]) -> str:
    """What the compiler says of some files."""
    for old in project.glob("*.ts*"):
        old.unlink()
    for name, text in files.items():
        (project / name).write_text(text)
    (project / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": list(files)}))
    compiler = WEB / "node_modules" / ".bin" / "tsc"
    ran = subprocess.run([str(compiler), "-p", "."], cwd=project, text=True, capture_output=True, timeout=170)
    return ran.stdout if ran.returncode else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_each_block_of_a_page_compiles_by_itself(project: Path, page: Path) -> None:
    files = {}
    for number, (kind, text) in enumerate(BLOCK.findall(page.read_text()), 1):
        files[f"block{number}.{kind}"] = (
            text if re.search(r"^(import|export)\b", text, re.MULTILINE) else f"{text}export {{}};\n"
        )
    said = compiled(project, OPTIONS, files)
    assert not said, said


def test_the_packed_types_are_right_without_any_other_package(project: Path) -> None:
    """``skipLibCheck`` hides nothing of ours."""
    said = compiled(
        project,
        {**OPTIONS, "skipLibCheck": False, "exactOptionalPropertyTypes": True},
        {
            "core.ts": 'import { connect } from "holdfast-ai";\nimport { apply } from "holdfast-ai/fold";\nconsole.log(connect, apply);\n'
        },
    )
    assert not said, said


def test_a_block_that_does_not_compile_is_noticed(project: Path) -> None:
    loose = 'import type { Client } from "holdfast-ai";\nexport const at = (hf: Client) => hf.status.recovery.from;\n'
    assert "possibly 'null'" in compiled(project, OPTIONS, {"loose.ts": loose})
    assert "View" in compiled(project, OPTIONS, {"loose.ts": "export const view = new View();\n"})


def test_there_are_pages_to_compile() -> None:
    assert {"typescript-client.md", "README.md"} <= {page.name for page in PAGES}
