"""The company as data: ``company.yaml``, read and completed by chance with a seed (who works there, who uses what)."""

from __future__ import annotations

import datetime
import random
from typing import Any, Final, Literal

import msgspec

from holdfast.company.files import load
from holdfast.company.provider.books import Rate
from holdfast.governance.routing.model import ROUTE

AgentKind = Literal["answer", "tools", "crew", "batch", "program", "chat", "brake"]
_FIRST: Final = [
    "ada",
    "ben",
    "cleo",
    "dora",
    "emil",
    "fenja",
    "gerd",
    "hanna",
    "ida",
    "jonas",
    "kira",
    "lars",
    "mira",
    "nils",
    "olga",
    "paul",
    "ruth",
    "sven",
    "tilda",
    "udo",
    "vera",
    "wim",
    "xenia",
    "yara",
    "zoe",
]
_LAST: Final = [
    "berg",
    "dahl",
    "engel",
    "falk",
    "graf",
    "holm",
    "jansen",
    "koch",
    "lund",
    "moll",
    "nagel",
    "otto",
    "pohl",
    "quist",
    "roth",
    "sander",
]
SCHEDULER: Final = "scheduler"
"""Who asks for what no person waits for."""


class Team(msgspec.Struct, frozen=True):
    """A team and how many people are in it."""

    name: str
    title: str
    cost_centre: str
    people: int


class WorkflowDescription(msgspec.Struct, frozen=True):
    """A workflow; company.yaml says what its fields mean."""

    name: str
    team: str
    agent: AgentKind
    model: str
    task: str
    daily: float
    turns: float
    prompt: int
    document: int
    words: int
    stage: str
    rounds: int = 1
    regulars: int = 0
    usage: str = "seated"
    weekend: float = 0.08
    since: datetime.date | None = None
    cheaper: str = ""
    routed: bool = False

    @property
    def models(self) -> tuple[str, ...]:
        """What its keys may ask for."""
        return tuple(name for name in (self.model, self.cheaper, self.route) if name)

    @property
    def route(self) -> str:
        """What is asked for in place of a model; empty where a model is."""
        return f"{ROUTE}{self.name}" if self.routed else ""


class UpstreamDescription(msgspec.Struct, frozen=True):
    """An upstream of the gateway, and the name of the provider's key that it has."""

    name: str
    provider: str
    shape: str
    key: str
    models: tuple[str, ...]


class Company(msgspec.Struct, frozen=True):
    """Everything that ``company.yaml`` says."""

    name: str
    time_zone: str
    first_day: datetime.date
    days: int
    people: int
    cost_centres: tuple[dict[str, str], ...]
    teams: tuple[Team, ...]
    workflows: tuple[WorkflowDescription, ...]
    upstreams: tuple[UpstreamDescription, ...]
    rates: tuple[Rate, ...]

    @property
    def last_day(self) -> datetime.date:
        """The last of its days."""
        return self.first_day + datetime.timedelta(days=self.days - 1)

    def workflow(self, name: str) -> WorkflowDescription:
        """A workflow by name. Raises ``StopIteration`` for none."""
        return next(one for one in self.workflows if one.name == name)


class Staff:
    """The people: who is in which team, and who uses which workflow.

    Args:
        company: where they work.
        seed: everything follows from it.
    """

    def __init__(self, company: Company, seed: int) -> None:
        chance = random.Random(f"staff {seed}")
        names = [f"{first}.{last}" for first in _FIRST for last in _LAST]
        chance.shuffle(names)
        self.teams: dict[str, list[str]] = {}
        for team in company.teams:
            self.teams[team.name], names = names[: team.people], names[team.people :]
        self.regulars: dict[str, list[str]] = {}
        self.owners: dict[str, tuple[str, str]] = {}
        for workflow in company.workflows:
            people = self.teams[workflow.team]
            self.owners[workflow.name] = (
                chance.choice(people[: len(people) // 2]),
                chance.choice(people[len(people) // 2 :]),
            )
            regulars = chance.sample(people, min(workflow.regulars, len(people)))
            self.regulars[workflow.name] = regulars or [SCHEDULER]


def described() -> Company:
    """The company."""
    company: Company = load("company.yaml", Company)
    return company


def organisation(company: Company, staff: Staff) -> dict[str, Any]:
    """The organisation as ``holdfast org import`` reads it, which is YAML."""
    return {
        "organisation": {"name": company.name, "time_zone": company.time_zone, "currency": "USD"},
        "cost_centres": [dict(one) for one in company.cost_centres],
        "teams": [{"name": t.name, "title": t.title, "cost_centre": t.cost_centre} for t in company.teams],
        "workflows": [
            {
                "name": w.name, "team": w.team, "owner": staff.owners[w.name][0], "deputy": staff.owners[w.name][1],
                "stage": w.stage,
            }
            for w in company.workflows
        ],
        "users": [{"name": name, "team": team} for team, people in staff.teams.items() for name in people],
    }  # fmt: skip
