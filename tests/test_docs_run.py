"""What the documents tell people to type works: pages are followed from top to bottom in one shell, with a real server.

In a page, a ``python`` (or other) block whose first line is ``# NAME`` (or ``// NAME``) is the file ``NAME``. ``<!-- run -->`` before a
shell block says that it is to be typed; ``<!-- output -->`` before a block says which lines are then seen, with ``…``
for what differs.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^(?:<!-- (run|output) -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^(?:#|//) ([\w-]+\.\w+)\n")
PAGES = [p for p in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if "<!-- run -->" in p.read_text()]
SERVE = re.compile(r"(^.*holdfast serve .*& *(?:#.*)?\n(?:SERVER=.*\n)?)", re.MULTILINE)
READY = "until curl -sf -o ready.json http://127.0.0.1:7417/readyz; do sleep 0.05; done\\n"
GONE = "for _ in {1..40}; do curl -sf -o /dev/null http://127.0.0.1:7417/readyz || break; sleep 0.05; done\\n"
"""One that was just killed may still answer."""
TIMEOUT_S = 120

pytestmark = pytest.mark.process


class Step(NamedTuple):
    """What is typed, and what is to be seen then."""

    typed: str
    seen: list[str]


def read(text: str) -> list[Step]:
    """A page's steps. Set-up of the virtual environment is left out: the tests run in one."""
    steps: list[Step] = []
    for mark, language, body in BLOCK.findall(text):
        if mark == "run":
            assert language == "sh", f"only shell blocks are typed, not {language}"
            typed = "".join(line for line in body.splitlines(keepends=True) if not line.startswith("make "))
            steps.append(Step(typed, []))
        elif mark == "output":
            steps[-1].seen.extend(line for line in body.splitlines() if line.strip() not in ("", "…"))
        elif name := FILE.match(body):
            steps.append(Step(f"cat > {name[1]} <<'END_OF_FILE'\n{body}END_OF_FILE\n", []))
    return steps


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pages call ``~/holdfast``: a folder where ``make dist`` was typed. Only the npm tarball is made here: the
    wheel's builder comes from the network."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "dist").mkdir()
    client = ROOT / "web" / "packages" / "client"
    if shutil.which("npm") and (client / "dist" / "index.js").exists():
        pack = ["npm", "pack", "--silent", "--pack-destination", str(folder / "dist")]
        subprocess.run(pack, cwd=client, check=True, timeout=120, stdout=subprocess.DEVNULL)
    return folder


def follow(page: Path, folder: Path, *more: Step, checkout: Path = ROOT) -> list[tuple[Step, str]]:
    """Type every step in one shell and return each with what was printed."""
    steps, port = [*read(page.read_text()), *more], free_port()
    script = "set -eu\ntrap 'code=$?; echo; echo \"--- end $code\"' EXIT\n"
    for number, step in enumerate(steps):
        typed = SERVE.sub(rf"\1{READY}", step.typed)  # people wait until it says that it is ready
        if typed != step.typed:
            typed = re.sub(r"^(kill .*\n)", rf"\1{GONE}", typed, flags=re.MULTILINE)
        script += f"echo; echo '--- step {number}'\n{typed}"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "COLUMNS", "PYTHON"))}
    env |= {
        "PATH": f"{Path(sys.executable).parent}:{env['PATH']}", "HOLDFAST_URL": f"http://127.0.0.1:{port}",
        "HOLDFAST_PORT": str(port),
    }  # fmt: skip
    shell = subprocess.Popen(
        ["bash", "-c", script.replace("7417", str(port)).replace("~/holdfast", str(checkout))], cwd=folder, env=env, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    timer = threading.Timer(TIMEOUT_S, lambda: os.killpg(shell.pid, signal.SIGKILL))
    timer.start()
    printed = ""
    assert shell.stdout is not None
    with shell.stdout:
        for line in shell.stdout:  # until the shell's own end, not that of what it left in the background
            printed += line
            if line.startswith("--- end"):
                break
    timer.cancel()
    os.killpg(shell.pid, signal.SIGKILL)  # the group is this test's own
    shell.wait()
    assert printed.endswith("--- end 0\n"), printed
    return list(zip(steps, re.split(r"^--- (?:step|end) \d+\n", printed, flags=re.MULTILINE)[1:], strict=False))


def matches(wanted: str, line: str) -> bool:
    pattern = ".*".join(re.escape(" ".join(part.split())) for part in wanted.split("…"))
    return re.fullmatch(pattern, " ".join(line.split())) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_reader_who_types_what_stands_there_sees_what_stands_there(
    page: Path, tmp_path: Path, checkout: Path
) -> None:
    if any("npm " in step.typed for step in read(page.read_text())) and not list((checkout / "dist").iterdir()):
        pytest.skip("no Node.js here, or the TypeScript client is not built")
    for step, printed in follow(page, tmp_path, checkout=checkout):
        lines = printed.splitlines()
        for wanted in step.seen:  # in any order: processes in the background print when they like
            found = next((line for line in lines if matches(wanted, line)), None)
            assert found is not None, f"{wanted!r} was not printed:\n{printed}"
            lines.remove(found)


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js here")
def test_the_javascript_of_the_page_about_sse_follows_a_session(tmp_path: Path) -> None:
    script = """import { follow } from "./follow.mjs";
    follow("http://127.0.0.1:7417/v1/sessions/tides/events", () => process.env.TOKEN, (message) => {
      console.log("told", message.op, message.seq ?? message.to ?? "");
      if (message.op === "live") process.exit(0);
    });"""
    step = Step(f"cat > run.mjs <<'END_OF_FILE'\n{script}\nEND_OF_FILE\nnode run.mjs\n", [])
    _, printed = follow(ROOT / "docs" / "howto" / "resume-from-sse.md", tmp_path, step)[-1]
    assert re.search(r"^told snapshot 7$", printed, re.MULTILINE) and "told live 7" in printed


def test_there_are_pages_to_follow() -> None:
    assert len(PAGES) >= 5


def test_a_line_that_was_not_printed_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- run -->\n```sh\necho one\n```\n\n<!-- output -->\n```text\none\ntwo\n```\n")
    with pytest.raises(AssertionError, match="two"):
        test_a_reader_who_types_what_stands_there_sees_what_stands_there(page, tmp_path, tmp_path)


def test_a_command_that_fails_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- run -->\n```sh\nfalse\n```\n")
    with pytest.raises(AssertionError):
        follow(page, tmp_path)
