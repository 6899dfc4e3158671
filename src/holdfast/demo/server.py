"""The demo's server process: a Holdfast server with the chat page and the demo's extension.

``python -m holdfast.demo.server HOST PORT DATABASE``.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Final

import uvloop

from holdfast.demo.extension import EVERYWHERE, Demo, DemoSettings, lan_address
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.extensions.extension_set import ExtensionSet
from holdfast.edge.server import running, wait_for_shutdown
from holdfast.engines.address import engine_for
from holdfast.errors import HoldfastError
from holdfast.hub.hub import Hub

LEASE_S: Final = 4.0
"""Shorter than a server's default, so that a lost agent is seen while one still looks."""


async def serve(host: str, port: int, database: str) -> None:
    """Run until a signal stops it."""
    address = lan_address()
    hosts = (address,) if host in EVERYWHERE and address else ()
    settings = Settings(db=database, host=host, port=port, hosts=hosts, lease_s=LEASE_S, drain_s=2)
    extensions = ExtensionSet([Demo(DemoSettings(), settings)])
    hub = Hub(engine_for(database), lease_s=LEASE_S, policy=extensions.policy)
    await hub.open()
    async with running(Edge(hub, settings, pages=True, extensions=extensions)):
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
