"""Anthropic's usage and cost reports of an organisation (Admin API, ``/v1/organizations/cost_report`` and
``/v1/organizations/usage_report/messages``; https://platform.claude.com/docs/en/api/admin/cost_report).

Amounts are cents as decimal text: ``"123.45"`` is 1.2345 dollars. Days are those of UTC. A report has the hundred largest
groups of a bucket and no line for the rest, and leaves the costs of the priority tier out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec

from holdfast.governance.ledger.bill_line import BillLine
from holdfast.governance.ledger.imports.reading import exact, instant, malformed, pages
from holdfast.governance.ledger.imports.report import ImportReport

TOP_GROUPS: Final = 100
_CLASSES: Final = {
    "uncached_input_tokens": "input", "output_tokens": "output", "cache_read_input_tokens": "cache_read",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write_5m",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write_1h",
}  # fmt: skip


class CostItem(msgspec.Struct):
    """One item of a bucket."""

    amount: str
    currency: str = "USD"
    workspace_id: str | None = None
    description: str | None = None
    cost_type: str | None = None
    context_window: str | None = None
    model: str | None = None
    service_tier: str | None = None
    token_type: str | None = None
    inference_geo: str | None = None
    list_amount: str | None = None


class CostDay(msgspec.Struct):
    """One bucket."""

    starting_at: str
    ending_at: str
    results: list[CostItem]


class CostPage(msgspec.Struct):
    """One page."""

    data: list[CostDay]
    has_more: bool


class _Creation(msgspec.Struct):
    ephemeral_1h_input_tokens: int = 0
    ephemeral_5m_input_tokens: int = 0


class _ServerTools(msgspec.Struct):
    web_search_requests: int = 0


class UsageItem(msgspec.Struct):
    """One item of a bucket of usage."""

    uncached_input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_creation: _Creation = msgspec.field(default_factory=_Creation)
    server_tool_use: _ServerTools | None = None
    api_key_id: str | None = None
    workspace_id: str | None = None
    model: str | None = None
    service_tier: str | None = None
    context_window: str | None = None
    inference_geo: str | None = None
    speed: str | None = None


class UsageBucket(msgspec.Struct):
    """One bucket of usage."""

    starting_at: str
    ending_at: str
    results: list[UsageItem]


class UsagePage(msgspec.Struct):
    """One page of usage."""

    data: list[UsageBucket]
    has_more: bool


def read_costs(source: BinaryIO, report: ImportReport) -> Iterator[BillLine]:
    """Lines of a cost report."""
    report.note("costs of the priority tier are not in this report")
    more = False
    for page in pages(source, CostPage):
        more = page.has_more
        for bucket in page.data:
            _look_for_the_rest(report, len(bucket.results), bucket.starting_at)
            since_ms, until_ms = instant(bucket.starting_at, "starting_at"), instant(bucket.ending_at, "ending_at")
            for item in bucket.results:
                where = f"{bucket.starting_at[:20]} {item.description or ''}".strip()
                amounts = {"amount": exact(item.amount, where) / 100}
                if item.list_amount is not None:
                    amounts["list"] = exact(item.list_amount, where) / 100
                yield report.line(
                    where, since_ms, until_ms, item.currency, amounts, account=item.workspace_id or "",
                    model=item.model or "", line=item.description or item.cost_type or "",
                    tier=item.service_tier or "", region=_region(item.inference_geo),
                    unit=_CLASSES.get(item.token_type or "", item.token_type or item.cost_type or ""),
                    tags={"context_window": item.context_window} if item.context_window else {},
                )  # fmt: skip
    _look_at_the_end(report, more)


def read_usage(source: BinaryIO, report: ImportReport) -> Iterator[BillLine]:
    """Lines of a usage report: counts without money."""
    more = False
    for page in pages(source, UsagePage):
        more = page.has_more
        for bucket in page.data:
            _look_for_the_rest(report, len(bucket.results), bucket.starting_at)
            since_ms, until_ms = instant(bucket.starting_at, "starting_at"), instant(bucket.ending_at, "ending_at")
            for item in bucket.results:
                counts = {
                    "input": item.uncached_input_tokens, "output": item.output_tokens,
                    "cache_read": item.cache_read_input_tokens,
                    "cache_write_5m": item.cache_creation.ephemeral_5m_input_tokens,
                    "cache_write_1h": item.cache_creation.ephemeral_1h_input_tokens,
                    "web_searches": item.server_tool_use.web_search_requests if item.server_tool_use else 0,
                }  # fmt: skip
                if any(value < 0 for value in counts.values()):
                    raise malformed(bucket.starting_at[:20], "a count is negative")
                yield report.line(
                    bucket.starting_at, since_ms, until_ms, account=item.workspace_id or "", key=item.api_key_id or "",
                    model=item.model or "", tier=item.service_tier or "", region=_region(item.inference_geo),
                    counts={name: value for name, value in counts.items() if value},
                    tags={
                        name: value
                        for name, value in (("context_window", item.context_window), ("speed", item.speed))
                        if value
                    },
                )  # fmt: skip
    _look_at_the_end(report, more)


def _region(geo: str | None) -> str:
    return "" if geo in (None, "not_available") else str(geo)


def _look_for_the_rest(report: ImportReport, groups: int, where: str) -> None:
    if groups >= TOP_GROUPS:
        report.complete = False
        report.note(f"{where[:10]} has {groups} groups: the report may have left out smaller ones")


def _look_at_the_end(report: ImportReport, more: bool) -> None:
    if more:
        report.complete = False
        report.note("the last page says that there are more")
