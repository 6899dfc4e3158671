"""Starts real servers fast: a warmed process that forks one per line of its standard input.

``start PATH PORT`` forks a child that runs what ``holdfast serve --db PATH --port PORT`` runs; the child says that it is
ready as the command does. Nothing is shared with the server before it but the imported modules.
"""

from __future__ import annotations

import os
import signal
import sys

from holdfast.cli.parser import app


def child(path: str, port: str) -> None:
    """A server, until it is killed."""
    os.close(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    app(["serve", "--db", path, "--host", "127.0.0.1", "--port", port, "--quiet"], standalone_mode=False)


def main() -> None:
    """Fork until the input ends; then take the last child along."""
    pid = 0
    for line in sys.stdin:
        _, path, port = line.split()
        if pid:
            os.waitpid(pid, 0)  # the one before was killed
        pid = os.fork()
        if pid == 0:
            child(path, port)
            os._exit(0)
        print(f"pid {pid}", flush=True)
    if pid:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
