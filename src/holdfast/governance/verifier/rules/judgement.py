"""What a rule comes to, and how it is made: what is proven to be wrong comes before what is not there. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from holdfast.governance.verifier.documents import Row

Rows = Mapping[str, Sequence[Row]]
"""What each query answered."""
Numbers = Mapping[str, int | str]


class Judgement(NamedTuple):
    """What a rule makes of rows.

    Attributes:
        verdict: ``pass``, ``fail``, ``unknown`` or ``not_applicable``.
        why: in a few words of the verifier's own.
        n: how much it is about; None where the rule does not say.
        expires_ms: when what it stands on expires, Unix ms; None for never.
        cause: of an unknown; None where the rule does not say which.
    """

    verdict: str
    why: str
    n: int | None = None
    expires_ms: int | None = None
    cause: str | None = ""


class RuleCase(NamedTuple):
    """What a rule is asked: rows by query, the moment, the numbers, and with which parameters the rows were read."""

    rows: Rows
    as_of_ms: int
    numbers: Numbers
    params: Mapping[str, int | str] = {}

    def of(self, query: str) -> Sequence[Row]:
        """What a query answered."""
        return self.rows.get(query, ())

    def number(self, name: str) -> int:
        """A number of the rule."""
        return whole(self.numbers.get(name))


Rule = Callable[[RuleCase], Judgement]


class Gap(NamedTuple):
    """Something that is not there, and therefore cannot be told."""

    cause: str
    why: str


def concluded(
    violations: Sequence[str], gaps: Sequence[Gap], passes: str, n: int | None, expires_ms: int | None = None
) -> Judgement:
    """A violation is one whatever else is missing; unknown never passes."""
    if violations:
        return Judgement("fail", violations[0], n)
    if gaps:
        return Judgement("unknown", gaps[0].why, n, cause=gaps[0].cause)
    return Judgement("pass", passes, n, expires_ms)


def with_kin(gate: str, found: Judgement, kin: Sequence[Row]) -> Judgement:
    """Rule 7: what a workflow that shares a credential or a prompt fails, is failed here, too. An own failure is said first."""
    failed = [row for row in kin if row["gate"] == gate]
    if found.verdict == "fail" or not failed:
        return found
    return Judgement(
        "fail", f"{failed[0]['workflow']} fails it, and they share {failed[0]['shares']}", whole(failed[0]["n"])
    )


def total(rows: Sequence[Row], name: str) -> int:
    """The sum of a column."""
    return sum(whole(row[name]) for row in rows)


def whole(value: Any) -> int:
    """A number of a row; none is nought."""
    return int(value or 0)
