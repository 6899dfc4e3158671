"""The commands of ``holdfast budget`` about asking for more, about what did not fit, and about what comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from holdfast.governance.budgets import actions
from holdfast.governance.budgets.requests import Wish
from holdfast.governance.budgets.terminal import asker_of, manner, moment, share

Ident = Annotated[str, typer.Argument(help="Id of the request, from `budget requests`.", show_default=False)]
Note = Annotated[str, typer.Option(help="A sentence for whoever asked.")]
Of = Annotated[str, typer.Argument(help="Of one budget: its name or id.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    _add_requests(app)
    _add_decisions(app)
    _add_refusals(app)
    _add_watching(app)


def _add_requests(app: typer.Typer) -> None:
    @app.command()
    def request(
        ctx: typer.Context,
        name: Annotated[str, typer.Argument(help="The budget's name, or its id.", show_default=False)],
        to_usd: Annotated[str, typer.Option(help="The cap that is asked for, US dollars.", show_default=False)],
        why: Annotated[str, typer.Option(help="In a sentence.")] = "",
        session: Annotated[str, typer.Option(help="The session in which it stopped you.")] = "",
    ) -> None:
        """Ask whoever pays for a budget to raise it."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.ASK, {}, Wish(budget=name, to_usd=to_usd, why=why, session=session))
        one = answer["request"]
        who = one["decider"] or "whoever pays"
        asker.tell(
            answer, f"{one['id']}: {who} is asked to raise {one['name']} from ${one['from_usd']} to ${one['to_usd']}"
        )

    @app.command("requests")
    def list_requests(
        ctx: typer.Context,
        state: Annotated[str, typer.Option(help="waiting, approved, denied or withdrawn; all by default.")] = "",
    ) -> None:
        """List requests, those that wait first."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.REQUESTS, {"state": state})
        rows = (
            (one["id"], one["name"], one["from_usd"], one["to_usd"], one["by"], one["state"], one["why"])
            for one in answer["requests"]
        )
        asker.show(answer, ("id", "budget", "USD", "to USD", "by", "state", "why"), rows, "Nobody asks for more.")

    @app.command("radius")
    def show_radius(ctx: typer.Context, ident: Ident) -> None:
        """Say what the workflow could do wrong that a request concerns: read it before you approve."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.RADIUS, {"request": ident})
        asker.tell(answer, *(_radius_line(answer["radius"]) or [f"{ident} concerns no single workflow."]))


def _add_decisions(app: typer.Typer) -> None:
    @app.command()
    def approve(ctx: typer.Context, ident: Ident, note: Note = "") -> None:
        """Raise a budget as it was asked for. The first decision stands."""
        _decide(ctx, ident, "approved", note)

    @app.command()
    def deny(ctx: typer.Context, ident: Ident, note: Note = "") -> None:
        """Leave a budget as it is."""
        _decide(ctx, ident, "denied", note)

    @app.command()
    def withdraw(ctx: typer.Context, ident: Ident, note: Note = "") -> None:
        """Take back what you asked for."""
        _decide(ctx, ident, "withdrawn", note)


def _decide(ctx: typer.Context, ident: str, decision: str, note: str) -> None:
    asker = asker_of(ctx)
    answer = asker.ask(actions.DECIDE, {"request": ident}, actions.DecisionRequest(decision, note))
    radius = asker.ask(actions.RADIUS, {"request": ident})["radius"] if decision == "approved" else None
    asker.tell(
        answer | {"radius": radius},
        *_radius_line(radius),
        f"{ident} is {decision}; {answer['budget']['name']} has ${answer['budget']['cap_usd']}",
    )


def _radius_line(radius: dict[str, Any] | None) -> list[str]:
    return [f"Blast radius: {radius['sentence']}"] if radius else []


def _add_refusals(app: typer.Typer) -> None:
    @app.command()
    def refusals(ctx: typer.Context, budget: Of = "") -> None:
        """List what did not fit, by reason: false refusals first, and what was only observed beside what was refused."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.REFUSALS, {"budget": budget})
        counted = answer["reasons"]
        lines = [_reason(one) for one in counted]
        if asker.as_json:
            asker.tell(answer)
            return
        rows = (
            (
                _verdict(one["false"]), one["name"], one["reason"], one["mode"], one["need_usd"], one["spent_usd"],
                one["cap_usd"], moment(one["at_ms"]),
            )
            for one in answer["refusals"]
        )  # fmt: skip
        asker.tell(answer, *lines)
        columns = ("false", "budget", "reason", "mode", "needs USD", "spent USD", "of USD", "when")
        asker.show(answer, columns, rows, "Everything fitted.")

    @app.command()
    def reservations(ctx: typer.Context) -> None:
        """List what calls under way hold, the oldest first."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.RESERVATIONS)
        rows = (
            (
                one["name"],
                one["subject"],
                one["attempt"],
                one["usd"],
                one["output_tokens"],
                moment(one["at_ms"]),
            )
            for one in answer["reservations"]
        )
        columns = ("budget", "of", "attempt", "held USD", "tokens", "since")
        asker.show(answer, columns, rows, "Nothing is held.")


def _reason(one: dict[str, Any]) -> str:
    false = f"{one['false']} of them false" if one["false"] else "none of them false"
    unknown = f", {one['unknown']} not known yet" if one["unknown"] else ""
    what = "observed" if one["mode"] == "observe" else "refused"
    return f"{one['reason']}: {one['refused']} {what}, {false}{unknown}"


def _verdict(false: bool | None) -> str:
    return "not known" if false is None else "FALSE" if false else "no"


def _add_watching(app: typer.Typer) -> None:
    @app.command()
    def alerts(ctx: typer.Context) -> None:
        """List who was told of what, the newest first."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.ALERTS)
        rows = ((moment(one["at_ms"]), one["kind"], _sent(one), one["text"]) for one in answer["alerts"])
        asker.show(answer, ("when (UTC)", "kind", "told by", "what"), rows, "Nobody had to be told of anything.")

    @app.command()
    def forecast(ctx: typer.Context, budget: Of = "") -> None:
        """Say what will have been spent when windows end, beside how often such forecasts were right."""
        asker = asker_of(ctx)
        answer = asker.ask(actions.FORECAST, {"budget": budget})
        columns = ("budget", "days", "P10 USD", "P50 USD", "P90 USD", "line USD", "over", "right")
        rows = list(map(_forecast, answer["forecasts"]))
        asker.show(answer, columns, rows, "No budget has a window that ends.")
        if rows and not asker.as_json:
            asker.tell(answer, *_notes(answer["forecasts"]))


def _sent(one: dict[str, Any]) -> str:
    return ", ".join(f"{way}: {delivery['state']}" for way, delivery in one["sent"].items()) or "nobody"


def _forecast(one: dict[str, Any]) -> tuple[str, ...]:
    name = one["account"]["subject"] or one["account"]["budget"]["name"]
    amounts = (one[f"{part}_usd"] or "unknown" for part in ("p10", "p50", "p90", "naive"))
    test = one["back_test"]
    right = f"{test['inside']} of {test['n']}" if test else "unknown"
    return (name, str(one["days"]), *amounts, share(one["over_ppm"]), right)


def _notes(forecasts: list[dict[str, Any]]) -> Iterator[str]:
    for one in forecasts:
        name, test = one["account"]["budget"]["name"], one["back_test"]
        if one["unknown"]:
            yield f"{name}: unknown: {one['unknown']}"
        elif test is not None:
            yield (
                f"{name} ({manner(one['account']['budget'])}): made from {test['n']} past days for {test['horizon_days']} days"
                f" ahead, {test['separate']} of them apart; median error {share(test['error_ppm'])}, of the straight line"
                f" {share(test['naive_error_ppm'])}"
            )
