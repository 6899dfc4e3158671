"""``holdfast stop``, ``holdfast incidents``, and ``holdfast workflow rollback|retire``."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.asking import (
    Asker,
    ask_by,
)
from holdfast.governance.operations import desk
from holdfast.governance.operations.desk import OperationsDesk
from holdfast.governance.store.store import Store
from holdfast.governance.workflows.actions import ROOT as WORKFLOWS
from holdfast.governance.workflows.terminal import OpenedWorkflows, radius_line, radius_of

Opened = Callable[[Store, Callable[[], int]], Awaitable[OperationsDesk]]
"""Makes the desk on an open store; the app knows how."""
Reason = Annotated[
    str, typer.Option(help="Why, in a sentence: everybody whose work it ends reads it.", show_default=False)
]
Grace = Annotated[float, typer.Option(help="Seconds that an agent has to end by itself.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would end, and end nothing.")]
Subject = Annotated[str, typer.Argument(help="Its name.", show_default=False)]
StopId = Annotated[str, typer.Argument(help="Its id.", show_default=False)]
Workflow = Annotated[str, typer.Argument(help="The workflow.", show_default=False)]
When = Annotated[
    str, typer.Option(help="ISO 8601, UTC where it names no zone, such as 2026-03-01T10:00.", show_default=False)
]


def stop_group(opened: Opened, workflows: OpenedWorkflows) -> typer.Typer:
    """The commands of stops, beside the workflows of the same store."""
    app = typer.Typer(
        no_args_is_help=True, help="Stop a workflow, an agent, a model or a tool: what runs ends, nothing begins."
    )
    ask_by(app, "operations", desk.ROOT, opened)
    for scope, what in (
        ("workflow", "all runs and calls of a workflow"), ("agent", "all runs of an agent"),
        ("model", "all calls of a model: routes avoid it"), ("tool", "every run that calls a tool"),
    ):  # fmt: skip
        _add_stop(app, scope, what)
    _add_everything(app)
    _add_looking(app, workflows)
    return app


def incident_group(opened: Opened) -> typer.Typer:
    """The commands of incidents."""
    app = typer.Typer(no_args_is_help=True, help="What went wrong, what it touched, and how long it took to stop.")
    ask_by(app, "operations", desk.ROOT, opened)
    _add_incidents(app)
    return app


def _asker(ctx: typer.Context) -> Asker[OperationsDesk]:
    found: Asker[OperationsDesk] = ctx.meta["operations"]
    return found


# --- stops
def _add_stop(app: typer.Typer, scope: str, what: str) -> None:
    def stop(
        ctx: typer.Context, name: Subject,
        reason: Reason = "", grace: Grace = limits.STOP_GRACE_S, dry_run: DryRun = False,
    ) -> None:  # fmt: skip
        _stop(ctx, scope, name, reason, grace, dry_run=dry_run)

    app.command(scope, help=f"Stop {what}.")(stop)


def _add_everything(app: typer.Typer) -> None:
    @app.command()
    def everything(
        ctx: typer.Context, reason: Reason = "", grace: Grace = limits.STOP_GRACE_S, dry_run: DryRun = False
    ) -> None:
        """Stop every run and every call of the tenant."""
        _stop(ctx, "everything", "", reason, grace, dry_run=dry_run)


def _stop(ctx: typer.Context, scope: str, name: str, reason: str, grace_s: float, *, dry_run: bool) -> None:
    asker, what = _asker(ctx), f"{scope} {name}".strip()
    if dry_run:
        seen = asker.ask(desk.PREVIEW, {"scope": scope, "subject": name})
        runs = f"{seen['running']} running, {seen['queued']} queued and {seen['waiting']} waiting runs in {seen['sessions']} sessions of {seen['people']} people"
        line = f"It would end {runs}, and {seen['calls']} calls of the gateway."
        asker.tell(
            seen,
            line
            if seen["known"]
            else "What it would end is known to the server that has the sessions: ask it, with --url.",
        )
        return
    answer = asker.ask(desk.STOP, {}, desk.StopRequest(scope, reason, name, grace_s))
    asker.tell(answer, f"{what} is stopped: {answer['stop']['id']}.", *_did(answer))


def _did(answer: Any) -> list[str]:
    stop = answer["stop"]
    found = f"{answer['running']} running, {answer['queued']} queued and {answer['waiting']} waiting runs in {answer['sessions']} sessions of {answer['people']} people"
    state = {
        "stopping": f"It ends {found}; {stop['left']} go on still.",
        "stopped": f"It ended {found}, {answer['forced']} of them without their agents, in {_seconds(answer['took_ms'])}.",
        "lifted": f"It ended {found}. {stop['lifted_by']} lifted it: {stop['lifted_reason']}",
    }[stop["state"]]
    return [state, f"{stop['calls']} calls of the gateway were ended, and {stop['refused']} starts refused so far."]


def _seconds(ms: int | None) -> str:
    return f"{(ms or 0) / 1_000:.1f} s"


def _add_looking(app: typer.Typer, workflows: OpenedWorkflows) -> None:
    @app.command("list")
    def list_stops(
        ctx: typer.Context, lifted: Annotated[bool, typer.Option("--all", help="Those that were lifted, too.")] = False
    ) -> None:
        """List what is stopped, the newest first."""
        asker = _asker(ctx)
        answer = asker.ask(desk.LIST, {"all": "yes" if lifted else ""})
        rows = (
            (one["id"], f"{one['scope']} {one['subject']}".strip(), one["state"], one["by"], one["reason"], one["left"], one["refused"])
            for one in answer["stops"]
        )  # fmt: skip
        asker.show(answer, ("stop", "of", "state", "by", "why", "left", "refused"), rows, "Nothing is stopped.")

    @app.command()
    def show(ctx: typer.Context, stop: StopId) -> None:
        """Show what a stop did: how many ran, where, and what it refuses."""
        asker = _asker(ctx)
        answer = asker.ask(desk.SHOW, {"stop": stop})
        one = answer["stop"]
        listed = [
            f"{each['session'] or 'a session that was deleted'}: {_runs(each['runs'])}" for each in answer["listed"]
        ]
        asker.tell(
            answer, f"{one['by']} stopped {one['scope']} {one['subject']}: {one['reason']}", *_did(answer), *listed
        )

    @app.command()
    def lift(
        ctx: typer.Context,
        stop: StopId,
        reason: Annotated[str, typer.Option(help="Why it may begin again.", show_default=False)] = "",
    ) -> None:
        """Let begin again what was stopped. What was ended stays ended."""
        asker = _asker(ctx)
        answer = asker.ask(desk.LIFT, {"stop": stop}, desk.LiftRequest(reason))
        one = answer["stop"]
        radius = radius_of(asker.beside(WORKFLOWS, workflows), one["subject"]) if one["scope"] == "workflow" else None
        asker.tell(
            answer | {"radius": radius},
            *radius_line(radius),
            f"{one['scope']} {one['subject']}".strip() + " may begin again.",
            *_did(answer),
        )


def _runs(runs: list[Any]) -> str:
    return ", ".join(f"{one['agent']} ({one['found']}{', forced' if one['forced'] else ''})" for one in runs)


# --- incidents
def _add_incidents(app: typer.Typer) -> None:
    @app.command("list")
    def list_incidents(
        ctx: typer.Context, workflow: Annotated[str, typer.Option(help="Of one workflow.", show_default=False)] = ""
    ) -> None:
        """List incidents, the newest first."""
        asker = _asker(ctx)
        answer = asker.ask(desk.INCIDENTS, {"workflow": workflow})
        rows = (
            (one["id"], one["workflow"], _when(one["from_ms"]), _when(one["to_ms"]), one["sessions"], one["outputs"],
             one["cost_usd"] or "unknown", one["notes"].splitlines()[0])
            for one in answer["incidents"]
        )  # fmt: skip
        columns = ("incident", "workflow", "from", "to", "sessions", "runs", "cost USD", "notes")
        asker.show(answer, columns, rows, "No incidents.")

    @app.command()
    def show(ctx: typer.Context, incident: StopId) -> None:
        """Show one incident, counted from what is on record now."""
        asker = _asker(ctx)
        answer = asker.ask(desk.INCIDENT, {"incident": incident})
        asker.tell(answer, *_incident(answer["incident"]))

    @app.command()
    def add(
        ctx: typer.Context, workflow: Workflow,
        notes: Annotated[str, typer.Option(help="What happened.", show_default=False)], since: When, until: When = "",
    ) -> None:  # fmt: skip
        """Record an incident by hand."""
        asker = _asker(ctx)
        body = desk.IncidentRequest(workflow, notes, _ms(since), _ms(until) if until else None)
        answer = asker.ask(desk.ADD_INCIDENT, {}, body)
        asker.tell(answer, *_incident(answer["incident"]))

    @app.command()
    def close(
        ctx: typer.Context, incident: StopId,
        notes: Annotated[str, typer.Option(help="What is to be said beside what was.", show_default=False)] = "", until: When = "",
    ) -> None:  # fmt: skip
        """End an incident: now, or at the time given."""
        asker = _asker(ctx)
        body = desk.IncidentEnd(notes, _ms(until) if until else None)
        answer = asker.ask(desk.CLOSE_INCIDENT, {"incident": incident}, body)
        asker.tell(answer, *_incident(answer["incident"]))


def _incident(one: Any) -> list[str]:
    cost = f"{one['cost_usd']} USD" if one["cost_usd"] is not None else "an unknown amount: some of it has no price"
    lines = [
        f"{one['id']}: {one['workflow']}, from {_when(one['from_ms'])} to {_when(one['to_ms'])}, recorded by {one['by']}",
        f"It touched at least {one['outputs']} runs in {one['sessions']} sessions of {one['people']} people, and cost {cost}.",
    ]
    if one["stopped_ms"] is not None:
        lines.append(f"Stopped by {one['stop']} in {_seconds(one['stopped_ms'])}.")
    return [*lines, *one["notes"].splitlines()]


def _when(ms: int | None) -> str:
    if ms is None:
        return "now"
    return (
        datetime.datetime.fromtimestamp(ms / 1_000, datetime.UTC).isoformat(timespec="seconds").removesuffix("+00:00")
        + "Z"
    )


def _ms(text: str) -> int:
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise Refused("input.malformed", f"{text!r:.60} is no time: write 2026-03-01T10:00") from None
    return round((found if found.tzinfo is not None else found.replace(tzinfo=datetime.UTC)).timestamp() * 1_000)


# --- workflows
def add_to(app: typer.Typer, opened: Opened, beside: Callable[[typer.Context], Asker[Any]]) -> None:
    """Add the commands to the group ``workflow``, whose asker says whom they ask."""

    def asker(ctx: typer.Context) -> Asker[OperationsDesk]:
        return beside(ctx).beside(desk.ROOT, opened)

    @app.command()
    def rollback(
        ctx: typer.Context, workflow: Workflow,
        version: Annotated[str, typer.Argument(help="Of its manifest; `holdfast workflow versions` lists them.", show_default=False)],
        reason: Reason = "",
    ) -> None:  # fmt: skip
        """Let a former manifest hold again. State, mode and people stay, and what runs goes on."""
        ask = asker(ctx)
        answer = ask.ask(desk.ROLL_BACK, {"workflow": workflow}, desk.RollBackRequest(version, reason))
        ask.tell(answer, f"{workflow} has version {answer['after']} again, in place of {answer['before']}.")

    @app.command()
    def retire(ctx: typer.Context, workflow: Workflow, reason: Reason = "") -> None:
        """Take a workflow out of service: its keys are revoked, nothing begins, and its data stays."""
        ask = asker(ctx)
        answer = ask.ask(desk.RETIRE, {"workflow": workflow}, desk.RetireRequest(reason))
        runs = (
            "unknown from here"
            if answer["running"] is None
            else f"{answer['running']} running, {answer['queued']} queued, {answer['waiting']} waiting"
        )
        ask.tell(
            answer, f"{workflow} is retired. {len(answer['keys'])} keys were revoked.",
            f"Runs that go on to their end: {runs}. Kept: {', '.join(answer['kept'])}.",
        )  # fmt: skip
