"""What is asked of budgets, by REST and on the command line."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.actions import ActionCall, DomainAction
from holdfast.governance.budgets.alerts.store import list_alerts
from holdfast.governance.budgets.definitions import BudgetTerms
from holdfast.governance.budgets.desk import BudgetDesk
from holdfast.governance.budgets.outlook import outlook
from holdfast.governance.budgets.requests import Requester, Wish

ROOT: Final = "/v1/x/governance/budgets"


class SetRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Make a budget, or change what the terms name."""

    name: str
    terms: BudgetTerms


class BrakeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of a workflow's running answers that get no more money."""

    workflow: str
    policy: str
    wait_s: int = 300


class DecisionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``approved``, ``denied``, or ``withdrawn`` by whoever asked."""

    decision: str
    note: str = ""


async def list_budgets(desk: BudgetDesk, call: ActionCall) -> Any:
    """Every budget with its money now."""
    return await desk.list(call.tenant, _number(call, "limit", limits.BUDGET_ROWS))


async def show(desk: BudgetDesk, call: ActionCall) -> Any:
    """One of them, with what was changed."""
    return await desk.show(call.tenant, call.facts["budget"])


async def set_budget(desk: BudgetDesk, call: ActionCall) -> Any:
    """Make or change one."""
    body: SetRequest = call.body
    return await desk.set(call.tenant, body.name, body.terms, call.by)


async def import_file(desk: BudgetDesk, call: ActionCall) -> Any:
    """Set all budgets of a file."""
    return {"set": await desk.import_file(call.tenant, call.body, call.by)}


async def end(desk: BudgetDesk, call: ActionCall) -> Any:
    """End one."""
    return await desk.end(call.tenant, call.facts["budget"], call.by)


async def brakes(desk: BudgetDesk, call: ActionCall) -> Any:
    """The rules."""
    return await desk.brakes(call.tenant)


async def brake(desk: BudgetDesk, call: ActionCall) -> Any:
    """Say one."""
    body: BrakeRequest = call.body
    return await desk.brake(call.tenant, body.workflow, body.policy, body.wait_s, call.by)


async def reservations(desk: BudgetDesk, call: ActionCall) -> Any:
    """What is held now."""
    return await desk.reservations(call.tenant)


async def refusals(desk: BudgetDesk, call: ActionCall) -> Any:
    """What did not fit."""
    since_ms = _number(call, "since_ms", 0, limits.MONEY_NANO)
    return await desk.refusals(call.tenant, call.facts["budget"], since_ms, _number(call, "limit", limits.BUDGET_ROWS))


async def ask(desk: BudgetDesk, call: ActionCall) -> Any:
    """Ask for more."""
    return await desk.ask(_asker(call), call.body)


async def list_requests(desk: BudgetDesk, call: ActionCall) -> Any:
    """Requests that somebody may see."""
    return await desk.requests(_asker(call), call.facts["state"], _number(call, "limit", limits.BUDGET_ROWS))


async def decide(desk: BudgetDesk, call: ActionCall) -> Any:
    """Decide one."""
    body: DecisionRequest = call.body
    return await desk.decide(_asker(call), call.facts["request"], body.decision, body.note)


async def radius(desk: BudgetDesk, call: ActionCall) -> Any:
    """What the workflow of one could do wrong."""
    return await desk.radius(_asker(call), call.facts["request"])


async def alerts(desk: BudgetDesk, call: ActionCall) -> Any:
    """Who was told of what."""
    limit = _number(call, "limit", limits.BUDGET_ROWS)
    found = await desk.registry.store.read(lambda connection: list_alerts(connection, call.tenant, limit))
    return {"alerts": msgspec.to_builtins(found)}


async def forecasts(desk: BudgetDesk, call: ActionCall) -> Any:
    """What will have been spent when windows end."""
    budget = await desk.id_of(call.tenant, call.facts["budget"])
    return await outlook(
        desk.registry, desk.organisation, call.tenant, budget, _number(call, "limit", limits.BUDGET_ROWS)
    )


def _asker(call: ActionCall) -> Requester:
    return Requester(call.by, call.tenant, call.principal)


def _number(call: ActionCall, name: str, default: int, most: int | None = None) -> int:
    text = call.facts[name]
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) <= (most or default)):
        raise Refused("input.malformed", f"{name} {text!r:.40}: a whole number up to {most or default:,}")
    return int(text)


LIST: Final = DomainAction(
    "list", "GET", "", "spend", "Budgets: each with its money now", list_budgets, query=("limit",)
)
SET: Final = DomainAction("set", "POST", "", "budget", "Budgets: make one, or change one", set_budget, SetRequest)
IMPORT: Final = DomainAction(
    "import", "POST", "/import", "budget", "Budgets: set all of a file, or none", import_file, bytes,
    body_bytes=limits.BUDGET_IMPORT_BYTES,
)  # fmt: skip
BRAKES: Final = DomainAction("brakes", "GET", "/brakes", "spend", "Budgets: what becomes of running answers", brakes)
BRAKE: Final = DomainAction(
    "brake",
    "POST",
    "/brakes",
    "budget",
    "Budgets: say what becomes of a workflow's running answers",
    brake,
    BrakeRequest,
)
REQUESTS: Final = DomainAction(
    "requests", "GET", "/requests", "", "Budgets: requests for more: all, or one's own and those one decides",
    list_requests, query=("state", "limit"),
)  # fmt: skip
ASK: Final = DomainAction("request", "POST", "/requests", "", "Budgets: ask the payer of one for more", ask, Wish)
DECIDE: Final = DomainAction(
    "decide", "POST", "/requests/{request}/decision", "", "Budgets: decide a request; the first decision stands", decide,
    DecisionRequest,
)  # fmt: skip
RADIUS: Final = DomainAction(
    "radius", "GET", "/requests/{request}/radius", "",
    "Budgets: what the workflow could do wrong that a request concerns", radius,
)  # fmt: skip
REFUSALS: Final = DomainAction(
    "refusals", "GET", "/refusals", "spend", "Budgets: what did not fit, false refusals first", refusals,
    query=("budget", "since_ms", "limit"),
)  # fmt: skip
RESERVATIONS: Final = DomainAction(
    "reservations", "GET", "/reservations", "spend", "Budgets: what calls under way hold", reservations
)
ALERTS: Final = DomainAction(
    "alerts", "GET", "/alerts", "spend", "Budgets: who was told of what", alerts, query=("limit",)
)
FORECAST: Final = DomainAction(
    "forecast", "GET", "/forecast", "spend", "Budgets: what will have been spent when windows end", forecasts,
    query=("budget", "limit"),
)  # fmt: skip
SHOW: Final = DomainAction("show", "GET", "/of/{budget}", "spend", "Budgets: one, its money and its changes", show)
END: Final = DomainAction("end", "POST", "/of/{budget}/end", "budget", "Budgets: end one", end)
ACTIONS: Final = (
    LIST, SET, IMPORT, BRAKES, BRAKE, REQUESTS, ASK, RADIUS, DECIDE, REFUSALS, RESERVATIONS, ALERTS, FORECAST, SHOW, END,
)  # fmt: skip
