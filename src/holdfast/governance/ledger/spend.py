"""Questions about what was spent, and their answers. Pure: checks of a question, no statement."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.ledger import dates
from holdfast.governance.ledger.figures import Amount, csv_lines

Bucket = Literal["", "day", "week", "month"]
BUCKETS: Final = ("", "day", "week", "month")
DIMENSIONS: Final = (
    "organisation", "team", "workflow", "task", "cost_centre", "usage", "key", "session", "run", "agent", "call",
    "upstream", "provider", "asked", "model", "wire", "tier", "region", "kind", "source", "basis", "outcome", "day",
    "month", "period", "batch", "currency",
)  # fmt: skip
"""What spend may be divided by. People are not among them: nobody is ranked."""
TAG: Final = re.compile(r"tag:[A-Za-z][A-Za-z0-9_.-]{0,63}")
TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
MONEY: Final = ("list_nano", "contracted_nano", "effective_nano", "billed_nano")


class SpendQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to know.

    Attributes:
        tenant: whose ledger.
        since, until: first and last day, in the organisation's zone.
        by: dimensions, ``tag:NAME`` among them.
        bucket: whether it is divided by time, too.
        filters: values by dimension: a row has to have one of each.
        limit: groups in the answer; the rest is one group.
    """

    tenant: str
    since: str
    until: str
    by: tuple[str, ...] = ()
    bucket: Bucket = ""
    filters: Mapping[str, tuple[str, ...]] = {}
    limit: int = limits.LEDGER_GROUPS


class Figures(msgspec.Struct, frozen=True):
    """Sums over rows.

    Attributes:
        rows: how many; ``unpriced``: of them those whose cost is not known, which no sum of money counts.
        estimated: rows whose provider said nothing of usage.
        input_tokens … reasoning_tokens: tokens; the input has the two cache classes in it, the output the reasoning.
        list_nano … billed_nano: nano-USD.
    """

    rows: int = 0
    unpriced: int = 0
    estimated: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    list_nano: int = 0
    contracted_nano: int = 0
    effective_nano: int = 0
    billed_nano: int = 0

    def minus(self, other: Figures) -> Figures:
        """The difference, figure by figure."""
        return Figures(*(getattr(self, name) - getattr(other, name) for name in self.__struct_fields__))

    def plus(self, other: Figures) -> Figures:
        """The sum, figure by figure."""
        return Figures(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))


class Group(msgspec.Struct, frozen=True):
    """The rows that have the same values. ``rest``: all those of a bucket that no other group has."""

    values: tuple[str, ...]
    bucket: str
    figures: Figures
    rest: bool = False


class Spend(msgspec.Struct, frozen=True):
    """The answer: groups, the costliest first (within buckets in order), and the total of everything."""

    question: SpendQuestion
    groups: tuple[Group, ...]
    total: Figures

    def csv(self) -> str:
        """As CSV; the groups sum to the total."""
        names = self.question.by
        head = (*names, *(("bucket",) if self.question.bucket else ()), *_CSV_FIGURES)
        lines: list[Sequence[Any]] = [head]
        for group in self.groups:
            values: list[Any] = ["(rest)" if group.rest else value for value in group.values]
            bucket = [group.bucket] if self.question.bucket else []
            lines.append([*values, *bucket, *_csv_figures(group.figures)])
        return csv_lines(lines)


_CSV_FIGURES: Final = tuple(name.replace("_nano", "_usd") for name in Figures.__struct_fields__)


def _csv_figures(figures: Figures) -> list[Any]:
    found = ((name, getattr(figures, name)) for name in Figures.__struct_fields__)
    return [Amount(value) if name in MONEY else value for name, value in found]


def check(question: SpendQuestion) -> SpendQuestion:
    """The question, when it can be answered.

    Raises:
        Refused: ``input.malformed`` for a dimension, a day or a bucket that there is none of; ``input.too_large`` for more
            than one answer holds.
    """
    for name in (*question.by, *question.filters):
        check_dimension(name)
    if question.bucket not in BUCKETS:
        raise Refused("input.malformed", f"bucket {question.bucket!r:.40} is none of day, week and month")
    since, until = dates.check_day(question.since, "since"), dates.check_day(question.until, "until")
    if until < since:
        raise Refused("input.malformed", f"until {until} is before since {since}", fix="Turn them around.")
    if dates.next_day(since, limits.LEDGER_DAYS) <= until:
        raise Refused("input.too_large", f"from {since} to {until} are more than {limits.LEDGER_DAYS} days")
    if len(question.by) > limits.LEDGER_DIMENSIONS:
        raise Refused("input.too_large", f"spend is divided by {limits.LEDGER_DIMENSIONS} dimensions at most")
    if len(set(question.by)) < len(question.by):
        raise Refused("input.malformed", "a dimension stands twice in by")
    if sum(map(len, question.filters.values())) > limits.LEDGER_FILTERS:
        raise Refused("input.too_large", f"a question has {limits.LEDGER_FILTERS} filters at most")
    if not 1 <= question.limit <= limits.LEDGER_GROUPS:
        raise Refused("input.malformed", f"limit {question.limit} is not within 1 and {limits.LEDGER_GROUPS}")
    return question


def check_dimension(name: str) -> str:
    """A dimension's name. Raises ``input.malformed``."""
    if name in DIMENSIONS or TAG.fullmatch(name):
        return name
    if name in ("person", "user"):
        raise Refused("input.malformed", "spend is not divided by person", fix="Divide it by team, workflow or key.")
    raise Refused(
        "input.malformed", f"no dimension {name!r:.80}", fix=f"There are {', '.join(DIMENSIONS)} and tag:NAME."
    )
