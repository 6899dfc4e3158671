"""``holdfast models``: what each model served, what that cost, and how much of its work was accepted."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from holdfast.governance.asking import STORE, Asker, JsonOutput, ServerToken, ServerUrl, StoreUrl, Target, Tenant
from holdfast.governance.ledger import desk as ledger
from holdfast.governance.money import show
from holdfast.governance.opening import ledger_desk
from holdfast.governance.routing import commands as routing_commands
from holdfast.governance.routing import desk as routing

_COUNTS = ("n", "accepted", "rejected", "escalated")


def models(
    ctx: typer.Context,
    since: Annotated[str, typer.Option(help="First day; the month's first by default.")] = "",
    until: Annotated[str, typer.Option(help="Last day; today by default.")] = "",
    governance: StoreUrl = STORE, url: ServerUrl = "", token: ServerToken = "",
    tenant: Tenant = "default", as_json: JsonOutput = False,
) -> None:  # fmt: skip
    """What each model served, what it cost, and how much of its work people and checks accepted (of the last 90 days)."""
    target = Target(governance, url, token, tenant, as_json)
    spend = Asker(ctx.obj, target, ledger.ROOT, ledger_desk)
    served = spend.ask(ledger.SPEND, {"by": "model", "since": since, "until": until})
    report = Asker(ctx.obj, target, routing.ROOT, routing_commands.opened).ask(routing.REPORT)
    found = joined(served["groups"], report["models"])
    columns = ("model", "calls", "billed USD", "judged", "accepted", "rejected", "escalated")
    rows = [
        (one["model"], f"{one['calls']:,}", _usd(one["billed_nano"]), one["n"], _share(one), one["rejected"], one["escalated"])
        for one in found
    ]  # fmt: skip
    spend.show({"models": found}, columns, rows, "no model served anything in these days")


def joined(groups: list[dict[str, Any]], judged: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was served beside what became of it, by model, the dearest first. ``billed_nano`` None: nothing was billed in
    these days, or it is not known."""
    found: dict[str, dict[str, Any]] = {}
    for group in groups:
        name = group["values"][0] if group["values"] else ""
        figures = group["figures"]
        one = found.setdefault(name, _nothing(name))
        one["calls"] += figures["rows"]
        if figures["unpriced"] < figures["rows"]:
            one["billed_nano"] = (one["billed_nano"] or 0) + figures["billed_nano"]
    for row in judged:
        one = found.setdefault(row["model"], _nothing(row["model"]))
        for name in _COUNTS:
            one[name] += row[name]
    return sorted(found.values(), key=lambda one: (-(one["billed_nano"] or 0), one["model"]))


def _nothing(name: str) -> dict[str, Any]:
    return {"model": name, "calls": 0, "billed_nano": None, **dict.fromkeys(_COUNTS, 0)}


def _usd(nano: int | None) -> str:
    return "unknown" if nano is None else show(nano)


def _share(one: dict[str, Any]) -> str:
    return f"{one['accepted']} ({one['accepted'] / one['n']:.0%})" if one["n"] else "unknown"
