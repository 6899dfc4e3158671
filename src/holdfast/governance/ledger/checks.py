"""What must be true of a row by itself, and of the rows of a call together. Pure.

The totals of a provider are read here from its own words by a few lines of their own, and not by the code that made the
classes: whoever checks must not repeat the mistake.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from holdfast.governance.ledger import dates, record
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.spend import MONEY
from holdfast.providers.billing.model import INPUT, OUTPUT, TOKEN_CLASSES


class LedgerFinding(msgspec.Struct, frozen=True):
    """Something that is not as it must be.

    Attributes:
        check: which check found it.
        row: id of the row, opening, month or import.
        tenant: whose.
        what: in words.
    """

    check: str
    row: str
    tenant: str
    what: str


CHECKS: Final[Mapping[str, str]] = {
    "negative": "no count is negative, and nothing that was used has a negative cost",
    "class": "every count is of a class that there is",
    "total": "classes sum to the provider's own totals",
    "sum": "what the database adds up of a row is what its counts say",
    "parts": "costs by class sum to the list cost",
    "unknown": "a cost that is not known is no number, and one that is known leaves no class out",
    "date": "day, month and period belong together",
    "parent": "a part of an attempt has the attempt's first row for its parent, in the same call",
    "price": "the price row and its catalogue give the same cost again",
    "seal": "each row is as it was written, and each that was written is there",
    "chain": "corrections form chains: they replace a row that is there, once, in the same tenant, without a circle",
    "opening": "an attempt is open or has rows, never both, and is not open for ever",
    "period": "what stands in a closed month is what stood in it when it was closed",
    "import": "an import has as many lines or rows as it says, and their amounts sum to its total",
    "books": "the books of all months sum to the rows that count",
    "gap": "no usage of agents was missed",
}
"""Every check, in words."""


_BESIDE_OUTPUT: Final = ("xai", "x-ai")  # count reasoning beside the completion, also where no total shows it


def totals(wire: str, raw: Mapping[str, Any], provider: str = "") -> tuple[int | None, int | None]:
    """Input and output that a provider says in all; None where it does not, or where the wire is not known here.

    Sources: the usage objects of https://platform.openai.com/docs/api-reference and
    https://platform.claude.com/docs/en/api/messages.
    """
    if wire in ("openai.chat", "openai.embeddings", "openai.completions"):
        return _openai_totals(raw, ("prompt", "completion"), provider)
    if wire == "openai.responses":
        return _openai_totals(raw, ("input", "output"), provider)
    if wire == "anthropic.messages":
        plain = _number(raw, "input_tokens")
        by_lifetime = raw.get("cache_creation")
        of_lifetimes = (
            sum(_number(by_lifetime, name) or 0 for name in by_lifetime) if isinstance(by_lifetime, dict) else 0
        )
        written = max(_number(raw, "cache_creation_input_tokens") or 0, of_lifetimes)
        read = _number(raw, "cache_read_input_tokens") or 0
        return (None if plain is None else plain + read + written), _number(raw, "output_tokens")
    return None, None


def _openai_totals(raw: Mapping[str, Any], names: tuple[str, str], provider: str) -> tuple[int | None, int | None]:
    """What a total has beyond both is output as well: reasoning of xAI, and of Gemini, which does not name it there."""
    before, after, all_ = (_number(raw, f"{name}_tokens") for name in (*names, "total"))
    if before is None or after is None:
        return before, after
    details = raw.get(f"{names[1]}_tokens_details")
    reasoning = _number(details, "reasoning_tokens") if isinstance(details, dict) else None
    if all_ is None:
        return before, after + ((reasoning or 0) if provider in _BESIDE_OUTPUT else 0)
    beyond = all_ - before - after
    return before, after + (beyond if beyond > 0 and reasoning in (None, beyond) else 0)


def _number(counts: Mapping[str, Any], name: str) -> int | None:
    value = counts.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def of_row(row: Row, stored: Mapping[str, Any]) -> Iterator[LedgerFinding]:
    """What is wrong with a row by itself; ``stored`` is what the table has of it."""

    def found(check: str, what: str) -> LedgerFinding:
        return LedgerFinding(check, row.id, row.tenant, what)

    for name, count in row.counts.items():
        if count < 0:
            yield found("negative", f"{name} is {count:,}")
        if name not in TOKEN_CLASSES:
            yield found("class", f"{name!r:.80} is no class")
    if row.source != "import" and not any(count < 0 for count in row.counts.values()) and row.basis != "corrected":
        for name in MONEY:
            if (getattr(row, name) or 0) < 0:
                yield found("negative", f"{name} is {getattr(row, name):,}")
    yield from _sums(row, stored, found)
    yield from _totals(row, found)
    if row.month != row.day[:7] or row.period < row.month or stored["week"] != dates.week_of(row.day):
        yield found("date", f"day {row.day}, month {row.month}, period {row.period}")


def _sums(row: Row, stored: Mapping[str, Any], found: Any) -> Iterator[LedgerFinding]:
    derived = record.record(row, "")
    for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"):
        if stored[name] != derived[name]:
            yield found("sum", f"{name} is {stored[name]:,}, and its counts give {derived[name]:,}")
    if row.parts and row.list_nano is not None and sum(row.parts.values()) != row.list_nano:
        yield found("parts", f"the parts sum to {sum(row.parts.values()):,}, the list cost is {row.list_nano:,}")
    if row.unpriced and row.list_nano is not None:
        yield found("unknown", f"{' '.join(row.unpriced)} has no price, and the list cost is {row.list_nano:,}")


def _totals(row: Row, found: Any) -> Iterator[LedgerFinding]:
    if row.basis not in ("exact", "imported") or not row.raw:
        return
    stated_input, stated_output = totals(row.wire, row.raw, row.provider)
    for words, stated, classes in (("input", stated_input, INPUT), ("output", stated_output, OUTPUT)):
        ours = sum(row.counts.get(name, 0) for name in classes)
        if stated is not None and stated != ours:
            yield found("total", f"classes of {words} sum to {ours:,}, the provider says {stated:,}")


def of_parents(rows: Sequence[Row], parents: Mapping[str, Row]) -> Iterator[LedgerFinding]:
    """What is wrong with rows that are parts of others."""
    for row in rows:
        if not row.parent:
            continue
        parent = parents.get(row.parent)
        if parent is None or parent.parent:
            yield LedgerFinding("parent", row.id, row.tenant, f"its parent {row.parent!r:.80} is no first row")
        elif (parent.call, parent.tenant, parent.number) != (row.call, row.tenant, row.number):
            yield LedgerFinding("parent", row.id, row.tenant, f"its parent {row.parent!r:.80} is of another attempt")


def of_price(row: Row, cost: Any) -> Iterator[LedgerFinding]:
    """Whether a price gives the same cost again. Negotiated amounts may have a later rate card: the list cost does not."""
    if (row.list_nano, dict(row.parts)) != (cost.list_nano, dict(cost.parts)):
        words = f"the list cost is {row.list_nano}, and {row.price!r:.80} of catalogue {row.catalogue:.12} gives {cost.list_nano}"
        yield LedgerFinding("price", row.id, row.tenant, words)
    elif row.card == cost.card and row.contracted_nano != cost.contracted_nano:
        words = f"the contracted cost is {row.contracted_nano}, and card {row.card!r:.80} gives {cost.contracted_nano}"
        yield LedgerFinding("price", row.id, row.tenant, words)
