"""What people ask of prices, as JSON: the routes and the commands both answer with it.

``ACTIONS`` lists every question once: its route, who may ask it, and the method of ``PriceDesk`` that answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from holdfast.errors import Refused
from holdfast.governance.pricing.calculation import calculate
from holdfast.governance.pricing.cards import moment
from holdfast.governance.pricing.changes import ChangeKind, ChangeState
from holdfast.governance.pricing.matching import provider_id
from holdfast.governance.pricing.model import STANDARD
from holdfast.governance.pricing.rates import written
from holdfast.governance.pricing.resolving import DAY_MS, RowPrices
from holdfast.governance.pricing.service import Prices


class Proposal(msgspec.Struct, forbid_unknown_fields=True):
    """A change, and why."""

    kind: ChangeKind
    document: dict[str, Any]
    why: str


class PriceDecision(msgspec.Struct, forbid_unknown_fields=True):
    """What is said with a decision."""

    words: str = ""


class WaiverRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A waiver that somebody gives."""

    model: str
    why: str
    until: str
    provider: str = ""
    workflow: str = ""
    rates: dict[str, Any] = {}
    renews: str = ""


class CurrencyTable(msgspec.Struct, forbid_unknown_fields=True):
    """Rates of currencies, as CSV."""

    csv: str
    source: str


class Calculation(msgspec.Struct, forbid_unknown_fields=True):
    """A usage whose cost is asked for."""

    usage: dict[str, Any]
    provider: str
    model: str
    wire: str = "classes"
    upstream: str = ""
    tier: str = ""
    at: str = ""


class Action(msgspec.Struct, frozen=True):
    """One question.

    Attributes:
        name: of the method that answers it.
        method, path: of its route, below ``/v1/x/governance/prices``.
        verb: the capability that it needs.
        summary: what it does.
        query: names of its parameters in the query.
        body: what it takes.
    """

    name: str
    method: str
    path: str
    verb: str
    summary: str
    query: tuple[str, ...] = ()
    body: type[msgspec.Struct] | None = None


ACTIONS: Final = (
    Action("catalogue", "GET", "/catalogue", "spend", "Which catalogue holds"),
    Action("models", "GET", "/models", "spend", "Models that have a price", ("provider", "model")),
    Action("show", "GET", "/models/{provider}/{model:path}", "spend", "The prices of a model", ("at", "upstream")),
    Action("changes", "GET", "/changes", "spend", "Changes of prices", ("state",)),
    Action("diff", "GET", "/changes/{change}/diff", "spend", "What a change would do"),
    Action("propose", "POST", "/changes", "catalogue", "Propose a change", (), Proposal),
    Action("approve", "POST", "/changes/{change}/approve", "catalogue", "Let a change happen", (), PriceDecision),
    Action("reject", "POST", "/changes/{change}/reject", "catalogue", "Decide against a change", (), PriceDecision),
    Action("cards", "GET", "/cards", "spend", "Rate cards", ("upstream",)),
    Action("waivers", "GET", "/waivers", "spend", "Waivers of prices"),
    Action("waive", "POST", "/waivers", "waive", "Let a model be called without a price", (), WaiverRequest),
    Action("revoke", "DELETE", "/waivers/{waiver}", "waive", "Take a waiver back"),
    Action("currencies", "POST", "/currencies", "catalogue", "Import rates of currencies", (), CurrencyTable),
    Action("calc", "POST", "/calculate", "spend", "What a usage costs", (), Calculation),
)


class PriceDesk:
    """Answers about prices.

    Args:
        prices: whose.
        now_ms: the clock, Unix ms.
    """

    def __init__(self, prices: Prices, now_ms: Any) -> None:
        self._prices = prices
        self._now_ms = now_ms

    async def answer(self, action: Action, by: str, facts: Mapping[str, str], body: Any = None) -> Any:
        """The answer to a question, as JSON values.

        Args:
            action: which one.
            by: the actor who asks.
            facts: parameters of its path and query.
            body: what it takes.

        Raises:
            Refused: ``price.…``.
        """
        given_facts = {name: value for name, value in facts.items() if value}
        arguments = {**given_facts, **({} if body is None else {"body": body})}
        if action.verb in ("catalogue", "waive"):
            arguments["by"] = by
        else:
            await self._prices.refresh()
        return msgspec.to_builtins(await getattr(self, f"_{action.name}")(**arguments))

    async def _catalogue(self) -> Any:
        catalogue = self._prices.book.catalogue
        return {
            "hash": catalogue.hash, "source": catalogue.base.source, "models": len(catalogue.base.entries),
            "overrides": [{"id": e.origin, "provider": e.provider, "model": e.model, "note": e.note} for e in catalogue.overrides],
            "proposed": len(await self._prices.changes("proposed")),
        }  # fmt: skip

    async def _models(self, provider: str = "", model: str = "*") -> Any:
        owner = provider_id(provider) if provider else ""
        return [{"provider": p, "model": m, "from": origin} for p, m, origin in self._prices.models(owner, model)]

    async def _show(self, provider: str, model: str, at: str = "", upstream: str = "") -> Any:
        owner, at_ms = provider_id(provider), moment(at) if at else self._now_ms()
        catalogue = self._prices.book.catalogue
        standard = catalogue.row(owner, model, at_ms)
        if standard is None:
            raise Refused("price.missing", f"nobody has priced {provider}/{model}", model=model)
        entry = catalogue.entry(owner, model)
        overrides = [one for one in catalogue.overrides if one.provider == owner]
        variants = {span.when for one in (*([entry] if entry else []), *overrides) for span in one.variants}
        shown = [_row_of(standard, STANDARD)]
        for when in sorted(variants):
            names = dict(when)
            row = catalogue.row(owner, model, at_ms, names.get("tier", STANDARD), names.get("speed", ""))
            if set(names) <= {"tier", "speed"} and row is not None and not row.lacking:
                shown.append(_row_of(row, " ".join(names.values())))
        card = self._prices.book.card(upstream, at_ms) if upstream else None
        return {"catalogue": catalogue.hash, "card": card.id if card else "", "prices": shown}

    async def _changes(self, state: ChangeState | None = None) -> Any:
        if state not in (None, "proposed", "approved", "rejected"):
            raise Refused("price.invalid", f"no change is {state!r}", fix="Ask for proposed, approved or rejected.")
        return await self._prices.changes(state)

    async def _diff(self, change: str) -> Any:
        return await self._prices.diff(change)

    async def _propose(self, by: str, body: Proposal) -> Any:
        change = await self._prices.propose(body.kind, body.document, by=by, why=body.why)
        return {"change": change, "diff": await self._prices.diff(change.id)}

    async def _approve(self, change: str, by: str, body: PriceDecision) -> Any:
        return await self._prices.approve(change, by=by, words=body.words)

    async def _reject(self, change: str, by: str, body: PriceDecision) -> Any:
        return await self._prices.reject(change, by=by, words=body.words)

    async def _cards(self, upstream: str = "") -> Any:
        return [card for card in self._prices.book.cards if upstream in ("", card.upstream)]

    async def _waivers(self) -> Any:
        return self._prices.book.waivers

    async def _waive(self, by: str, body: WaiverRequest) -> Any:
        until = body.until
        until_ms = (
            self._now_ms() + int(until[:-1]) * DAY_MS if until[:-1].isdigit() and until[-1:] == "d" else moment(until)
        )
        return await self._prices.waive(
            model=body.model, by=by, why=body.why, until_ms=until_ms, provider=body.provider and provider_id(body.provider),
            workflow=body.workflow, rates=body.rates or None, renews=body.renews,
        )  # fmt: skip

    async def _revoke(self, waiver: str, by: str) -> Any:
        await self._prices.revoke_waiver(waiver, by=by)
        return {"revoked": waiver}

    async def _currencies(self, by: str, body: CurrencyTable) -> Any:
        return {"added": await self._prices.import_currencies(body.csv, f"{body.source} ({by})"[:200])}

    async def _calc(self, body: Calculation) -> Any:
        at_ms = moment(body.at) if body.at else self._now_ms()
        return calculate(
            self._prices.book, body.usage, wire=body.wire, provider=body.provider, model=body.model, at_ms=at_ms,
            upstream=body.upstream, tier=body.tier,
        )  # fmt: skip


def _row_of(row: RowPrices, tier: str) -> dict[str, Any]:
    """A row as people read it: USD, in the common unit of each class, for every step."""
    steps = []
    for above, table in zip((0, *row.thresholds), row.tables, strict=True):
        prices = {name: written(f"{rate}/{row.over}", name) for name, rate in table.items()}
        steps.append({"above": above, "prices": prices})
    return {"id": row.id, "tier": tier, "steps": steps}
