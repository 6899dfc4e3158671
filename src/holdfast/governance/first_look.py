"""``holdfast plan init``: the first half hour. From one named use case, and a cost report where there is one: what is spent, by
whom, who has no name, and a first dated plan."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from holdfast.errors import CHECK_THE_PATH, HoldfastError, Refused
from holdfast.governance.asking import (
    STORE,
    Asker,
    JsonOutput,
    Screen,
    ServerToken,
    ServerUrl,
    StoreUrl,
    Target,
    Tenant,
)
from holdfast.governance.keys.model import KeyRequest
from holdfast.governance.keys.service import GatewayKeys
from holdfast.governance.ledger.first_look import FirstLook, SpendLine, look
from holdfast.governance.ledger.imports.service import ImportOptions, read_lines
from holdfast.governance.money import show
from holdfast.governance.opening import ledger_desk, workflow_desk
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.store.store import Store
from holdfast.governance.workflows import actions
from holdfast.hub.clock import Clock

app = typer.Typer(no_args_is_help=True, help="Step by step from the first report to the whole organisation.")


@app.callback()
def _plan() -> None:
    """A group, of which the first command is here."""


@app.command()
def init(
    ctx: typer.Context,
    report: Annotated[
        Path | None, typer.Option(help="The provider's cost report, or FOCUS as CSV.", show_default=False)
    ] = None,
    use_case: Annotated[
        str, typer.Option(help="What agents are to do first; its plan is made from what is known.", show_default=False)
    ] = "",
    provider: Annotated[str, typer.Option(help="Whose the report is, where the file does not say.")] = "",
    workflow: Annotated[str, typer.Option(help="Make a first key for this workflow, too.")] = "",
    team: Annotated[str, typer.Option(help="The team of that key.")] = "",
    task: Annotated[str, typer.Option(help="Its type of task.")] = "",
    governance: StoreUrl = STORE, url: ServerUrl = "", token: ServerToken = "", tenant: Tenant = "default",
    as_json: JsonOutput = False,
) -> None:  # fmt: skip
    """Begin: what is spent, by whom, which callers have no name; and the first dated plan of one use case.

    A report, a use case, or both. With --url nothing is written: a token that grants `spend` is enough.
    """
    if report is None and not use_case:
        raise Refused(
            "input.malformed", "nothing to begin with", fix="Name a use case (--use-case), a report, or both."
        )
    request = KeyRequest(workflow=workflow, team=team, task=task) if workflow or team or task else None
    if request is not None and (report is None or url):
        raise Refused("input.malformed", "a first key is made with a report, on the store itself")
    screen: Screen = ctx.obj
    answer: dict[str, Any] = {}
    if report is not None:
        look_ = _read_only(report, provider) if url else _init(report, provider, request, governance, tenant)
        found, callers, secret = asyncio.run(look_)
        answer |= {**msgspec.to_builtins(found), "callers": callers, "key": secret}
        if not as_json:
            _tell(screen, found, callers, (workflow, secret), remote=bool(url))
    if use_case:
        asker = Asker(screen, Target(governance, url, token, tenant, as_json), actions.ROOT, workflow_desk)
        answer["plan"] = asker.ask(actions.PLAN, {"use_case": use_case})
        if not as_json:
            _tell_plan(screen, answer["plan"])
    if as_json:
        screen.say_json(answer)


def _tell(screen: Screen, found: FirstLook, callers: Sequence[Any], key: tuple[str, str], *, remote: bool) -> None:
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
    elif not remote:
        screen.say("Nobody came to the gateway without a key yet: point a program at it, and look again.")
    for step in found.steps:
        screen.say(f"Next: {step}")
    workflow, secret = key
    if secret:
        screen.say(f"The key of {workflow}, shown once:")
        screen.say(secret, wrap=False)


def _tell_plan(screen: Screen, plan: dict[str, Any]) -> None:
    screen.say(
        f"{plan['use_case']}: the pilot may begin on {plan['launch']}, production on {plan['production']}, not before."
    )
    for one in plan["steps"]:
        how = f" ({one['how']})" if one["how"] and not one["done"] else ""
        screen.say(f"{'done' if one['done'] else one['by']}  {one['who']}: {one['what']}{how}")
    for each in plan["unknown"]:
        screen.say(f"Not known: {each}.")


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
            raise _unreadable(report, error) from None
        lines = await desk.importer.bill(tenant, batch.provider, batch.first_day, batch.last_day)
        _some(lines, report)
        keys = await _keys(store, clock.wall_ms)
        callers = await keys.unknown()
        found = look(lines, batch.provider, batch.format, {}, complete=batch.complete, notes=batch.notes)
        secret = (await keys.create(request, by=by, declare=True, tenant=tenant)).secret if request is not None else ""
        return found, callers, secret
    finally:
        await store.close()


async def _read_only(report: Path, provider: str) -> tuple[FirstLook, Sequence[Any], str]:
    """The report by itself: nothing is imported."""
    try:
        with report.open("rb") as file:
            lines, read, name = await asyncio.to_thread(read_lines, file, "", provider)
    except OSError as error:
        raise _unreadable(report, error) from None
    _some(lines, report)
    return look(lines, read.provider, name, {}, complete=read.complete, notes=read.notes), (), ""


def _unreadable(report: Path, error: OSError) -> HoldfastError:
    return HoldfastError("config.invalid", f"cannot read {report}: {error.strerror}", fix=CHECK_THE_PATH)


def _some(lines: Sequence[Any], report: Path) -> None:
    if not lines:
        raise Refused(
            "input.malformed", f"{report} has no lines", fix="Name a report of a time in which something was spent."
        )


async def _keys(store: Store, now_ms: Callable[[], int]) -> GatewayKeys:
    organisation = Organisation(store, now_ms)
    await organisation.refresh()
    keys = GatewayKeys(store, organisation, now_ms)
    await keys.refresh()
    return keys
