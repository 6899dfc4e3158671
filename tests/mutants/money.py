"""Planted bugs of the money: what is counted, what it costs, in whose books it stands, and whether the bill agrees."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import msgspec
from conformance.planting import replace
from sqlalchemy import ColumnElement, true

from holdfast.errors import Refused
from holdfast.gateway import app as gateway
from holdfast.gateway import attempt, brake, relay
from holdfast.governance.keys import ring
from holdfast.governance.ledger import dates, queries, recorder, settling, verify
from holdfast.governance.ledger import store as ledger_store
from holdfast.governance.ledger.bills.compare import reconcile
from holdfast.governance.ledger.bills.variance import decompose
from holdfast.governance.ledger.bills.variance.model import Effects
from holdfast.governance.ledger.imports import service as imports
from holdfast.governance.organisation import model as organisation
from holdfast.governance.pricing import book, cost, currency
from holdfast.governance.pricing import service as pricing
from holdfast.providers.billing import anthropic_messages, openai_counts
from holdfast.providers.billing.model import BilledAttempt
from tests.mutants.plant import mutant

LEDGER = "tests/unit/governance/ledger"
PRICING = "tests/unit/governance/pricing"
BILLING = "tests/unit/providers/billing"
SERVICE = f"{LEDGER}/test_service.py"
METER = "tests/unit/governance/app/test_meter.py"


# --- what is counted --------------------------------------------------------------------------------------------------------
@mutant("MONEY-4", "a stream that its caller leaves is free", "tests/unit/gateway/test_leaving.py")
def aborted_is_free() -> None:
    replace(attempt.UpstreamAttempt, "used", lambda self, *, so_far=False: BilledAttempt(reported=False))


@mutant(
    "MONEY-4",
    "an attempt that was cut without a word is free",
    f"{SERVICE}::test_what_an_attempt_without_usage_is_billed",
)
def cut_is_free() -> None:
    real = settling.billed_of

    def billed_of(opening: Any, served: Any) -> Any:
        silent = not served.billed and served.estimated is None
        return [(BilledAttempt(model=opening.model), "exact")] if silent else real(opening, served)

    replace(settling, "billed_of", billed_of)


@mutant(
    "MONEY-4",
    "a reported zero is replaced by an estimate",
    f"{SERVICE}::test_a_reported_zero_is_a_zero_and_costs_nothing",
)
def zero_is_estimated() -> None:
    real = settling.billed_of

    def billed_of(opening: Any, served: Any) -> Any:
        said = any(count for each in served.billed for count in each.counts.values())
        return real(opening, served if said else msgspec.structs.replace(served, billed=()))

    replace(settling, "billed_of", billed_of)


@mutant("MONEY-4", "reasoning is billed beside the completion that has it", f"{BILLING}/test_openai.py")
def reasoning_twice() -> None:
    real = openai_counts._totals

    def totals(reader: Any, names: Any, reasoning: int | None, provider: str, split: Any) -> None:
        real(reader, names, reasoning, provider, split)
        if reasoning and split.total_output is not None:
            split.total_output += reasoning

    replace(openai_counts, "_totals", totals)


@mutant("MONEY-4", "what was read from a cache is billed as input", f"{BILLING}/test_openai.py")
def cache_read_as_input() -> None:
    real = openai_counts._divide_input

    def divide_input(reader: Any, inside: Any, split: Any) -> None:
        real(reader, inside, split)
        if "cache_read" in split.counts:
            split.counts["input"] = split.counts.get("input", 0) + split.counts.pop("cache_read")

    replace(openai_counts, "_divide_input", divide_input)


@mutant(
    "MONEY-4", "what was written to a cache for an hour is billed as for five minutes", f"{BILLING}/test_anthropic.py"
)
def hour_as_five_minutes() -> None:
    real = anthropic_messages.lifetimes

    def lifetimes(reader: Any, written: int | None) -> dict[str, int | None]:
        parts = real(reader, written)
        if "cache_write_1h" in parts:
            parts["cache_write_5m"] = (parts.get("cache_write_5m") or 0) + (parts.pop("cache_write_1h") or 0)
        return parts

    replace(anthropic_messages, "lifetimes", lifetimes)


@mutant(
    "MONEY-4", "of a stream only its last words on usage count", f"{BILLING}/test_anthropic.py::test_both_events_count"
)
def last_words_only() -> None:
    replace(anthropic_messages, "merged_usage", lambda earlier, later: later)


# --- what it costs ----------------------------------------------------------------------------------------------------------
@mutant(
    "MONEY-4",
    "a call is priced by the model that was asked for",
    f"{PRICING}/test_cases.py::test_a_call_is_priced_by_what_served_and_not_by_what_was_asked_for",
)
def priced_as_asked() -> None:
    real = book.PriceBook.price

    def price(self: Any, billed: Any, *, asked: str, **named: Any) -> Any:
        return real(self, msgspec.structs.replace(billed, model=asked or billed.model), asked=asked, **named)

    replace(book.PriceBook, "price", price)


@mutant("MONEY-4", "the price of a long context begins one token too early", f"{PRICING}/test_cases.py")
def step_too_early() -> None:
    replace(cost, "bisect_left", bisect.bisect_right)


@mutant("MONEY-4", "halves of a nano-dollar are always rounded up", f"{PRICING}/test_properties.py")
def half_up() -> None:
    replace(cost, "half_even", lambda numerator, over: (2 * numerator + over) // (2 * over))


@mutant("MONEY-4", "a day of many requests is priced as one long request", f"{LEDGER}/imports/test_service.py")
def day_as_one_request() -> None:
    replace(settling, "request_input", lambda row: None)


@mutant("MONEY-4", "an amount in another currency has the newest rate", f"{PRICING}/test_contract.py")
def newest_rate() -> None:
    real = currency.Currencies.rate

    def rate(self: Any, currency: str, at_ms: int) -> Any:
        real(self, currency, at_ms)
        return self._rates[currency][-1] if currency in self._rates else real(self, currency, at_ms)

    replace(currency.Currencies, "rate", rate)


@mutant("MONEY-5", "a model without a price is served", f"{PRICING}/test_service.py")
def price_missing_served() -> None:
    def check(self: Any, *, provider: str, model: str, upstream: str, at_ms: int, workflow: str = "") -> None:
        return None

    replace(book.PriceBook, "check", check)


@mutant("MONEY-5", "a path that nobody meters is passed on", "tests/unit/gateway/test_paths.py")
def unmetered_passes() -> None:
    real = gateway.Gateway.__call__

    async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
        images = scope.get("path") == "/v1/images/generations"
        await real(self, {**scope, "path": "/v1/chat/completions"} if images else scope, receive, send)

    replace(gateway.Gateway, "__call__", call)


@mutant("MONEY-5", "a key that was revoked is served", "tests/unit/governance/keys/test_service.py")
def revoked_is_served() -> None:
    real = ring.KeyRing.find

    def find(self: Any, text: str, now_ms: int) -> Any:
        try:
            return real(self, text, now_ms)
        except Refused as error:
            found = self._entry(text)
            if error.code != "key.revoked" or found is None:
                raise
            return found

    replace(ring.KeyRing, "find", find)


# --- in whose books it stands -----------------------------------------------------------------------------------------------
@mutant(
    "MONEY-3",
    "an attempt that is put on record twice is billed twice",
    f"{SERVICE}::test_a_commit_of_unknown_outcome_counts_once",
)
def settled_twice() -> None:
    def late_rows(connection: Any, rows: Any) -> Any:
        return [msgspec.structs.replace(row, id=f"{row.id}+") for row in rows]

    replace(recorder, "_late_rows", late_rows)


@mutant(
    "MONEY-3", "attempts of one call at two upstreams are one row", f"{METER}::test_fail_over_is_two_attempts_and_the_first_is_not_billed"
)  # fmt: skip
def failover_merged() -> None:
    real = settling.rows_of

    def rows_of(opening: Any, served: Any, prices: Any, organisation: Any) -> list[Any]:
        rows = real(opening, served, prices, organisation)
        return [msgspec.structs.replace(row, id=row.id.replace(opening.id, opening.call.id)) for row in rows]

    replace(settling, "rows_of", rows_of)


@mutant("MONEY-3", "a row and what replaced it both count", f"{LEDGER}/test_reader.py")
def both_count() -> None:
    def last_ones() -> ColumnElement[bool]:
        return true()

    replace(queries, "last_ones", last_ones)


@mutant("MONEY-3", "rows go into a month that is closed", f"{LEDGER}/test_bookkeeping.py")
def closed_month_written() -> None:
    replace(dates, "open_period", lambda month, closed: month)


@mutant("MONEY-3", "moving a team rewrites last month", "tests/unit/governance/organisation/test_model.py")
def move_rewrites() -> None:
    def find(self: Any, kind: Any, name: str, at_ms: int) -> Any:
        timeline = self.timelines.get((kind, name))
        return timeline[-1].unit if timeline and timeline[-1].until_ms is None else None

    replace(organisation.Tree, "find", find)


@mutant("MONEY-3", "verify does not miss a row that was removed", f"{LEDGER}/test_verify.py")
def removed_row_unseen() -> None:
    replace(verify, "_unmatched_seals", lambda connection, tenant: [])


@mutant("MONEY-3", "verify takes whatever a row says now for what was written", f"{LEDGER}/test_verify.py")
def changed_row_unseen() -> None:
    def seal(row: Any, stored: dict[str, Any]) -> Iterator[Any]:
        stored.pop(verify._SEAL)
        yield from ()

    replace(verify, "_seal", seal)


@mutant(
    "MONEY-3", "rows still name a session that was deleted", f"{SERVICE}::test_a_deleted_session_cannot_be_found_from_its_rows"
)  # fmt: skip
def deleted_session_named() -> None:
    replace(ledger_store, "forget_session", lambda connection, tenant, session: True)


# --- whether the bill agrees ------------------------------------------------------------------------------------------------
@mutant("MONEY-3", "differences are netted before they are summed", f"{LEDGER}/bills/test_reconcile.py")
def netted() -> None:
    real = reconcile._conclude

    def conclude(
        grid: Any, keys: Any, context: Any, cells: Sequence[Any], findings: Any, bill: Any, settled: Any
    ) -> Any:
        found = real(grid, keys, context, cells, findings, bill, settled)
        return msgspec.structs.replace(found, gap_nano=abs(sum(cell.difference_nano for cell in cells)))

    replace(reconcile, "_conclude", conclude)


@mutant("MONEY-3", "a variance leaves a residual", f"{LEDGER}/bills/test_variance.py")
def residual() -> None:
    def rounded(fine: Sequence[int]) -> Effects:
        return Effects(*(int(Fraction(part, decompose._FINE)) for part in fine))

    replace(decompose, "_rounded", rounded)


@mutant("MONEY-3", "of two reports of one day both count", f"{LEDGER}/imports/test_service.py")
def report_counts_twice() -> None:
    replace(imports, "newest", lambda found, batches: list(found))


@mutant("MONEY-3", "a credit that was used up pays again every month", f"{LEDGER}/bills/test_month_charges.py")
def credit_without_end() -> None:
    real = pricing.Prices.adjust_month

    def adjust_month(
        self: Any, rows: Any, upstreams: Any, from_ms: int, until_ms: int, consumed: Mapping[tuple[str, str], int]
    ) -> Any:
        return real(self, rows, upstreams, from_ms, until_ms, {})

    replace(pricing.Prices, "adjust_month", adjust_month)


# --- the brake --------------------------------------------------------------------------------------------------------------
BRAKE = "tests/unit/gateway/test_brake.py"


@mutant(
    "BRAKE-1", "what was read goes on, whatever was granted", f"{BRAKE}::test_nothing_is_given_on_before_it_is_granted"
)
def given_on_ungranted() -> None:
    def take(self: brake.StreamBrake, events: bytes) -> bytes:
        self.seen.add(*self.seen.weigh(events))
        self._extend_early(self._now_granted())
        return events

    replace(brake.StreamBrake, "take", take)


@mutant("BRAKE-1", "a refusal that came in good time ends an answer that fits", BRAKE)
def braked_early() -> None:
    real = brake.StreamBrake.take

    def take(self: brake.StreamBrake, events: bytes) -> bytes:
        work = self._extending
        if work is not None and work.done() and work.exception() is not None:
            raise brake.Braked(Refused("budget.exceeded"), "error")
        return real(self, events)

    replace(brake.StreamBrake, "take", take)


@mutant(
    "MONEY-1",
    "what was read and not given on is not estimated",
    f"{BRAKE}::test_what_was_read_and_not_given_on_is_estimated_too",
)
def unread_is_free() -> None:
    def used(self: attempt.UpstreamAttempt, *, so_far: bool = False) -> BilledAttempt:
        assert self.followed is not None
        reported = self.reader.so_far() if so_far else self.reader.end()
        return attempt.estimated(self._input_bytes, attempt.output_tokens(self.followed.text_bytes), reported)

    replace(attempt.UpstreamAttempt, "used", used)
    replace(relay.Relay, "forgo", lambda self: None)


@mutant("BRAKE-1", "a person is asked for nobody", f"{BRAKE}::test_nobody_is_asked_for_a_caller_who_has_gone")
def asked_for_nobody() -> None:
    async def close(self: brake.StreamBrake) -> None:
        return None

    replace(brake.StreamBrake, "close", close)
