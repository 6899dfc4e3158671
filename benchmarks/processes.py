"""The processes of a benchmark: the servers compared, the C load, and what the kernel says of them.

Servers run on one core and the load on another where there are two, so that the server is the bottleneck.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from holdfast.edge.auth import mint, read_secret

HERE: Final = Path(__file__).parent
BUILD: Final = HERE.parent / "build" / "bench"
CORES: Final = sorted(os.sched_getaffinity(0))
SERVER_CORE: Final = {CORES[0]}
LOAD_CORE: Final = {CORES[-1]}
_READY_S: Final = 120.0


@cache
def program(name: str) -> str:
    """Compile one of the C programs of ``load/``, and return its path."""
    BUILD.mkdir(parents=True, exist_ok=True)
    target = BUILD / name
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-O2", "-Wall", "-o", target, HERE / "load" / f"{name}.c"], check=True)
    return str(target)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A process on a core of its own, and what it has used."""

    def __init__(self, command: Sequence[str | Path], core: set[int], **options: Any) -> None:
        self.process = subprocess.Popen(
            [str(part) for part in command], text=True, preexec_fn=lambda: os.sched_setaffinity(0, core), **options
        )

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    def cpu_s(self) -> float:
        """CPU time of all threads so far, from the scheduler's nanosecond counters."""
        total = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def memory(self, field: str = "VmRSS") -> int:
        """Bytes of resident memory now, or (``VmHWM``) at most since ``forget_peak``."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
        raise LookupError(field)

    def forget_peak(self) -> None:
        """Begin to measure ``VmHWM`` anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it, kindly at first."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:  # its pipes are closed, too
            if self.process.poll() is None:
                self.stop()


class Server(Process):
    """A server that has begun to listen, within ``ready_s``. ``startup_s`` is how long that took."""

    def __init__(self, command: Sequence[str | Path], port: int, *, ready_s: float = _READY_S, **options: Any) -> None:
        began = time.perf_counter()
        super().__init__(command, SERVER_CORE, stdout=subprocess.DEVNULL, **options)
        self.port = port
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if self.process.poll() is not None or time.perf_counter() - began > ready_s:
                    self.kill()
                    raise RuntimeError(f"{Path(str(command[0])).name} did not start") from None
                time.sleep(0.002)
        self.startup_s = time.perf_counter() - began


class Holdfast(Server):
    """``holdfast serve`` on a database of its own, with limits per principal out of the way."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.db = folder / "bench.db"
        port = port or free_port()
        lifted = {
            "HOLDFAST_APPENDS_PER_S": "1e9",
            "HOLDFAST_REQUESTS_PER_S": "1e9",
            "HOLDFAST_WORK_PER_S": "1e12",
            "HOLDFAST_CONNECTIONS": "15000",
            "HOLDFAST_CONNECTIONS_PER_PRINCIPAL": "100000",
            "HOLDFAST_LEASE_S": "3600",
            "HOLDFAST_LOG_LEVEL": "warning",
        }
        holdfast = Path(sys.executable).parent / "holdfast"
        command: list[str | Path] = [holdfast, "serve", "--db", self.db, "--port", str(port), "--quiet"]
        super().__init__(command, port, env={**os.environ, **lifted})

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def commits(self) -> int:
        """Commits so far, from the server's metrics."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("holdfast_commits_total "):
                    return int(float(line.split()[1]))
        raise LookupError("holdfast_commits_total")

    def token(self, subject: str = "user:bench") -> str:
        """An access token with every right but an operator's, as people's and agents' tokens are."""
        secret = read_secret(str(self.db))
        assert secret is not None, "the server writes it when it starts"
        verbs = ["read", "append", "control", "approve", "presence"]
        return mint(secret, subject=subject, agents=["*"], capabilities={"*": verbs})


def send_loop() -> Server:
    """The C program that does nothing but ``send()``."""
    port = free_port()
    return Server([program("send_loop"), str(port)], port)


def peer(name: str) -> Server:
    """One of the Node servers of ``peers/``; their packages are installed once, as locked."""
    folder = BUILD / "peers"
    lock = (HERE / "peers" / "package-lock.json").read_bytes()
    installed = folder / "package-lock.json"
    if not (folder / "node_modules").exists() or installed.read_bytes() != lock:
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "peers" / file, folder / file)
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
    shutil.copy(HERE / "peers" / f"{name}.js", folder / f"{name}.js")
    port = free_port()
    return Server(["node", folder / f"{name}.js", str(port)], port)


class Load(Process):
    """The C load client, connected. See the head of ``load/client.c`` for templates.

    Args:
        port: of the server.
        readers, publishers: connections of each kind.
        sessions: reader and publisher number n are of session ``n % sessions``.
        header: one HTTP header line, for authorization.
        join: what a reader says once it is connected.
        rejoin: what it says when it comes back; ``$i`` and ``$q`` are its cursor.
        until: a reader is ready when a message with this text came.
        script: the messages each session goes through when publishing, again and again; in a line with ``#`` in front the
            sessions' runs, for ``$r``.
        at_once: connections being opened at a time.
        again: connections that are lost come back.
        generic: the server is not Holdfast.
    """

    def __init__(
        self,
        port: int,
        *,
        readers: int,
        publishers: int = 0,
        sessions: int = 1,
        header: str = "",
        paths: tuple[str, str] = ("/v1/connect", "/v1/connect"),
        join: str = "",
        rejoin: str = "",
        until: str = "",
        script: Sequence[str] = (),
        at_once: int = 64,
        again: bool = False,
        generic: bool = False,
    ) -> None:
        command: list[str] = [program("client"), "-p", str(port), "-u", paths[0], "-U", paths[1]]
        command += ["-k", str(readers), "-P", str(publishers), "-s", str(sessions), "-c", str(at_once)]
        command += ["-H", f"{header}\r\n" if header else "", "-j", join, "-J", rejoin, "-w", until]
        self._script = tempfile.NamedTemporaryFile("w", suffix=".txt")  # noqa: SIM115 - as long as the process
        self._script.write("\n".join(script))
        self._script.flush()
        command += ["-f", self._script.name] if script else []
        command += ["-R"] if again else []
        command += ["-g"] if generic else []
        super().__init__(command, LOAD_CORE, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ready: dict[str, Any] = {}

    def wait_ready(self) -> dict[str, Any]:
        """Wait until every connection is ready."""
        self.ready = self.line()
        return self.ready

    def line(self) -> dict[str, Any]:
        """The next thing it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the load ended early")
        figures: dict[str, Any] = json.loads(line)
        return figures

    def ask(self, command: str) -> dict[str, Any]:
        """Give a command and wait for what it says."""
        self.tell(command)
        return self.line()

    def tell(self, command: str) -> None:
        """Give a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def publish(
        self, rate: float, seconds: float, *, window: int = 0, burst: int = 1, warm_s: float = 0.5
    ) -> dict[str, Any]:
        """Publish ``rate`` messages a second in bursts (at 0, as many as possible) with at most ``window`` of a publisher
        unanswered (0: any number), and count what arrives. Latencies of the first ``warm_s`` do not count."""
        figures = self.ask(f"go {rate} {seconds} {window} {burst} {warm_s}")
        if figures["errors"]:
            raise RuntimeError(f"the server refused: {figures['first_error']}")
        return figures

    def stop(self) -> None:
        self.kill()
        self._script.close()


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A place for databases, on the file system of the build (a real disk, one hopes, and no tmpfs)."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as name:
        yield Path(name)
