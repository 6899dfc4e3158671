"""Holdfast's gateway without governance: ``python -m benchmarks.gateways.bare PORT SETTINGS KEY``.

It checks the caller's key and reads what each answer bills, as always; nobody writes it down. So it can be set beside
gateways that keep no account, and what the ledger costs is the difference to ``holdfast gateway``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import uvicorn
import uvloop

from holdfast.errors import Refused
from holdfast.gateway.app import Gateway
from holdfast.gateway.port import UNLIMITED, Caller, Hold, Opening, Served, Stranger
from holdfast.gateway.settings import GatewaySettings


class OneKey:
    """Knows one key."""

    def __init__(self, key: str) -> None:
        self._callers = {key: Caller("bench", labels=(("team", "bench"), ("workflow", "bench")))}

    def identify(self, secret: str) -> Caller:
        """The caller of the key."""
        try:
            return self._callers[secret]
        except KeyError:
            raise Refused("key.unknown") from None

    def note(self, stranger: Stranger) -> None:
        """Nobody asks for strangers."""

    def watch(self, revoked: Callable[[str], object]) -> None:
        """Nobody revokes the key."""


class NoMeter:
    """Allows everything and keeps nothing."""

    async def open(self, opening: Opening) -> Hold:
        """Nothing, and no bound."""
        return UNLIMITED

    async def settle(self, served: Served) -> None:
        """Nothing."""


async def serve(port: int, settings: GatewaySettings, key: str) -> None:
    """Serve until the process is told to stop."""
    gateway = Gateway(
        settings, OneKey(key), NoMeter(), now_ms=lambda: time.time_ns() // 1_000_000, monotonic=time.monotonic
    )
    await gateway.start()
    server = uvicorn.Server(
        uvicorn.Config(gateway, port=port, http="httptools", lifespan="off", access_log=False, log_level="warning")
    )
    try:
        await server.serve()
    finally:
        await gateway.stop()


if __name__ == "__main__":
    _, port, settings, key = sys.argv
    uvloop.run(serve(int(port), GatewaySettings.load(settings), key))
