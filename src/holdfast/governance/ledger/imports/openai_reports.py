"""OpenAI's costs and completions usage of an organisation (``/v1/organization/costs``,
``/v1/organization/usage/completions``; https://platform.openai.com/docs/api-reference/usage).

Amounts are dollars as JSON numbers, which are read as decimals and never as floats. ``input_tokens`` counts cached and
cache-write tokens, and those of audio and images.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import BinaryIO

import msgspec

from holdfast.governance.ledger.bill_line import BillLine
from holdfast.governance.ledger.imports.reading import exact, malformed, pages
from holdfast.governance.ledger.imports.report import ImportReport


class _Amount(msgspec.Struct):
    value: Decimal | None = None
    currency: str | None = None


class CostResult(msgspec.Struct):
    """One result of a bucket."""

    amount: _Amount | None = None
    line_item: str | None = None
    project_id: str | None = None
    api_key_id: str | None = None
    quantity: Decimal | None = None
    quantity_unit: str | None = None


class CostBucket(msgspec.Struct):
    """One bucket; Unix seconds."""

    start_time: int
    end_time: int
    results: list[CostResult]


class CostsPage(msgspec.Struct):
    """One page."""

    data: list[CostBucket]
    has_more: bool


class CompletionsResult(msgspec.Struct):
    """One result of a bucket of usage."""

    input_tokens: int
    output_tokens: int
    num_model_requests: int = 0
    input_cached_tokens: int | None = None
    input_cache_write_tokens: int | None = None
    input_cache_write_30m_tokens: int | None = None
    input_cache_write_12h_tokens: int | None = None
    input_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    input_cached_audio_tokens: int | None = None
    input_cached_image_tokens: int | None = None
    output_audio_tokens: int | None = None
    output_image_tokens: int | None = None
    project_id: str | None = None
    api_key_id: str | None = None
    model: str | None = None
    batch: bool | None = None
    service_tier: str | None = None


class CompletionsBucket(msgspec.Struct):
    """One bucket of usage; Unix seconds."""

    start_time: int
    end_time: int
    results: list[CompletionsResult]


class CompletionsPage(msgspec.Struct):
    """One page of usage."""

    data: list[CompletionsBucket]
    has_more: bool


def read_costs(source: BinaryIO, report: ImportReport) -> Iterator[BillLine]:
    """Lines of costs. The name of a model stands before a comma in a line item: ``gpt-5, input``."""
    more = False
    for page in pages(source, CostsPage):
        more = page.has_more
        for bucket in page.data:
            for item in bucket.results:
                where = f"{bucket.start_time} {item.line_item or ''}".strip()
                if item.amount is None or item.amount.value is None:
                    raise malformed(where, "there is no amount")
                model, _, rest = (item.line_item or "").partition(", ")
                quantity = "" if item.quantity is None else f"{item.quantity.normalize():f}"
                yield report.line(
                    where, bucket.start_time * 1_000, bucket.end_time * 1_000, item.amount.currency or "USD",
                    {"amount": exact(item.amount.value, where)}, account=item.project_id or "", key=item.api_key_id or "",
                    model=model if rest else "", line=item.line_item or "", unit=item.quantity_unit or "",
                    tags={"quantity": quantity} if quantity else {},
                )  # fmt: skip
    _look_at_the_end(report, more)


def read_usage(source: BinaryIO, report: ImportReport) -> Iterator[BillLine]:
    """Lines of completions usage: counts without money."""
    more = False
    for page in pages(source, CompletionsPage):
        more = page.has_more
        for bucket in page.data:
            for item in bucket.results:
                where = f"{bucket.start_time} {item.model or ''}".strip()
                tier = "batch" if item.batch else item.service_tier or ""
                yield report.line(
                    where, bucket.start_time * 1_000, bucket.end_time * 1_000, account=item.project_id or "",
                    key=item.api_key_id or "", model=item.model or "", tier=tier, counts=_counts(item, where),
                )  # fmt: skip
    _look_at_the_end(report, more)


def _counts(item: CompletionsResult, where: str) -> dict[str, int]:
    """Classes that do not overlap, which sum to the totals."""
    write_30m, write_12h = item.input_cache_write_30m_tokens or 0, item.input_cache_write_12h_tokens or 0
    write = max(0, (item.input_cache_write_tokens or 0) - write_30m - write_12h)
    read_audio, read_image = item.input_cached_audio_tokens or 0, item.input_cached_image_tokens or 0
    read = (item.input_cached_tokens or 0) - read_audio
    audio = (item.input_audio_tokens or 0) - read_audio
    image = (item.input_image_tokens or 0) - read_image
    plain = item.input_tokens - read - read_audio - write - write_30m - write_12h - audio - image
    output = item.output_tokens - (item.output_audio_tokens or 0) - (item.output_image_tokens or 0)
    counts = {
        "input": plain, "input_audio": audio, "input_image": image, "cache_read": read, "cache_read_audio": read_audio,
        "cache_write": write, "cache_write_30m": write_30m, "cache_write_12h": write_12h, "output": output,
        "output_audio": item.output_audio_tokens or 0, "output_image": item.output_image_tokens or 0,
        "requests": item.num_model_requests,
    }  # fmt: skip
    if any(value < 0 for value in counts.values()):
        raise malformed(where, "a part is larger than its whole")
    return {name: value for name, value in counts.items() if value}


def _look_at_the_end(report: ImportReport, more: bool) -> None:
    if more:
        report.complete = False
        report.note("the last page says that there are more")
