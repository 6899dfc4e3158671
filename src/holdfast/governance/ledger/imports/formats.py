"""The formats that can be imported, and how a file shows which it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import BinaryIO, Final, NamedTuple

from holdfast.errors import Refused
from holdfast.governance.ledger.imports import anthropic_reports, openai_reports, tables
from holdfast.governance.ledger.imports.reading import head_of
from holdfast.governance.ledger.imports.report import Family, Read

_PEEK: Final = 64 << 10


class Format(NamedTuple):
    """One format.

    Attributes:
        provider: whose reports have it; empty where the file says.
        family: what its lines are of.
        money: whether its lines have amounts; counts without are priced by our catalogue.
        what: in words.
    """

    read: Read
    provider: str
    family: Family
    money: bool
    what: str


FORMATS: Final[Mapping[str, Format]] = {
    "anthropic-cost": Format(anthropic_reports.read_costs, "anthropic", "use", True, "Anthropic's cost report (JSON)"),
    "anthropic-usage": Format(
        anthropic_reports.read_usage, "anthropic", "use", False, "Anthropic's usage report (JSON)"
    ),
    "openai-costs": Format(openai_reports.read_costs, "openai", "use", True, "OpenAI's costs (JSON)"),
    "openai-usage": Format(openai_reports.read_usage, "openai", "use", False, "OpenAI's completions usage (JSON)"),
    "focus": Format(tables.read_focus, "", "use", True, "a FOCUS file (CSV)"),
    "seats": Format(tables.read_seats, "", "seats", True, "an invoice for seats (CSV)"),
}


_MARKS: Final = (
    ("anthropic-usage", re.compile(rb'"uncached_input_tokens"\s*:')),
    ("openai-costs", re.compile(rb'"organization\.costs\.result"')),
    ("openai-usage", re.compile(rb'"organization\.usage\.completions\.result"')),
    ("anthropic-cost", re.compile(rb'"starting_at"\s*:')),
)
"""What stands in a report and in no other one, in this order."""


def recognise(source: BinaryIO) -> str:
    """The format of a file, which is rewound. Raises ``import.unknown``."""
    start = source.read(_PEEK)
    source.seek(0)
    if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        for name, mark in _MARKS:
            if mark.search(start):
                return name
    else:
        head = head_of(source)
        if head >= tables.FOCUS:
            return "focus"
        if head >= tables.SEATS and head & {"month", "since"}:
            return "seats"
    formats_there = ", ".join(f"{name} ({each.what})" for name, each in FORMATS.items())
    raise Refused("import.unknown", "the file is no report of a known kind", fix=f"Say --format: {formats_there}.")


def format_of(name: str) -> Format:
    """A format by its name. Raises ``import.unknown``."""
    if name not in FORMATS:
        raise Refused("import.unknown", f"no format {name!r:.40}", fix=f"There are {', '.join(FORMATS)}.")
    return FORMATS[name]
