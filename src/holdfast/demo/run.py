"""The demo: a server and two agent workers in processes of their own, kept alive by this one.

Killing any of them is part of the show: whatever dies is started again a moment later.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from pathlib import Path

from rich.console import Console

from holdfast.edge import auth
from holdfast.errors import HoldfastError

RESTART_S = 1.5
TOKEN_TTL_S = 12 * 3_600
AGENTS = ("librarian", "clerk")


class Supervisor:
    """Starts processes, notes their ids for the page's buttons, and starts them again when they die."""

    def __init__(self, host: str, port: int, folder: Path, out: Console) -> None:
        self.folder = folder
        self.database = str(folder / "demo.db")
        self.out = out
        reached = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        self.url = f"http://{reached}:{port}"
        me = [sys.executable, "-m"]
        self._commands = {
            "server": [*me, "holdfast.demo.server", host, str(port), self.database],
            **{n: [*me, "holdfast.demo.worker", n, self.url, self.database, str(folder / "notes")] for n in AGENTS},
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._again: dict[str, float] = {}
        self._stopping = False

    def start(self, name: str) -> None:
        """Start one process."""
        self._running[name] = subprocess.Popen(self._commands[name], stdin=subprocess.DEVNULL)
        pids = {n: p.pid for n, p in self._running.items()}
        part = self.folder / "pids.json.part"
        part.write_text(json.dumps(pids))
        part.replace(self.folder / "pids.json")

    def wait_for_server(self, seconds: float = 20.0) -> None:
        """Wait until the server listens. Raises when it ends instead."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._running["server"].poll() is not None:
                raise HoldfastError("config.invalid", "the demo's server did not start; its message is above")
            try:
                socket.create_connection((host, int(port)), 0.5).close()
                return
            except OSError:
                time.sleep(0.05)
        raise HoldfastError("config.invalid", f"nothing listens on {self.url}")

    def watch(self) -> None:
        """Until a signal stops it: start again what died."""
        while not self._stopping:
            time.sleep(0.2)
            now = time.monotonic()
            for name, process in self._running.items():
                if process.poll() is not None and name not in self._again:
                    self._again[name] = now + RESTART_S
                    self.out.print(f"  {name} is gone; starting it again", style="yellow")
            for name in [n for n, at in self._again.items() if at <= now]:
                del self._again[name]
                self.start(name)

    def stop(self) -> None:
        """End every process, frozen ones too."""
        self._stopping = True
        for process in reversed(self._running.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self._running.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def quit(self, *_: object) -> None:
        """For signals."""
        self._stopping = True

    def page(self) -> str:
        """The page's address; the token is in the fragment, which no server ever sees."""
        secret = auth.read_secret(self.database)
        assert secret is not None
        return f"{self.url}/#t={auth.mint(secret, subject='user:you', ttl_s=TOKEN_TTL_S)}"


def run_demo(*, host: str, port: int, data_dir: str, open_browser: bool) -> int:
    """Run the demo until Ctrl-C; returns an exit code.

    Raises:
        HoldfastError: ``config.invalid`` when the port is taken or the server does not start.
    """
    out = Console(highlight=False)
    folder = Path(data_dir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise HoldfastError(
                "config.invalid",
                f"port {port} on {host} cannot be used: {error.strerror}",
                fix="Stop what listens there, or choose another with --port (make demo PORT=…).",
            ) from None
    supervisor = Supervisor(host, port, folder, out)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, supervisor.quit)
    try:
        supervisor.start("server")
        supervisor.wait_for_server()
        for name in AGENTS:
            supervisor.start(name)
        out.print("[bold]Holdfast demo[/bold]  server, librarian and clerk are running\n")
        out.print(f"  {supervisor.page()}\n", soft_wrap=True)
        if host in ("0.0.0.0", "::"):
            out.print("  Other devices: scan the code in the page's right column.", style="dim")
        out.print("  Ask the librarian something, then break it. Ctrl-C ends the demo.", style="dim")
        out.file.flush()
        if open_browser and (
            os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin"
        ):
            webbrowser.open(supervisor.page())
        supervisor.watch()
    finally:
        supervisor.stop()
    return 0
