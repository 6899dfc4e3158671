"""What happens on a day: who asks whom for what, in which order. Pure: it follows from the company, the plants and a seed.

A day is a row of rounds: hours at which people begin to work. The conversations of one round go on side by side, turn after
turn; the next round begins when all of them are over.
"""

from __future__ import annotations

import datetime
import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from holdfast.company import calendar
from holdfast.company.description import AgentKind, Company, Staff, WorkflowDescription
from holdfast.company.plants import Plants
from holdfast.company.words import sentences

Deed = Literal["ask", "again", "edit", "chat", "program", "cut", "outside", "stranger"]
"""What is done: somebody asks an agent; has an answer made again; asks in other words; asks a model in a session; a program asks a model; the same,
and leaves; a program asks a provider with a key of its own; somebody comes with a key that nobody knows."""
ROUND_MS: Final = 240_000
"""The most that a round lasts: less than a provider keeps a prompt in its cache, however slow the machine is."""
_RUNAWAY_AT_ONCE: Final = 12


class PlannedTurn(msgspec.Struct, frozen=True):
    """One thing that is done.

    Attributes:
        session: in which it is done; empty for what has none.
        first: whether the session begins with it.
        person: who does it.
        text: what is said.
        hints: for the agent and the model: ``rounds``, ``words``, ``stall``, ``document`` (tokens to look at).
        past: whether the provider is asked past the gateway.
        stamp: what the instructions begin with.
        reads: whether the person reads the answer, and a mark says so.
        plant: the name of the plant that shows in the ledger's rows of this session.
        model: that is asked for, where it is not the workflow's own.
        verdicts: what the person would say of the answer of each model; empty where nobody says anything.
    """

    deed: Deed
    workflow: str
    person: str
    text: str
    session: str = ""
    first: bool = False
    hints: dict[str, int] = {}
    past: bool = False
    stamp: str = ""
    reads: bool = False
    plant: str = ""
    model: str = ""
    verdicts: dict[str, str] = {}


Talk = tuple[PlannedTurn, ...]
"""A conversation, or whatever somebody does, turn after turn."""


class Round(msgspec.Struct, frozen=True):
    """Conversations that begin at one time, Unix ms, and how long they may last."""

    at_ms: int
    talks: tuple[Talk, ...]
    most_ms: int = ROUND_MS


class Planner:
    """Plans days.

    Args:
        share: how much of everything that is not planted happens: 1 for the whole company.
    """

    def __init__(self, company: Company, staff: Staff, plants: Plants, seed: int, share: float = 1.0) -> None:
        self._company, self._staff, self._plants = company, staff, plants
        self._seed, self._share = seed, share
        self._people_say = {one.workflow: one for one in plants.verdicts}
        self._zone = ZoneInfo(company.time_zone)

    def rounds(self, day: datetime.date) -> Iterator[Round]:
        """All rounds of a day, in order of time."""
        chance = random.Random(f"{self._seed} {day}")
        slots: dict[int, list[Talk]] = defaultdict(list)
        night: list[Talk] = []
        for workflow in self._company.workflows:
            own = random.Random(f"{self._seed} {day} {workflow.name}")
            for number in range(self._how_many(workflow, day, own)):
                talk = tuple(self._conversation(workflow, day, number, own))
                sleeps = workflow.usage == "headless" and own.random() < 0.5
                (night if sleeps else slots[calendar.office_slot(own, day)]).append(talk)
        hours = calendar.slot_hours(day, chance)
        for turn in self._extra(day, chance):
            slots[3].append((turn,))
        night += [(turn,) for turn in self._scripted(day)]
        if night:
            yield Round(calendar.at(day, calendar.NIGHT, self._zone), tuple(night))
        for slot in sorted(slots):
            yield Round(calendar.at(day, hours[slot], self._zone), tuple(slots[slot]))
        yield from self._runaway(day)

    def _how_many(self, workflow: WorkflowDescription, day: datetime.date, chance: random.Random) -> int:
        if workflow.since is not None and day < workflow.since:
            return 0
        number = (day - self._company.first_day).days
        load = calendar.load_of(day, number, self._company.days, workflow.weekend if workflow.weekend else 0.0)
        return calendar.count(chance, workflow.daily * load * self._share)

    def _conversation(
        self, workflow: WorkflowDescription, day: datetime.date, number: int, chance: random.Random
    ) -> Iterator[PlannedTurn]:
        plants = self._plants
        person = chance.choice(self._staff.regulars[workflow.name])
        session = f"{workflow.name}.{day:%Y%m%d}-{number:03}" if workflow.agent != "program" else ""
        past = plants.missed_day.day == day and self._provider(workflow.model) == plants.missed_day.provider
        broken = workflow.name == plants.broken_cache.workflow and day >= plants.broken_cache.since
        again = self._happens(plants.regenerated, workflow, day, number)
        hints = {"rounds": workflow.rounds, "document": workflow.document}
        oversized = self._happens(plants.oversized, workflow, day, number)
        if oversized:
            hints["document"] = plants.oversized.tokens
        turns = 1 if again else 1 + calendar.count(chance, workflow.turns - 1)
        reads = workflow.usage == "seated" or (workflow.name == plants.unread.workflow and day < plants.unread.since)
        for turn in range(min(turns, 6)):
            words = max(8, round(workflow.words * chance.uniform(0.7, 1.4))) if workflow.words else 0
            text = sentences(chance, chance.randint(8, 40))
            shows = not past and (oversized or (broken and turn > 0))  # the first turn has no cache to break
            plant = ("oversized" if oversized else "broken_cache") if shows else ""
            verdicts, edits = self._verdicts(workflow, f"{day} {number}-{turn}")
            yield PlannedTurn(
                _DEEDS.get(workflow.agent, "ask"), workflow.name, person, text, session, turn == 0, {**hints, "words": words},
                past, f"{day} {number}-{turn}" if broken else "", reads, plant,
                "" if past else workflow.route or self._chosen(workflow, person), {} if again or past else verdicts,
            )  # fmt: skip
        if edits and not again and not past:
            text = sentences(chance, 12)
            yield PlannedTurn(
                "edit", workflow.name, person, text, session, hints={**hints, "words": words}, reads=reads
            )
        if again:
            hints = {**hints, "words": words}
            for _ in range(plants.regenerated.times - 1):
                yield PlannedTurn(
                    "again", workflow.name, person, text, session, hints=hints, past=past, plant="regenerated"
                )

    def _chosen(self, workflow: WorkflowDescription, person: str) -> str:
        """The model that somebody always chooses: every second one takes the cheaper one."""
        return workflow.cheaper if self._staff.regulars[workflow.name].index(person) % 2 else ""

    def _verdicts(self, workflow: WorkflowDescription, turn: str) -> tuple[dict[str, str], bool]:
        """What would be said of each model's answer, and whether the question is put in other words afterwards."""
        say = self._people_say.get(workflow.name)
        chance = random.Random(f"{self._seed} verdict {workflow.name} {turn}")
        if say is None or chance.random() >= say.said:
            return {}, False
        luck, worse, edit = chance.random(), chance.random(), chance.random()
        otherwise = "escalated" if worse < say.escalated else "rejected"
        found = {model: "accepted" if luck < share else otherwise for model, share in say.accepted.items()}
        return found, edit < say.edited and found.get(workflow.model) != "accepted"

    def _happens(self, plant: object, workflow: WorkflowDescription, day: datetime.date, number: int) -> bool:
        name, one_in = getattr(plant, "workflow", ""), getattr(plant, "one_in", 1)
        return workflow.name == name and plant.hold(day) and number % one_in == 0  # type: ignore[attr-defined]

    def _provider(self, model: str) -> str:
        return next(one.provider for one in self._company.upstreams if model in one.models)

    def _extra(self, day: datetime.date, chance: random.Random) -> Iterator[PlannedTurn]:
        """What is planted and is no usual conversation."""
        plants = self._plants
        if plants.cut_streams.hold(day) and calendar.works(day) and day.toordinal() % plants.cut_streams.one_in == 0:
            hints = {"stall": plants.cut_streams.after, "words": plants.cut_streams.words, "document": 400}
            yield PlannedTurn("cut", plants.cut_streams.workflow, self._staff.regulars[plants.cut_streams.workflow][0],
                       sentences(chance, 20), hints=hints)  # fmt: skip
        if day in plants.outside.days:
            for _ in range(2):
                hints = {"document": plants.outside.tokens, "words": 300}
                yield PlannedTurn("outside", "", "", sentences(chance, 20), hints=hints)
        if day in plants.strangers.days:
            for program in plants.strangers.programs:
                yield PlannedTurn("stranger", "", program, sentences(chance, 8))
        if day == plants.own_model.tried:
            yield PlannedTurn("program", "demand-notes", self._staff.regulars["demand-notes"][0], "Is it there?")

    def _scripted(self, day: datetime.date) -> Iterator[PlannedTurn]:
        plant = self._plants.scripted
        if not plant.hold(day):
            return
        workflow, chance = self._company.workflow(plant.workflow), random.Random(f"{self._seed} {day} scripted")
        person = self._staff.regulars[plant.workflow][0]
        for _ in range(plant.calls):
            hints = {"document": workflow.document, "words": workflow.words}
            yield PlannedTurn("program", workflow.name, person, sentences(chance, 16), hints=hints)

    def _runaway(self, day: datetime.date) -> Iterator[Round]:
        plant = self._plants.runaway
        if day != plant.day:
            return
        workflow = self._company.workflow(plant.workflow)
        chance = random.Random(f"{self._seed} runaway")
        hints = {"rounds": workflow.rounds, "document": plant.document, "words": workflow.words}
        at_ms = calendar.at(day, 18.5, self._zone)
        for first in range(0, plant.runs, _RUNAWAY_AT_ONCE):
            numbers = range(first, min(first + _RUNAWAY_AT_ONCE, plant.runs))
            talks = [
                (
                    PlannedTurn(
                        "ask", workflow.name, self._staff.regulars[workflow.name][0], sentences(chance, 12),
                        f"{workflow.name}.{day:%Y%m%d}-again-{number:03}", True, hints, plant="runaway",
                    ),
                )
                for number in numbers
            ]  # fmt: skip
            yield Round(at_ms, tuple(talks))
            at_ms += 15 * 60_000


_DEEDS: Final[dict[AgentKind, Deed]] = {"program": "program", "chat": "chat"}
