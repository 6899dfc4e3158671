"""Rows as the table has them, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from holdfast.governance.ledger import dates
from holdfast.governance.ledger.model import Row

CACHE_READ: Final = ("cache_read", "cache_read_audio")
CACHE_WRITE: Final = ("cache_write", "cache_write_5m", "cache_write_30m", "cache_write_1h", "cache_write_12h")
PLAIN: Final = ("input", "input_audio", "input_image")
OUTPUT: Final = ("output", "reasoning", "output_audio", "output_image")

ROW_FIELDS: Final = Row.__struct_fields__
_encoder: Final = msgspec.json.Encoder(order="sorted")


def record(row: Row, session: str) -> dict[str, Any]:
    """A row as the table has it, with the reference of its session."""
    facts = msgspec.structs.asdict(row)
    counts = row.counts
    facts["session"] = session
    facts["unpriced"] = " ".join(row.unpriced)
    facts["week"] = dates.week_of(row.day)
    facts["cache_read_tokens"] = read = _sum(counts, CACHE_READ)
    facts["cache_write_tokens"] = write = _sum(counts, CACHE_WRITE)
    facts["input_tokens"] = _sum(counts, PLAIN) + read + write
    facts["output_tokens"] = _sum(counts, OUTPUT)
    facts["reasoning_tokens"] = counts.get("reasoning", 0)
    return facts


def seal(facts: Mapping[str, Any]) -> str:
    """SHA-256 of a row as the table has it: the JSON of its columns, names sorted. What went through the table once is the
    same as what did not: a number that JSON cannot hold comes back as another one, so it is read back here, too."""
    return hashlib.sha256(_encoder.encode(msgspec.json.decode(_encoder.encode(facts)))).hexdigest()


def row_from(found: Mapping[str, Any], session: str) -> Row:
    """A row from what the table has, with the session that its reference stands for."""
    facts = {name: found[name] for name in ROW_FIELDS}
    facts["session"] = session
    facts["unpriced"] = tuple(facts["unpriced"].split())
    return Row(**facts)


def _sum(counts: Mapping[str, int], names: tuple[str, ...]) -> int:
    return sum(counts[name] for name in names if name in counts)
