"""Commands that run a server, and the tokens it takes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import Annotated, Any

import typer

from holdfast.cli import output
from holdfast.cli.extensions import BESIDE, SHIPPED, commands_of
from holdfast.cli.options import AsJson, Db, report_errors, secret_beside
from holdfast.edge import auth, config
from holdfast.edge.app import Edge
from holdfast.edge.extensions.extension_set import ExtensionSet
from holdfast.edge.extensions.loader import load
from holdfast.edge.extensions.own_settings import keys_of
from holdfast.edge.server import bind, port_of, running, tune_gc, wait_for_shutdown
from holdfast.engines.address import engine_for
from holdfast.errors import HoldfastError
from holdfast.hub.hub import Hub
from holdfast.visible import Visible, logger

log = logger("holdfast.edge")

Many = Annotated[list[str] | None, typer.Option(show_default=False)]


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def serve(
    context: typer.Context,
    db: Annotated[str | None, typer.Option(help="Database: a path, or memory: for a trial that forgets.", show_default="holdfast.db")] = None,
    host: Annotated[str | None, typer.Option(help="Address to bind.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port for everything; 0 takes a free one.", show_default="7417")] = None,
    origin: Annotated[list[str] | None, typer.Option(help="Origin browsers may come from; repeatable.", show_default=False)] = None,
    allow_host: Annotated[list[str] | None, typer.Option(help="Host name to answer for; repeatable.", show_default=False)] = None,
    extension: Annotated[list[str] | None, typer.Option(help="Name of an extension to load; repeatable.", show_default=False)] = None,
    governance: Annotated[str | None, typer.Option(help="Keep a ledger and serve the model gateway; its store is beside the log, or at this address.", show_default=False)] = None,
    quiet: Annotated[bool, typer.Option(help="Print no token; only say that the server is ready.")] = False,
) -> None:  # fmt: skip
    """Run a server: sessions, WebSocket, REST and SSE on one port. Every setting: docs/reference/settings.md."""
    with report_errors():
        settings = config.load(
            {
                "db": db,
                "host": host,
                "port": port,
                "origins": tuple(origin) if origin else None,
                "hosts": tuple(allow_host) if allow_host else None,
                "extensions": tuple(extension) if extension else None,
            }
        )
        environ = dict(os.environ)
        if governance is not None:
            settings = settings.model_copy(
                update={"extensions": tuple(dict.fromkeys((*settings.extensions, "governance")))}
            )
            if governance != BESIDE:
                environ["HOLDFAST_GOVERNANCE_URL"] = governance
        logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
        logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells how it sets itself up
        for handler in logging.getLogger().handlers:  # what libraries say of a request, others wrote as well
            handler.addFilter(Visible())
        extensions = load(settings, environ, shipped=SHIPPED)
        _check_commands(extensions, context)
        read_elsewhere = {key for kind in extensions.kinds for key in keys_of(kind)}
        for name, suggestion in config.misspelt(elsewhere=read_elsewhere).items():
            log.warning("%s is no setting and changes nothing; did you mean %s?", name, suggestion)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(_serve(settings, extensions, quiet))


def _check_commands(extensions: ExtensionSet, context: typer.Context) -> None:
    """Refuse extensions whose commands are taken, though nobody calls them now: they could not be called later."""
    own = getattr(context.parent.command, "commands", {}) if context.parent is not None else {}
    commands_of(extensions.kinds, {*own, *(name for name in SHIPPED if name not in extensions.names)})


async def _serve(settings: config.Settings, extensions: ExtensionSet, quiet: bool) -> None:
    hub = Hub(engine_for(settings.db), lease_s=settings.lease_s, policy=extensions.policy)
    sockets = bind(settings.host, settings.port)  # first: where that fails, no database and no secret is left behind
    with contextlib.ExitStack() as bound:
        for sock in sockets:
            bound.enter_context(sock)
        await hub.open()
        try:
            edge = Edge(hub, settings, pages=True, extensions=extensions)
        except HoldfastError:
            await hub.close(0)
            raise
        async with running(edge, sockets) as server:
            tune_gc()
            where = f"http://{settings.host}:{port_of(server)}"
            output.say(f"Holdfast is ready on {where}")
            if edge.secret is not None and not quiet and output.out.is_terminal:
                token = auth.mint(
                    edge.secret, subject="user:me", agents=["*"], issuer=settings.issuer, audience=settings.audience
                )
                output.say("A token for one hour:", style="dim")
                output.say(token, style="dim", wrap=False)
                for page, path in (("chat", "/"), ("console", "/console/")):
                    output.say(f"{page:<8} {where}{path}#t={token}", style="dim", wrap=False)
            output.out.file.flush()
            await wait_for_shutdown()


def token(
    subject: Annotated[str, typer.Argument(help="Who it is for: user:NAME, agent:NAME, policy:NAME or system:NAME.")] = "user:me",
    tenant: Annotated[str, typer.Option(help="The tenant; it comes from nowhere but the token.")] = "default",
    grant: Annotated[list[str] | None, typer.Option(help="PATTERN=verb,verb; repeatable. By default everything in sessions, and no right over money.", show_default=False)] = None,
    agent: Annotated[list[str] | None, typer.Option(help="Agent it may act for; repeatable.", show_default=False)] = None,
    ttl: Annotated[float, typer.Option(help="Seconds until it expires.", min=1)] = 3600.0,
    label: Annotated[list[str] | None, typer.Option(help="NAME=VALUE said of the work done with it: team, workflow, …; repeatable.", show_default=False)] = None,
    db: Db = "holdfast.db", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Mint an access token with the secret beside the database."""
    with report_errors(as_json):
        secret = secret_beside(db)
        if secret is None:
            raise HoldfastError(
                "config.invalid", f"there is no secret beside {db}: start the server once, or name --db"
            )
        caps: dict[str, Any] | None = None
        for one in grant or []:
            pattern, _, verbs = one.partition("=")
            caps = {**(caps or {}), pattern: [verb for verb in verbs.split(",") if verb]}
            if not caps[pattern]:
                raise typer.BadParameter(f"{one!r} grants nothing; write PATTERN=verb,verb", param_hint="--grant")
        labels = dict(one.partition("=")[::2] for one in label or [])
        try:  # as the server will
            claims = {
                "sub": subject,
                "tenant": tenant,
                "caps": caps or {},
                "agents": agent or [],
                "jti": "new",
                "labels": labels,
            }
            auth.principal_of(claims, ttl)
        except HoldfastError as error:
            raise typer.BadParameter(error.detail) from None
        minted = auth.mint(
            secret, subject=subject, tenant=tenant, capabilities=caps, agents=agent or [], ttl_s=ttl, labels=labels
        )
        if as_json:
            output.say_json({"token": minted, "subject": subject, "tenant": tenant, "ttl_s": ttl})
        else:
            output.say(minted, wrap=False)
