"""Bounded reading of files that somebody else wrote. Nothing is decoded before its size is known to be within bounds."""

from __future__ import annotations

import csv
import datetime
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, BinaryIO, Final, TypeVar

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.ledger.figures import NANO

T = TypeVar("T")
_DIGITS: Final = 60  # of an amount as it is written; more is no money


def malformed(where: str, what: str) -> Refused:
    """The file is wrong at a place."""
    return Refused("import.malformed", f"{where}: {what}", fix="Correct it there, or say the format with --format.")


def digest(source: BinaryIO) -> str:
    """SHA-256 of a file, which is rewound afterwards. Raises ``input.too_large``."""
    hashed, size = hashlib.sha256(), 0
    while piece := source.read(1 << 20):
        size += len(piece)
        if size > limits.IMPORT_BYTES:
            raise Refused("input.too_large", f"the file has more than {limits.IMPORT_BYTES:,} bytes", fix="Split it.")
        hashed.update(piece)
    source.seek(0)
    return hashed.hexdigest()


# --- JSON
def pages(source: BinaryIO, type_: type[T]) -> Iterator[T]:
    """Pages of a report: one JSON document, an array of them, or one a line, as they were saved.

    Raises:
        Refused: ``input.too_large``, ``import.malformed``.
    """
    text = source.read(limits.IMPORT_JSON_BYTES + 1)
    if len(text) > limits.IMPORT_JSON_BYTES:
        words = f"a JSON report has at most {limits.IMPORT_JSON_BYTES:,} bytes"
        raise Refused("input.too_large", words, fix="Save its pages as one file each.")
    text = text.strip().removeprefix(b"\xef\xbb\xbf")
    try:
        if text.startswith(b"["):
            yield from msgspec.json.decode(text, type=list[type_])  # type: ignore[valid-type]
            return
        decoder = msgspec.json.Decoder(type_)
        try:
            yield decoder.decode(text)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            if b"\n" not in text:
                raise
            yield from decoder.decode_lines(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise malformed("the report", str(error)[:200]) from None


# --- CSV
def csv_rows(source: BinaryIO) -> Iterator[tuple[int, dict[str, str]]]:
    """``(line, values by column)`` of a CSV file in UTF-8 with a head; columns by their names in lower case without spaces.

    Raises:
        Refused: ``import.malformed``, ``input.too_large``.
    """
    rows = csv.reader(_lines(source), strict=True)
    try:
        head = [_column(name) for name in next(rows, [])]
        if not any(head):
            raise malformed("line 1", "there is no head")
        if len(head) > limits.IMPORT_COLUMNS:
            raise Refused("input.too_large", f"a file has {limits.IMPORT_COLUMNS} columns at most")
        for name in {name for name in head if name and head.count(name) > 1}:
            raise malformed("line 1", f"column {name!r:.80} stands there twice")
        count = 0
        for cells in rows:
            if not any(cells):
                continue
            count += 1
            if count > limits.IMPORT_LINES:
                raise Refused("input.too_large", f"a file has {limits.IMPORT_LINES:,} lines at most", fix="Split it.")
            if len(cells) != len(head):
                raise malformed(f"line {rows.line_num}", f"{len(cells)} cells under {len(head)} columns")
            yield rows.line_num, dict(zip(head, (cell.strip() for cell in cells), strict=True))
    except csv.Error as error:
        raise malformed(f"line {rows.line_num}", str(error)) from None


def head_of(source: BinaryIO) -> set[str]:
    """The columns of a CSV file, which is rewound afterwards; none for a file that is no CSV."""
    try:
        first = source.readline(limits.IMPORT_LINE_BYTES).decode("utf-8-sig")
        return {_column(name) for name in next(csv.reader([first]), [])}
    except (UnicodeDecodeError, csv.Error):
        return set()
    finally:
        source.seek(0)


def _column(name: str) -> str:
    return name.strip().lower().replace(" ", "").replace("_", "")


def _lines(source: BinaryIO) -> Iterator[str]:
    number = 0
    while line := source.readline(limits.IMPORT_LINE_BYTES + 1):
        number += 1
        if len(line) > limits.IMPORT_LINE_BYTES:
            raise Refused("input.too_large", f"line {number} has more than {limits.IMPORT_LINE_BYTES:,} bytes")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise malformed(f"line {number}", "it is not UTF-8") from None


# --- values
def exact(text: str | Decimal, where: str) -> Fraction:
    """An amount as it is written, exactly."""
    try:
        number = Decimal(text) if isinstance(text, str) else text
        if number.is_finite() and len(number.as_tuple().digits) <= _DIGITS and abs(number.adjusted()) <= _DIGITS:
            return Fraction(number)
    except (InvalidOperation, ValueError):
        pass
    raise malformed(where, f"{str(text)[:40]!r} is no amount")


def nano(amount: Fraction, where: str) -> int:
    """Nano-units, a half to the even one. Raises ``import.malformed`` for more than a database holds."""
    found = round(amount * NANO)
    if abs(found) >= 1 << 62:
        raise malformed(where, "the amount is too large")
    return found


def count(text: str | Decimal | int | None, where: str) -> int:
    """A count of units that cannot be negative."""
    if text is None or text == "":
        return 0
    number = exact(str(text), where)
    if number < 0 or number.denominator != 1 or number >= 1 << 62:
        raise malformed(where, f"{str(text)[:40]!r} is no count")
    return int(number)


def instant(text: str, where: str) -> int:
    """Unix ms of an ISO 8601 date or date-time; without a zone it is UTC."""
    try:
        found = datetime.datetime.fromisoformat(text.replace(" UTC", "Z"))
        if found.tzinfo is None:
            found = found.replace(tzinfo=datetime.UTC)
        at_ms = int(found.timestamp() * 1_000)
        if 0 <= at_ms < 1 << 43:
            return at_ms
    except (ValueError, OverflowError):
        pass
    raise malformed(where, f"{text[:40]!r} is no date")


def utc_day(at_ms: int) -> str:
    """The date in UTC."""
    return datetime.datetime.fromtimestamp(at_ms // 1_000, datetime.UTC).date().isoformat()


def first_of(values: Mapping[str, Any], names: Iterable[str]) -> str:
    """The first of these columns that says something."""
    return next((str(values[name]) for name in names if values.get(name)), "")
