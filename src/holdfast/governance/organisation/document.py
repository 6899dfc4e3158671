"""A file that describes an organisation: YAML with a list for each kind, or CSV with a row for each unit. Pure.

In YAML::

    organisation: {name: Acme, time_zone: Europe/Berlin, currency: EUR}
    cost_centres: [{name: "4711", title: Sales}]
    teams: [{name: sales, cost_centre: "4711", tags: {region: emea}}, {name: inside-sales, team: sales}]
    workflows: [{name: answer-mail, team: inside-sales, owner: ann, deputy: bob, stage: pilot}]
    users: [{name: ann, team: inside-sales}]

In CSV the columns are ``kind,name,title,team,cost_centre,owner,deputy,stage,tags,time_zone,currency``, in any order and as
many as are needed; tags are ``region=emea;tier=gold``.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Any, Final, Literal

import msgspec
import yaml  # type: ignore[import-untyped]

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.organisation.dates import zone_of
from holdfast.governance.organisation.model import ROOT, Stage, Unit, Workflow
from holdfast.governance.organisation.planning import Described

Format = Literal["yaml", "csv"]
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_COLUMNS: Final = (
    "kind", "name", "title", "team", "cost_centre", "owner", "deputy", "stage", "tags", "time_zone", "currency",
)  # fmt: skip
_LISTS: Final = {"cost_centre": "cost_centres", "team": "teams", "workflow": "workflows", "user": "users"}


class _Organisation(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    time_zone: str = "UTC"
    currency: str = "USD"


class _Centre(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    title: str = ""
    tags: dict[str, str] = {}


class _Team(_Centre, forbid_unknown_fields=True):
    team: str = ""
    cost_centre: str = ""


class _Workflow(_Team, forbid_unknown_fields=True):
    owner: str = ""
    deputy: str = ""
    stage: Stage = ""


class _User(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    team: str = ""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    organisation: _Organisation | None = None
    cost_centres: list[_Centre] = []
    teams: list[_Team] = []
    workflows: list[_Workflow] = []
    users: list[_User] = []


class OrganisationFile(msgspec.Struct, frozen=True):
    """What a file says: units without people, workflows, and people by name with their team."""

    described: Described
    users: dict[str, str] = {}


def parse(data: bytes, format: Format) -> OrganisationFile:
    """What a file describes.

    Raises:
        Refused: ``input.too_large``, or ``org.invalid`` with the line or the field that is wrong.
    """
    if len(data) > limits.ORG_IMPORT_BYTES:
        raise Refused("input.too_large", f"the file is larger than {limits.ORG_IMPORT_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("org.invalid", f"the file is no UTF-8 text (byte {error.start})") from None
    raw = _yaml(text) if format == "yaml" else _csv(text)
    try:
        file = msgspec.convert(raw, _File)
    except msgspec.ValidationError as error:
        raise Refused("org.invalid", f"the file: {error}") from None
    units = len(file.cost_centres) + len(file.teams) + len(file.workflows) + len(file.users)
    if units > limits.ORG_UNITS:
        raise Refused("input.too_large", f"the file describes more than {limits.ORG_UNITS:,} units")
    return _described(file)


def _described(file: _File) -> OrganisationFile:
    units: list[Unit] = []
    if file.organisation is not None:
        zone_of(file.organisation.time_zone)
        if not _CURRENCY.fullmatch(file.organisation.currency):
            raise Refused(
                "org.invalid", f"currency {file.organisation.currency!r:.20}: write the ISO 4217 code, as EUR"
            )
        organisation = file.organisation
        units.append(
            Unit("organisation", ROOT, organisation.name, zone=organisation.time_zone, currency=organisation.currency)
        )
    units += [Unit("cost_centre", one.name, one.title, tags=one.tags) for one in file.cost_centres]
    units += [Unit("team", one.name, one.title, one.team, one.cost_centre, one.tags) for one in file.teams]
    units += [Unit("workflow", one.name, one.title, one.team, one.cost_centre, one.tags) for one in file.workflows]
    workflows = tuple(Workflow(one.name, one.owner, one.deputy, one.stage) for one in file.workflows)
    users: dict[str, str] = {}
    for user in file.users:
        if user.name in users:
            raise Refused("org.invalid", f"user {user.name!r:.140} is described twice")
        users[user.name] = user.team
    return OrganisationFile(Described(tuple(units), workflows), users)


class PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Plain YAML: an alias could make a short file a very large value, and names nothing that is needed here."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read")
        return super().compose_node(parent, index)


PlainLoader.yaml_implicit_resolvers = {}
"""Every plain value is a text: ``0815`` stays a cost centre, and ``no`` a name."""


def _yaml(text: str) -> Any:
    try:
        return yaml.load(text, Loader=PlainLoader) or {}
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise Refused("org.invalid", f"the file is no YAML: {where}{error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Refused("org.invalid", f"the file is no YAML that is read here: {str(error)[:200]}") from None


def _csv(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {name: [] for name in _LISTS.values()}
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        columns = set(rows.fieldnames or ())
        if "kind" not in columns or "name" not in columns or not columns <= set(_COLUMNS):
            raise Refused("org.invalid", f"the file's columns are {', '.join(_COLUMNS)}; kind and name at least")
        for row in rows:
            if None in row:
                raise Refused("org.invalid", f"line {rows.line_num}: more values than columns")
            values = {name: value.strip() for name, value in row.items() if value and value.strip()}
            if values:
                _add(found, values, rows.line_num)
    except csv.Error as error:
        raise Refused("org.invalid", f"the file is no CSV: {error}") from None
    return found


def _add(found: dict[str, Any], values: dict[str, Any], line: int) -> None:
    kind = values.pop("kind", "")
    if "tags" in values:
        values["tags"] = dict(_tag(part, line) for part in values["tags"].split(";") if part.strip())
    if kind == "organisation":
        found["organisation"] = values
    elif kind in _LISTS:
        found[_LISTS[kind]].append(values)
    else:
        raise Refused("org.invalid", f"line {line}: kind {kind!r:.40} is none of organisation, {', '.join(_LISTS)}")


def _tag(part: str, line: int) -> tuple[str, str]:
    name, sign, value = part.partition("=")
    if not sign:
        raise Refused("org.invalid", f"line {line}: tag {part!r:.80}: write NAME=VALUE;NAME=VALUE")
    return name.strip(), value.strip()
