"""What was paid for nothing: kinds with their definitions, amounts, and the sessions that show them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Protocol

import msgspec

WasteKind = Literal["cache", "retries", "context", "regenerated", "unread"]

DEFINITIONS: Final[Mapping[WasteKind, str]] = {
    "cache": "Input that a cache could have given: calls of one session, agent, model and upstream, one begun within the cache's "
    "lifetime after the other began, whose input did not shrink. What the earlier call had read or written and the later one "
    "neither read is broken; where neither call used the cache at all, it is unused. The amount is what was paid for these "
    "tokens beyond the price of reading them, less what writing them once would have cost. Prefixes below 1,024 tokens do "
    "not count. That the later prompt begins as the earlier one did is taken from its size, since prompts are not kept here.",
    "retries": "Attempts that failed, were cut or were read to their end for nobody, and whole tries at a run that another "
    "try replaced. What a person stopped is no waste.",
    "context": "What requests beyond a model's long-context limit cost more than the same units below it, where the ledger has "
    "requests of both kinds at one catalogue.",
    "regenerated": "Answers that were made again: three or more runs of one session and agent, each within 30 minutes of the "
    "one before, that began with the same size of input: within 2 %, or 32 tokens, and not grown by the answer between them, as "
    "a conversation is that goes on. All but the last were for nothing. Calls of programs without a person are not counted.",
    "unread": "Output of runs of which readers who send read marks have read nothing. Where no reader sends them it is unknown.",
}
"""What each kind means here."""

LEAST_PREFIX: Final = 1_024
"""Tokens: what providers cache at least."""
LIFETIMES_MS: Final[Mapping[str, int]] = {
    "cache_write_5m": 300_000, "cache_write_30m": 1_800_000, "cache_write_1h": 3_600_000, "cache_write_12h": 43_200_000,
}  # fmt: skip
DEFAULT_LIFETIME_MS: Final = 300_000
REGENERATED_MS: Final = 1_800_000
GROUP: Final = 5
"""A workflow and task with fewer people is not shown: it would speak of persons."""
TENTH_LEAST: Final = 10
"""Sessions below which a tenth says nothing."""


class ReadMarks(Protocol):
    """Whether people read what runs wrote."""

    def read(self, session: str, run: str) -> bool | None:
        """True or False where a reader of the session sends read marks, else None."""


class Outcomes(Protocol):
    """What became of sessions."""

    def accepted(self, session: str) -> bool | None:
        """Whether its outcome was accepted; None where nobody said."""


class SessionWaste(msgspec.Struct, frozen=True):
    """A session that shows it. ``note``: how."""

    session: str
    amount_nano: int
    rows: int
    note: str = ""


class WasteItem(msgspec.Struct, frozen=True, kw_only=True):
    """One kind.

    Attributes:
        amount_nano: None where nothing can be said.
        unknown_nano: cost of the rows of which it cannot be told, and ``why``.
        parts: of the amount, by what happened.
        by_day: of the amount.
        sessions: the costliest, most first.
    """

    kind: WasteKind
    amount_nano: int | None
    rows: int = 0
    unknown_nano: int = 0
    why: str = ""
    parts: dict[str, int] = {}
    by_day: dict[str, int] = {}
    sessions: tuple[SessionWaste, ...] = ()
    definition: str = ""


class CostliestTenth(msgspec.Struct, frozen=True, kw_only=True):
    """The costliest tenth of a workflow's and task's sessions beside its share of the outcomes. Never of a person.

    Attributes:
        withheld: why nothing is shown: fewer than ``GROUP`` people or ``TENTH_LEAST`` sessions; empty when it is.
        cost_nano, tenth_nano: of all sessions and of the tenth.
        accepted, tenth_accepted: accepted outcomes; None where nobody recorded any.
        judged: sessions whose outcome is known.
        examples: sessions of the tenth.
    """

    workflow: str
    task: str
    sessions: int = 0
    tenth: int = 0
    cost_nano: int = 0
    tenth_nano: int = 0
    judged: int = 0
    accepted: int | None = None
    tenth_accepted: int | None = None
    examples: tuple[SessionWaste, ...] = ()
    withheld: str = ""


class Waste(msgspec.Struct, frozen=True, kw_only=True):
    """All kinds. They overlap: ``any_nano`` counts each row's cost once at most, however many kinds name it."""

    since: str
    until: str
    cost_nano: int
    any_nano: int
    items: tuple[WasteItem, ...]
    tenths: tuple[CostliestTenth, ...]
    unpriced: int = 0
