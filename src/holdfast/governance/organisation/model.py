"""The organisation's tree: units, each in one place at a time, and whose a piece of work is. Pure.

A unit's places are periods that follow each other without overlap. What is asked about a moment is answered by the periods
that hold it, so moving a team changes nothing that was before.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

import msgspec

from holdfast.governance import labels, limits

UnitKind = Literal["organisation", "cost_centre", "team", "workflow", "user"]
_LABEL: Final = "label_"
"""Before the name of a label that says otherwise than the tree: a tag that nobody else writes, for gates read it."""
KINDS: Final[tuple[UnitKind, ...]] = ("organisation", "cost_centre", "team", "workflow", "user")
Stage = Literal["", "chat", "pilot", "stateful"]
STAGES: Final[tuple[Stage, ...]] = ("", "chat", "pilot", "stateful")
ROOT: Final = "organisation"
"""Name under which the organisation's own unit is kept; what people call it is its title."""


class Unit(msgspec.Struct, frozen=True):
    """A part of the organisation, as it stands for a while.

    Attributes:
        name: within its kind; of a user the pseudonym.
        title: what people call it.
        parent: the team it is in; empty for one directly below the organisation.
        cost_centre: that pays for it; empty: that of the team.
        tags: further dimensions of its work.
        zone, currency: of the organisation only: IANA name and ISO 4217 code.
    """

    kind: UnitKind
    name: str
    title: str = ""
    parent: str = ""
    cost_centre: str = ""
    tags: dict[str, str] = {}
    zone: str = ""
    currency: str = ""


class Period(msgspec.Struct, frozen=True):
    """How a unit stands from one moment to another, Unix ms; ``until_ms`` None: from then on. Who said so, and when."""

    unit: Unit
    since_ms: int
    until_ms: int | None = None
    set_by: str = ""
    set_ms: int = 0

    def holds(self, at_ms: int) -> bool:
        """Whether the moment lies in it."""
        return self.since_ms <= at_ms and (self.until_ms is None or at_ms < self.until_ms)


class Workflow(msgspec.Struct, frozen=True):
    """A workflow beside its place in the tree.

    Attributes:
        owner, deputy: who answers for it; persons' names, empty for none.
        stage: the declared one.
        declared: False for one that only callers have named: its work is ``unassigned``.
        first_ms, last_ms: when it was declared or seen first, and changed or seen last.
    """

    name: str
    owner: str = ""
    deputy: str = ""
    stage: Stage = ""
    declared: bool = True
    first_ms: int = 0
    last_ms: int = 0


class Whose(msgspec.Struct, frozen=True):
    """Whose a piece of work is.

    Attributes:
        organisation: its name; empty while none is described.
        workflow: ``unassigned`` when the label names none that is declared.
        usage: ``seated``, ``headless`` or empty.
        person: a pseudonym; empty for nobody.
        tags: of the teams, of the workflow and of labels with other names, the nearest winning; ``label_workflow``,
            ``label_team`` and ``label_cost_centre`` hold what a label said where the tree says otherwise; ``interactive`` is
            ``yes`` where the label ``sign_in`` is recent, ``test`` of work under a label that says so.
    """

    organisation: str = ""
    team: str = ""
    workflow: str = labels.UNASSIGNED
    cost_centre: str = ""
    usage: str = ""
    person: str = ""
    tags: dict[str, str] = {}


DEFAULT: Final = Unit("organisation", ROOT, zone="UTC", currency="USD")
"""An organisation that nobody has described."""

Timelines = Mapping[tuple[UnitKind, str], tuple[Period, ...]]
"""The periods of each unit, in order."""


class Tree:
    """All units of one tenant, at all times."""

    def __init__(self, periods: Iterable[Period] = ()) -> None:
        gathered: dict[tuple[UnitKind, str], list[Period]] = {}
        for period in periods:
            gathered.setdefault((period.unit.kind, period.unit.name), []).append(period)
        self.timelines: Timelines = {
            key: tuple(sorted(some, key=lambda period: period.since_ms)) for key, some in gathered.items()
        }
        self._starts = {key: [p.since_ms for p in some] for key, some in self.timelines.items()}

    def find(self, kind: UnitKind, name: str, at_ms: int) -> Unit | None:
        """A unit as it stands at a moment; None when it is not there then."""
        starts = self._starts.get((kind, name))
        if starts is None:
            return None
        place = bisect.bisect_right(starts, at_ms) - 1
        if place < 0:
            return None
        period = self.timelines[kind, name][place]
        return period.unit if period.holds(at_ms) else None

    def organisation(self, at_ms: int) -> Unit:
        """The organisation's own unit; ``DEFAULT`` while nobody has described one. What was described later holds for
        all the time before, too: days before the first description have a time zone, the same one."""
        found = self.find("organisation", ROOT, at_ms)
        if found is not None:
            return found
        timeline = self.timelines.get(("organisation", ROOT))
        return timeline[0].unit if timeline else DEFAULT

    def at(self, at_ms: int) -> Iterator[Unit]:
        """Every unit that is there at a moment, by kind and name."""
        for kind, name in sorted(self.timelines, key=lambda key: (KINDS.index(key[0]), key[1])):
            unit = self.find(kind, name, at_ms)
            if unit is not None:
                yield unit

    def teams(self, team: str, at_ms: int) -> list[Unit]:
        """A team and the teams it is in, the innermost first. Bounded, whatever the tree is."""
        found: list[Unit] = []
        while team and len(found) < limits.ORG_DEPTH:
            unit = self.find("team", team, at_ms)
            if unit is None:
                break
            found.append(unit)
            team = unit.parent
        return found

    def whose(self, claims: Mapping[str, str], at_ms: int, person: str = "") -> Whose:
        """Whose a piece of work with these labels is at a moment.

        The workflow's place in the tree says which team it is of, so that a workflow that moves needs no new keys; a
        label's team counts where there is no such workflow, and the person's own team after that. A cost centre that a
        label names counts when it is one, or when none are described; else the workflow's, else that of the nearest team.

        Args:
            claims: labels, by name.
            person: pseudonym of whoever the label ``user`` names.
        """
        workflow = self.find("workflow", claims.get(labels.WORKFLOW, ""), at_ms)
        team = self._team(workflow, claims, at_ms, person)
        chain = self.teams(team, at_ms)
        centre = self._centre(workflow, chain, claims, at_ms)
        tags = {name: value for unit in reversed(chain) for name, value in unit.tags.items()}
        tags |= workflow.tags if workflow is not None else {}
        tags |= {name: value for name, value in claims.items() if name not in labels.NAMES}
        tags = {
            name: value for name, value in tags.items() if not name.startswith(_LABEL)
        }  # written below, and only there
        tags.pop(labels.INTERACTIVE, None)  # only a sign-in says so
        if labels.is_interactive(claims, at_ms):
            tags[labels.INTERACTIVE] = "yes"
        tags.pop(labels.TEST, None)  # no unit makes real work a test
        if claims.get(labels.TEST) == "yes":
            tags[labels.TEST] = "yes"
        name = labels.UNASSIGNED if workflow is None else workflow.name
        for label, value in ((labels.WORKFLOW, name), (labels.TEAM, team), (labels.COST_CENTRE, centre)):
            if claims.get(label, value) != value:
                tags[_LABEL + label] = claims[label]
        organisation = self.organisation(at_ms)
        usage = claims.get(labels.USAGE, "")
        return Whose(
            organisation.title,
            team,
            name,
            centre,
            usage if usage in labels.USAGES else "",
            person,
            tags,
        )

    def _team(self, workflow: Unit | None, claims: Mapping[str, str], at_ms: int, person: str) -> str:
        if workflow is not None:
            return workflow.parent
        if self.find("team", claims.get(labels.TEAM, ""), at_ms) is not None:
            return claims[labels.TEAM]
        user = self.find("user", person, at_ms) if person else None
        return user.parent if user is not None and self.find("team", user.parent, at_ms) is not None else ""

    def _centre(self, workflow: Unit | None, chain: list[Unit], claims: Mapping[str, str], at_ms: int) -> str:
        label = claims.get(labels.COST_CENTRE, "")
        if label and (self.find("cost_centre", label, at_ms) is not None or not self.has("cost_centre")):
            return label
        units = [workflow, *chain] if workflow is not None else chain
        return next((unit.cost_centre for unit in units if unit.cost_centre), "")

    def has(self, kind: UnitKind) -> bool:
        """Whether any unit of a kind was ever described."""
        return any(key[0] == kind for key in self.timelines)
