"""Imports files: as a bill that rows are compared with, or as spend that becomes rows because nothing else counts it.

The default is a bill, since it can do no harm: lines of bills stand in a table of their own and are in no sum. Spend becomes
rows only when somebody says so, and then what could be counted twice is refused: days of a provider that another file
already has, and a provider of which the gateway or agents have rows on these days, unless the keys they use are left out.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO, Final

import msgspec
from msgspec.structs import replace

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.ledger import dates
from holdfast.governance.ledger.bill_line import BillLine, ImportBatch, Use
from holdfast.governance.ledger.imports import formats, reading, store
from holdfast.governance.ledger.imports.formats import Format
from holdfast.governance.ledger.imports.report import Convert, ImportReport, no_currency
from holdfast.governance.ledger.imports.tables import LABEL
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.service import Ledger

_MONEY: Final = ("list_nano", "contracted_nano", "effective_nano")


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is to be imported.

    Attributes:
        tenant, by: whose import it is, and who does it.
        use: see ``bill_line.Use``.
        format: its name; empty to find out.
        name: what the file is called.
        provider: whose report it is, where the file does not say.
        labels: of rows of spend, for all of them.
        key_labels: labels by the provider's key or account, which win.
        leave_out: keys and accounts at the provider whose spend is counted already.
    """

    tenant: str = "default"
    by: str = ""
    use: Use = "bill"
    format: str = ""
    name: str = ""
    provider: str = ""
    labels: Mapping[str, str] = {}
    key_labels: Mapping[str, Mapping[str, str]] = {}
    leave_out: frozenset[str] = frozenset()


class Importer:
    """Brings files into the ledger.

    Args:
        ledger: where rows go.
        convert: rates of other currencies.
    """

    def __init__(self, ledger: Ledger, convert: Convert = no_currency) -> None:
        self._ledger = ledger
        self._convert = convert

    async def import_file(self, source: BinaryIO, options: ImportOptions) -> tuple[ImportBatch, bool]:
        """Import a file that can be rewound. Answers its batch, and whether it is new: a second import changes nothing.

        The whole file is read and checked before anything is written. It is read beside the event loop.

        Raises:
            Refused: ``import.malformed``, ``import.unknown``, ``import.overlap``, ``input.too_large``, ``price.currency``.
            Unavailable: of the store.
        """
        convert = functools.cache(self._convert)  # both readings of the file have the same rates
        content = await asyncio.to_thread(reading.digest, source)
        database = self._ledger.store
        there = await database.read(
            lambda connection: store.find_batch(connection, options.tenant, options.use, content)
        )  # fmt: skip
        if there is not None:
            return there, False
        name = options.format or formats.recognise(source)
        batch = await asyncio.to_thread(self._look, source, options, content, name, convert)
        await self._refuse_doubles(batch, options)
        batch = await self._note_overlap(batch)
        pieces = self._pieces(source, options, batch, formats.format_of(name), convert)
        if options.use == "bill":
            await database.write(
                lambda connection: store.drop_lines(connection, batch.id)
            )  # of a try that was cut short
            while piece := await asyncio.to_thread(next, pieces, None):
                await database.write(lambda connection, piece=piece: store.add_lines(connection, piece))  # type: ignore[misc]
        else:
            while piece := await asyncio.to_thread(next, pieces, None):
                await self._ledger.append(self._row(line, options, formats.format_of(name)) for line in piece)
        await database.write(lambda connection: store.add_batch(connection, batch))
        return batch, True

    def _look(self, source: BinaryIO, options: ImportOptions, content: str, name: str, convert: Convert) -> ImportBatch:
        """Read a file through, and say what it is."""
        kind = formats.format_of(name)
        report = ImportReport(options.provider or kind.provider, convert)
        total, count = 0, 0
        days: list[str] = []
        providers: set[str] = set()
        for line in kind.read(source, report):
            if _is_left_out(line, options):
                continue
            count += 1
            total += line.amount_nano or 0
            days = [min([*days[:1], line.day]), max([*days[1:], line.day])]
            providers.add(line.provider)
            if count > limits.IMPORT_LINES:
                raise Refused("input.too_large", f"more than {limits.IMPORT_LINES:,} lines", fix="Split the file.")
        source.seek(0)
        if not count:
            report.note("the file has no line")
        if len(providers) > 1 and options.use == "spend":
            raise Refused(
                "import.malformed", f"the file has spend of {', '.join(sorted(providers))}", fix="Import one at a time."
            )
        return ImportBatch(
            id=f"i{content[:20]}{'s' if options.use == 'spend' else 'b'}{_mark(options.tenant)}", tenant=options.tenant,
            use=options.use, content=content, format=name, family=kind.family, name=options.name[: limits.LEDGER_WORDS],
            provider=next(iter(sorted(providers)), report.provider), by=options.by, at_ms=self._ledger.clock.wall_ms(),
            lines=count, total_nano=total, first_day=days[0] if days else "", last_day=days[-1] if days else "",
            complete=report.complete, notes=tuple(report.notes),
        )  # fmt: skip

    async def _refuse_doubles(self, batch: ImportBatch, options: ImportOptions) -> None:
        if batch.use != "spend" or not batch.lines:
            return
        database = self._ledger.store
        others = await database.read(lambda connection: store.overlapping(connection, batch))
        if others:
            raise Refused(
                "import.overlap",
                f"{others[0]:.80} has {batch.provider} on days from {batch.first_day} to {batch.last_day}",
            )
        if batch.family != "use" or options.leave_out:
            return
        since, until = dates.next_day(batch.first_day, -1), dates.next_day(batch.last_day)
        rows = await database.read(
            lambda connection: store.metered(connection, batch.tenant, batch.provider, since, until)
        )  # fmt: skip
        if rows:
            raise Refused(
                "import.overlap",
                f"the ledger has {rows:,} metered rows of {batch.provider} on these days, which the report may count, too",
                fix="Name the provider's keys or workspaces that they use, to be left out, or import the report as a bill.",
            )

    def _pieces(
        self, source: BinaryIO, options: ImportOptions, batch: ImportBatch, kind: Format, convert: Convert
    ) -> Iterator[list[BillLine]]:
        report = ImportReport(options.provider or kind.provider, convert)
        named = _named(kind.read(source, report), options, batch)
        while piece := list(islice(named, limits.LEDGER_GROUP_ROWS)):
            yield piece

    def _row(self, line: BillLine, options: ImportOptions, kind: Format) -> Row:
        """A line of spend as a row. It stands at the middle of its span, which is the same date in nearly every zone."""
        labels = dict(options.labels)
        labels |= options.key_labels.get(line.account, {})
        labels |= options.key_labels.get(line.key, {})
        labels |= {name.removeprefix(LABEL): value for name, value in line.tags.items() if name.startswith(LABEL)}
        if line.kind == "seat":
            labels.setdefault("usage", "seated")
        tags = {name: value for name, value in line.tags.items() if not name.startswith(LABEL)}
        tags |= {name: value for name, value in (("account", line.account), ("provider_key", line.key)) if value}
        row = Row(
            id=line.id, call=line.id, kind=line.kind, source="import", basis="imported", tenant=line.tenant,
            at_ms=(line.since_ms + line.until_ms) // 2, day="", month="", provider=line.provider, asked=line.model,
            model=line.model, tier=line.tier, region=line.region, speed=line.tags.get("speed", ""), counts=line.counts,
            raw={"line": line.line} if line.line else {}, batch=line.batch, tags=tags,
        )  # fmt: skip
        row = self._ledger.complete(row, labels, price=not kind.money)
        if kind.money:
            amounts: dict[str, Any] = {name: getattr(line, name) for name in _MONEY}
            amounts = {"billed_nano": line.amount_nano, "currency": line.currency, "rate": line.rate} | amounts
            for name in ("contracted_nano", "effective_nano"):  # what is billed, where the report says nothing else
                amounts[name] = line.amount_nano if amounts[name] is None else amounts[name]
            row = replace(row, **amounts)
        return row

    def read(self, source: BinaryIO, provider: str = "") -> tuple[list[BillLine], ImportReport, str]:
        """The lines of a file, which is not imported; see ``read_lines``."""
        return read_lines(source, provider=provider, convert=functools.cache(self._convert))

    async def batches(self, tenant: str) -> list[ImportBatch]:
        """Imports, newest first."""
        return await self._ledger.store.read(lambda connection: store.list_batches(connection, tenant))

    async def bill(self, tenant: str, provider: str, since: str, until: str) -> list[BillLine]:
        """Lines of a provider's bills between two days of UTC, both included, each day once (``newest``). Raises
        ``input.too_large``."""
        found: list[BillLine] = []
        while True:
            after = found[-1].id if found else ""
            page = await self._ledger.store.read(
                lambda connection, after=after: store.bill_lines(  # type: ignore[misc]
                    connection, tenant, provider, since, until, after, limits.LEDGER_PAGE_ROWS
                )
            )
            found += page
            if len(found) > limits.IMPORT_LINES:
                raise Refused("input.too_large", f"more than {limits.IMPORT_LINES:,} lines", fix="Take fewer days.")
            if len(page) < limits.LEDGER_PAGE_ROWS:
                break
        used = {line.batch for line in found}
        batches = await self._ledger.store.read(lambda connection: store.batches_named(connection, used))
        return newest(found, {batch.id: batch for batch in batches})

    async def _note_overlap(self, batch: ImportBatch) -> ImportBatch:
        """A bill that has days which an earlier one has, too, says what counts of them."""
        found = [
            other
            for other in await self.batches(batch.tenant)
            if batch.use == other.use == "bill" and other.lines and batch.lines and _kind(other) == _kind(batch)
            and other.provider == batch.provider and other.first_day <= batch.last_day
            and batch.first_day <= other.last_day
        ]  # fmt: skip
        if not found:
            return batch
        names = ", ".join(sorted({other.name or other.id for other in found}))
        words = f"{names} has some of these days, too: of each day and account the newest import counts"
        return replace(batch, notes=(*batch.notes, words[: limits.LEDGER_WORDS]))


def newest(found: Sequence[BillLine], batches: Mapping[str, ImportBatch]) -> list[BillLine]:
    """Of every day and account the lines of the import that came last: a report of the month so far, fetched every week,
    has the same days again and again, and providers put right what they said before. Amounts, counts without amounts, and
    seats are told apart: one of them does not take the place of another."""

    def place(line: BillLine) -> tuple[object, ...]:
        return *_kind(batches[line.batch]), line.account, line.day

    last: dict[tuple[object, ...], tuple[int, str]] = {}
    for line in found:
        at = batches[line.batch].at_ms, line.batch
        last[place(line)] = max(last.get(place(line), at), at)
    return [line for line in found if last[place(line)][1] == line.batch]


def _kind(batch: ImportBatch) -> tuple[str, bool]:
    """What a bill is of, and whether it has money."""
    return batch.family, formats.format_of(batch.format).money


def read_lines(source: BinaryIO, name: str = "", provider: str = "", convert: Convert = no_currency) -> tuple[
    list[BillLine], ImportReport, str
]:  # fmt: skip
    """The lines of a file without any store, with what is known of the whole and its format. Raises as an import does."""
    reading.digest(source)
    name = name or formats.recognise(source)
    kind = formats.format_of(name)
    report = ImportReport(provider or kind.provider, convert)
    return list(kind.read(source, report)), report, name


def _named(found: Iterator[BillLine], options: ImportOptions, batch: ImportBatch) -> Iterator[BillLine]:
    counted = (line for line in found if not _is_left_out(line, options))
    for number, line in enumerate(counted, 1):
        named = replace(line, id=f"{batch.id}-{number:07}", batch=batch.id, tenant=batch.tenant)
        if batch.use == "bill":
            named = replace(named, tags={k: v for k, v in line.tags.items() if not k.startswith(LABEL)})
        yield named


def _is_left_out(line: BillLine, options: ImportOptions) -> bool:
    return bool(options.leave_out) and (line.key in options.leave_out or line.account in options.leave_out)


def _mark(tenant: str) -> str:
    """Tells the same file of two tenants apart."""
    return "" if tenant == "default" else hashlib.sha256(tenant.encode()).hexdigest()[:8]


def days_of(lines: Sequence[BillLine]) -> tuple[str, str]:
    """First and last day of lines; empty for none."""
    days = [line.day for line in lines]
    return (min(days), max(days)) if days else ("", "")
