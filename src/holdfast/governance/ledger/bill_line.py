"""What a provider says that it bills: one line of a report, kept apart from rows so that the two can be compared."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Use = Literal["bill", "spend"]
"""What an import is for: to be compared with rows, or to become rows because nothing else will."""
LineKind = Literal["usage", "credit", "tax", "fee", "seat", "adjustment"]
"""What a line is of: use of models, a credit (negative), tax, a fee beside use, seats, a correction of an earlier line."""


class BillLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line.

    Attributes:
        id: of the line: its batch and its number in the file, from 1.
        batch: id of the import it came with.
        tenant: whose bill it is.
        provider: as price catalogues name it.
        account: the provider's own name of what is billed: organisation, project or workspace.
        key: id of the API key at the provider, where the report has it.
        model: as the report names it; empty where it does not say.
        day: the date of its beginning in the report's zone, which is UTC for every provider here.
        since_ms, until_ms: Unix ms.
        kind: see ``LineKind``.
        line: the report's own words for it.
        tier, region: as the report names them.
        unit: of what was counted, where the report gives a single quantity without a class.
        counts: units by class (``providers/billing/model.py``); empty where the report has money only.
        amount_nano: what is billed, nano-USD; None in a report of usage without money. Credits are negative.
        list_nano, contracted_nano, effective_nano: where the report has them.
        currency, rate: of the report where it is not USD, and the dated rate of the conversion, as decimal text.
        tags: what else it says.
    """

    id: str
    batch: str
    day: str
    since_ms: int
    until_ms: int
    tenant: str = "default"
    provider: str = ""
    account: str = ""
    key: str = ""
    model: str = ""
    kind: LineKind = "usage"
    line: str = ""
    tier: str = ""
    region: str = ""
    unit: str = ""
    counts: dict[str, int] = {}
    amount_nano: int | None = None
    list_nano: int | None = None
    contracted_nano: int | None = None
    effective_nano: int | None = None
    currency: str = "USD"
    rate: str = ""
    tags: dict[str, str] = {}


class ImportBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One import.

    Attributes:
        id: of the import.
        use: see ``Use``.
        content: SHA-256 of the file, by which a second import of it is recognised.
        format: name of its format (``imports/formats.py``); ``family``: ``use`` for what was used, ``seats`` for seats.
        name: what the file was called.
        provider: whose report it is.
        by: who imported it.
        at_ms: Unix ms.
        lines: how many it has.
        total_nano: sum of their amounts.
        first_day, last_day: of its lines.
        complete: whether the report says all; False where it was cut (top groups only, or a page that is not the last).
        notes: what was found while it was read.
    """

    id: str
    tenant: str
    use: Use
    content: str
    format: str
    family: str
    name: str
    provider: str
    by: str
    at_ms: int
    lines: int
    total_nano: int
    first_day: str
    last_day: str
    complete: bool = True
    notes: tuple[str, ...] = ()


def line_facts(line: BillLine) -> dict[str, Any]:
    """As the table has it."""
    return msgspec.structs.asdict(line)
