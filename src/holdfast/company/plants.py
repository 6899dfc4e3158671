"""What is planted, as types. ``plants.yaml`` has the values."""

from __future__ import annotations

import datetime

import msgspec

from holdfast.company.files import load


class Days(msgspec.Struct, frozen=True):
    """From a day to another one, both included."""

    since: datetime.date
    until: datetime.date

    def hold(self, day: datetime.date) -> bool:
        """Whether a day is one of them."""
        return self.since <= day <= self.until


class MissedDay(msgspec.Struct, frozen=True):
    """A day on which everybody goes past the gateway to one provider."""

    day: datetime.date
    provider: str


class NettingPair(msgspec.Struct, frozen=True):
    """The bill books a share of one model under another one."""

    day: datetime.date
    account: str
    less: str
    more: str
    percent: int


class BilledShare(msgspec.Struct, frozen=True):
    """An account is billed a share of the list price that no rate card tells of."""

    account: str
    permille: int


class CardDiscount(msgspec.Struct, frozen=True):
    """The same, with an approved rate card."""

    upstream: str
    account: str
    percent: int
    permille: int


class BillCredit(msgspec.Struct, frozen=True):
    """The bill gives something back."""

    day: datetime.date
    account: str
    amount_nano: int


class Outside(msgspec.Struct, frozen=True):
    """A program with a key of its own at the provider."""

    key: str
    model: str
    days: tuple[datetime.date, ...]
    tokens: int


class CutStreams(Days, frozen=True):
    """A program that leaves in the middle of answers, one in so many, after so many tokens."""

    workflow: str = ""
    one_in: int = 1
    after: int = 0
    words: int = 0


class Runaway(msgspec.Struct, frozen=True):
    """A workflow that starts itself again all evening, with everything that it finds (``document``, tokens)."""

    workflow: str
    day: datetime.date
    runs: int
    document: int


class BrokenCache(msgspec.Struct, frozen=True):
    """From a day on the instructions begin with the time, so that no cache holds."""

    workflow: str
    since: datetime.date


class Regenerated(Days, frozen=True):
    """People have answers made again, so many times, in one of so many conversations."""

    workflow: str = ""
    times: int = 1
    one_in: int = 1


class Oversized(Days, frozen=True):
    """Whole archives are sent along."""

    workflow: str = ""
    tokens: int = 0
    one_in: int = 1


class Unread(msgspec.Struct, frozen=True):
    """A workflow whose texts nobody opens, beside readers who send read marks."""

    workflow: str
    since: datetime.date


class PlantedOutage(msgspec.Struct, frozen=True):
    """A provider's key is refused for some hours of a day; the gateway fails over."""

    key: str
    day: datetime.date
    status: int


class ModelReplacement(msgspec.Struct, frozen=True):
    """What a provider serves behind an alias, and from when on something else."""

    alias: str
    first: str
    then: str
    since: datetime.date


class OwnModel(msgspec.Struct, frozen=True):
    """A model without a published price: tried in vain, proposed, approved."""

    model: str
    proposed: datetime.date
    approved: datetime.date
    tried: datetime.date
    input: str
    output: str


class PriceChanged(msgspec.Struct, frozen=True):
    """A provider changes a price; the catalogue follows by an approved change."""

    model: str
    provider: str
    since: datetime.date
    approved: datetime.date
    prices: dict[str, str]


class TeamMove(msgspec.Struct, frozen=True):
    """A team gets another cost centre from a day on."""

    team: str
    cost_centre: str
    day: datetime.date


class PlantedStrangers(msgspec.Struct, frozen=True):
    """Programs that come with keys that nobody knows, by what they call themselves."""

    days: tuple[datetime.date, ...]
    programs: tuple[str, ...]


class Overspend(Days, frozen=True):
    """A soft budget of a team is passed in a month, because of what else is planted there."""

    budget: str = ""
    usd: str = ""


class WrongPoint(msgspec.Struct, frozen=True):
    """Somebody types the cap of a budget with its point in the wrong place; days later its payer raises it."""

    budget: str
    workflow: str
    day: datetime.date
    usd: str
    raised: datetime.date
    to_usd: str

    def hold(self, day: datetime.date) -> bool:
        """Whether everything is refused on a day."""
        return self.day <= day < self.raised


class PeopleSay(msgspec.Struct, frozen=True):
    """What people say of a workflow's answers.

    Attributes:
        said: share of answers of which somebody says anything.
        accepted: the truth: share of accepted ones by the model that answered. ``escalated``: of the others; the rest is
            rejected. ``edited``: of those that are not accepted, after how many people put their question in other words.
    """

    workflow: str
    said: float
    accepted: dict[str, float]
    escalated: float
    edited: float = 0.0


class Peelable(msgspec.Struct, frozen=True):
    """A task of which a cheaper model does as well, as people found who chose it."""

    workflow: str
    task: str
    cheaper: str


class PlantedExperiment(Peelable, frozen=True):
    """A peel experiment on a workflow's route, with shares of sessions, from a day on."""

    name: str = ""
    since: datetime.date = datetime.date.max
    share: float = 0.2
    shadows: int = 50


class Leaver(msgspec.Struct, frozen=True):
    """Somebody leaves who owns a workflow; or everybody who answers for one does."""

    workflow: str
    day: datetime.date


class Scripted(Days, frozen=True):
    """A program uses a person's key at night, so many times: its work counts as if somebody waited for it."""

    workflow: str = ""
    calls: int = 1


class Plants(msgspec.Struct, frozen=True):
    """All of them. ``returned``: the experiment whose cheaper model misses the floor; ``running``: one that goes on."""

    bill: Days
    missed_day: MissedDay
    netting_pair: NettingPair
    discount: BilledShare
    card: CardDiscount
    credit: BillCredit
    outside: Outside
    cut_streams: CutStreams
    runaway: Runaway
    broken_cache: BrokenCache
    regenerated: Regenerated
    oversized: Oversized
    unread: Unread
    outage: PlantedOutage
    replacement: ModelReplacement
    own_model: OwnModel
    price_change: PriceChanged
    team_move: TeamMove
    strangers: PlantedStrangers
    overspend: Overspend
    wrong_point: WrongPoint
    verdicts: tuple[PeopleSay, ...]
    peelable: Peelable
    returned: PlantedExperiment
    running: PlantedExperiment
    leaver: Leaver
    deserted: Leaver
    scripted: Scripted


def planted() -> Plants:
    """What ``plants.yaml`` says."""
    plants: Plants = load("plants.yaml", Plants)
    return plants
