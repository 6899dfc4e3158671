"""What is asked of the organisation, by REST and on the command line."""

from __future__ import annotations

import datetime
from typing import Any, Final, cast

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.actions import ActionCall, DomainAction
from holdfast.governance.organisation.dates import parse_day
from holdfast.governance.organisation.document import Format, parse
from holdfast.governance.organisation.model import UnitKind
from holdfast.governance.organisation.service import Organisation

ROOT: Final = "/v1/x/governance/organisation"
_FORMATS: Final = ("yaml", "csv")
_MOVABLE: Final = ("team", "workflow", "user")


class MoveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Let a unit be in another team from a day on, today by default."""

    kind: str
    name: str
    team: str
    since: str = ""
    dry_run: bool = False


class ForgetRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose name is to be deleted."""

    person: str


async def show(organisation: Organisation, call: ActionCall) -> Any:
    """The tree of a day, without people."""
    day = _day(call.facts["at"], "at") or organisation.today(call.tenant)
    units = organisation.at(day, call.tenant)
    own = next((unit for unit in units if unit.kind == "organisation"), None)
    return {
        "day": day.isoformat(),
        "name": own.title if own else "",
        "time_zone": organisation.zone(call.tenant).key,
        "currency": organisation.currency(call.tenant),
        "units": [
            {
                "kind": unit.kind,
                "name": unit.name,
                "title": unit.title,
                "team": unit.parent,
                "cost_centre": unit.cost_centre,
                "tags": unit.tags,
            }
            for unit in units
            if unit.kind not in ("organisation", "user")
        ],
    }


async def list_workflows(organisation: Organisation, call: ActionCall) -> Any:
    """The workflows, those that nobody declared among them."""
    return {"workflows": organisation.workflows(call.tenant)}


async def list_people(organisation: Organisation, call: ActionCall) -> Any:
    """Who is behind which pseudonym, and in which team they are today."""
    day = organisation.today(call.tenant)
    teams = {unit.name: unit.parent for unit in organisation.at(day, call.tenant) if unit.kind == "user"}
    return {
        "people": [
            {"person": person, "pseudonym": pseudonym, "team": teams.get(pseudonym, "")}
            for pseudonym, person in organisation.people(call.tenant)
        ]
    }


async def change(organisation: Organisation, call: ActionCall) -> Any:
    """Let it be as a file describes it."""
    form = call.facts["format"] or "yaml"
    if form not in _FORMATS:
        raise Refused("input.malformed", f"format {form!r:.20}: yaml or csv")
    lines = await organisation.change(
        parse(call.body, cast(Format, form)),
        since=_day(call.facts["since"], "since"),
        by=call.by,
        complete=_flag(call, "complete"),
        dry_run=_flag(call, "dry_run"),
        tenant=call.tenant,
    )
    return {"changes": lines}


async def move(organisation: Organisation, call: ActionCall) -> Any:
    """Let a unit be in another team."""
    body: MoveRequest = call.body
    if body.kind not in _MOVABLE:
        raise Refused("input.malformed", f"kind {body.kind!r:.20}: {', '.join(_MOVABLE)}")
    lines = await organisation.move(
        cast(UnitKind, body.kind),
        body.name,
        body.team,
        since=_day(body.since, "since"),
        by=call.by,
        dry_run=body.dry_run,
        tenant=call.tenant,
    )
    return {"changes": lines}


async def forget(organisation: Organisation, call: ActionCall) -> Any:
    """Delete somebody's name."""
    return {"pseudonyms": await organisation.forget(call.body.person, call.tenant)}


def _day(text: str, name: str) -> datetime.date | None:
    return parse_day(text, name) if text else None


def _flag(call: ActionCall, name: str) -> bool:
    value = call.facts[name]
    if value not in ("", "0", "1"):
        raise Refused("input.malformed", f"{name}: 1, or leave it out")
    return value == "1"


SHOW: Final = DomainAction("show", "GET", "", "spend", "Organisation: its units on a day", show, query=("at",))
WORKFLOWS: Final = DomainAction(
    "workflows", "GET", "/workflows", "spend", "Organisation: its workflows", list_workflows
)
PEOPLE: Final = DomainAction(
    "people", "GET", "/people", "budget", "Organisation: who is behind which pseudonym", list_people
)
CHANGE: Final = DomainAction(
    "import",
    "POST",
    "/import",
    "budget",
    "Organisation: let it be as a file describes it",
    change,
    bytes,
    ("format", "since", "complete", "dry_run"),
    limits.ORG_IMPORT_BYTES,
)
MOVE: Final = DomainAction(
    "move", "POST", "/move", "budget", "Organisation: move a team, a workflow or a user", move, MoveRequest
)
FORGET: Final = DomainAction(
    "forget", "POST", "/forget", "admin", "Organisation: delete a person's name; rows stay", forget, ForgetRequest
)
ACTIONS: Final = (SHOW, WORKFLOWS, PEOPLE, CHANGE, MOVE, FORGET)
