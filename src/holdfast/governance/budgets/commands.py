"""``holdfast budget``: what may be spent, by whom, and who pays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.asking import (
    ask_by,
    read_file,
)
from holdfast.governance.budgets import actions, request_commands
from holdfast.governance.budgets.definitions import SCOPES, BudgetTerms
from holdfast.governance.budgets.desk import BudgetDesk
from holdfast.governance.budgets.terminal import asker_of, id_of, manner, moment, of, share, window
from holdfast.governance.money import show as usd_of
from holdfast.governance.store.store import Store

Opened = Callable[[Store, Callable[[], int]], Awaitable[BudgetDesk]]
"""Makes the desk on an open store; the app knows how."""
Name = Annotated[str, typer.Argument(help="The budget's name, or its id.", show_default=False)]
Text = Annotated[str | None, typer.Option(show_default=False)]


def group(opened: Opened) -> typer.Typer:
    """The commands."""
    app = typer.Typer(no_args_is_help=True, help="Budgets: what may be spent, who pays, and what did not fit.")

    ask_by(app, "budget", actions.ROOT, opened)

    _add_set(app)
    _add_looking(app)
    _add_changing(app)
    request_commands.add_to(app)
    return app


def _add_set(app: typer.Typer) -> None:
    @app.command("set")
    def set_budget(
        ctx: typer.Context,
        name: Annotated[str, typer.Argument(help="What people call it.", show_default=False)],
        usd: Annotated[str | None, typer.Option(help="The cap, US dollars; a new budget needs it.")] = None,
        per: Annotated[str | None, typer.Option(help="day, week, month (default), quarter, year, rolling, total.")] = None,
        rolling: Annotated[int | None, typer.Option(help="Seconds of a window that rolls.")] = None,
        zone: Annotated[str | None, typer.Option(help="Time zone of its days; the organisation's by default.")] = None,
        team: Text = None, workflow: Text = None, task: Text = None, user: Text = None, session: Text = None,
        each: Annotated[str | None, typer.Option(help="Every run, session, user … has the whole cap for itself.")] = None,
        hard: Annotated[bool | None, typer.Option("--hard/--soft", help="Never passed, or passing it is only told.")] = None,
        enforce: Annotated[
            bool | None, typer.Option("--enforce/--observe", help="Refuse what does not fit, or only count it.")
        ] = None,
        payer: Annotated[str | None, typer.Option(help="it, or a cost centre.")] = None,
        decider: Annotated[str | None, typer.Option(help="Who decides for the payer: user:ann.")] = None,
        alert: Annotated[str | None, typer.Option(help="Percentages at which somebody is told: 50,80,95.")] = None,
        approved_by: Annotated[str | None, typer.Option(help="Who of the payer's has agreed: user:ann.")] = None,
        run_usd: Annotated[str | None, typer.Option(help="The most that each run below it may cost.")] = None,
    ) -> None:  # fmt: skip
        """Make a budget, or change what is named of one. A new one observes until you say --enforce."""
        asker = asker_of(ctx)
        names = {"team": team, "workflow": workflow, "task": task, "user": user, "session": session}
        scope: dict[str, str] = {level: named for level in SCOPES if (named := names[level])}
        terms = BudgetTerms(
            usd=usd, per=per, rolling_s=rolling, zone=zone, scope=scope or None,
            each=each, strength=None if hard is None else "hard" if hard else "soft",
            mode=None if enforce is None else "enforce" if enforce else "observe", payer=payer, decider=decider,
            alerts=None if alert is None else _percentages(alert), approved_by=approved_by, run_usd=run_usd,
        )  # fmt: skip
        answer = asker.ask(actions.SET, {}, actions.SetRequest(name, terms))
        asker.tell(answer, *_lines(answer))

    @app.command("import")
    def import_file(
        ctx: typer.Context,
        file: Annotated[Path, typer.Argument(help="YAML: budgets, each as `set` takes it.", show_default=False)],
    ) -> None:
        """Set every budget of a file, or none of them. Twice is once."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.IMPORT, {}, read_file(file, limits.BUDGET_IMPORT_BYTES))
        asker.tell(answer, *(line for one in answer["set"] for line in _lines(one)))


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    budget = answer["budget"]
    yield f"{budget['name']} ({budget['id']}): ${budget['cap_usd']} {window(budget)}, {of(budget)}; {manner(budget)}"
    if run := answer.get("run"):
        yield f"{run['name']} ({run['id']}): ${run['cap_usd']} for each run"
    yield from answer["notes"]


def _percentages(text: str) -> tuple[int, ...]:
    parts = [part.strip().removesuffix("%") for part in text.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        raise Refused("budget.invalid", f"alert {text!r:.60}: percentages with commas, such as 50,80,95")
    return tuple(map(int, parts))


def _add_looking(app: typer.Typer) -> None:
    @app.command("list")
    def list_budgets(ctx: typer.Context) -> None:
        """List budgets with what is spent and held now, and how much did not fit in this window."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.LIST)
        columns = ("budget", "of", "window", "spent USD", "of USD", "held USD", "not fit", "stranded")
        asker.show(answer, columns, map(_line, answer["accounts"]), "No budget yet: holdfast budget set NAME --usd 25")

    @app.command()
    def show(ctx: typer.Context, name: Name) -> None:
        """Show one budget: its money, who pays and decides, and what was changed of it."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.SHOW, {"budget": id_of(asker, name)})
        budget = answer["budget"]
        agreed = f"approved by {budget['approved_by']}" if budget["approved"] else "not approved by the payer"
        decides = f", {budget['decider']} decides" if budget["decider"] else ""
        asker.tell(
            answer,
            f"{budget['name']} ({budget['id']}): ${budget['cap_usd']} {window(budget)}, {of(budget)}; {manner(budget)}",
            f"Paid by {'IT' if budget['payer'] == 'it' else budget['payer']}{decides}; {agreed}.",
            *(_money(one) for one in answer["accounts"]),
            *(f"{moment(one['at_ms'])} {one['what']} by {one['by']}{_cap_of(one)}" for one in answer["changes"]),
        )  # fmt: skip


def _line(one: dict[str, Any]) -> tuple[str, ...]:
    budget = one["budget"]
    missed = one["refused"] + one["observed"]
    seen = f"{missed:,} ({'observed' if not one['refused'] else 'refused'})" if missed else "–"
    return (
        budget["name"], one["subject"] or of(budget), f"{window(budget)}, {manner(budget)}", one["spent_usd"],
        budget["cap_usd"], one["reserved_usd"], seen, share(one["stranded_ppm"]),
    )  # fmt: skip


def _money(one: dict[str, Any]) -> str:
    who = f"{one['subject']}: " if one["subject"] else ""
    reserved = f", ${one['reserved_usd']} held by {one['attempts']} calls under way" if one["attempts"] else ""
    until = f" until {moment(one['closes_ms'])}" if one["closes_ms"] else ""
    missed = f"; did not fit: {one['refused']} refused, {one['observed']} observed"
    stranded = "" if one["stranded_ppm"] is None else f"; stranded {share(one['stranded_ppm'])} of what was reserved"
    return f"{who}${one['spent_usd']} spent{reserved}, ${one['free_usd']} free{until}{missed}{stranded}"


def _cap_of(change: dict[str, Any]) -> str:
    caps = [usd_of(side["cap_nano"]) if side else "" for side in (change["before"], change["after"])]
    return "" if caps[0] == caps[1] or not caps[0] else f": ${caps[0]} → ${caps[1]}"


def _add_changing(app: typer.Typer) -> None:
    @app.command()
    def end(ctx: typer.Context, name: Name) -> None:
        """End a budget: it bounds nothing any more."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.END, {"budget": id_of(asker, name)})
        asker.tell(answer, f"{answer['budget']['name']} has ended")

    @app.command()
    def brake(
        ctx: typer.Context,
        workflow: Annotated[str, typer.Argument(help="The workflow; leave it out to list all.")] = "",
        policy: Annotated[str, typer.Option(help="error, truncate or ask.")] = "error",
        wait: Annotated[int, typer.Option(help="With ask: seconds for which a person is waited for.")] = 300,
    ) -> None:
        """Say what becomes of a workflow's running answers that get no more money."""
        asker = asker_of(ctx)
        if workflow:
            asker.ask(actions.BRAKE, {}, actions.BrakeRequest(workflow, policy, wait))
        answer = asker.ask(actions.BRAKES)
        rows = (
            (one["workflow"], one["policy"], f"{one['wait_s']} s" if one["policy"] == "ask" else "–", one["by"])
            for one in answer["brakes"]
        )
        nothing = "No rule was said: every answer that gets no more money ends with an error."
        asker.show(answer, ("workflow", "policy", "waits", "by"), rows, nothing)
