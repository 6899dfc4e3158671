"""``holdfast plan init``: the first half hour. From one cost report and one key: what is spent, by whom, and who has no name."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from holdfast.errors import CHECK_THE_PATH, HoldfastError, Refused
from holdfast.governance.asking import STORE, JsonOutput, Screen, StoreUrl, Tenant
from holdfast.governance.keys.model import KeyRequest
from holdfast.governance.keys.service import GatewayKeys
from holdfast.governance.ledger.first_look import FirstLook, SpendLine, look
from holdfast.governance.ledger.imports.service import ImportOptions
from holdfast.governance.money import show
from holdfast.governance.opening import ledger_desk
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.store.store import Store
from holdfast.hub.clock import Clock

app = typer.Typer(no_args_is_help=True, help="Step by step from the first report to the whole organisation.")


@app.callback()
def _plan() -> None:
    """A group, of which the first command is here."""


@app.command()
def init(
    ctx: typer.Context,
    report: Annotated[Path, typer.Option(help="The provider's cost report, or FOCUS as CSV.")],
    provider: Annotated[str, typer.Option(help="Whose it is, where the file does not say.")] = "",
    workflow: Annotated[str, typer.Option(help="Make a first key for this workflow, too.")] = "",
    team: Annotated[str, typer.Option(help="The team of that key.")] = "",
    task: Annotated[str, typer.Option(help="Its type of task.")] = "",
    governance: StoreUrl = STORE, tenant: Tenant = "default", as_json: JsonOutput = False,
) -> None:  # fmt: skip
    """Begin: what is spent, by whom, and which callers have no name."""
    request = KeyRequest(workflow=workflow, team=team, task=task) if workflow or team or task else None
    found, callers, secret = asyncio.run(_init(report, provider, request, governance, tenant))
    screen: Screen = ctx.obj
    if as_json:
        screen.say_json({**msgspec.to_builtins(found), "callers": callers, "key": secret})
        return
    screen.say(f"{show(found.spend_nano)} USD at {found.provider}, {found.since} to {found.until}")
    for what, lines in (("key or account", found.keys), ("model", found.models)):
        screen.say(screen.table((what, "USD", "%", "of"), _rows(lines)))
    if found.unpriced:
        screen.say(f"{found.unpriced:,} lines have no amount: they are in no sum.")
    for kind, nano in sorted(found.other_nano.items()):
        screen.say(f"{kind}: {show(nano)} USD beside it")
    if callers:
        rows = ((one.agent, f"{one.calls:,}", one.fingerprint) for one in callers)
        screen.say(screen.table(("calls without a name", "times", "fingerprint"), rows))
    else:
        screen.say("Nobody came to the gateway without a key yet: point a program at it, and look again.")
    for step in found.steps:
        screen.say(f"Next: {step}")
    if secret:
        screen.say(f"The key of {workflow}, shown once:")
        screen.say(secret, wrap=False)


def _rows(lines: Sequence[SpendLine]) -> Iterable[tuple[str, ...]]:
    return ((one.name, show(one.amount_nano), str(one.ppm // 10_000), one.owner or "nobody yet") for one in lines)


async def _init(
    report: Path, provider: str, request: KeyRequest | None, governance: str, tenant: str
) -> tuple[FirstLook, Sequence[Any], str]:
    clock, by = Clock(), f"user:{getpass.getuser()}"
    store = await Store.open(governance, clock.wall_ms)
    try:
        desk = await ledger_desk(store, clock.wall_ms)
        options = ImportOptions(tenant=tenant, by=by, name=report.name, provider=provider)
        try:
            with report.open("rb") as file:
                batch, _ = await desk.importer.import_file(file, options)
        except OSError as error:
            raise HoldfastError(
                "config.invalid", f"cannot read {report}: {error.strerror}", fix=CHECK_THE_PATH
            ) from None
        lines = await desk.importer.bill(tenant, batch.provider, batch.first_day, batch.last_day)
        if not lines:
            raise Refused(
                "input.malformed", f"{report} has no lines", fix="Name a report of a time in which something was spent."
            )
        keys = await _keys(store, clock.wall_ms)
        callers = await keys.unknown()
        found = look(lines, batch.provider, batch.format, {}, complete=batch.complete, notes=batch.notes)
        secret = (await keys.create(request, by=by, declare=True, tenant=tenant)).secret if request is not None else ""
        return found, callers, secret
    finally:
        await store.close()


async def _keys(store: Store, now_ms: Callable[[], int]) -> GatewayKeys:
    organisation = Organisation(store, now_ms)
    await organisation.refresh()
    keys = GatewayKeys(store, organisation, now_ms)
    await keys.refresh()
    return keys
