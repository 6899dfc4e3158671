"""``holdfast gateway``: the gateway alone."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Annotated

import typer

from holdfast.edge.server import bind, port_of, tune_gc, wait_for_shutdown
from holdfast.gateway.secrets import SecretReference
from holdfast.gateway.server import serving
from holdfast.gateway.sessions import RemoteSessions
from holdfast.gateway.settings import GatewaySettings
from holdfast.governance.app import Governance
from holdfast.governance.budgets.alerts.settings import from_environment, ways_of
from holdfast.governance.settings import GATEWAY_FILE, STORE_FILE
from holdfast.hub.clock import Clock
from holdfast.protocol import limits
from holdfast.visible import Visible


def gateway(
    ctx: typer.Context,
    config: Annotated[str, typer.Option(help="YAML file with the upstreams.")] = GATEWAY_FILE,
    governance: Annotated[str, typer.Option(envvar="HOLDFAST_GOVERNANCE_URL", help="The store: a file, or postgresql://….")] = STORE_FILE,
    host: Annotated[str, typer.Option(help="Address to bind.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65_535)] = 7418,
) -> None:  # fmt: skip
    """Run the model gateway alone. Programs change base URL and key, and every call has a name and a cost."""
    settings = GatewaySettings.load(config)
    logging.basicConfig(level="WARNING", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(Visible())
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, governance, host, port, ctx.obj.say if ctx.obj is not None else typer.echo))


async def _serve(settings: GatewaySettings, url: str, host: str, port: int, say: object) -> None:
    sockets = bind(host, port)  # first: where that fails, no database is left behind
    sessions, clock = None, Clock()
    if settings.sessions_url:
        token = SecretReference(settings.sessions_token, clock.monotonic).value
        await token()  # one that is not there is said now, and not to the first caller
        sessions = RemoteSessions(settings.sessions_url, token, settings.sessions_agent)
    ways = ways_of(from_environment(os.environ), clock.wall_ms, clock.monotonic)
    found = Governance(url, clock, settings, sessions, ways=ways)
    await found.start()
    following = asyncio.create_task(_follow(clock), name="holdfast clock")
    try:
        async with serving(found.gateway, host, port, sockets) as server:
            tune_gc()
            assert callable(say)
            say(f"The gateway is ready on http://{host}:{port_of(server)}")
            await wait_for_shutdown()
    finally:
        following.cancel()
        await found.stop()


async def _follow(clock: Clock) -> None:
    """Follow the system's clock, as a hub does for those beside one."""
    while True:
        await asyncio.sleep(limits.CLOCK_FOLLOW_S)
        clock.follow()
