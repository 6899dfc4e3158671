"""Starts real gateways fast: a warmed process that forks one for each line of its standard input.

``start NAME DATABASE SETTINGS PORT METER`` forks a child that serves what ``holdfast gateway`` serves. ``METER`` is
``budgets``, or one of the wrong ones of ``wrong_meters.py``. ``pid NAME NUMBER`` and ``ready NAME`` are printed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback

import uvloop

from holdfast.edge.server import bind
from holdfast.errors import HoldfastError
from holdfast.gateway.server import serving
from holdfast.gateway.settings import GatewaySettings
from holdfast.governance import limits
from holdfast.governance.app import Governance
from holdfast.hub.clock import Clock
from tests.acceptance.budget_race.wrong_meters import METERS

BEAT_S = 0.4
"""Gateways say that they live so often here, so that one that was killed is missed within seconds and not within a minute."""


async def serve(name: str, database: str, settings: str, port: int, meter: str) -> None:
    """A gateway, until it is killed."""
    limits.LEDGER_BEAT_S = BEAT_S
    governance = Governance(database, Clock(), GatewaySettings.load(settings))
    await started(governance)
    if meter in METERS:
        governance.gateway._meter = METERS[meter](governance)
    async with serving(governance.gateway, "127.0.0.1", port, bind("127.0.0.1", port)):
        os.write(1, f"ready {name}\n".encode())
        await asyncio.Event().wait()


async def started(governance: Governance) -> None:
    """Start, once the one before, which was killed, has let go of the file."""
    while True:
        try:
            return await governance.start()
        except HoldfastError as error:
            if error.code != "engine.locked":
                raise
            await asyncio.sleep(0.02)


def main() -> None:
    """Fork until the input ends; then take the children along."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    children = []
    for line in sys.stdin:
        _, name, database, settings, port, meter = line.split()
        pid = os.fork()
        if pid == 0:
            os.close(0)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                uvloop.run(serve(name, database, settings, int(port), meter))
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        children.append(pid)
        os.write(1, f"pid {name} {pid}\n".encode())
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main()
