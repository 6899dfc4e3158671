"""A ledger on a store of either kind, with prices and an organisation that a test can read at a glance."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from holdfast.errors import Refused
from holdfast.gateway.port import Caller, ModelCall, Opening
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.store.store import Store
from holdfast.providers.billing.model import BilledAttempt
from holdfast.testing import FakeClock

NOON = 1_792_584_000_000  # 2026-10-21T12:00:00Z


@dataclasses.dataclass(frozen=True)
class FlatCost:
    list_nano: int | None
    contracted_nano: int | None
    effective_nano: int | None
    billed_nano: int | None
    parts: Mapping[str, int]
    price: str = "flat"
    catalogue: str = "c1"
    card: str = ""
    waiver: str = ""
    unpriced: tuple[str, ...] = ()
    currency: str = "USD"
    rate: str = ""


class FlatPrices:
    """Input costs 1,000 nano-USD a token, output 5,000, reads from a cache 100; ``free-*`` models have no price."""

    RATES = {
        "input": 1_000,
        "output": 5_000,
        "reasoning": 5_000,
        "cache_read": 100,
        "cache_write": 1_250,
        "requests": 0,
    }

    def check(self, *, provider: str, model: str, upstream: str, at_ms: int, workflow: str = "") -> None:
        if model.startswith("unpriced"):
            raise Refused("input.malformed", f"nobody has priced {model}")

    def price(
        self, billed: BilledAttempt, *, provider: str, upstream: str, asked: str, at_ms: int, workflow: str = "",
        request_input: int | None = None,
    ) -> FlatCost:  # fmt: skip
        missing = tuple(name for name, count in billed.counts.items() if count and name not in self.RATES)
        if billed.model.startswith("unpriced") or missing:
            return FlatCost(None, None, None, None, {}, price="", unpriced=missing)
        parts = {name: count * self.RATES.get(name, 0) for name, count in billed.counts.items()}
        total = sum(parts.values())
        return FlatCost(total, total * 9 // 10, total * 9 // 10, total * 9 // 10, parts)


@dataclasses.dataclass(frozen=True)
class Place:
    organisation: str
    team: str
    workflow: str
    cost_centre: str
    usage: str
    person: str
    tags: Mapping[str, str]


class FlatOrganisation:
    """One organisation in Berlin; labels say whose everything is."""

    def resolve(self, labels: Mapping[str, str], at_ms: int, tenant: str = "default") -> Place:
        one = {"organisation": "acme", "workflow": "unassigned"} | dict(labels)
        names = ("organisation", "team", "workflow", "cost_centre", "usage", "user")
        return Place(*(one.get(name, "") for name in names), tags={})

    def zone(self, tenant: str = "default", at_ms: int | None = None) -> ZoneInfo:
        return ZoneInfo("Europe/Berlin")


@pytest.fixture
async def ledger(store: Store, clock: FakeClock) -> AsyncIterator[Ledger]:
    made = Ledger(store, FlatPrices(), FlatOrganisation(), clock)
    await made.recorder.refresh()
    yield made
    await made.stop()


def opening(id_: str = "a1", **more: Any) -> Opening:
    """An attempt at 12:00 UTC of 400 bytes for the workflow ``mail``."""
    labels = tuple(sorted({"workflow": "mail", "team": "sales", "task": "reply", **more.pop("labels", {})}.items()))
    session, tenant, at_ms = more.pop("session", ""), more.pop("tenant", "default"), more.pop("at_ms", NOON)
    caller = Caller("k1", tenant, labels=labels)
    call = ModelCall(more.pop("call", f"c-{id_}"), caller, "openai.chat", more.pop("asked", "m1"), at_ms, 400, session=session,
                run=more.pop("run", ""), attempt=1)  # fmt: skip
    model = more.pop("model", "m1")
    return Opening(id_, call, more.pop("number", 1), "up", "openai", model, at_ms)


def used(model: str = "m1", **counts: int) -> BilledAttempt:
    return BilledAttempt(model=model, counts=counts or {"input": 100, "output": 10})
