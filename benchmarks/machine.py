"""The machine a run was made on: what matters for the figures, and nothing that names it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import apsw

from benchmarks.processes import BUILD, CORES, HERE


def facts() -> dict[str, str]:
    """Facts by name, in the order they are told."""
    return {
        "processor": f"{_cpu()}, {len(CORES)} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
        "file system": _file_system(),
        "load before the run": f"{os.getloadavg()[0]:.2f}",
        "Python": platform.python_version(),
        "SQLite": apsw.sqlite_lib_version(),
        **{name: version(name) for name in ("uvloop", "picows", "msgspec", "uvicorn")},
        "C compiler": _output_of(os.environ.get("CC", "cc"), "-dumpfullversion"),
        "Node.js": _output_of("node", "--version").removeprefix("v"),
        **{name: _peer(name) for name in ("ws", "socket.io")},
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system() -> str:
    """The type of file system that holds the databases of the benchmarks."""
    BUILD.mkdir(parents=True, exist_ok=True)
    place, best = BUILD.resolve(), ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if place.is_relative_to(where) and len(where) > len(best[0]):
            best = (where, kind)
    return best[1]


def _output_of(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "none"


def _peer(name: str) -> str:
    lock = json.loads((HERE / "peers" / "package-lock.json").read_text())
    found: str = lock["packages"][f"node_modules/{name}"]["version"]
    return found
