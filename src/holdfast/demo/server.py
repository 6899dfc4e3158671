"""The demo's server process: a Holdfast server with the chat page and the buttons that break things.

``python -m holdfast.demo.server HOST PORT DATABASE``. The routes under ``/demo`` need an admin token from this very
machine: they signal processes whose ids the supervisor wrote beside the database.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import segno
import uvloop
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from holdfast.edge import auth
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.metrics import loopback
from holdfast.edge.request import json_response
from holdfast.edge.server import running, wait_for_shutdown
from holdfast.engines.address import engine_for
from holdfast.errors import HoldfastError, Refused
from holdfast.hub.hub import Hub
from holdfast.session.access import VERBS, Principal

LEASE_S: Final = 4.0
"""Shorter than a server's default, so that a lost agent is seen while one still looks."""
SIGNALS: Final = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "thaw": signal.SIGCONT}
AGENTS: Final = ("librarian", "clerk")
TARGETS: Final = ("server", *AGENTS)
EVERYWHERE: Final = ("0.0.0.0", "::")
SHARE_TTL_S: Final = 12 * 3_600


class FaultRoutes:
    """Routes that kill, freeze and cut."""

    def __init__(self, database: str, host: str, port: int) -> None:
        self._pids = Path(database).with_name("pids.json")
        self._host, self._port = host, port
        self.edge: Edge | None = None

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [
            Route("/demo/info", self.info, methods=["GET"]),
            Route("/demo/cut/{connection}", self.cut, methods=["POST"]),
            *(Route(f"/demo/{name}/{{target}}", self._signal(name), methods=["POST"]) for name in SIGNALS),
        ]

    def _admit(self, request: Request) -> None:
        if not self._may_break(request):
            raise Refused("auth.denied", "only from this machine, with an admin token")

    def _may_break(self, request: Request) -> bool:
        return self._principal(request).may("admin", "*") and loopback(request)

    def _principal(self, request: Request) -> Principal:
        assert self.edge is not None
        return self.edge.requests.principal(request)

    def _signal(self, name: str):  # type: ignore[no-untyped-def]
        async def handle(request: Request) -> Response:
            self._admit(request)
            target = request.path_params["target"]
            pids = json.loads(await asyncio.to_thread(self._pids.read_text))
            if target not in TARGETS or target not in pids:
                raise Refused("input.malformed", f"target: one of {', '.join(TARGETS)}")
            try:
                os.kill(pids[target], SIGNALS[name])
            except ProcessLookupError:
                raise Refused(
                    "input.malformed", f"the {target} is gone already; it is started again in a moment"
                ) from None
            return json_response({"target": target, "signal": name, "pid": pids[target]})

        return handle

    def _states(self) -> dict[str, str]:
        """How each process stands: ``running``, ``frozen`` or ``gone``; nothing where the system does not say."""
        found = {}
        for name, pid in json.loads(self._pids.read_text()).items():
            try:
                stat = Path(f"/proc/{pid}/stat").read_text()
            except OSError:
                if Path("/proc/self/stat").exists():
                    found[name] = "gone"
                continue
            found[name] = "frozen" if stat.rpartition(")")[2].split()[0] in "Tt" else "running"
        return found

    async def cut(self, request: Request) -> Response:
        """Drop one of the caller's own connections without a word, as a dead network would."""
        assert self.edge is not None
        caller = self._principal(request)
        connection = self.edge.listener.connections.get(request.path_params["connection"])
        if connection is None or (connection.principal.actor, connection.principal.tenant) != (
            caller.actor,
            caller.tenant,
        ):
            raise Refused("input.malformed", "connection: not one of yours")
        connection.abort()
        return json_response({})

    async def info(self, request: Request) -> Response:
        """What the page shows around the chat: whether it may hurt processes and how they stand, and an address for
        other devices, as text and as QR code."""
        facts: dict[str, Any] = {"agents": AGENTS, "here": self._may_break(request), "open": self._host in EVERYWHERE}
        address = lan_address() if facts["open"] else None
        if facts["here"]:
            facts["processes"] = await asyncio.to_thread(self._states)
            if address is not None:
                facts["share"] = self._share(address, request.query_params.get("session", ""))
                svg = io.BytesIO()
                segno.make(facts["share"], error="l").save(svg, kind="svg", border=2, xmldecl=False)
                facts["qr"] = svg.getvalue().decode()
        return json_response(facts)

    def _share(self, address: str, session: str) -> str:
        """The page for another device, with a token that can do everything but administer."""
        assert self.edge is not None and self.edge.secret is not None
        verbs = sorted(VERBS - {"admin"})
        token = auth.mint(self.edge.secret, subject="user:you", capabilities={"*": verbs}, ttl_s=SHARE_TTL_S)
        return f"http://{address}:{self._port}/#t={token}" + (f"&s={quote(session)}" if session else "")


def lan_address() -> str | None:
    """This machine's address in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        found: str = probe.getsockname()[0]
    return None if found.startswith("127.") else found


async def serve(host: str, port: int, database: str) -> None:
    """Run until a signal stops it."""
    hub = Hub(engine_for(database), lease_s=LEASE_S)
    await hub.open()
    address = lan_address()
    hosts = (address,) if host in EVERYWHERE and address else ()
    breaking = FaultRoutes(database, host, port)
    edge = breaking.edge = Edge(
        hub,
        Settings(db=database, host=host, port=port, hosts=hosts, lease_s=LEASE_S, drain_s=2),
        pages=True,
        routes=breaking.routes(),
    )
    async with running(edge):
        await wait_for_shutdown()


def main() -> None:
    """Entry point of the server process."""
    host, port, database = sys.argv[1:]
    logging.basicConfig(level="WARNING", format="server: %(message)s")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(host, int(port), database))
    except HoldfastError as error:
        sys.exit(f"server: {error.detail}")


if __name__ == "__main__":
    main()
