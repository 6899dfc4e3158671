"""What a benchmark found, and how it is told."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

Step = Callable[[str], None]
"""Tells the progress bar what is being measured."""


@dataclass
class Verdict:
    """One target and what was measured against it."""

    what: str
    target: str
    measured: str
    met: bool


@dataclass
class Table:
    """Figures side by side."""

    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    caption: str = ""


@dataclass
class Result:
    """One benchmark: how it was measured, its targets, its figures."""

    title: str
    method: str
    verdicts: list[Verdict]
    tables: list[Table]


def median(values: Iterable[float]) -> float:
    """The median; 0 when there are none."""
    return statistics.median(list(values) or [0.0])


def spread(values: Iterable[float], unit: str = "") -> str:
    """The median, and in brackets the range it is the median of."""
    ordered = sorted(values)
    return f"{median(ordered):.2f}{unit} ({ordered[0]:.2f}–{ordered[-1]:.2f})"
