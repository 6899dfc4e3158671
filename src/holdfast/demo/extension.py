"""The demo as an extension of a server: the buttons that break things, an address for other devices, and its command.

The routes under ``/demo`` that signal need an admin token from this very machine: they kill and freeze processes whose
ids the supervisor wrote beside the database.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import segno
from pydantic import Field

from holdfast.demo.command import demo
from holdfast.edge import auth
from holdfast.edge.config import Settings
from holdfast.edge.extensions.port import Extension, ExtensionSettings
from holdfast.edge.extensions.route import ExtensionRoute, Handler, RouteCall
from holdfast.edge.extensions.services import Services
from holdfast.edge.metrics import loopback
from holdfast.errors import Refused
from holdfast.session.access import SESSION_VERBS

SIGNALS: Final = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "thaw": signal.SIGCONT}
AGENTS: Final = ("librarian", "clerk")
TARGETS: Final = ("server", *AGENTS)
EVERYWHERE: Final = ("0.0.0.0", "::")
SHARE_TTL_S: Final = 12 * 3_600
TARGET: Final = {"type": "object", "properties": {"target": {"type": "string"}}}


class DemoSettings(ExtensionSettings):
    """Where the demo's processes are known."""

    pids_file: str = Field(default="", description="File with the ids of the demo's processes; beside the database.")


class Demo(Extension):
    """Routes that kill, freeze and cut, and the command ``demo``."""

    name = "demo"
    settings_type = DemoSettings

    def __init__(self, settings: DemoSettings, server: Settings) -> None:
        super().__init__(settings, server)
        self._pids = Path(settings.pids_file) if settings.pids_file else Path(server.db).with_name("pids.json")

    @classmethod
    def commands(cls) -> Mapping[str, Callable[..., Any]]:
        """See ``Extension``."""
        return {"demo": demo}

    def routes(self, services: Services) -> Sequence[ExtensionRoute]:
        """See ``Extension``."""
        self._services = services
        signals = [
            ExtensionRoute(
                "POST", f"/demo/{name}/{{target}}", f"Demo: {name} a process", self._signal(name), "", answer=TARGET
            )
            for name in SIGNALS
        ]
        return (
            ExtensionRoute("GET", "/demo/info", "Demo: what the page shows around the chat", self.info, "", query=("session",)),
            ExtensionRoute("POST", "/demo/cut/{connection}", "Demo: drop one of one's own connections", self.cut, ""),
            *signals,
        )  # fmt: skip

    def _may_break(self, call: RouteCall) -> bool:
        return call.principal.may("admin", "*") and loopback(call.request)

    def _signal(self, name: str) -> Handler:
        async def handle(call: RouteCall) -> dict[str, Any]:
            if not self._may_break(call):
                raise Refused("auth.denied", "only from this machine, with an admin token")
            target = call.request.path_params["target"]
            pids = await asyncio.to_thread(self._processes)
            if target not in TARGETS or target not in pids:
                raise Refused("input.malformed", f"target: one of {', '.join(TARGETS)}")
            try:
                os.kill(pids[target], SIGNALS[name])
            except ProcessLookupError:
                raise Refused(
                    "input.malformed", f"the {target} is gone already; it is started again in a moment"
                ) from None
            return {"target": target, "signal": name, "pid": pids[target]}

        return handle

    def _processes(self) -> dict[str, int]:
        """The ids that the supervisor wrote; none where no supervisor did."""
        try:
            found: dict[str, int] = json.loads(self._pids.read_text())
        except FileNotFoundError:
            return {}
        return found

    def _states(self) -> dict[str, str]:
        """How each process stands: ``running``, ``frozen`` or ``gone``; nothing where the system does not say."""
        found = {}
        for name, pid in self._processes().items():
            try:
                stat = Path(f"/proc/{pid}/stat").read_text()
            except OSError:
                if Path("/proc/self/stat").exists():
                    found[name] = "gone"
                continue
            found[name] = "frozen" if stat.rpartition(")")[2].split()[0] in "Tt" else "running"
        return found

    async def cut(self, call: RouteCall) -> dict[str, Any]:
        """Drop one of the caller's own connections without a word, as a dead network would."""
        caller = call.principal
        connection = self._services.listener.connections.get(call.request.path_params["connection"])
        if connection is None or (connection.principal.actor, connection.principal.tenant) != (
            caller.actor,
            caller.tenant,
        ):
            raise Refused("input.malformed", "connection: not one of yours")
        connection.abort()
        return {}

    async def info(self, call: RouteCall) -> dict[str, Any]:
        """What the page shows around the chat: whether it may hurt processes and how they stand, and an address for
        other devices, as text and as QR code."""
        facts: dict[str, Any] = {
            "agents": AGENTS,
            "here": self._may_break(call),
            "open": self.server.host in EVERYWHERE,
        }
        address = lan_address() if facts["open"] and self._services.secret is not None else None
        if facts["here"]:
            facts["processes"] = await asyncio.to_thread(self._states)
            if address is not None:
                facts["share"] = self._share(address, call.request.query_params.get("session", ""))
                svg = io.BytesIO()
                segno.make(facts["share"], error="l").save(svg, kind="svg", border=2, xmldecl=False)
                facts["qr"] = svg.getvalue().decode()
        return facts

    def _share(self, address: str, session: str) -> str:
        """The page for another device, with a token that can do everything but administer."""
        assert self._services.secret is not None
        verbs = sorted(SESSION_VERBS - {"admin"})
        token = auth.mint(self._services.secret, subject="user:you", capabilities={"*": verbs}, ttl_s=SHARE_TTL_S)
        return f"http://{address}:{self.server.port}/#t={token}" + (f"&s={quote(session)}" if session else "")


def lan_address() -> str | None:
    """This machine's address in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        found: str = probe.getsockname()[0]
    return None if found.startswith("127.") else found
