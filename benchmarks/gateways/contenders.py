"""The gateways compared: how each is installed, started and asked. All have the same upstream and one core."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.fake_upstream.process import FakeUpstream

from benchmarks.processes import BUILD, Server, free_port
from holdfast.version import __version__

_HERE: Final = Path(__file__).parent
_KEY: Final = "sk-bench-key-of-a-caller"
_NAMED: Final = ("--workflow", "bench", "--team", "bench", "--task", "bench", "--usage", "headless")
_READY_S: Final = 120.0
"""LiteLLM's proxy needs more than half a minute on a busy core."""

DIRECT, LITELLM = "direct", "LiteLLM"
HOLDFAST, HOLDFAST_BARE = "Holdfast", "Holdfast, no ledger"
PORTKEY, PORTKEY_COPIES = "Portkey", "Portkey, with the preload"


class CannotRun(Exception):
    """A gateway that is not there: it could not be installed, or did not start. The text says why, in one line."""


@dataclass
class Contender:
    """Something that answers Chat Completions at ``port``, and the process that is measured (None: the upstream itself)."""

    name: str
    version: str
    port: int
    server: Server | None = None
    path: str = "/v1/chat/completions"
    headers: dict[str, str] = field(default_factory=lambda: {"authorization": f"Bearer {_KEY}"})


@contextlib.contextmanager
def direct(fake: FakeUpstream, place: Path) -> Iterator[Contender]:
    """No gateway."""
    yield Contender(DIRECT, "", int(fake.url.rpartition(":")[2]))


@contextlib.contextmanager
def holdfast(fake: FakeUpstream, place: Path) -> Iterator[Contender]:
    """``holdfast gateway`` with its ledger, in a file of its own: every attempt is on record before it is asked."""
    program, store = Path(sys.executable).parent / "holdfast", place / "governance.db"
    made = subprocess.run(
        [program, "keys", "--governance", store, "create", *_NAMED, "--declare"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise CannotRun(f"no key: {made.stdout.strip() or made.stderr.strip()}")
    port = free_port()
    command: list[str | Path] = [
        program, "gateway", "--config", _holdfast_settings(fake, place), "--governance", store, "--port", str(port),
    ]  # fmt: skip
    with _started(command, port, dict(os.environ)) as server:
        headers = {"authorization": f"Bearer {made.stdout.splitlines()[0].strip()}"}
        yield Contender(HOLDFAST, __version__, port, server, headers=headers)


@contextlib.contextmanager
def holdfast_bare(fake: FakeUpstream, place: Path) -> Iterator[Contender]:
    """The same gateway, when nobody writes down what is spent: as LiteLLM runs here."""
    port = free_port()
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.gateways.bare", str(port)]
    with _started(
        [*command, _holdfast_settings(fake, place), _KEY], port, dict(os.environ), _HERE.parents[1]
    ) as server:
        yield Contender(HOLDFAST_BARE, __version__, port, server)


def _holdfast_settings(fake: FakeUpstream, place: Path) -> Path:
    """A gateway's settings, with the fake upstream and nothing else."""
    settings = place / "gateway.yaml"
    settings.write_text(
        json.dumps({"upstreams": [{"name": "fake", "url": f"{fake.url}/v1", "provider": "openai"}]})
    )  # JSON is YAML
    return settings


@contextlib.contextmanager
def litellm(fake: FakeUpstream, place: Path) -> Iterator[Contender]:
    """LiteLLM's proxy with one worker: a master key is checked; it has no database, so it keeps no account."""
    folder = litellm_environment()
    config = place / "litellm.yaml"
    model = {"model": "openai/gpt-4o", "api_base": f"{fake.url}/v1", "api_key": "sk-upstream"}
    models = [{"model_name": "gpt-4o", "litellm_params": model}]
    config.write_text(json.dumps({"model_list": models, "general_settings": {"master_key": _KEY}}))
    port = free_port()
    command: list[str | Path] = [
        folder / "bin" / "litellm",
        "--config",
        config,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    lifted = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | lifted
    with _started([*command, "--telemetry", "False"], port, env) as server:
        yield Contender(LITELLM, _locked_version(_HERE / "litellm.txt", "litellm"), port, server)


@contextlib.contextmanager
def portkey(fake: FakeUpstream, place: Path) -> Iterator[Contender]:
    """Portkey's gateway as npm has it."""
    with _portkey(PORTKEY, fake, []) as contender:
        yield contender


@contextlib.contextmanager
def portkey_copies(fake: FakeUpstream, place: Path) -> Iterator[Contender]:
    """The same with ``portkey.mjs``, without which it may not stream."""
    with _portkey(PORTKEY_COPIES, fake, ["--import", str(_HERE / "portkey.mjs")]) as contender:
        yield contender


@contextlib.contextmanager
def _portkey(name: str, fake: FakeUpstream, options: list[str]) -> Iterator[Contender]:
    package = _packages("portkey") / "node_modules" / "@portkey-ai" / "gateway"
    port = free_port()
    command: list[str | Path] = [
        "node",
        *options,
        package / "build" / "start-server.js",
        f"--port={port}",
        "--headless",
    ]
    with _started(command, port, dict(os.environ)) as server:
        contender = Contender(name, json.loads((package / "package.json").read_text())["version"], port, server)
        contender.headers |= {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{fake.url}/v1"}
        yield contender


Start = Callable[[FakeUpstream, Path], contextlib.AbstractContextManager[Contender]]
ALL: Final[dict[str, Start]] = {
    DIRECT: direct,
    HOLDFAST: holdfast,
    HOLDFAST_BARE: holdfast_bare,
    LITELLM: litellm,
    PORTKEY: portkey,
    PORTKEY_COPIES: portkey_copies,
}


# --- installing and starting
def litellm_environment() -> Path:
    """The virtual environment that LiteLLM is in. Raises CannotRun."""
    return _environment("litellm", _HERE / "litellm.txt")


@contextlib.contextmanager
def _started(command: list[str | Path], port: int, env: dict[str, str], cwd: Path | None = None) -> Iterator[Server]:
    try:
        server = Server(command, port, ready_s=_READY_S, env=env, cwd=cwd, stderr=subprocess.DEVNULL)
    except (OSError, RuntimeError) as error:
        raise CannotRun(str(error)) from None
    with server:
        yield server


def _environment(name: str, lock: Path) -> Path:
    """A virtual environment with what ``lock`` names, made once."""
    folder = BUILD / name
    if _is_current(folder, lock):
        return folder
    _install([sys.executable, "-m", "venv", "--clear", folder], name)
    pip: list[str | Path] = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    _install([*pip, "--require-hashes", "-r", lock], name)
    (folder / lock.name).write_bytes(lock.read_bytes())
    return folder


def _packages(name: str) -> Path:
    """A folder with what ``package-lock.json`` names, made once."""
    folder, lock = BUILD / name, _HERE / "package-lock.json"
    if _is_current(folder / "node_modules", lock):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("package.json", "package-lock.json"):
        (folder / file).write_bytes((_HERE / file).read_bytes())
    _install(["npm", "ci", "--silent", "--no-audit", "--no-fund"], name, cwd=folder)
    (folder / "node_modules" / lock.name).write_bytes(lock.read_bytes())
    return folder


def _is_current(folder: Path, lock: Path) -> bool:
    """Whether an installation was finished, of these very versions: the lock is copied last."""
    copy = folder / lock.name
    return copy.exists() and copy.read_bytes() == lock.read_bytes()


def _install(command: list[str | Path], name: str, cwd: Path | None = None) -> None:
    """Raises CannotRun with the last line that the installer said."""
    try:
        subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=True)
    except OSError as error:
        raise CannotRun(f"{name} could not be installed: {error.strerror}: {command[0]}") from None
    except subprocess.CalledProcessError as error:
        last = ([line for line in error.stderr.splitlines() if line.strip()] or ["no reason was given"])[-1]
        raise CannotRun(f"{name} could not be installed: {last.strip()[:200]}") from None


def _locked_version(lock: Path, package: str) -> str:
    lines = (line for line in lock.read_text().splitlines() if line.startswith(f"{package}=="))
    return next(lines).removeprefix(f"{package}==").split()[0]
