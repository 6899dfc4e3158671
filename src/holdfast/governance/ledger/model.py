"""The row of the ledger: one attempt that a provider served, who it was for, what it used and what it costs."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Basis = Literal["exact", "estimated", "imported", "corrected"]
"""Where the counts come from: the provider's own words; ours, because it said nothing; a report of what never passed us;
a later row that replaces an earlier one."""
Source = Literal["gateway", "agent", "import"]
"""Who brought the row: the gateway; ``usage.recorded`` of an agent that calls a provider itself; an imported report."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row. It is never changed: a correction is another row that names it.

    Attributes:
        id: of the row: the attempt's id, with ``/2``, ``/3`` … for further models that took part in it.
        parent: id of the row it is a part of (an iteration of a call); empty for none.
        call: of which call; a call has an attempt for every upstream that was tried.
        number: of the attempt within its call, from 1.
        kind: what the model did: ``message``, ``fallback_message``, ``advisor_message``, ``compaction``, ``embedding``.
        corrects: id of the row that this one replaces; empty for none. What counts is the last row of such a chain.
        tenant: whose it is.
        at_ms: Unix ms at which it ended; ``day`` and ``month`` are its date in the organisation's time zone.
        period: the month in whose books it stands: ``month``, or the first open one after it where that was closed already.
        organisation … usage: whose it is, as its labels and the organisation's tree said at that time. ``person`` is a
            pseudonym. ``usage``: ``seated`` or ``headless``.
        key: id of the caller's key; empty for what did not pass the gateway.
        session, run, run_attempt, parent_run: where people see it. A session that was deleted is a reference (``erased:…``)
            that nothing can be found by. ``agent``: whose run it is.
        upstream: whose rate card counts; ``provider`` as price catalogues name it.
        asked: the model that was asked for; ``model``: the one that served.
        wire: the wire it was asked on; empty where the counts came as classes already.
        tier, region, speed: as the provider names them.
        counts: units by class (``providers/billing/model.py``); ``raw``: what the provider said.
        price: id of the price row; ``catalogue``: hash of the catalogue; ``card``: id of the rate card; ``waiver``: id of
            the waiver under which a model without a price was called.
        list_nano: at the catalogue's price. ``contracted_nano``: at the negotiated one. ``effective_nano``: with its share
            of commitments and provisioned throughput. ``billed_nano``: what the invoice will say, after credits. Nano-USD;
            None where there is no price: unknown is not free.
        parts: the list cost by class, nano-USD. ``unpriced``: classes that have counts and no price.
        currency, rate: of the bill where it is not USD, and the dated rate by which it was converted, as decimal text.
        outcome: how the attempt ended (``gateway/port.py``); ``reason``: why.
        took_ms: how long it took; ``first_ms``: from when its call came to the first content, waiting included.
        batch: id of the import it came with.
        tags: further dimensions.
    """

    id: str
    call: str
    at_ms: int
    day: str
    month: str
    parent: str = ""
    number: int = 1
    kind: str = "message"
    source: Source = "gateway"
    basis: Basis = "exact"
    corrects: str = ""
    tenant: str = "default"
    period: str = ""
    organisation: str = ""
    team: str = ""
    workflow: str = "unassigned"
    task: str = ""
    person: str = ""
    cost_centre: str = ""
    usage: str = ""
    key: str = ""
    session: str = ""
    run: str = ""
    run_attempt: int = 0
    parent_run: str = ""
    agent: str = ""
    upstream: str = ""
    provider: str = ""
    asked: str = ""
    model: str = ""
    wire: str = ""
    tier: str = ""
    region: str = ""
    speed: str = ""
    counts: dict[str, int] = {}
    raw: dict[str, Any] = {}
    price: str = ""
    catalogue: str = ""
    card: str = ""
    waiver: str = ""
    list_nano: int | None = None
    contracted_nano: int | None = None
    effective_nano: int | None = None
    billed_nano: int | None = None
    parts: dict[str, int] = {}
    unpriced: tuple[str, ...] = ()
    currency: str = "USD"
    rate: str = ""
    outcome: str = "served"
    reason: str = ""
    took_ms: int = 0
    first_ms: int | None = None
    batch: str = ""
    tags: dict[str, str] = {}
