"""From an attempt and what was served to rows: pure.

Which counts a row has: those of the provider, where it said any; else those that the gateway estimated from what it saw;
else, for an attempt that a provider began to serve, its input by bytes (``estimate.py``). An attempt that failed or was
refused, and of which nobody counted anything, used nothing.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from typing import Any, Final, cast

from msgspec.structs import replace

from holdfast.errors import Refused
from holdfast.gateway.port import Opening, Outcome, Served
from holdfast.governance.labels import WORKFLOW
from holdfast.governance.ledger import dates, estimate
from holdfast.governance.ledger.model import Basis, Row
from holdfast.governance.ledger.port import OrganisationTree, PriceList
from holdfast.providers.billing.model import INPUT, BilledAttempt

LOST: Final = "gateway.lost"
"""Reason of an attempt whose process went away before it was settled."""
UNNAMED: Final = ("model_named", "no")
"""Tag of a row whose provider did not say which model served: what stands there is the one that was asked for."""
_WINDOW: Final = re.compile(r"(\d{1,9})([kM]?)-", re.ASCII)
_UNITS: Final = {"": 1, "k": 1_000, "M": 1_000_000}
_NOT_SERVED: Final[frozenset[Outcome]] = frozenset({"failed", "refused"})


def lost(opening: Opening, most: BilledAttempt | None = None) -> Served:
    """What became of an attempt that nobody will settle any more.

    Args:
        most: what it can have used at most, where money was reserved for that: it counts as used until a report of the
            provider's says what was, for a budget must not take it for free. None: its input.
    """
    used = replace(most, model=opening.model) if most is not None else estimate.of_opening(opening)
    return Served(opening.id, "cut", estimated=used, reason=LOST, at_ms=opening.at_ms)


def row_id(attempt: str, part: int) -> str:
    """Id of the row of a part, from 1: the attempt's, with a number from the second on."""
    return attempt if part == 1 else f"{attempt}/{part}"


def correction_id(row: str) -> str:
    """Id of the row that replaces one: a row is replaced once, so its id says enough."""
    stem, mark, number = row.rpartition("~")
    return f"{stem}~{int(number) + 1}" if mark and number.isdigit() else f"{row}~1"


def billed_of(opening: Opening, served: Served) -> Sequence[tuple[BilledAttempt, Basis]]:
    """What an attempt is billed for, each with where its counts come from; at least one."""
    if served.billed:
        return [(each, "exact" if each.reported else "estimated") for each in served.billed]
    if served.estimated is not None:
        return [(served.estimated, "estimated")]
    if served.outcome in _NOT_SERVED:
        return [(BilledAttempt(model=opening.model), "exact")]
    return [(estimate.of_opening(opening), "estimated")]


def placed(row: Row, labels: Mapping[str, str], organisation: OrganisationTree, began_ms: int | None = None) -> Row:
    """The row with whose it is, and its dates. Work is of those whose it was when it began (``began_ms``; None for the row's
    own time): its money was reserved there, and a workflow that moves to another team meanwhile takes none of that along."""
    whose = organisation.resolve(labels, row.at_ms if began_ms is None else began_ms, row.tenant)
    day = dates.day_of(row.at_ms, organisation.zone(row.tenant, row.at_ms))
    return replace(
        row, organisation=whose.organisation, team=whose.team, workflow=whose.workflow, cost_centre=whose.cost_centre,
        usage=whose.usage, person=whose.person, tags={**whose.tags, **row.tags}, day=day, month=dates.month_of(day),
        task=row.task or labels.get("task", ""),
    )  # fmt: skip


def priced(row: Row, billed: BilledAttempt, prices: PriceList) -> Row:
    """The row with what it costs. An attempt that used nothing costs nothing, whatever its price would be."""
    if not any(billed.counts.values()):
        return replace(row, list_nano=0, contracted_nano=0, effective_nano=0, billed_nano=0)
    try:
        cost = prices.price(
            billed,
            provider=row.provider,
            upstream=row.upstream,
            asked=row.asked,
            at_ms=row.at_ms,
            workflow=claimed_workflow(row),
            request_input=request_input(row),
        )
    except Refused as error:  # counts that make no sense; it was served, so it is on record, and verify finds it
        return replace(row, unpriced=(error.code,))
    return replace(
        row, list_nano=cost.list_nano, contracted_nano=cost.contracted_nano, effective_nano=cost.effective_nano,
        billed_nano=cost.billed_nano, price=cost.price, catalogue=cost.catalogue, card=cost.card, waiver=cost.waiver,
        parts=dict(cost.parts), unpriced=tuple(cost.unpriced), currency=cost.currency, rate=cost.rate,
    )  # fmt: skip


def claimed_workflow(row: Row) -> str:
    """The workflow that a row's label named, by which a model may be waived: the same one by which its call was let through,
    also where the tree has no such workflow and the row is of ``unassigned``."""
    return row.tags.get(f"label_{WORKFLOW}", row.workflow)


def request_input(row: Row) -> int | None:
    """Tokens of input of one request, by which a long context is priced; None where the row is of one request.

    An imported line is of all requests of a day. It says in which span its requests were (Anthropic: ``200k-1M``), or how
    many there were, so that their mean is known; where it says neither they are taken for short ones.
    """
    if row.source != "import":
        return None
    window = _WINDOW.match(row.tags.get("context_window", ""))
    if window is not None:
        above = int(window[1]) * _UNITS[window[2]]
        return above + 1 if above else 0
    requests = row.counts.get("requests", 0)
    return sum(row.counts.get(name, 0) for name in INPUT) // requests if requests else 0


def rows_of(opening: Opening, served: Served, prices: PriceList, organisation: OrganisationTree) -> list[Row]:
    """The rows of an attempt: one for each model that took part; all but the first name the first as their parent."""
    call, at_ms = opening.call, served.at_ms or opening.at_ms
    rows = []
    for part, (billed, basis) in enumerate(billed_of(opening, served), 1):
        row = Row(
            id=row_id(opening.id, part), parent="" if part == 1 else opening.id, call=call.id, number=opening.number,
            kind=billed.kind, basis=basis, tenant=call.caller.tenant, at_ms=at_ms, day="", month="",
            key=call.caller.key, session=call.session, run=call.run, run_attempt=call.attempt,
            upstream=opening.upstream, provider=opening.provider, asked=call.model, model=billed.model or opening.model,
            wire=call.wire, tier=billed.tier, region=billed.region, speed=billed.speed, counts=billed.counts,
            raw=billed.raw, outcome=served.outcome, reason=served.reason, took_ms=max(0, at_ms - opening.at_ms),
            first_ms=served.first_ms, tags={} if _is_named(billed, served) else dict([UNNAMED]),
        )  # fmt: skip
        row = placed(row, dict(call.caller.labels), organisation, opening.at_ms)
        rows.append(priced(row, billed, prices))
    return rows


def _is_named(billed: BilledAttempt, served: Served) -> bool:
    """Whether the provider said which model served, of an attempt that one did."""
    stated = bool(served.billed) or (served.estimated is not None and served.reason != LOST)
    return served.outcome in _NOT_SERVED or (stated and bool(billed.model))


def as_billed(row: Row) -> BilledAttempt:
    """What a row was made from, as far as a price depends on it."""
    return BilledAttempt(
        kind=cast("Any", row.kind), model=row.model, counts=row.counts, tier=row.tier, region=row.region, speed=row.speed,
        reported=row.basis != "estimated", raw=row.raw,
    )  # fmt: skip


def posted(row: Row, closed: Container[str]) -> Row:
    """The row in the books of the first month that is open."""
    return replace(row, period=dates.open_period(row.month, closed))
