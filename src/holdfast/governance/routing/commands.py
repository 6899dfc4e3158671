"""``holdfast routing``: which model answers, why, and what a cheaper one would save."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.governance import limits
from holdfast.governance.asking import (
    Asker,
    ask_by,
    read_file,
)
from holdfast.governance.outcomes.service import OutcomeService
from holdfast.governance.routing import desk
from holdfast.governance.routing.experiment import ExperimentRequest
from holdfast.governance.routing.service import Routing
from holdfast.governance.store.store import Store

app = typer.Typer(no_args_is_help=True, help="Which model answers, why, and what a cheaper one would save.")
experiment = typer.Typer(no_args_is_help=True, help="Try a cheaper model: unseen first, then on a share of sessions.")
app.add_typer(experiment, name="experiment")

Name = Annotated[str, typer.Argument(help="Name of the experiment.", show_default=False)]


async def opened(store: Store, now_ms: Callable[[], int]) -> Routing:
    """The routing of a store that was opened for one command."""
    return Routing(store, OutcomeService(store, now_ms), now_ms)


ask_by(app, "routing", desk.ROOT, opened)


@app.command("set")
def set_document(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="YAML or JSON: models, upstreams, rules, routes.", show_default=False)],
) -> None:
    """Set the routing document. What runs goes on as it was decided."""
    asker = _asker(ctx)
    answer = asker.ask(desk.SET, {}, read_file(file, limits.ROUTING_DOCUMENT_BYTES))
    asker.tell(answer, f"Version {answer['version']} holds from the next call on.")


@app.command()
def show(ctx: typer.Context) -> None:
    """Show routes and rules."""
    asker = _asker(ctx)
    answer = asker.ask(desk.SHOW)
    document = answer["document"]
    rows: list[tuple[Any, ...]] = [
        ("route", one["name"], f"{one['workflow']} / {one.get('task') or 'every task'}",
         f"{', '.join(one['candidates'])}; floor {one['floor']:g}")
        for one in document["routes"]
    ]  # fmt: skip
    rows += [
        ("rule", one["name"], " ".join(f"{name}={value}" for name, value in one["when"].items()) or "every call",
         "; ".join(f"{name} {', '.join(one[name])}" for name in ("regions", "terms", "upstreams", "models") if one[name]))
        for one in document["rules"]
    ]  # fmt: skip
    asker.show(answer, ("", "name", "for", "says"), rows, "No routes, no rules. Set some: holdfast routing set FILE")


@app.command()
def report(ctx: typer.Context) -> None:
    """Cost per accepted outcome by model, workflow and task; then what a cheaper model would save."""
    asker = _asker(ctx)
    answer = asker.ask(desk.REPORT)
    rows = [
        (one["workflow"], one["task"] or "–", one["model"], one["n"], one["accepted"] if one["n"] else "unknown",
         f"{one['at_least']:.3f}" if one["n"] else "unknown", one["accepted_usd"] or "unknown")
        for one in answer["models"]
    ]  # fmt: skip
    columns = ("workflow", "task", "model", "n", "accepted", "at least", "USD per accepted")
    asker.show(answer, columns, rows, "No outcomes in 90 days. Say one: holdfast outcomes record accepted --call ID")
    peels = [
        f"{one['workflow']} / {one['task']}: {one['incumbent']} → {one['cheaper']}: {one['accepted']} of {one['n']} accepted, "
        f"above the floor of {one['floor']:g} with confidence {one['confidence']:.3f}; saves {one['saves_usd']} USD each, "
        f"{one['saved_usd']} USD in 90 days of judged work"
        for one in answer["peels"]
    ]
    if peels and not asker.as_json:
        asker.tell(answer, *peels)


@app.command()
def decisions(
    ctx: typer.Context,
    route: Annotated[str, typer.Option(help="Of one route.", show_default=False)] = "",
    call: Annotated[str, typer.Option(help="Of one call.", show_default=False)] = "",
    other: Annotated[bool, typer.Option("--other", help="Only where another model answered than was asked.")] = False,
    limit: Annotated[int, typer.Option(help="How many, at most.")] = 50,
) -> None:
    """List decisions, the newest first, each with its reason."""
    asker = _asker(ctx)
    facts = {"route": route, "call": call, "other": "yes" if other else "", "limit": str(limit)}
    answer = asker.ask(desk.DECISIONS, facts)
    rows = (
        (one["call"], one["asked"], one["model"] or "refused", one["kind"], one["served"] or "–",
         f"{one['reason']}{' (fell back)' if one['fell_back'] else ''}")
        for one in answer["decisions"]
    )  # fmt: skip
    asker.show(answer, ("call", "asked", "model", "kind", "served", "why"), rows, "No decisions yet.")


@experiment.command("list")
def list_experiments(ctx: typer.Context) -> None:
    """List experiments, the newest first."""
    asker = _asker(ctx)
    answer = asker.ask(desk.EXPERIMENTS)
    rows = (
        (one["name"], one["plan"]["route"], f"{one['plan']['incumbent']} → {one['plan']['cheap']}", one["state"],
         f"{one['answered']} of {one['answered'] + one['failed']}", f"{one['accepted']} of {one['outcomes']}", one["why"])
        for one in answer["experiments"]
    )  # fmt: skip
    columns = ("name", "route", "models", "state", "shadows whole", "accepted", "why")
    asker.show(answer, columns, rows, "No experiments.")


@experiment.command()
def start(
    ctx: typer.Context, name: Name,
    route: Annotated[str, typer.Option(help="Of which route.")],
    cheap: Annotated[str, typer.Option(help="The candidate that is tried.")],
    floor: Annotated[float | None, typer.Option(help="Share of accepted outcomes; the route's own when left out.")] = None,
    margin: Annotated[float | None, typer.Option(help="How far below the floor is a miss.")] = None,
    share: Annotated[float | None, typer.Option(help="Of sessions that get it.")] = None,
    shadow_share: Annotated[float | None, typer.Option(help="Of calls that are shadowed.")] = None,
    shadows: Annotated[int | None, typer.Option(help="After how many the shadow is judged.")] = None,
) -> None:  # fmt: skip
    """Start a peel experiment: in shadow first, on a budget line of its own (task experiment:NAME)."""
    asker = _asker(ctx)
    body = ExperimentRequest(
        name=name, route=route, cheap=cheap, floor=floor, margin=margin, share=share, shadow_share=shadow_share, shadows=shadows
    )  # fmt: skip
    answer = asker.ask(desk.BEGIN, {}, body)
    plan = answer["experiment"]["plan"]
    asker.tell(answer, f"{name}: {plan['cheap']} is asked unseen for {plan['shadow_share']:.0%} of calls.")


@experiment.command()
def stop(
    ctx: typer.Context, name: Name, why: Annotated[str, typer.Option(help="In a sentence.", show_default=False)] = ""
) -> None:
    """Stop an experiment, or take back a model that was kept: the incumbent answers again."""
    asker = _asker(ctx)
    answer = asker.ask(desk.END, {"experiment": name}, desk.EndRequest(why))
    asker.tell(answer, f"{name} is {answer['experiment']['state']}.")


def _asker(ctx: typer.Context) -> Asker[Routing]:
    found: Asker[Routing] = ctx.meta["routing"]
    return found
