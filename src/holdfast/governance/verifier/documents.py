"""What a plan states, as it is read from a file, a server or the store. Nothing in it is believed. Pure."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from holdfast.errors import Refused

FORMAT: Final = 1
DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
Row = Mapping[str, int | str | None]
Outcome = Literal["agree", "disagree", "cannot tell"]
"""What the verifier says; ``disagree`` also of what was forged."""


class Remark(NamedTuple):
    """One thing that was found. ``agree`` is a note that changes nothing."""

    outcome: Outcome
    text: str


def against(text: str) -> Remark:
    """It is not so."""
    return Remark("disagree", text)


def unsure(text: str) -> Remark:
    """It cannot be told from here."""
    return Remark("cannot tell", text)


def note(text: str) -> Remark:
    """Worth saying, and nothing is wrong with it."""
    return Remark("agree", text)


class StatedAnswer(msgspec.Struct, frozen=True):
    """What a query is said to have answered. ``sql``: the text that is said to have been run; empty where nobody says."""

    query: str
    params: dict[str, int | str]
    rows: tuple[dict[str, int | str | None], ...]
    positions: dict[str, int | str] = {}
    digest: str = ""
    cut: bool = False
    sql: str = ""


class StatedStatus(msgspec.Struct, frozen=True):
    """How a gate is said to stand now."""

    verdict: str
    shown: str
    cause: str = ""
    standing: bool = False
    waiver: str = ""
    verdict_id: str = ""


class StatedVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict as it is stated. ``status``: None where only the record is at hand."""

    id: str
    tenant: str
    gate: str
    workflow: str
    profile: str
    version: int
    thresholds: dict[str, int | str]
    verdict: str
    cause: str
    n: int
    reason: str
    fix: str
    as_of_ms: int
    valid_until_ms: int
    computed_ms: int
    since_ms: int = 0
    evidence: str = ""
    answers: tuple[StatedAnswer, ...] = ()
    status: StatedStatus | None = None

    @property
    def place(self) -> tuple[str, str]:
        """Gate and workflow."""
        return self.gate, self.workflow

    def rows(self, query: str) -> tuple[dict[str, int | str | None], ...]:
        """What a query is said to have answered; nothing where it is not there."""
        return next((one.rows for one in self.answers if one.query == query), ())


class StatedWaiver(msgspec.Struct, frozen=True, kw_only=True):
    """A waiver as it is stated."""

    id: str
    tenant: str
    gate: str
    workflow: str
    by: str
    office: str
    reason: str
    at_ms: int
    until_ms: int
    renews: str = ""
    ended_ms: int | None = None
    ended_by: str = ""

    def holds(self, at_ms: int) -> bool:
        """Whether it holds at a moment."""
        return self.at_ms <= at_ms < self.until_ms and (self.ended_ms is None or at_ms < self.ended_ms)


class StatedProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the numbers as it is stated."""

    base: str
    version: int
    thresholds: dict[str, dict[str, int | str]]
    by: str
    reason: str
    at_ms: int


class StatedPlan(NamedTuple):
    """A plan as it is stated.

    Attributes:
        as_of_ms: of which moment.
        zone: IANA name of the organisation's time zone; empty where nobody says.
        unreadable: what stands where a verdict should, and is none.
        profiles: every version of the numbers; None where nobody says.
    """

    tenant: str
    as_of_ms: int
    zone: str
    verdicts: tuple[StatedVerdict, ...]
    unreadable: tuple[str, ...]
    waivers: tuple[StatedWaiver, ...]
    profiles: tuple[StatedProfile, ...] | None


def read_plan(data: bytes) -> StatedPlan:
    """A plan from the file that ``holdfast plan export`` writes.

    Raises:
        Refused: ``input.malformed`` for what is no such file.
    """
    try:
        found = msgspec.json.decode(data)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise Refused("input.malformed", "the file is no exported plan of a format that this version reads")
        verdicts, unreadable = [], []
        for one in found["verdicts"]:
            try:
                verdicts.append(msgspec.convert(one, StatedVerdict))
            except msgspec.ValidationError as error:
                unreadable.append(f"{_name(one)}: {error}")
        profiles = found.get("profiles")
        return StatedPlan(
            msgspec.convert(found["tenant"], str), msgspec.convert(found["as_of_ms"], int),
            _zone(found.get("zone", "")), tuple(verdicts), tuple(unreadable),
            msgspec.convert(found.get("waivers", []), tuple[StatedWaiver, ...]),
            None if profiles is None else msgspec.convert(profiles, tuple[StatedProfile, ...]),
        )  # fmt: skip
    except (
        msgspec.DecodeError,
        KeyError,
        TypeError,
        RecursionError,
        zoneinfo.ZoneInfoNotFoundError,
        ValueError,
    ) as error:
        raise Refused("input.malformed", f"the file is no exported plan: {error!s:.200}") from None


def _zone(name: Any) -> str:
    return zoneinfo.ZoneInfo(name).key if name else ""


def _name(one: Any) -> str:
    facts = one if isinstance(one, dict) else {}
    return f"{facts.get('gate', '?')!s:.8} {facts.get('workflow', '')!s:.140}".strip()
