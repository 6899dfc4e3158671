"""Extensions are found by entry point when they are named, and not looked at when they are not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from holdfast.edge import auth

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
QUIET = "tests.extensions.quiet_hours.extension:QuietHours"


def distribution(folder: Path, name: str, value: str, extension: str = "quiet_hours") -> None:
    """What pip leaves behind of a distribution that declares an extension."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[holdfast.extensions]\n{extension} = {value}\n")


def environment(folder: Path, **more: str) -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    path = os.pathsep.join([str(folder), str(ROOT), str(ROOT / "src"), environ.get("PYTHONPATH", "")])
    return {**environ, "PYTHONPATH": path, **more}


def holdfast(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "holdfast.cli", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, cwd=folder, env=environment(folder, **more)
    )


def test_a_server_serves_the_extension_that_is_named(tmp_path: Path) -> None:
    distribution(tmp_path, "quiet-hours", QUIET)
    database = str(tmp_path / "s.db")
    command = [sys.executable, "-m", "holdfast.cli", "serve", "--port", "0", "--db", database, "--quiet"]
    environ = environment(tmp_path, HOLDFAST_QUIET_HOURS_CLOSED="1")
    server = subprocess.Popen([*command, "--extension", "quiet_hours"], stdout=subprocess.PIPE, text=True, env=environ)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        secret = auth.read_secret(database)
        assert secret is not None
        headers = {"authorization": f"Bearer {auth.mint(secret, subject='user:ann')}"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False) as http:
            assert http.get("/v1/x/quiet_hours/report").status_code == 200
            assert http.post("/v1/sessions", json={"session": "s1"}).status_code == 201
            refused = http.post("/v1/sessions/s1/messages", json={"text": "hi"}).json()["error"]
            assert refused["code"] == "policy.denied"
            assert http.get("/quiet/").status_code == 200
    finally:
        server.terminate()
        server.communicate(timeout=20)
    assert server.returncode == 0


def test_one_that_is_not_named_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "explodes.py").write_text("raise SystemExit('it was imported')\n")
    distribution(tmp_path, "quiet-hours", "explodes:QuietHours")
    assert holdfast(tmp_path, "token", "--help").returncode == 0
    assert holdfast(tmp_path, "--help").returncode == 0
    assert "it was imported" in holdfast(tmp_path, "--help", HOLDFAST_EXTENSIONS="quiet_hours").stderr


def test_its_command_is_there_when_it_is_named(tmp_path: Path) -> None:
    distribution(tmp_path, "quiet-hours", QUIET)
    assert holdfast(tmp_path, "quiet-words", "launch").returncode == 2
    done = holdfast(tmp_path, "quiet-words", "launch", HOLDFAST_EXTENSIONS="quiet_hours")
    assert (done.returncode, done.stdout.strip()) == (0, "needs an approval"), done.stderr
    assert "quiet-words" in holdfast(tmp_path, "--help", HOLDFAST_EXTENSIONS="quiet_hours").stdout


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("--help",)], ids=["serve", "help"])
def test_two_distributions_with_one_name_are_both_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    distribution(tmp_path, "quiet-hours", QUIET)
    distribution(tmp_path, "loud-hours", "loud:Hours")
    done = holdfast(tmp_path, *command, HOLDFAST_EXTENSIONS="quiet_hours")
    assert done.returncode == 1
    said = done.stderr + done.stdout
    assert "declared twice" in said and "quiet-hours" in said and "loud-hours" in said


def test_a_server_with_what_it_cannot_honour_does_not_start(tmp_path: Path) -> None:
    distribution(tmp_path, "quiet-hours", QUIET)
    done = holdfast(tmp_path, "serve", "--extension", "quiet_hours", HOLDFAST_QUIET_HOURS_CLOSD="1")
    assert done.returncode == 1 and "HOLDFAST_QUIET_HOURS_CLOSED?" in done.stderr + done.stdout
    assert not list(tmp_path.glob("*.db"))
    missing = holdfast(tmp_path, "serve", "--extension", "nobody")
    assert missing.returncode == 1 and "there is no extension 'nobody'" in missing.stderr + missing.stdout


def test_the_demo_is_an_extension_that_travels_with_the_package(tmp_path: Path) -> None:
    assert "--browser" in holdfast(tmp_path, "demo", "--help").stdout
    distribution(tmp_path, "other-demo", "elsewhere:Demo", extension="demo")
    assert holdfast(tmp_path, "demo", "--help").returncode == 0
    refused = holdfast(tmp_path, "serve", "--port", "0", "--extension", "demo")
    assert refused.returncode == 1 and "declared twice" in refused.stderr + refused.stdout
