"""``holdfast plan init``: the first half hour. From one cost report and one key: what is spent, by whom, and who has no name."""

from __future__ import annotations

import asyncio
import getpass
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from holdfast.errors import CHECK_THE_PATH, HoldfastError, Refused
from holdfast.governance.asking import STORE, JsonOutput, Screen, StoreUrl, Tenant
from holdfast.governance.keys.model import KeyRequest
from holdfast.governance.keys.service import GatewayKeys
from holdfast.governance.ledger.bill_line import BillLine
from holdfast.governance.ledger.imports.service import ImportOptions
from holdfast.governance.money import show
from holdfast.governance.opening import ledger_desk
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.store.store import Store
from holdfast.hub.clock import Clock

NOBODY: Final = "(no key in the report)"


class Spender(msgspec.Struct, frozen=True):
    """What one key or account at the provider spent on one model. ``share``: of all, in per cent, rounded down."""

    who: str
    model: str
    nano: int
    share: int


class FirstLook(msgspec.Struct, frozen=True):
    """What is known after the first report.

    Attributes:
        total_nano: of all lines that have an amount; ``without_amount``: how many have none.
        spenders: the costliest first.
        unnamed_nano: what of it is of no key at all: nobody can say whose it is.
        callers: who came to the gateway without a key that is known.
    """

    provider: str
    first_day: str
    last_day: str
    total_nano: int
    without_amount: int
    unnamed_nano: int
    spenders: tuple[Spender, ...]
    callers: tuple[dict[str, Any], ...] = ()


def first_look(lines: Iterable[BillLine], provider: str, first: str, last: str) -> FirstLook:
    """Sum a report up by key and model; a line without a key is its account's, or nobody's."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    without = unnamed = 0
    for line in lines:
        if line.amount_nano is None:
            without += 1
            continue
        who = line.key or line.account or NOBODY
        unnamed += line.amount_nano if who == NOBODY else 0
        sums[who, line.model or line.line or line.kind] += line.amount_nano
    total = sum(sums.values())
    rows = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    spenders = tuple(Spender(who, model, nano, nano * 100 // total if total > 0 else 0) for (who, model), nano in rows)
    return FirstLook(provider, first, last, total, without, unnamed, spenders)


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
    found, secret = asyncio.run(_init(report, provider, request, governance, tenant))
    screen: Screen = ctx.obj
    if as_json:
        screen.say_json({**msgspec.to_builtins(found), "key": secret})
        return
    screen.say(f"{show(found.total_nano)} USD at {found.provider}, {found.first_day} to {found.last_day}")
    screen.say(screen.table(("key or account", "model", "USD", "%"), _rows(found.spenders)))
    if found.unnamed_nano:
        screen.say(f"{show(found.unnamed_nano)} USD are of no key: nobody can say whose they are.")
    if found.without_amount:
        screen.say(f"{found.without_amount:,} lines have no amount: they are in no sum.")
    if found.callers:
        rows = ((str(one["agent"]), f"{one['calls']:,}", str(one["fingerprint"])) for one in found.callers)
        screen.say(screen.table(("calls without a name", "times", "fingerprint"), rows))
    else:
        screen.say("Nobody came to the gateway without a key yet: point a program at it, and look again.")
    if secret:
        screen.say(f"The key of {workflow}, shown once:")
        screen.say(secret, wrap=False)


def _rows(spenders: Sequence[Spender]) -> Iterable[tuple[str, ...]]:
    return ((one.who, one.model, show(one.nano), str(one.share)) for one in spenders[:20])


async def _init(
    report: Path, provider: str, request: KeyRequest | None, governance: str, tenant: str
) -> tuple[FirstLook, str]:
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
        callers = tuple(one._asdict() for one in await keys.unknown())
        found = first_look(lines, batch.provider, batch.first_day, batch.last_day)
        found = msgspec.structs.replace(found, callers=callers)
        secret = (await keys.create(request, by=by, declare=True, tenant=tenant)).secret if request is not None else ""
        return found, secret
    finally:
        await store.close()


async def _keys(store: Store, now_ms: Callable[[], int]) -> GatewayKeys:
    organisation = Organisation(store, now_ms)
    await organisation.refresh()
    keys = GatewayKeys(store, organisation, now_ms)
    await keys.refresh()
    return keys
